/* SPDX-License-Identifier: BSD-3-Clause */
/* What a keeper (server.h) holds of a server: which descriptor is what. */
#ifndef TMBI_SERVER_STORE_H
#define TMBI_SERVER_STORE_H

#include "server.h"
#include "table.h"

struct tmbi_stored_client {
    uint32_t id;
    int socket; /* -1: it ended while there was no server */
    int bells[64];
};

/* What the former server left. */
struct tmbi_stored {
    int region, listener;               /* or -1 */
    struct tmbi_stored_client *clients; /* in the order of their IDs */
    uint32_t client_count;
};

/* Sort what the keeper has; what has no name of ours is closed. -ENOMEM. */
int tmbi_stored_read(struct tmbi_stored *stored, const struct tmbi_keeper *keeper);
/* Close all that was not taken over: who takes a descriptor puts -1 in its place. */
void tmbi_stored_close(struct tmbi_stored *stored);

/* Give into keeping, or take out of it; `keeper` NULL: nothing. */
void tmbi_store_server(const struct tmbi_keeper *keeper, int region, int listener);
void tmbi_store_client(const struct tmbi_keeper *keeper,
                       const struct tmbi_client *client);
void tmbi_store_forget(const struct tmbi_keeper *keeper,
                       const struct tmbi_client *client);

#endif
