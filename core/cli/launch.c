/* SPDX-License-Identifier: BSD-3-Clause */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../clock.h"
#include "cli.h"

#define ABORT_PATIENCE INT64_C(1000000000)
#define SPARE_FILES    64
#define SPARE_CLIENTS  16

static int files_raise(struct tmbi_launch *launch)
{
    rlim_t need =
        (rlim_t)launch->options->ranks * (launch->options->label ? 3 : 1) + SPARE_FILES;
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &launch->origin.files);
    limit = launch->origin.files;
    if (limit.rlim_cur >= need)
        return 0;
    if (limit.rlim_max < need) {
        tmbi_cli_say("-n %d needs %llu open files, but only %llu are allowed: raise the "
                     "limit (ulimit -Hn)",
                     launch->options->ranks, (unsigned long long)need,
                     (unsigned long long)limit.rlim_max);
        return -EMFILE;
    }
    limit.rlim_cur = need;
    return setrlimit(RLIMIT_NOFILE, &limit) ? -errno : 0;
}

/* Signals are read from a descriptor. What the launcher was told to ignore (nohup, a
 * shell's background job) stays ignored. */
static int signals_block(struct tmbi_launch *launch)
{
    static const int passed[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
                                 SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT};
    struct sigaction ignore = {.sa_handler = SIG_IGN}, now;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
        if (!sigaction(passed[i], NULL, &now) && now.sa_handler != SIG_IGN)
            sigaddset(&set, passed[i]);
    sigprocmask(SIG_BLOCK, &set, &launch->origin.mask);
    sigaction(SIGPIPE, &ignore, &launch->origin.sigpipe);
    launch->signals.watch.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return launch->signals.watch.fd < 0 ? -errno : 0;
}

static int job_name(struct tmbi_launch *launch)
{
    uint64_t random[2];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return -errno;
    snprintf(launch->job, sizeof launch->job, "%016llx%016llx",
             (unsigned long long)random[0], (unsigned long long)random[1]);
    return 0;
}

static int rank_of(const struct tmbi_launch *launch, pid_t pid)
{
    for (int i = 0; i < launch->options->ranks; i++)
        if (launch->pids[i] == pid)
            return i;
    return -1;
}

static void server_ended(struct tmbi_launch *launch)
{
    launch->server.pid = 0;
    if (!launch->alive)
        return;
    tmbi_cli_say("the embedded server has ended before the job: ending the job");
    tmbi_ending_force(launch, 1, ABORT_PATIENCE);
}

static void reap(struct tmbi_launch *launch)
{
    int status, rank;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        rank = rank_of(launch, pid);
        if (rank >= 0) {
            launch->pids[rank] = 0;
            launch->alive--;
            /* an abort comes before its exit code */
            tmbi_hub_ended(launch->hub, launch->first + rank);
            tmbi_ending_rank(launch, launch->first + rank, pid, status);
        } else if (pid == launch->server.pid) {
            server_ended(launch);
        }
    }
}

static bool signal_take(struct tmbi_launch *launch)
{
    struct signalfd_siginfo signal;

    if (read(launch->signals.watch.fd, &signal, sizeof signal) != (ssize_t)sizeof signal)
        return false;
    if (signal.ssi_signo == SIGCHLD)
        reap(launch);
    else
        tmbi_ending_signal(launch, &signal);
    return true;
}

static void signals_ready(struct tmbi_watch *watch, uint32_t events)
{
    (void)events;
    signal_take(((struct tmbi_signals *)watch)->launch);
}

static void hub_abort(void *arg, int rank, int exit_code)
{
    int code = exit_code >= 1 && exit_code <= 255 ? exit_code : 1;

    tmbi_cli_say("rank %d aborts the job with code %d", rank, code);
    tmbi_machines_fail(arg, TMBI_FAILURE_END, rank, code);
    tmbi_ending_force(arg, code, ABORT_PATIENCE);
}

static void hub_garbage(void *arg, int rank, const char *what)
{
    tmbi_cli_say("rank %d sent %s: ending the job", rank, what);
    tmbi_ending_force(arg, 1, ABORT_PATIENCE);
}

static const struct tmbi_hub_events hub_events = {.abort = hub_abort,
                                                  .garbage = hub_garbage,
                                                  .gathered = tmbi_machines_gathered,
                                                  .failed = tmbi_machines_fault};

/* Everything that ranks need around them. */
static int launch_open(struct tmbi_launch *launch)
{
    const struct tmbi_launch_options *options = launch->options;
    int rc =
        tmbi_hub_open(&launch->hub, &launch->loop, launch->size, &hub_events, launch);

    if (rc)
        return rc;
    tmbi_hub_split(launch->hub, launch->first, options->ranks);
    if (options->label)
        rc = tmbi_output_open(&launch->output, &launch->loop, launch->first,
                              options->ranks);
    if (rc)
        goto close_hub;
    launch->pids = calloc((size_t)options->ranks, sizeof *launch->pids);
    if (launch->pids)
        return 0;
    rc = -ENOMEM;
    if (launch->output)
        tmbi_output_close(launch->output);
close_hub:
    tmbi_hub_close(launch->hub);
    return rc;
}

static void launch_close(struct tmbi_launch *launch)
{
    free(launch->pids);
    if (launch->output)
        tmbi_output_close(launch->output);
    tmbi_hub_close(launch->hub);
}

