/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client of the server, and what it is still to be told. No messages are queued: each
 * client has a list of peers whose coming or going it has not heard of, and a peer that
 * goes before a slow client heard of its coming is just taken off that list. So what a
 * client that never reads costs is bounded by the peers that are there.
 */
#ifndef TMBI_SERVER_CLIENT_H
#define TMBI_SERVER_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

struct tmbi_news {
    uint32_t id;
    bool gone; /* otherwise: has come */
};

struct tmbi_client {
    int socket;
    uint32_t id;
    uint32_t slot, epoch; /* of its connection's slot */
    uint32_t vectors;
    int *bells; /* the eventfds that it hears */
    struct tmbi_news *news;
    uint32_t news_count, news_room;
    uint32_t greeted;  /* messages of the greeting that were sent */
    uint32_t told;     /* vectors of news[0] that were sent */
    bool wants_output; /* EPOLLOUT is watched */
    bool kept;         /* by the server's keeper */
};

/* A client owns its socket once it was made. */
int tmbi_client_new(int socket, uint32_t id, uint32_t vectors,
                    struct tmbi_client **client);
/* One that a former server had greeted; it owns these doorbells, too. */
int tmbi_client_adopt(int socket, uint32_t id, uint32_t vectors, const int *bells,
                      struct tmbi_client **client);
void tmbi_client_free(struct tmbi_client *client);

/* Note for telling that a peer came, or went. -ENOMEM. */
int tmbi_client_note_come(struct tmbi_client *client, uint32_t id);
int tmbi_client_note_gone(struct tmbi_client *client, uint32_t id);

/* Finds a client by ID, or NULL. */
typedef struct tmbi_client *tmbi_client_find(void *arg, uint32_t id);

/*
 * Send what the socket takes. `memory`: the region's descriptor. 0: all is told; -EAGAIN:
 * go on when it is writable; -ETOOMANYREFS: go on a little later; else drop the client.
 */
int tmbi_client_tell(struct tmbi_client *client, int memory, tmbi_client_find *find,
                     void *arg);

/* Ring one of its doorbells. */
void tmbi_client_ring(const struct tmbi_client *client, uint32_t vector);

#endif
