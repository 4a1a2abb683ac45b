/* SPDX-License-Identifier: BSD-3-Clause */
/* The ivshmem server: gives clients (QEMU's ivshmem-doorbell, and ranks on the host)
 * the region and each other's doorbells, and keeps the region's slots true. */
#ifndef TMBI_SERVER_H
#define TMBI_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../../core/export.h"

/*
 * Who keeps descriptors for the next server should this one die: a machine can't connect
 * anew, so the region, the listening socket, and each client's connection and doorbells
 * must be found again. The command implements it by systemd's file descriptor store.
 */
struct tmbi_keeper {
    void (*keep)(const char *name, int fd);
    void (*forget)(const char *name);
    void (*serving)(void); /* the server listens */
    /* What the former server left; the server owns the descriptors from now on. */
    size_t count;
    char *const *names;
    const int *fds;
};

struct tmbi_server_options {
    const char *socket;   /* path to listen on; must not exist, or be a dead server's */
    uint64_t size;        /* of the region: a power of two */
    uint32_t vectors;     /* doorbells per client, 1 .. 64 */
    uint32_t max_clients; /* slots in the region */
    bool hugepages;
    int numa;          /* node for the region's memory, or -1 */
    const char *group; /* may connect, beside the owner; NULL: owner only */
    const struct tmbi_keeper *keeper; /* NULL: nobody */
    int ready_fd; /* if >= 0: a byte is written and it is closed, once listening */
    /* For one job: a socket to who started the server, or 0. A byte is written once
     * listening; when the other end is closed and no client is there the server ends. */
    int job_fd;
};

/* For who started it: wait for that byte. -ECONNREFUSED: it has failed; -ETIMEDOUT. */
TMBI_TOOL int tmbi_server_await(int fd);

/* Serve until SIGTERM or SIGINT, then remove the socket. Returns 0, or a negative errno
 * logged with what to do. */
TMBI_TOOL int tmbi_server_run(const struct tmbi_server_options *options);

#endif