/* The rank whose number among ours is `local`. */
static int rank_start(struct tmbi_launch *launch, int local, int null, const char **step)
{
    int rank = launch->first + local;
    const struct tmbi_launch_options *options = launch->options;
    struct tmbi_process_spec spec = {
        .origin = &launch->origin,
        .program = options->program,
        .rank = rank,
        .size = launch->size,
        .local = local,
        .locals = options->ranks,
        .job = launch->job,
        .provider = options->provider,
        .server = launch->server.directory[0] ? launch->server.socket : options->server,
        .bind = options->bind,
        .stdio = {rank ? null : -1, -1, -1}};
    int rc;

    *step = "connect it";
    rc = tmbi_hub_join(launch->hub, rank, &spec.launch_fd);
    if (rc)
        return rc;
    if (launch->output)
        rc = tmbi_output_join(launch->output, local, spec.stdio);
    if (!rc) {
        rc = tmbi_process_start(&spec, &launch->pids[local], step);
        launch->alive += !rc;
        if (launch->output) {
            close(spec.stdio[1]);
            close(spec.stdio[2]);
        }
    }
    close(spec.launch_fd);
    return rc;
}

static int exit_code_of_start(int rc)
{
    if (rc == -ENOENT || rc == -ENOTDIR)
        return 127;
    return rc == -EAGAIN || rc == -ENOMEM || rc == -EMFILE ? 1 : 126;
}

static void ranks_start(struct tmbi_launch *launch)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC), rc = 0;
    const char *step;

    for (int local = 0; local < launch->options->ranks && !rc; local++) {
        rc = rank_start(launch, local, null, &step);
        if (rc) {
            launch->pids[local] = 0;
            tmbi_cli_say("can't start rank %d, %s: can't %s: %s", launch->first + local,
                         launch->options->program[0], step, strerror(-rc));
            tmbi_ending_force(launch, exit_code_of_start(rc), 0);
        }
    }
    close(null);
}

/* The ranks have ended, but not what they have left running. */
static void stragglers_end(struct tmbi_launch *launch)
{
    const pid_t spare[] = {launch->server.pid, launch->guard.pid};
    int64_t deadline = tmbi_deadline(5 * ABORT_PATIENCE);

    while (tmbi_process_signal_children(SIGKILL, spare, 2) && tmbi_clock_ns() < deadline)
        tmbi_loop_turn(&launch->loop, tmbi_deadline(ABORT_PATIENCE / 100));
}

void tmbi_launch_turn(struct tmbi_launch *launch)
{
    int64_t deadline = tmbi_ending_deadline(launch);

    if (launch->machines.meeting && launch->machines.look_at < deadline)
        deadline = launch->machines.look_at;
    tmbi_loop_turn(&launch->loop, deadline);
    tmbi_ending_overdue(launch);
    if (tmbi_clock_ns() >= launch->machines.look_at)
        tmbi_machines_look(launch);
}

static void launch_run(struct tmbi_launch *launch)
{
    tmbi_ending_start(launch);
    launch->starting = true;
    ranks_start(launch);
    while (signal_take(launch))
        ;
    launch->starting = false;
    while (launch->alive)
        tmbi_launch_turn(launch);
    stragglers_end(launch);
    tmbi_machines_end(launch);
    while (launch->output && !tmbi_output_done(launch->output) && !launch->hasty)
        tmbi_loop_turn(&launch->loop, TMBI_NEVER);
    tmbi_ending_summary(launch);
}

static int server_start(struct tmbi_launch *launch)
{
    const struct tmbi_launch_options *options = launch->options;
    uint32_t clients = (uint32_t)options->ranks + SPARE_CLIENTS;
    const char *server = getenv("TMB_SERVER"), *device = getenv("TMB_IVSHMEM_DEVICE");

    if (options->job || options->server || (server && *server) || (device && *device))
        return 0;
    return tmbi_embedded_start(&launch->server, &launch->origin, options->region_bytes,
                               options->vectors,
                               clients < TMBI_RANKS_MAX ? clients : TMBI_RANKS_MAX);
}

static int prepare(struct tmbi_launch *launch)
{
    int rc = job_name(launch);

    if (!rc)
        rc = signals_block(launch);
    if (!rc && launch->options->bind != TMBI_BIND_NONE)
        rc = tmbi_topology_load();
    if (!rc && prctl(PR_SET_CHILD_SUBREAPER, 1))
        rc = -errno;
    return rc ? rc : tmbi_loop_open(&launch->loop);
}

static int signals_watch(struct tmbi_launch *launch)
{
    launch->signals.watch.ready = signals_ready;
    launch->signals.launch = launch;
    return tmbi_loop_add(&launch->loop, &launch->signals.watch, EPOLLIN);
}

int tmbi_launch(const struct tmbi_launch_options *options)
{
    struct tmbi_launch launch = {
        .options = options, .origin = {.launcher = getpid()}, .size = options->size};
    int rc;

    if (files_raise(&launch))
        return 1;
    rc = prepare(&launch);
    if (!rc)
        rc = signals_watch(&launch);
    if (rc)
        goto say;
    launch.exit_code = tmbi_machines_open(&launch);
    if (launch.exit_code || server_start(&launch))
        return launch.exit_code ? launch.exit_code : 1;
    rc = tmbi_guard_start(&launch.guard, launch.job, launch.first, options->ranks,
                          &launch.server);
    if (rc)
        goto stop_server;
    rc = launch_open(&launch);
    if (rc)
        goto stop_guard;
    launch_run(&launch);
    launch_close(&launch);
stop_guard:
    tmbi_guard_stop(&launch.guard);
stop_server:
    tmbi_embedded_stop(&launch.server);
    tmbi_machines_close(&launch);
    tmbi_loop_close(&launch.loop);
say:
    if (rc)
        tmbi_cli_say("can't set up the job: %s", strerror(-rc));
    return rc ? 1 : launch.exit_code;
}
