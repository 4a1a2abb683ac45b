/* SPDX-License-Identifier: BSD-3-Clause */
/* A process that cleans up if the launcher is killed, and so can't do it itself: ends
 * every process of the job, also those that ranks have started, and removes the
 * server's directory. */
#ifndef TMBI_GUARD_H
#define TMBI_GUARD_H

#include "embedded.h"

struct tmbi_guard {
    pid_t pid;
    int fd; /* open as long as the launcher lives */
};

/* Of the job's ranks, `ranks` from `first` on are ours. */
int tmbi_guard_start(struct tmbi_guard *guard, const char *job, int first, int ranks,
                     const struct tmbi_embedded *server);

/* Everything has been cleaned up. */
void tmbi_guard_stop(struct tmbi_guard *guard);

#endif
