/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../clock.h"
#include "cli.h"
#include "launch.h"

#define SECOND        INT64_C(1000000000)
#define TERM_PATIENCE (5 * SECOND)
/* Commands such as timeout(1) signal a process and its group: one Ctrl-C, twice. */
#define ONE_INTERRUPT (SECOND / 5)
#define REPORTS_MAX   8
#define EXIT_TIMEOUT  124 /* as timeout(1) */

static void signal_all(struct tmbi_launch *launch, int sig)
{
    for (int i = 0; launch->pids && i < launch->options->ranks; i++)
        if (launch->pids[i] > 0)
            kill(launch->pids[i], sig);
}

static bool stage_end(struct tmbi_launch *launch, int64_t patience_ns)
{
    if (launch->stage >= TMBI_STAGE_ENDS)
        return false;
    launch->stage = TMBI_STAGE_ENDS;
    launch->stage_deadline = tmbi_deadline(patience_ns);
    return true;
}

static void terminate(struct tmbi_launch *launch, int64_t patience_ns)
{
    if (!stage_end(launch, patience_ns))
        return;
    signal_all(launch, SIGTERM);
    signal_all(launch, SIGCONT);
}

static void kill_all(struct tmbi_launch *launch)
{
    launch->stage = TMBI_STAGE_KILLED;
    launch->stage_deadline = tmbi_deadline(SECOND); /* for those not yet started then */
    signal_all(launch, SIGKILL);
}

void tmbi_ending_start(struct tmbi_launch *launch)
{
    launch->stage_deadline = TMBI_NEVER;
    launch->job_deadline = tmbi_deadline(launch->options->timeout_ns);
}

static void say_failure(int rank, pid_t pid, int status)
{
    if (WIFSIGNALED(status))
        tmbi_cli_say("rank %d (pid %d) was killed by signal %d (%s)", rank, (int)pid,
                     WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        tmbi_cli_say("rank %d (pid %d) exited with code %d", rank, (int)pid,
                     WEXITSTATUS(status));
}

/* Whether a failure is news, as opposed to what we have done to the rank ourselves. */
static bool is_news(const struct tmbi_launch *launch, int status)
{
    if (launch->stage >= TMBI_STAGE_ENDS || launch->failures > REPORTS_MAX)
        return false;
    return !WIFSIGNALED(status) || WTERMSIG(status) != launch->last_signal;
}

static void grace_begin(struct tmbi_launch *launch)
{
    if (launch->stage != TMBI_STAGE_RUNS || launch->options->keep_going)
        return;
    launch->stage = TMBI_STAGE_GRACE;
    launch->stage_deadline = tmbi_deadline(launch->options->grace_ns);
}

void tmbi_ending_rank(struct tmbi_launch *launch, int rank, pid_t pid, int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    launch->failures++;
    if (launch->failures == 1 && !launch->exit_code) {
        launch->first_failed = rank;
        launch->exit_code =
            WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        say_failure(rank, pid, status);
    } else if (is_news(launch, status)) {
        say_failure(rank, pid, status);
    }
    tmbi_machines_fail(launch, TMBI_FAILURE_RANK, rank, launch->exit_code);
    grace_begin(launch);
}

void tmbi_ending_elsewhere(struct tmbi_launch *launch, int rank)
{
    launch->first_failed = rank;
    grace_begin(launch);
}

void tmbi_ending_force(struct tmbi_launch *launch, int exit_code, int64_t patience_ns)
{
    if (!launch->exit_code)
        launch->exit_code = exit_code;
    tmbi_machines_fail(launch, TMBI_FAILURE_END, -1, launch->exit_code);
    terminate(launch, patience_ns);
}

static void interrupt(struct tmbi_launch *launch)
{
    int64_t now = tmbi_clock_ns();

    if (!launch->interrupted)
        launch->interrupted = now;
    else if (now - launch->interrupted > ONE_INTERRUPT)
        kill_all(launch);
}

static bool is_deadly(int sig)
{
    return sig == SIGINT || sig == SIGTERM || sig == SIGHUP || sig == SIGQUIT;
}

static void signal_heed(struct tmbi_launch *launch, int sig)
{
    switch (sig) {
    case SIGINT:
        interrupt(launch);
        break;
    case SIGTERM:
    case SIGHUP:
        stage_end(launch, TERM_PATIENCE);
        break;
    case SIGTSTP:
        raise(SIGSTOP);
        break;
    }
    if (is_deadly(sig))
        launch->last_signal = sig;
}

/* Ranks share the launcher's process group, so that they can use its terminal: what the
 * terminal sends, they have had themselves. */
void tmbi_ending_signal(struct tmbi_launch *launch, const struct signalfd_siginfo *signal)
{
    int sig = (int)signal->ssi_signo;

    if (signal->ssi_code != SI_KERNEL || launch->starting)
        signal_all(launch, sig);
    tmbi_machines_signal(launch, sig);
    signal_heed(launch, sig);
    if (is_deadly(sig))
        launch->hasty = !launch->alive;
}

void tmbi_ending_passed(struct tmbi_launch *launch, int sig)
{
    if (!is_deadly(sig) && sig != SIGUSR1 && sig != SIGUSR2)
        return; /* what a launcher never passes on */
    signal_all(launch, sig);
    signal_heed(launch, sig);
}

int64_t tmbi_ending_deadline(const struct tmbi_launch *launch)
{
    if (launch->stage < TMBI_STAGE_ENDS && launch->job_deadline < launch->stage_deadline)
        return launch->job_deadline;
    return launch->stage_deadline;
}

static void overdue_job(struct tmbi_launch *launch)
{
    tmbi_cli_say(
        "the job takes longer than its %.1f s: ending its %d ranks that are left%s",
        (double)launch->options->timeout_ns / 1e9, launch->alive,
        launch->machines.meeting ? " here" : "");
    tmbi_ending_force(launch, EXIT_TIMEOUT, TERM_PATIENCE);
}

static void overdue_stage(struct tmbi_launch *launch)
{
    if (launch->stage == TMBI_STAGE_GRACE && !launch->alive) {
        launch->stage_deadline = TMBI_NEVER; /* the ranks of others have their own */
    } else if (launch->stage == TMBI_STAGE_GRACE) {
        tmbi_cli_say("ending the %d ranks that are left%s %.1f s after rank %d failed",
                     launch->alive, launch->machines.meeting ? " here" : "",
                     (double)launch->options->grace_ns / 1e9, launch->first_failed);
        terminate(launch, TERM_PATIENCE);
    } else {
        kill_all(launch);
    }
}

void tmbi_ending_overdue(struct tmbi_launch *launch)
{
    int64_t now = tmbi_clock_ns();

    if (now >= launch->stage_deadline)
        overdue_stage(launch);
    else if (launch->stage < TMBI_STAGE_ENDS && now >= launch->job_deadline)
        overdue_job(launch);
}

void tmbi_ending_summary(const struct tmbi_launch *launch)
{
    if (launch->failures > REPORTS_MAX)
        tmbi_cli_say("%d ranks failed", launch->failures);
}
