/* SPDX-License-Identifier: BSD-3-Clause */
/* The serving side of launch.h: exchanges between the ranks of a job. A launcher has it,
 * or, where there is none, rank 0 (door.h). */
#ifndef TMBI_HUB_H
#define TMBI_HUB_H

#include <stdbool.h>

#include "../export.h"
#include "launch.h"
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
    /* What a rank is answered that gave its part by tmbi_hub_give(). */
    void (*answered)(void *arg, const struct tmbi_launch_header *header,
                     const void *payload);
};

TMBI_TOOL int tmbi_hub_open(struct tmbi_hub **hub, struct tmbi_loop *loop, int size,
                            const struct tmbi_hub_events *events, void *arg);
TMBI_TOOL void tmbi_hub_close(struct tmbi_hub *hub);

/* Only these ranks join here. The others' parts are put where `gathered` says, and then
 * counted by tmbi_hub_came(). */
TMBI_TOOL void tmbi_hub_split(struct tmbi_hub *hub, int first, int count);
TMBI_TOOL void tmbi_hub_came(struct tmbi_hub *hub, int first, int count);
/* Others have ended, or exchanges have failed elsewhere. */
TMBI_TOOL void tmbi_hub_gone(struct tmbi_hub *hub, int first, int count);
TMBI_TOOL void tmbi_hub_fail(struct tmbi_hub *hub, int code, const char *blame);

/* Make a rank's socket; *fd is the rank's end, the caller's to close. */
TMBI_TOOL int tmbi_hub_join(struct tmbi_hub *hub, int rank, int *fd);

/*
 * Instead of join: ranks are expected, none of them missed before it came, and come with
 * a socket that is the hub's from then on, also on failure. One of them is the caller
 * itself, who gives its part, gives up when it must, and is `answered`.
 */
TMBI_TOOL void tmbi_hub_expect(struct tmbi_hub *hub);
TMBI_TOOL int tmbi_hub_adopt(struct tmbi_hub *hub, int rank, int fd);
TMBI_TOOL void tmbi_hub_give(struct tmbi_hub *hub, int rank, const void *part,
                             uint32_t bytes);
TMBI_TOOL void tmbi_hub_give_up(struct tmbi_hub *hub, int rank);

/* Whether answers are still on their way. */
TMBI_TOOL bool tmbi_hub_busy(const struct tmbi_hub *hub);

/* A rank's process has ended: what it said before is heard first. */
TMBI_TOOL void tmbi_hub_ended(struct tmbi_hub *hub, int rank);

#endif
