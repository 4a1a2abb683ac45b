/* SPDX-License-Identifier: BSD-3-Clause */
/* The launcher's side of launch.h: exchanges between the ranks of a job. */
#ifndef TMBI_HUB_H
#define TMBI_HUB_H

#include "loop.h"

struct tmbi_hub;

struct tmbi_hub_events {
    /* A rank wants the whole job to end with this exit code (1 .. 255). */
    void (*abort)(void *arg, int rank, int exit_code);
    /* A rank sent what launch.h does not allow; it is no longer heard. */
    void (*garbage)(void *arg, int rank, const char *what);
    /* Of a hub that was split: all our ranks have given their parts, `bytes` each. They
     * lie in `all`, by rank, where the others' go until they all have come or the
     * exchange has failed. */
    void (*gathered)(void *arg, void *all, uint32_t bytes);
    /* Exchanges have failed here for good, because of these ranks ("3, 5-7"). */
    void (*failed)(void *arg, int code, const char *blame);
};

int tmbi_hub_open(struct tmbi_hub **hub, struct tmbi_loop *loop, int size,
                  const struct tmbi_hub_events *events, void *arg);
void tmbi_hub_close(struct tmbi_hub *hub);

/* Only these ranks join here. The others' parts are put where `gathered` says, and then
 * counted by tmbi_hub_came(). */
void tmbi_hub_split(struct tmbi_hub *hub, int first, int count);
void tmbi_hub_came(struct tmbi_hub *hub, int first, int count);
/* Others have ended, or exchanges have failed elsewhere. */
void tmbi_hub_gone(struct tmbi_hub *hub, int first, int count);
void tmbi_hub_fail(struct tmbi_hub *hub, int code, const char *blame);

/* Make a rank's socket; *fd is the rank's end, the caller's to close. */
int tmbi_hub_join(struct tmbi_hub *hub, int rank, int *fd);

/* A rank's process has ended: what it said before is heard first. */
void tmbi_hub_ended(struct tmbi_hub *hub, int rank);

#endif
