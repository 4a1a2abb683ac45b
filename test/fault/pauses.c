/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rank 1 is stopped, as a machine is that is paused. TMB_IVSHMEM_HEARTBEAT is 2 s, and
 * ranks beat by themselves.
 *
 *   pauses short   for half of that, several times: nobody takes it for dead
 *   pauses long    for longer: the others go on without it, and it learns that it is dead
 */
#include <sys/wait.h>

#include "fault.h"

#define LIMIT_MS 2000

static tmb_win *win;

static void stop_for(long ms)
{
    pid_t child = fork();

    if (child == 0) {
        pause_ms(ms);
        kill(getppid(), SIGCONT);
        _exit(0);
    }
    raise(SIGSTOP);
    waitpid(child, NULL, 0);
}

static void short_pauses(void)
{
    for (int i = 0; i < 4; i++) {
        if (me == VICTIM)
            stop_for(LIMIT_MS / 2);
        OK(tmb_barrier(TMB_TEAM_WORLD, 30 * SECOND));
    }
}

/* What the others expect of a rank that has died, and it of itself. */
static void dead_goes_on(void)
{
    int state;

    stop_for(2 * LIMIT_MS);
    EXPECT(tmb_barrier(TMB_TEAM_WORLD, BOUND), -EHOSTDOWN);
    CHECK(tmb_peer_state(VICTIM, &state) == 0 && state == TMB_PEER_DEAD);
    EXPECT(tmb_wait(win, 0, TMB_EQ, 1, BOUND, NULL), -EHOSTDOWN);
    EXPECT(tmb_lock(win, 0, TMB_LOCK_EXCLUSIVE, BOUND), -EHOSTDOWN);
}

static void long_pause(void)
{
    int state;

    OK(tmb_win_alloc(TMB_TEAM_WORLD, 64, 0, &win));
    OK(tmb_set_u64(win, me, 0, 0));
    if (me == 0)
        OK(tmb_lock(win, 0, TMB_LOCK_EXCLUSIVE, BOUND));
    OK(tmb_barrier(TMB_TEAM_WORLD, BOUND));
    if (me == VICTIM) {
        dead_goes_on();
        return;
    }
    int64_t start = now();
    EXPECT(tmb_barrier(TMB_TEAM_WORLD, BOUND), -EHOSTDOWN);
    CHECK(now() - start > LIMIT_MS * (SECOND / 1000) / 2);
    CHECK(now() - start < 3 * LIMIT_MS * (SECOND / 1000));
    CHECK(tmb_peer_state(VICTIM, &state) == 0 && state == TMB_PEER_DEAD);
    /* The lock is held until the victim has asked for it in vain. */
    pause_ms(3 * LIMIT_MS);
    if (me == 0)
        OK(tmb_unlock(win, 0));
}

static const struct fault_case cases[] = {
    {"short", short_pauses, 0}, {"long", long_pause, -EHOSTDOWN}, {0}};

int main(int argc, char **argv)
{
    return fault_main(argc, argv, cases);
}
