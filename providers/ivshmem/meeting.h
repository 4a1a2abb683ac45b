/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the launchers of one job meet, each in a machine of its own or not: in the
 * region, with no network. A launcher takes places for its ranks, publishes a mailbox,
 * and knows all others when the mailboxes have as many ranks as there shall be. Ranks are
 * then numbered as was given, or in the order of (peer ID, slot).
 *
 * All of it is for one thread that looks again when the bell was rung, or a moment has
 * passed: doorbells may get lost. Nothing here blocks, but for the opening.
 */
#ifndef TMBI_MEETING_H
#define TMBI_MEETING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../core/export.h"

#define TMBI_MEETING_NAME_MAX 31

struct tmbi_meeting;

struct tmbi_meeting_plan {
    const char *job;    /* its name: 1 .. TMBI_MEETING_NAME_MAX characters */
    const char *server; /* socket, or NULL */
    const char *device; /* as in TMB_IVSHMEM_DEVICE, or NULL */
    int size;           /* ranks of the whole job */
    int ranks;          /* that we start */
    int first;          /* our first rank, or -1 */
};

/* A launcher of the job. */
struct tmbi_mate {
    int first, ranks;
    uint32_t peer_id;
    int64_t pid;
    bool here; /* under our kernel */
    bool own;  /* ourselves */
    bool came; /* its part of the round under way has been taken */
};

enum tmbi_failure_kind {
    TMBI_FAILURE_RANK = 1, /* a rank failed: the others get some time */
    TMBI_FAILURE_END = 2,  /* the job is to end now: a rank aborts it, or it is late */
    TMBI_FAILURE_DEATH = 3 /* a launcher died, and with it its ranks */
};

struct tmbi_failure {
    enum tmbi_failure_kind kind;
    int rank; /* who failed, or aborts; -1: no rank */
    int code; /* exit code of the job */
    int mate; /* in whose care that happened */
};

/* Get at the region. Errors are logged with what to do. */
TMBI_TOOL int tmbi_meeting_open(const struct tmbi_meeting_plan *plan,
                                struct tmbi_meeting **meeting);
/* Leave. What the others have not heard yet they still can. */
TMBI_TOOL void tmbi_meeting_close(struct tmbi_meeting *meeting);

/* Descriptors to watch edge-triggered, or -1: the bell; and after tmbi_meeting_gather()
 * what is drained by tmbi_meeting_drain(). */
TMBI_TOOL int tmbi_meeting_bell(const struct tmbi_meeting *meeting);
TMBI_TOOL int tmbi_meeting_watched(const struct tmbi_meeting *meeting);
TMBI_TOOL void tmbi_meeting_drain(struct tmbi_meeting *meeting);

/* Come together. -EAGAIN: not yet. Others are logged. */
TMBI_TOOL int tmbi_meeting_gather(struct tmbi_meeting *meeting);
/* Log who has come and who has not, after so long. */
TMBI_TOOL void tmbi_meeting_missing(struct tmbi_meeting *meeting, int64_t waited_ns);
/* All launchers in the order of their ranks: number 0 .. ; NULL behind the last. */
TMBI_TOOL const struct tmbi_mate *tmbi_meeting_mate(const struct tmbi_meeting *meeting,
                                                    int number);
TMBI_TOOL const struct tmbi_mate *tmbi_meeting_own(const struct tmbi_meeting *meeting);

/* Begin the next round: `bytes` of each of our ranks. -ENOMEM is logged. */
TMBI_TOOL int tmbi_meeting_post(struct tmbi_meeting *meeting, const void *parts,
                                uint32_t bytes);
/* Put what has come of it from others into `all`, by rank. 0: it is complete. -EAGAIN:
 * not yet. -EPROTO: a mate's part is garbage, or of another size (logged). */
TMBI_TOOL int tmbi_meeting_collect(struct tmbi_meeting *meeting, void *all);

/* Rounds have failed with us for good, because of some ranks ("3, 5-7"). */
TMBI_TOOL void tmbi_meeting_fault(struct tmbi_meeting *meeting, int error,
                                  const char *blame);
/* They have with a mate: the negative errno, and its *blame; or 0. What was posted before
 * that can be collected after this. */
TMBI_TOOL int tmbi_meeting_faulted(struct tmbi_meeting *meeting, const char **blame);

/* The job has failed. Only the first failure of all counts. */
TMBI_TOOL void tmbi_meeting_fail(struct tmbi_meeting *meeting,
                                 enum tmbi_failure_kind kind, int rank, int code);
/* Whether it has, a mate's death included, and how. */
TMBI_TOOL bool tmbi_meeting_failed(struct tmbi_meeting *meeting,
                                   struct tmbi_failure *failure);

/* Pass a signal on to the mates; and what a mate has passed on to us, or 0. */
TMBI_TOOL void tmbi_meeting_signal(struct tmbi_meeting *meeting, int sig);
TMBI_TOOL int tmbi_meeting_signalled(struct tmbi_meeting *meeting);

/* Our ranks have ended. Whether all mates' have, or the mates themselves. */
TMBI_TOOL void tmbi_meeting_end(struct tmbi_meeting *meeting);
TMBI_TOOL bool tmbi_meeting_over(struct tmbi_meeting *meeting);

/* Whether the mates have declared us dead, for our machine was stopped for too long, and
 * go on, or have ended, without us. Then nothing above does anything any more. */
TMBI_TOOL bool tmbi_meeting_outcast(const struct tmbi_meeting *meeting);

#endif
