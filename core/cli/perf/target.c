/* SPDX-License-Identifier: BSD-3-Clause */
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "perf.h"

/* Two cache lines: flags, and a spare one. */
#define FLAG_BYTES 128
#define SPARE      8

const char *const perf_target_names[PERF_TARGETS] = {"alloc", "create", "adopt", "mem"};

/* How long an idle target sleeps at a time. */
#define NAP_NS 200000

/* Long enough to fall asleep in. */
#define SETTLE_NS 10000

static int flags_open(const struct perf *perf, struct perf_window *window)
{
    void *ptr;
    int rc = tmb_win_alloc(TMB_TEAM_WORLD, FLAG_BYTES, 0, &window->flags);

    if (rc == 0)
        rc = tmb_win_ptr(window->flags, perf->rank, &ptr);
    if (rc)
        return rc;
    window->mine = ptr;
    rc = tmb_win_ptr(window->flags, perf->rank == 0 ? 1 : 0, &ptr);
    window->theirs = ptr;
    return rc;
}

static int created_open(enum perf_target target, uint64_t bytes,
                        struct perf_window *window)
{
    unsigned flags = target == PERF_ADOPT ? TMB_WIN_ADOPT : 0;
    int rc = 0;

    if (target == PERF_MEM)
        rc = tmb_mem_alloc(bytes, &window->memory);
    else
        window->memory = malloc(bytes);
    if (rc)
        return rc;
    if (window->memory)
        memset(window->memory, 0, bytes);
    return tmb_win_create(TMB_TEAM_WORLD, window->memory, bytes, flags, &window->win);
}

int perf_window_open(const struct perf *perf, uint64_t bytes, struct perf_window *window)
{
    int rc;

    memset(window, 0, sizeof(*window));
    if (perf->target == PERF_ALLOC)
        rc = tmb_win_alloc(TMB_TEAM_WORLD, bytes, 0, &window->win);
    else
        rc = created_open(perf->target, bytes, window);
    return rc ? rc : flags_open(perf, window);
}

void perf_window_close(const struct perf *perf, struct perf_window *window)
{
    tmb_win_free(window->flags);
    tmb_win_free(window->win);
    if (perf->target == PERF_MEM)
        tmb_mem_free(window->memory);
    else
        free(window->memory);
}

static void compute(void)
{
    volatile double x = 1;

    for (int i = 0; i < 1000; i++)
        x = x * 1.0000001 + 1e-9;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
}

void perf_target_stay(const struct perf *perf, struct perf_window *window)
{
    /* acquire: partner is perf_target_release() */
    while (perf->rank == 1 && !atomic_load_explicit(window->mine, memory_order_acquire)) {
        if (perf->target == PERF_ALLOC)
            nap();
        else
            compute();
    }
}

_Atomic uint64_t *perf_spare(const struct perf_window *window)
{
    return window->theirs + SPARE;
}

void perf_target_release(const struct perf *perf, struct perf_window *window)
{
    if (perf->rank == 0)
        atomic_store_explicit(window->theirs, 1, memory_order_release);
}

void perf_tell(const struct perf_window *window, uint64_t number)
{
    /* release: partner is the acquire in perf_hear() */
    atomic_store_explicit(window->theirs, number, memory_order_release);
}

void perf_hear(const struct perf_window *window, uint64_t number)
{
    for (unsigned i = 1;
         atomic_load_explicit(window->mine, memory_order_acquire) < number; i++)
        if (i % 1000 == 0)
            sched_yield(); /* the other may need this CPU */
}

void perf_settle(const struct perf_window *window)
{
    for (int64_t end = perf_clock() + SETTLE_NS; perf_clock() < end;)
        ;
    /* relaxed: the hand-off that follows publishes it */
    atomic_store_explicit(window->theirs + 1, (uint64_t)perf_clock(),
                          memory_order_relaxed);
}

int64_t perf_since_settled(const struct perf_window *window)
{
    return perf_clock() -
           (int64_t)atomic_load_explicit(window->mine + 1, memory_order_relaxed);
}
