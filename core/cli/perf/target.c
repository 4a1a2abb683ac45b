/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../cli.h"
#include "perf.h"

/* Two cache lines: flags, and a spare one. */
#define FLAG_BYTES 128
#define MOMENT     1
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
    window->partner = perf->rank == 0 ? 1 : 0;
    rc = tmb_win_ptr(window->flags, window->partner, &ptr);
    window->theirs = rc ? NULL : ptr;
    return rc == -EOPNOTSUPP ? 0 : rc;
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
    /* acquire: partner is perf_tell() */
    while (perf->rank == 1 && !atomic_load_explicit(window->mine, memory_order_acquire)) {
        if (perf->target == PERF_ALLOC)
            nap();
        else
            compute();
    }
}

_Atomic uint64_t *perf_spare(const struct perf_window *window)
{
    return (window->theirs ? window->theirs : window->mine) + SPARE;
}

void perf_target_release(const struct perf *perf, struct perf_window *window)
{
    if (perf->rank == 0)
        perf_tell(window, 1);
}

/* Whoever can't tell its partner leaves it waiting. */
static void check(int rc)
{
    if (rc == 0)
        return;
    tmbi_cli_say("the ranks can't reach each other any more: %s", tmb_strerror(rc));
    tmb_abort(1);
}

void perf_tell(const struct perf_window *window, uint64_t number)
{
    /* release: partner is the acquire in perf_hear() */
    if (window->theirs)
        atomic_store_explicit(window->theirs, number, memory_order_release);
    else
        check(tmb_set_u64(window->flags, window->partner, 0, number));
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
    atomic_store_explicit(window->mine + MOMENT, (uint64_t)perf_clock(),
                          memory_order_relaxed);
}

int64_t perf_since_settled(const struct perf_window *window)
{
    int64_t now = perf_clock();
    uint64_t moment = 0;

    if (window->theirs)
        moment = atomic_load_explicit(window->theirs + MOMENT, memory_order_relaxed);
    else
        check(tmb_get(window->flags, window->partner, MOMENT * sizeof(moment), &moment,
                      sizeof(moment)));
    return now - (int64_t)moment;
}
