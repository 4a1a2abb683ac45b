/* SPDX-License-Identifier: BSD-3-Clause */
/* A job of ranks on this host, from its start to its end (launch.c), and when and how
 * it ends (ending.c). */
#ifndef TMBI_LAUNCHER_H
#define TMBI_LAUNCHER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/signalfd.h>

#include "embedded.h"
#include "guard.h"
#include "../bootstrap/hub.h"
#include "../bootstrap/loop.h"
#include "machines.h"
#include "output.h"
#include "process.h"

#define TMBI_RANKS_MAX 4096 /* slots of a region */

struct tmbi_launch_options {
    int ranks;
    char *const *program;
    const char *provider; /* NULL: TMB_PROVIDER */
    const char *server;   /* NULL: TMB_SERVER, and if that is unset an embedded one */
    enum tmbi_bind bind;
    bool label;
    bool keep_going;    /* after a failure */
    int64_t grace_ns;   /* that the others have after a failure */
    int64_t timeout_ns; /* for the whole job; negative: none */
    uint64_t region_bytes;
    uint32_t vectors;
    const char *job; /* that launchers in several machines have together; or NULL */
    int size;        /* ranks of the whole job; without `job`, as `ranks` */
    int first;       /* our first rank; -1: as it comes */
    int64_t wait_ns; /* for the other launchers' ranks */
};

/* How far a job is on the way to its end. */
enum tmbi_stage { TMBI_STAGE_RUNS, TMBI_STAGE_GRACE, TMBI_STAGE_ENDS, TMBI_STAGE_KILLED };

struct tmbi_launch;

struct tmbi_signals {
    struct tmbi_watch watch; /* first */
    struct tmbi_launch *launch;
};

struct tmbi_launch {
    const struct tmbi_launch_options *options;
    struct tmbi_process_origin origin;
    char job[33];
    int first, size; /* our first rank, and how many all launchers have */
    struct tmbi_embedded server;
    struct tmbi_guard guard;
    struct tmbi_loop loop;
    struct tmbi_signals signals;
    struct tmbi_hub *hub;
    struct tmbi_machines machines;
    struct tmbi_output *output; /* NULL without labels */
    pid_t *pids;                /* by our ranks' order; 0: not started, or reaped */
    int alive;
    bool starting;

    /* ending.c's */
    enum tmbi_stage stage;
    int64_t stage_deadline, job_deadline;
    int failures, first_failed;
    int exit_code;
    int last_signal;
    int64_t interrupted; /* when, first */
    bool hasty;          /* asked to end although ranks have */
};

/* Run a job; the exit code. What goes wrong is said on stderr. */
int tmbi_launch(const struct tmbi_launch_options *options);

/* Handle an event, or what is due. */
void tmbi_launch_turn(struct tmbi_launch *launch);

void tmbi_ending_start(struct tmbi_launch *launch);
void tmbi_ending_rank(struct tmbi_launch *launch, int rank, pid_t pid, int status);
void tmbi_ending_signal(struct tmbi_launch *launch,
                        const struct signalfd_siginfo *signal);
/* A signal that another launcher has got. */
void tmbi_ending_passed(struct tmbi_launch *launch, int sig);
/* Another launcher's rank has failed. */
void tmbi_ending_elsewhere(struct tmbi_launch *launch, int rank);
/* The job is beyond hope: end it, with this code unless a rank failed before. */
void tmbi_ending_force(struct tmbi_launch *launch, int exit_code, int64_t patience_ns);
/* When tmbi_ending_overdue() is to be called. */
int64_t tmbi_ending_deadline(const struct tmbi_launch *launch);
void tmbi_ending_overdue(struct tmbi_launch *launch);
/* Say how it went. */
void tmbi_ending_summary(const struct tmbi_launch *launch);

#endif
