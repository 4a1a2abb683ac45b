/* SPDX-License-Identifier: BSD-3-Clause */
/* The server's state: server.c opens it and waits, clients.c serves. */
#ifndef TMBI_SERVER_SERVING_H
#define TMBI_SERVER_SERVING_H

#include "../region.h"
#include "server.h"
#include "store.h"
#include "table.h"

struct tmbi_serving {
    const struct tmbi_server_options *options;
    struct tmbi_region region;
    int memory, listener, signals, epoll;
    struct tmbi_table clients;
    uint32_t next_id; /* an ID is never reused: QEMU could not bear it */
    bool paused;      /* not accepting, for want of descriptors */
    bool starved;     /* said so; until the next client is accepted */
    bool retry;       /* some client is to be told more, a little later */
    int64_t retried;  /* when that was tried last */
    bool held;        /* by who started us, for a job */
    bool stopping;
};

/* Take over the clients of a former server, in whose region we are. What it was about to
 * tell of others is made good: whoever is not here any more is reported gone. */
int tmbi_clients_adopt(struct tmbi_serving *serving, struct tmbi_stored *stored);

/* The listener is readable. */
void tmbi_clients_accept(struct tmbi_serving *serving);
/* A client's socket is ready. */
void tmbi_clients_event(struct tmbi_serving *serving, struct tmbi_client *client,
                        uint32_t events);
/* After each event: what lacked memory or descriptors, again, and not too often; and the
 * keeper gets whom all others know. */
void tmbi_clients_settle(struct tmbi_serving *serving);

/* How long to wait for an event, in ms; -1: until there is one. */
int tmbi_clients_patience(const struct tmbi_serving *serving);

#endif
