/* SPDX-License-Identifier: BSD-3-Clause */
/* Locks between ranks. (A holder's death is test/fault's.) */
#include "suite.h"

/* What the lock protects: two words that a holder keeps equal, changed by plain puts. */
static void increment(tmb_win *win, int rank)
{
    uint64_t words[2];

    OK(tmb_get(win, rank, 0, words, sizeof(words)));
    CHECK(words[0] == words[1]);
    words[0]++;
    OK(tmb_put(win, rank, 0, &words[0], 8));
    words[1]++;
    OK(tmb_put(win, rank, 8, &words[1], 8));
}

static void exclusion_on(enum memory memory, int rounds)
{
    uint64_t words[2];
    struct window w;

    window_open(&w, memory, 64);
    for (int i = 0; i < rounds; i++) {
        OK(tmb_lock(w.win, 0, TMB_LOCK_EXCLUSIVE, TMB_FOREVER));
        increment(w.win, 0);
        OK(tmb_unlock(w.win, 0));
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_get(w.win, 0, 0, words, sizeof(words)));
    CHECK(words[0] == (uint64_t)rounds * (uint64_t)ranks && words[1] == words[0]);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

static void case_exclusion(void)
{
    exclusion_on(MEMORY_ALLOC, 5000);
}

static void case_exclusion_create(void)
{
    exclusion_on(MEMORY_HEAP, 500);
    exclusion_on(MEMORY_ADOPTED_HEAP, 500);
}

/* Readers and writers mixed: readers never see the words differ. */
static void case_readers_writers(void)
{
    uint64_t state = (uint64_t)me * 77 + 5, words[2], written = 0, all;
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    for (int i = 0; i < 3000; i++) {
        bool write = suite_random(&state) % 4 == 0;

        OK(tmb_lock(w.win, 0, write ? TMB_LOCK_EXCLUSIVE : TMB_LOCK_SHARED, TMB_FOREVER));
        OK(tmb_get(w.win, 0, 0, words, sizeof(words)));
        CHECK(words[0] == words[1]);
        if (write)
            increment(w.win, 0);
        written += write;
        OK(tmb_unlock(w.win, 0));
    }
    OK(tmb_allreduce(TMB_TEAM_WORLD, &written, &all, 1, TMB_U64, TMB_OP_ADD,
                     TMB_FOREVER));
    OK(tmb_get(w.win, 0, 0, words, sizeof(words)));
    CHECK(words[0] == all);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

/* All hold it shared at once, and a writer does not get in meanwhile. */
static void case_shared_together(void)
{
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    OK(tmb_lock(w.win, 0, TMB_LOCK_SHARED, TMB_FOREVER));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_unlock(w.win, 0));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me == 0)
        OK(tmb_lock(w.win, 0, TMB_LOCK_SHARED, TMB_FOREVER));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me == 1) {
        EXPECT(tmb_lock(w.win, 0, TMB_LOCK_EXCLUSIVE, 0), -ETIMEDOUT);
        EXPECT(tmb_lock(w.win, 0, TMB_LOCK_EXCLUSIVE, 20000000), -ETIMEDOUT);
        OK(tmb_lock(w.win, 0, TMB_LOCK_SHARED, 0));
        OK(tmb_unlock(w.win, 0));
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me == 0)
        OK(tmb_unlock(w.win, 0));
    window_close(&w);
}

static void case_exclusive_keeps_out(void)
{
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    if (me == 0)
        OK(tmb_lock(w.win, 1, TMB_LOCK_EXCLUSIVE, TMB_FOREVER));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me == 1) {
        EXPECT(tmb_lock(w.win, 1, TMB_LOCK_SHARED, 0), -ETIMEDOUT);
        EXPECT(tmb_lock(w.win, 1, TMB_LOCK_SHARED, 10000000), -ETIMEDOUT);
        EXPECT(tmb_lock(w.win, 1, TMB_LOCK_EXCLUSIVE, 10000000), -ETIMEDOUT);
        OK(tmb_lock(w.win, 0, TMB_LOCK_EXCLUSIVE, 0)); /* another target, another lock */
        OK(tmb_unlock(w.win, 0));
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me == 0)
        OK(tmb_unlock(w.win, 1));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_lock(w.win, 1, TMB_LOCK_EXCLUSIVE, TMB_FOREVER));
    OK(tmb_unlock(w.win, 1));
    window_close(&w);
}

