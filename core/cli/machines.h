/* SPDX-License-Identifier: BSD-3-Clause */
/* A job's other launchers, in other machines or in this one: what they and we have to
 * tell each other while the job runs. Nothing, in a job that one launcher has for itself.
 */
#ifndef TMBI_MACHINES_H
#define TMBI_MACHINES_H

#include <stdbool.h>
#include <stdint.h>

#include "../../providers/ivshmem/meeting.h"
#include "../bootstrap/loop.h"

struct tmbi_launch;

struct tmbi_machine_watch {
    struct tmbi_watch watch; /* first */
    struct tmbi_launch *launch;
};

struct tmbi_machines {
    struct tmbi_meeting *meeting; /* NULL: there are no others */
    struct tmbi_machine_watch bell, watched;
    void *parts;     /* the exchange under way: where the others' go; or NULL */
    bool failed;     /* what the job's first failure is has been heard */
    int64_t look_at; /* when tmbi_machines_look() is to be called */
};

/* Meet them: from then on launch->first and launch->job are set. 0, or the exit code of a
 * job that does not begin; why is said on stderr. Needs launch->loop. */
int tmbi_machines_open(struct tmbi_launch *launch);
void tmbi_machines_close(struct tmbi_launch *launch);

/* Hear what they say. */
void tmbi_machines_look(struct tmbi_launch *launch);

/* Our own ranks have ended: wait for theirs. */
void tmbi_machines_end(struct tmbi_launch *launch);

/* What they are to hear. rank: -1 if it is no rank's doing. */
void tmbi_machines_fail(struct tmbi_launch *launch, enum tmbi_failure_kind kind, int rank,
                        int code);
void tmbi_machines_signal(struct tmbi_launch *launch, int sig);

/* The hub's events. */
void tmbi_machines_gathered(void *arg, void *all, uint32_t bytes);
void tmbi_machines_fault(void *arg, int code, const char *blame);

#endif
