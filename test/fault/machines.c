/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ranks of several machines, of which one may lose its power, stop for a while, or start
 * anew: whoever runs this does that to the machine of rank 1 when rank 0 prints "ready".
 *     machines holder       rank 1 holds a lock, the others wait for it
 *     machines waiter       rank 1 waits for a lock that rank 0 holds, before the others
 *     machines signal       all wait for a signal of rank 1's
 *     machines talk MS      all ranks pass a token around for so long
 *     machines add N        each rank adds 1 to a counter N times
 *     machines pass N       each rank takes a lock N times, and counts under it
 *     machines idle MS      all but rank 0 wait for so long, and tell what CPU that took
 */
#include <time.h>

#include "fault.h"

enum { TOKEN = 8, COUNT = 16, BYTES = 64 };

static tmb_win *win;

static void ready(void)
{
    if (me == 0) {
        puts("ready");
        fflush(stdout);
    }
}

static void told(const char *what)
{
    printf("rank %d: %s\n", me, what);
    fflush(stdout);
}

/* The others' collectives fail for good, so they end without one. */
static void leave(void)
{
    EXPECT(tmb_finalize(), -EHOSTDOWN);
    exit(0);
}

static void come(int rank)
{
    OK(tmb_put_signal(win, rank, 0, NULL, 0, TOKEN, TMB_SIGNAL_ADD, 1));
}

static void holder(void)
{
    int rc;

    if (me == VICTIM) {
        OK(tmb_lock(win, 0, TMB_LOCK_EXCLUSIVE, BOUND));
        for (int rank = 0; rank < size; rank++)
            come(rank);
        for (;;)
            pause();
    }
    OK(tmb_wait(win, TOKEN, TMB_EQ, 1, BOUND, NULL));
    ready();
    rc = tmb_lock(win, 0, TMB_LOCK_EXCLUSIVE, 6 * BOUND);
    if (rc == -EOWNERDEAD) {
        told("the owner died");
        OK(tmb_lock_recover(win, 0));
    } else {
        EXPECT(rc, 0); /* somebody else has recovered it */
    }
    CHECK(is_dead(VICTIM));
    OK(tmb_unlock(win, 0));
    leave();
}

static void waiter(void)
{
    uint64_t before = 0;

    if (me == 0)
        OK(tmb_lock(win, 0, TMB_LOCK_EXCLUSIVE, BOUND));
    OK(tmb_barrier(TMB_TEAM_WORLD, BOUND));
    if (me == VICTIM)
        tmb_lock(win, 0, TMB_LOCK_EXCLUSIVE, 6 * BOUND);
    if (me != 0) {
        EXPECT(tmb_lock(win, 0, TMB_LOCK_EXCLUSIVE, 6 * BOUND), 0);
        OK(tmb_fetch_u64(win, 0, COUNT, &before));
        CHECK(before == 1); /* rank 0 had let it go */
        told("got the lock");
        OK(tmb_unlock(win, 0));
        leave();
    }
    pause_ms(200);
    ready();
    until_dead(VICTIM);
    OK(tmb_set_u64(win, 0, COUNT, 1));
    OK(tmb_unlock(win, 0));
    told("let it go");
    leave();
}

static void signal_never(void)
{
    if (me == VICTIM) {
        come(0);
        for (;;)
            pause();
    }
    if (me == 0)
        OK(tmb_wait(win, TOKEN, TMB_EQ, 1, BOUND, NULL));
    ready();
    EXPECT(tmb_wait(win, COUNT, TMB_EQ, 1, 6 * BOUND, NULL), -EHOSTDOWN);
    CHECK(is_dead(VICTIM));
    told("knows of the death");
    leave();
}

/* A ring: whatever happens meanwhile, no token is lost, and none comes twice. */
static void talk(int64_t ms)
{
    int64_t end = now() + ms * 1000000;
    uint64_t round = 0, last = 0;

    ready();
    while (!last) {
        round++;
        if (me == 0) {
            last = now() >= end;
            OK(tmb_set_u64(win, 1 % size, COUNT, last));
            come(1 % size);
        }
        OK(tmb_wait(win, TOKEN, TMB_GE, round, 6 * BOUND, NULL));
        OK(tmb_fetch_u64(win, me, COUNT, &last));
        if (me != 0) {
            OK(tmb_set_u64(win, (me + 1) % size, COUNT, last));
            come((me + 1) % size);
        }
    }
    if (me == 0)
        printf("rounds: %llu\n", (unsigned long long)round);
    OK(tmb_barrier(TMB_TEAM_WORLD, BOUND));
}

static void add(int64_t times)
{
    uint64_t sum;

    for (int64_t i = 0; i < times; i++)
        OK(tmb_fetch_add_u64(win, 0, COUNT, 1, NULL));
    OK(tmb_barrier(TMB_TEAM_WORLD, 6 * BOUND));
    OK(tmb_fetch_u64(win, 0, COUNT, &sum));
    CHECK(sum == (uint64_t)times * (uint64_t)size);
    if (me == 0)
        printf("sum: %llu\n", (unsigned long long)sum);
}

/* Plain gets and puts under the lock: one that is not exclusive loses a count. */
static void pass(int64_t times)
{
    uint64_t count;

    for (int64_t i = 0; i < times; i++) {
        OK(tmb_lock(win, 0, TMB_LOCK_EXCLUSIVE, 6 * BOUND));
        OK(tmb_get(win, 0, COUNT, &count, sizeof(count)));
        count++;
        OK(tmb_put(win, 0, COUNT, &count, sizeof(count)));
        OK(tmb_unlock(win, 0));
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, 30 * BOUND));
    OK(tmb_get(win, 0, COUNT, &count, sizeof(count)));
    CHECK(count == (uint64_t)times * (uint64_t)size);
    if (me == 0)
        printf("passed: %llu\n", (unsigned long long)count);
}

static int64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void idle(int64_t ms)
{
    int64_t begin = now(), busy = cpu_ns();

    OK(tmb_barrier(TMB_TEAM_WORLD, BOUND));
    if (me == 0) {
        pause_ms(ms);
        for (int rank = 0; rank < size; rank++)
            come(rank);
        return;
    }
    OK(tmb_wait(win, TOKEN, TMB_EQ, 1, 6 * BOUND, NULL));
    busy = (cpu_ns() - busy) * 10000 / (now() - begin);
    printf("busy: %lld of 10000\n", (long long)busy);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    int64_t number = argc > 2 ? strtoll(argv[2], NULL, 10) : 0;

    OK(tmb_init(TMB_THREAD_SINGLE));
    CHECK(tmb_rank(&me) == 0 && tmb_size(&size) == 0 && size >= 2);
    OK(tmb_win_alloc(TMB_TEAM_WORLD, BYTES, 0, &win));
    if (!strcmp(what, "holder"))
        holder();
    else if (!strcmp(what, "waiter"))
        waiter();
    else if (!strcmp(what, "signal"))
        signal_never();
    else if (!strcmp(what, "talk"))
        talk(number);
    else if (!strcmp(what, "add"))
        add(number);
    else if (!strcmp(what, "pass"))
        pass(number);
    else if (!strcmp(what, "idle"))
        idle(number);
    else
        fault_fail(__FILE__, __LINE__, "wrong usage");
    OK(tmb_win_free(win));
    OK(tmb_finalize());
    return 0;
}