/* A rank that gives up leaves nothing behind that others would wait for. */
static void case_timeouts_leave_nothing(void)
{
    uint64_t state = (uint64_t)me + 99;
    struct window w;
    int rc;

    window_open(&w, MEMORY_ALLOC, 64);
    for (int i = 0; i < 500; i++) {
        enum tmb_lock_mode mode =
            suite_random(&state) % 2 ? TMB_LOCK_EXCLUSIVE : TMB_LOCK_SHARED;

        rc = tmb_lock(w.win, 0, mode, (int64_t)(suite_random(&state) % 40000));
        CHECK(rc == 0 || rc == -ETIMEDOUT);
        if (rc == 0 && mode == TMB_LOCK_EXCLUSIVE)
            increment(w.win, 0);
        if (rc == 0)
            OK(tmb_unlock(w.win, 0));
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_lock(w.win, 0, TMB_LOCK_EXCLUSIVE, TMB_FOREVER));
    OK(tmb_unlock(w.win, 0));
    window_close(&w);
}

static void case_errors(void)
{
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    EXPECT(tmb_unlock(w.win, me), -EPERM);
    EXPECT(tmb_lock_recover(w.win, me), -EPERM);
    EXPECT(tmb_lock(w.win, me, (enum tmb_lock_mode)2, 0), -EINVAL);
    OK(tmb_lock(w.win, me, TMB_LOCK_EXCLUSIVE, TMB_FOREVER));
    EXPECT(tmb_lock(w.win, me, TMB_LOCK_EXCLUSIVE, 0), -EDEADLK);
    EXPECT(tmb_lock(w.win, me, TMB_LOCK_SHARED, TMB_FOREVER), -EDEADLK);
    EXPECT(tmb_lock_recover(w.win, me), -EINVAL);
    OK(tmb_unlock(w.win, me));
    OK(tmb_lock(w.win, me, TMB_LOCK_SHARED, TMB_FOREVER));
    EXPECT(tmb_lock(w.win, me, TMB_LOCK_SHARED, TMB_FOREVER), -EDEADLK);
    OK(tmb_unlock(w.win, me));
    EXPECT(tmb_unlock(w.win, me), -EPERM);
    window_close(&w);
}

/* Unlock completes: the next holder sees what was put. */
static void case_unlock_flushes(void)
{
    uint64_t value;
    struct window w;

    for (int memory = 0; memory < MEMORY_KINDS; memory++) {
        window_open(&w, (enum memory)memory, 64);
        for (int i = 0; i < 100; i++) {
            OK(tmb_lock(w.win, 0, TMB_LOCK_EXCLUSIVE, TMB_FOREVER));
            OK(tmb_get(w.win, 0, 0, &value, 8));
            value++;
            OK(tmb_put(w.win, 0, 0, &value, 8));
            OK(tmb_unlock(w.win, 0));
        }
        OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
        OK(tmb_get(w.win, 0, 0, &value, 8));
        CHECK(value == 100 * (uint64_t)ranks);
        OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
        window_close(&w);
    }
}

static void case_lock_all(void)
{
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    OK(tmb_lock_all(w.win, TMB_FOREVER));
    EXPECT(tmb_lock_all(w.win, TMB_FOREVER), -EDEADLK);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER)); /* all hold all */
    OK(tmb_fetch_add_u64(w.win, 0, 0, 1, NULL));
    OK(tmb_unlock_all(w.win));
    EXPECT(tmb_unlock_all(w.win), -EPERM);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me == 0)
        OK(tmb_lock(w.win, ranks - 1, TMB_LOCK_EXCLUSIVE, TMB_FOREVER));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me == 1) { /* all or none */
        EXPECT(tmb_lock_all(w.win, 10000000), -ETIMEDOUT);
        EXPECT(tmb_unlock(w.win, 0), -EPERM);
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me == 0)
        OK(tmb_unlock(w.win, ranks - 1));
    OK(tmb_lock_all(w.win, TMB_FOREVER));
    OK(tmb_unlock_all(w.win));
    window_close(&w);
}

