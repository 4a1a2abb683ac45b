/* SPDX-License-Identifier: BSD-3-Clause */
/* Put-with-signal, wait, notify. */
#include <stdio.h>

#include "suite.h"

static void ping_pong_on(enum memory memory, uint64_t rounds)
{
    uint64_t data, seen;
    struct window w;
    int other = me ^ 1;

    window_open(&w, memory, 128);
    for (uint64_t i = 1; other < ranks && i <= rounds; i++) {
        if (me % 2 == 0)
            OK(tmb_put_signal(w.win, other, 64, &i, 8, 0, TMB_SIGNAL_SET, i));
        OK(tmb_wait(w.win, 0, TMB_GE, i, TMB_FOREVER, &seen));
        memcpy(&data, w.mine + 64, 8);
        if (!CHECK(seen == i && data == i))
            break;
        if (me % 2)
            OK(tmb_put_signal(w.win, other, 64, &i, 8, 0, TMB_SIGNAL_SET, i));
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

static void case_ping_pong(void)
{
    ping_pong_on(MEMORY_ALLOC, 3000);
}

static void case_ping_pong_create(void)
{
    ping_pong_on(MEMORY_HEAP, 200);
    ping_pong_on(MEMORY_STATIC, 200);
    ping_pong_on(MEMORY_BLOCK, 200);
    ping_pong_on(MEMORY_ADOPTED_HEAP, 200);
    ping_pong_on(MEMORY_ADOPTED_STATIC, 200);
}

static void case_counting(void)
{
    uint64_t seen = 0;
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    for (int round = 1; round <= 50; round++) {
        for (int i = 0; i < ranks; i++)
            OK(tmb_put_signal(w.win, i, 0, NULL, 0, 8, TMB_SIGNAL_ADD, 1));
        OK(tmb_wait(w.win, 8, TMB_GE, (uint64_t)(round * ranks), TMB_FOREVER, &seen));
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_wait(w.win, 8, TMB_EQ, (uint64_t)(50 * ranks), 0, NULL));
    window_close(&w);
}

static void case_comparisons(void)
{
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    OK(tmb_set_u64(w.win, me, 0, 10));
    OK(tmb_wait(w.win, 0, TMB_EQ, 10, 0, NULL));
    EXPECT(tmb_wait(w.win, 0, TMB_EQ, 9, 0, NULL), -ETIMEDOUT);
    OK(tmb_wait(w.win, 0, TMB_NE, 9, 0, NULL));
    EXPECT(tmb_wait(w.win, 0, TMB_NE, 10, 0, NULL), -ETIMEDOUT);
    OK(tmb_wait(w.win, 0, TMB_GT, 9, 0, NULL));
    EXPECT(tmb_wait(w.win, 0, TMB_GT, 10, 0, NULL), -ETIMEDOUT);
    OK(tmb_wait(w.win, 0, TMB_GE, 10, 0, NULL));
    EXPECT(tmb_wait(w.win, 0, TMB_GE, 11, 0, NULL), -ETIMEDOUT);
    OK(tmb_wait(w.win, 0, TMB_LT, 11, 0, NULL));
    EXPECT(tmb_wait(w.win, 0, TMB_LT, 10, 0, NULL), -ETIMEDOUT);
    OK(tmb_wait(w.win, 0, TMB_LE, 10, 0, NULL));
    EXPECT(tmb_wait(w.win, 0, TMB_LE, 9, 0, NULL), -ETIMEDOUT);
    OK(tmb_set_u64(w.win, me, 0, UINT64_MAX)); /* unsigned */
    OK(tmb_wait(w.win, 0, TMB_GT, 1, 0, NULL));
    window_close(&w);
}

static void case_errors(void)
{
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    EXPECT(tmb_wait(w.win, 4, TMB_EQ, 0, 0, NULL), -EINVAL);
    EXPECT(tmb_wait(w.win, 64, TMB_EQ, 0, 0, NULL), -ERANGE);
    EXPECT(tmb_wait(w.win, 0, (enum tmb_cmp)6, 0, 0, NULL), -EINVAL);
    EXPECT(tmb_put_signal(w.win, me, 0, NULL, 0, 3, TMB_SIGNAL_SET, 1), -EINVAL);
    EXPECT(tmb_put_signal(w.win, me, 0, NULL, 0, 0, (enum tmb_signal_op)2, 1), -EINVAL);
    window_close(&w);
}

static void case_timeout(void)
{
    int64_t start = suite_clock();
    uint64_t seen = 77;
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    EXPECT(tmb_wait(w.win, 0, TMB_EQ, 1, 30000000, &seen), -ETIMEDOUT);
    CHECK(suite_clock() - start >= 30000000 && seen == 0);
    window_close(&w);
}

/* Waiting asleep costs hardly any CPU: of the time that passes, below a twentieth. */
static void case_sleeps(void)
{
    struct tmb_stats before, after;
    int64_t wall, cpu;
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    OK(tmb_stats_get(&before, sizeof(before)));
    wall = suite_clock();
    cpu = suite_cpu_clock();
    EXPECT(tmb_wait(w.win, 0, TMB_EQ, 1, 1000000000, NULL), -ETIMEDOUT);
    OK(tmb_stats_get(&after, sizeof(after)));
    /* Ten sleeps of 100 ms, as many of the agent if it runs, and a doorbell or two. */
    CHECK(after.sleeps > before.sleeps && after.sleeps <= before.sleeps + 30);
    CHECK(suite_slept(suite_clock() - wall, suite_cpu_clock() - cpu));
    window_close(&w);
}

static void case_atomic_wakes(void)
{
    uint64_t seen;
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    for (uint64_t i = 1; i <= 20; i++) {
        suite_sleep(me == 0 ? 1000000 : 0);
        OK(tmb_fetch_add_u64(w.win, (me + 1) % ranks, 0, 1, NULL));
        OK(tmb_wait(w.win, 0, TMB_GE, i, TMB_FOREVER, &seen));
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

/* Plain stores, then notify. */
static void case_notify(void)
{
    int right = (me + 1) % ranks;
    struct window w;
    void *ptr;

    window_open(&w, MEMORY_ALLOC, 128);
    OK(tmb_win_ptr(w.win, right, &ptr));
    for (uint64_t i = 1; i <= 20; i++) {
        if (me == 0)
            suite_sleep(500000);
        *(volatile uint64_t *)ptr = i;
        OK(tmb_notify(w.win, right));
        OK(tmb_wait(w.win, 0, TMB_GE, i, TMB_FOREVER, NULL));
        OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    }
    window_close(&w);
}

/* Whoever does not sleep is not rung for; whoever sleeps is, once. */
static void case_doorbells(void)
{
    struct tmb_stats before, after;
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_stats_get(&before, sizeof(before)));
    if (me == 0)
        for (int i = 0; i < 100; i++)
            OK(tmb_put_signal(w.win, 0, 0, NULL, 0, 0, TMB_SIGNAL_ADD, 1));
    OK(tmb_stats_get(&after, sizeof(after)));
    CHECK(after.doorbells_rung == before.doorbells_rung);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me == 1)
        OK(tmb_wait(w.win, 8, TMB_EQ, 1, TMB_FOREVER, NULL));
    if (me == 0) {
        suite_sleep(200000000);
        OK(tmb_stats_get(&before, sizeof(before)));
        OK(tmb_put_signal(w.win, 1, 0, NULL, 0, 8, TMB_SIGNAL_SET, 1));
        OK(tmb_stats_get(&after, sizeof(after)));
        CHECK(after.doorbells_rung == before.doorbells_rung + 1);
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

const struct suite_case signal_cases[] = {
    {"signal/ping_pong", 2, case_ping_pong},
    {"signal/ping_pong_create", 2, case_ping_pong_create},
    {"signal/counting", 1, case_counting},
    {"signal/comparisons", 1, case_comparisons},
    {"signal/errors", 1, case_errors},
    {"signal/timeout", 1, case_timeout},
    {"signal/sleeps", 1, case_sleeps},
    {"signal/atomic_wakes", 1, case_atomic_wakes},
    {"signal/notify", 1 | MAPPED, case_notify},
    {"signal/doorbells", 2 | MAPPED, case_doorbells},
    {0}};
