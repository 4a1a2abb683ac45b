/* SPDX-License-Identifier: BSD-3-Clause */
#include "machines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "cli.h"
#include "launch.h"

/* Doorbells get lost: looks in between, when somebody waits and when nobody does. */
#define LOOK_SOON_NS   INT64_C(50000000)
#define LOOK_LATER_NS  INT64_C(250000000)
#define ABORT_PATIENCE INT64_C(1000000000)

/* ---- meeting ---- */

static void bell_ready(struct tmbi_watch *watch, uint32_t events)
{
    (void)events;
    ((struct tmbi_machine_watch *)watch)->launch->machines.look_at = 0;
}

static void watched_ready(struct tmbi_watch *watch, uint32_t events)
{
    (void)events;
    tmbi_meeting_drain(((struct tmbi_machine_watch *)watch)->launch->machines.meeting);
}

static int watch_add(struct tmbi_launch *launch, struct tmbi_machine_watch *watch, int fd,
                     void (*ready)(struct tmbi_watch *, uint32_t))
{
    watch->watch = (struct tmbi_watch){.fd = fd, .ready = ready};
    watch->launch = launch;
    return fd < 0 ? 0 : tmbi_loop_add(&launch->loop, &watch->watch, EPOLLIN | EPOLLET);
}

/* Until step() has done what it does, or a signal or the deadline comes. 0, or a negative
 * errno. */
static int await(struct tmbi_launch *launch, int (*step)(struct tmbi_launch *),
                 int64_t deadline)
{
    for (;;) {
        int rc = step(launch);
        int64_t look = tmbi_clock_ns() + LOOK_SOON_NS;
        if (launch->last_signal)
            return -EINTR;
        if (rc != -EAGAIN)
            return rc;
        if (tmbi_clock_ns() >= deadline)
            return -ETIMEDOUT;
        tmbi_loop_turn(&launch->loop, look < deadline ? look : deadline);
    }
}

static int gather(struct tmbi_launch *launch)
{
    return tmbi_meeting_gather(launch->machines.meeting);
}

/* The job's own name is what the launcher of rank 0 made. Each says one for every rank,
 * so that it is a round like others. */
static int name_collect(struct tmbi_launch *launch)
{
    struct tmbi_meeting *meeting = launch->machines.meeting;
    const char *blame;
    int fault = tmbi_meeting_faulted(meeting, &blame);
    int rc = tmbi_meeting_collect(meeting, launch->machines.parts);

    if (rc == -EAGAIN && (fault || tmbi_meeting_over(meeting)))
        return -EHOSTDOWN;
    return rc;
}

static int name_take(struct tmbi_launch *launch, const char *name)
{
    size_t length = sizeof launch->job - 1;

    if (strspn(name, "0123456789abcdef") != length || name[length]) {
        tmbi_cli_say("job %s: the launcher of rank 0 sent garbage for the ranks' TMB_JOB",
                     launch->options->job);
        return -EPROTO;
    }
    memcpy(launch->job, name, length + 1);
    return 0;
}

static int name_agree(struct tmbi_launch *launch, int64_t deadline)
{
    size_t bytes = sizeof launch->job;
    char *all = calloc((unsigned)launch->size, bytes), *own;
    int rc;

    if (!all)
        return -ENOMEM;
    own = all + (size_t)launch->first * bytes;
    for (int i = 0; i < launch->options->ranks; i++)
        memcpy(own + (size_t)i * bytes, launch->job, bytes);
    launch->machines.parts = all;
    rc = tmbi_meeting_post(launch->machines.meeting, own, (uint32_t)bytes);
    if (!rc)
        rc = await(launch, name_collect, deadline);
    if (!rc)
        rc = name_take(launch, all);
    launch->machines.parts = NULL;
    free(all);
    return rc;
}

static int meeting_open(struct tmbi_launch *launch)
{
    const struct tmbi_launch_options *options = launch->options;
    const char *server = options->server ? options->server : getenv("TMB_SERVER");
    const char *device = getenv("TMB_IVSHMEM_DEVICE");
    struct tmbi_meeting_plan plan = {.job = options->job,
                                     .server = server && *server ? server : NULL,
                                     .device = device && *device ? device : NULL,
                                     .size = options->size,
                                     .ranks = options->ranks,
                                     .first = options->first};

    return tmbi_meeting_open(&plan, &launch->machines.meeting);
}

