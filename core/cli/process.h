/* SPDX-License-Identifier: BSD-3-Clause */
/* Processes of a job: how ranks are started, and how none is left behind. */
#ifndef TMBI_PROCESS_H
#define TMBI_PROCESS_H

#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "../topology.h"

/* What the launcher changed of itself and its children must not inherit. */
struct tmbi_process_origin {
    pid_t launcher;
    sigset_t mask;
    struct sigaction sigpipe;
    struct rlimit files;
};

struct tmbi_process_spec {
    const struct tmbi_process_origin *origin;
    char *const *program; /* for execvp() */
    int rank, size;
    int local, locals; /* which of this launcher's ranks it is, for binding */
    const char *job;
    const char *provider; /* NULL: as in the environment */
    const char *server;   /* NULL: as in the environment */
    enum tmbi_bind bind;
    int launch_fd;
    int stdio[3]; /* -1: the launcher's own */
};

/* Start a rank. Returns when its program runs; otherwise a negative errno, and *step
 * says what failed. */
int tmbi_process_start(const struct tmbi_process_spec *spec, pid_t *pid,
                       const char **step);

/* In a forked child: give up what origin says, and die with the launcher by `sig`. */
void tmbi_process_settle(const struct tmbi_process_origin *origin, int sig);

/* Call visit() for each process of the machine. */
void tmbi_process_each(void (*visit)(void *arg, pid_t pid), void *arg);

/* Send a signal to all children of the caller but those of `spare`; how many there were.
 * With PR_SET_CHILD_SUBREAPER that is whoever the ranks have left. */
int tmbi_process_signal_children(int sig, const pid_t *spare, int spared);

#endif