/* Neither kind starves: all end their rounds although all the others press on. */
static void case_fair(void)
{
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    for (int i = 0; i < 1000; i++) {
        OK(tmb_lock(w.win, 0, me == 0 ? TMB_LOCK_EXCLUSIVE : TMB_LOCK_SHARED,
                    20 * INT64_C(1000000000)));
        OK(tmb_unlock(w.win, 0));
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    for (int i = 0; i < 1000; i++) {
        OK(tmb_lock(w.win, 0, me == 0 ? TMB_LOCK_SHARED : TMB_LOCK_EXCLUSIVE,
                    20 * INT64_C(1000000000)));
        OK(tmb_unlock(w.win, 0));
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

/* An uncontended lock rings nothing; a hand-off to a sleeper rings once. */
static void case_doorbells(void)
{
    struct tmb_stats before, after;
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    OK(tmb_stats_get(&before, sizeof(before)));
    for (int i = 0; i < 1000; i++) {
        OK(tmb_lock(w.win, me, i % 2 ? TMB_LOCK_SHARED : TMB_LOCK_EXCLUSIVE,
                    TMB_FOREVER));
        OK(tmb_unlock(w.win, me));
    }
    OK(tmb_stats_get(&after, sizeof(after)));
    CHECK(after.doorbells_rung == before.doorbells_rung);
    CHECK(after.lock_waits == before.lock_waits);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me == 0)
        OK(tmb_lock(w.win, 0, TMB_LOCK_EXCLUSIVE, TMB_FOREVER));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me == 1) {
        OK(tmb_lock(w.win, 0, TMB_LOCK_EXCLUSIVE, TMB_FOREVER));
        OK(tmb_unlock(w.win, 0));
    }
    if (me == 0) {
        suite_sleep(200000000);
        OK(tmb_stats_get(&before, sizeof(before)));
        OK(tmb_unlock(w.win, 0));
        OK(tmb_stats_get(&after, sizeof(after)));
        CHECK(after.doorbells_rung == before.doorbells_rung + 1);
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

/* Waiting for a lock asleep. */
static void case_sleeps(void)
{
    int64_t wall, cpu;
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    if (me == 0)
        OK(tmb_lock(w.win, 0, TMB_LOCK_EXCLUSIVE, TMB_FOREVER));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    wall = suite_clock();
    cpu = suite_cpu_clock();
    if (me != 0) {
        EXPECT(
            tmb_lock(w.win, 0, me % 2 ? TMB_LOCK_SHARED : TMB_LOCK_EXCLUSIVE, 1000000000),
            -ETIMEDOUT);
        CHECK(suite_slept(suite_clock() - wall, suite_cpu_clock() - cpu));
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me == 0)
        OK(tmb_unlock(w.win, 0));
    window_close(&w);
}

const struct suite_case lock_cases[] = {
    {"lock/exclusion", 1, case_exclusion},
    {"lock/exclusion_create", 1, case_exclusion_create},
    {"lock/readers_writers", 1, case_readers_writers},
    {"lock/shared_together", 2, case_shared_together},
    {"lock/exclusive_keeps_out", 2, case_exclusive_keeps_out},
    {"lock/timeouts", 1, case_timeouts_leave_nothing},
    {"lock/errors", 1, case_errors},
    {"lock/unlock_flushes", 1, case_unlock_flushes},
    {"lock/lock_all", 2, case_lock_all},
    {"lock/fair", 1, case_fair},
    {"lock/doorbells", 2, case_doorbells},
    {"lock/sleeps", 2, case_sleeps},
    {0}};