static int meet(struct tmbi_launch *launch)
{
    struct tmbi_machines *machines = &launch->machines;
    int64_t begin = tmbi_clock_ns(), deadline = tmbi_deadline(launch->options->wait_ns);
    int rc = watch_add(launch, &machines->bell, tmbi_meeting_bell(machines->meeting),
                       bell_ready);

    if (!rc)
        rc = await(launch, gather, deadline);
    if (rc == -ETIMEDOUT)
        tmbi_meeting_missing(machines->meeting, tmbi_clock_ns() - begin);
    if (rc)
        return rc;
    launch->first = tmbi_meeting_own(machines->meeting)->first;
    rc = watch_add(launch, &machines->watched, tmbi_meeting_watched(machines->meeting),
                   watched_ready);
    if (!rc)
        rc = name_agree(launch, tmbi_deadline(10 * ABORT_PATIENCE));
    if (rc == -EHOSTDOWN || rc == -ETIMEDOUT)
        tmbi_cli_say("job %s: a launcher went away, or stopped, as soon as all had met",
                     launch->options->job);
    return rc;
}

int tmbi_machines_open(struct tmbi_launch *launch)
{
    int rc = launch->options->job ? meeting_open(launch) : 0;

    if (rc)
        return 1;
    if (!launch->machines.meeting)
        return 0;
    rc = meet(launch);
    if (!rc)
        return 0;
    if (rc == -EINTR)
        tmbi_cli_say("job %s: signal %d came before its ranks had", launch->options->job,
                     launch->last_signal);
    if (rc == -ENOMEM)
        tmbi_cli_say("job %s: no memory for meeting the other launchers",
                     launch->options->job);
    tmbi_machines_close(launch);
    return rc == -EINTR ? 128 + launch->last_signal : 1;
}

void tmbi_machines_close(struct tmbi_launch *launch)
{
    if (launch->machines.meeting)
        tmbi_meeting_close(launch->machines.meeting);
    launch->machines.meeting = NULL;
}

/* ---- exchanges ---- */

void tmbi_machines_gathered(void *arg, void *all, uint32_t bytes)
{
    struct tmbi_launch *launch = arg;
    const char *ours = (char *)all + (size_t)launch->first * bytes;

    if (tmbi_meeting_post(launch->machines.meeting, ours, bytes)) {
        tmbi_ending_force(launch, 1, ABORT_PATIENCE);
        return;
    }
    launch->machines.parts = all;
    launch->machines.look_at = 0;
}

void tmbi_machines_fault(void *arg, int code, const char *blame)
{
    struct tmbi_launch *launch = arg;

    launch->machines.parts = NULL;
    tmbi_meeting_fault(launch->machines.meeting, code, blame);
}

/* Tell the hub whose parts have come. It may answer its ranks then, and begin anew. */
static void parts_take(struct tmbi_launch *launch)
{
    struct tmbi_machines *machines = &launch->machines;
    const struct tmbi_mate *mate;
    int rc = tmbi_meeting_collect(machines->meeting, machines->parts);

    if (rc == 0) {
        machines->parts = NULL;
        for (int i = 0; (mate = tmbi_meeting_mate(machines->meeting, i)); i++)
            if (!mate->own)
                tmbi_hub_came(launch->hub, mate->first, mate->ranks);
    } else if (rc != -EAGAIN) {
        tmbi_ending_force(launch, 1, ABORT_PATIENCE);
    }
}

static void exchange_look(struct tmbi_launch *launch)
{
    const char *blame;
    int fault = tmbi_meeting_faulted(launch->machines.meeting, &blame);

    if (launch->machines.parts)
        parts_take(launch);
    if (!fault)
        return;
    launch->machines.parts = NULL;
    tmbi_hub_fail(launch->hub, fault, blame);
}

/* ---- failures and signals ---- */

