/* SPDX-License-Identifier: BSD-3-Clause */
/* The way in for a process on the host: one connection to the server's socket, which
 * hands over the region and everybody's doorbells (eventfds). */
#ifndef TMBI_HOST_H
#define TMBI_HOST_H

#include <pthread.h>

#include "way.h"
#include "wire.h"

/* What the server told of a peer. */
struct tmbi_host_peer {
    uint32_t vectors; /* how many doorbells have come */
    int *bells;       /* by vector; -1: not kept; NULL: none has come */
};

struct tmbi_host {
    struct tmbi_way way;   /* first */
    struct tmbi_wire wire; /* to the server; wire.fd is -1 in a region of our own */
    int memory;            /* the region's descriptor */
    struct tmbi_host_peer *peers; /* by ID; constant after tmbi_host_keep() */
    uint32_t peer_count;
    pthread_mutex_t mutex; /* one thread at a time drains the socket */
    bool lost;             /* the server is gone; under the mutex */
};

/*
 * Connect to the server and read its greeting up to our own doorbells.
 * -ENOENT, -ECONNREFUSED, -EACCES: as connect(2). -ETIMEDOUT: the server is silent.
 * -EPROTO: it talks nonsense, or of a region that is none. -EMFILE. All logged.
 */
int tmbi_host_open(struct tmbi_host *host, const char *path, int64_t deadline);

/* The same on a connection, which it takes over. */
int tmbi_host_greet(struct tmbi_host *host, const struct tmbi_wire *wire,
                    int64_t deadline);

/* A region and doorbells for this process alone. */
int tmbi_host_private(struct tmbi_host *host, uint64_t size);

/* Hand back everything, the connection last: the server then knows that we are gone. */
void tmbi_host_close(struct tmbi_host *host);

/* Read notices until all doorbells of a peer have come. -ETIMEDOUT: not yet, at the
 * deadline. -ECONNRESET: the server is gone. -EPROTO, -EMFILE: logged. */
int tmbi_host_await(struct tmbi_host *host, uint32_t id, int64_t deadline);

/* Close all doorbells but these and our own; later notices are then of no interest, and
 * only drained. */
void tmbi_host_keep(struct tmbi_host *host, const uint32_t *doorbells, size_t count);

/* Throw away what the server sent, without blocking. Returns true once: when it finds
 * that the server has gone. Any thread. */
bool tmbi_host_drain(struct tmbi_host *host);

extern const struct tmbi_way_ops tmbi_host_way_ops;

/* The descriptor of a doorbell, or -1. */
int tmbi_host_bell(const struct tmbi_host *host, uint32_t doorbell);

#endif