static void say_failure(const struct tmbi_launch *launch,
                        const struct tmbi_failure *failure)
{
    const struct tmbi_mate *mate =
        tmbi_meeting_mate(launch->machines.meeting, failure->mate);
    const char *where = mate->here ? "this machine" : "another machine";

    if (failure->kind == TMBI_FAILURE_RANK)
        tmbi_cli_say("rank %d (peer %u, %s) failed with code %d", failure->rank,
                     mate->peer_id, where, failure->code);
    else if (failure->kind == TMBI_FAILURE_DEATH)
        tmbi_cli_say("the launcher of ranks %d-%d (peer %u, %s) has died", mate->first,
                     mate->first + mate->ranks - 1, mate->peer_id, where);
    else if (failure->rank >= 0)
        tmbi_cli_say("rank %d (peer %u, %s) aborts the job with code %d", failure->rank,
                     mate->peer_id, where, failure->code);
    else
        tmbi_cli_say(
            "the launcher of ranks %d-%d (peer %u, %s) ends the job with code %d",
            mate->first, mate->first + mate->ranks - 1, mate->peer_id, where,
            failure->code);
}

/* Our ranks find themselves dead when they next wait, which may be never. */
static void outcast_look(struct tmbi_launch *launch)
{
    struct tmbi_machines *machines = &launch->machines;

    if (machines->failed || !tmbi_meeting_outcast(machines->meeting))
        return;
    machines->failed = true;
    tmbi_cli_say(
        "job %s: the others have declared this launcher dead, for its machine was "
        "stopped for longer than TMB_IVSHMEM_HEARTBEAT: ending its ranks",
        launch->options->job);
    launch->exit_code = 1;
    tmbi_ending_force(launch, 1, ABORT_PATIENCE);
}

static void failure_look(struct tmbi_launch *launch)
{
    struct tmbi_machines *machines = &launch->machines;
    struct tmbi_failure failure;
    const struct tmbi_mate *mate;

    outcast_look(launch);
    if (machines->failed || !tmbi_meeting_failed(machines->meeting, &failure))
        return;
    machines->failed = true;
    launch->exit_code = failure.code ? failure.code : 1;
    mate = tmbi_meeting_mate(machines->meeting, failure.mate);
    if (mate->own)
        return;
    say_failure(launch, &failure);
    if (failure.kind == TMBI_FAILURE_DEATH)
        tmbi_hub_gone(launch->hub, mate->first, mate->ranks);
    if (failure.kind == TMBI_FAILURE_END)
        tmbi_ending_force(launch, launch->exit_code, ABORT_PATIENCE);
    else
        tmbi_ending_elsewhere(launch, failure.rank);
}

void tmbi_machines_fail(struct tmbi_launch *launch, enum tmbi_failure_kind kind, int rank,
                        int code)
{
    if (launch->machines.meeting)
        tmbi_meeting_fail(launch->machines.meeting, kind, rank, code);
}

/* What a terminal stops and continues is its own. */
void tmbi_machines_signal(struct tmbi_launch *launch, int sig)
{
    if (launch->machines.meeting && sig != SIGTSTP && sig != SIGCONT)
        tmbi_meeting_signal(launch->machines.meeting, sig);
}

void tmbi_machines_look(struct tmbi_launch *launch)
{
    struct tmbi_machines *machines = &launch->machines;
    int sig;

    if (!machines->meeting)
        return;
    while ((sig = tmbi_meeting_signalled(machines->meeting)))
        tmbi_ending_passed(launch, sig);
    exchange_look(launch);
    failure_look(launch);
    machines->look_at =
        tmbi_clock_ns() + (machines->parts ? LOOK_SOON_NS : LOOK_LATER_NS);
}

/* Until all have ended, so that all return the same code, and the name is free again. */
void tmbi_machines_end(struct tmbi_launch *launch)
{
    struct tmbi_machines *machines = &launch->machines;

    if (!machines->meeting)
        return;
    tmbi_meeting_end(machines->meeting);
    tmbi_machines_look(launch);
    while (!tmbi_meeting_over(machines->meeting) && !launch->hasty &&
           launch->stage < TMBI_STAGE_KILLED)
        tmbi_launch_turn(launch);
    tmbi_machines_look(launch);
    if (launch->hasty && !launch->exit_code)
        launch->exit_code = 128 + launch->last_signal;
}
