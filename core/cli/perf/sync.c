/* SPDX-License-Identifier: BSD-3-Clause */
/* Atomics and locks that nobody contends for, and barriers. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

#include "perf.h"

#define TARGET 1

/* ---- calls that rank 0 makes alone ---- */

struct sync {
    tmb_win *win;
    _Atomic uint64_t *word; /* for what bounds the calls */
};

static int fetch_add(void *arg)
{
    struct sync *s = arg;
    uint64_t old;

    return tmb_fetch_add_u64(s->win, TARGET, 0, 1, &old);
}

static int add(void *arg)
{
    struct sync *s = arg;

    return tmb_fetch_add_u64(s->win, TARGET, 0, 1, NULL);
}

static int cas(void *arg)
{
    struct sync *s = arg;
    uint64_t old;

    return tmb_cas_u64(s->win, TARGET, 8, 0, 0, &old);
}

static int add_f64(void *arg)
{
    struct sync *s = arg;

    return tmb_fetch_add_f64(s->win, TARGET, 16, 1.0, NULL);
}

static int set(void *arg)
{
    struct sync *s = arg;

    return tmb_set_u64(s->win, TARGET, 24, 1);
}

static int exclusive(void *arg)
{
    struct sync *s = arg;
    int rc = tmb_lock(s->win, TARGET, TMB_LOCK_EXCLUSIVE, TMB_FOREVER);

    return rc ? rc : tmb_unlock(s->win, TARGET);
}

static int shared(void *arg)
{
    struct sync *s = arg;
    int rc = tmb_lock(s->win, TARGET, TMB_LOCK_SHARED, TMB_FOREVER);

    return rc ? rc : tmb_unlock(s->win, TARGET);
}

static int lock_all(void *arg)
{
    struct sync *s = arg;
    int rc = tmb_lock_all(s->win, TMB_FOREVER);

    return rc ? rc : tmb_unlock_all(s->win);
}

static int flush_all(void *arg)
{
    struct sync *s = arg;

    return tmb_flush_all(s->win);
}

static int bare_atomic(void *arg)
{
    struct sync *s = arg;

    atomic_fetch_add_explicit(s->word, 1, memory_order_seq_cst); /* no partner */
    return 0;
}

/* A lock is taken by one atomic and given back by another. */
static int two_bare_atomics(void *arg)
{
    return bare_atomic(arg) + bare_atomic(arg);
}

struct sync_row {
    const char *variant;
    perf_call *call, *bound;
    uint64_t bytes;
};

static uint64_t doorbells(void)
{
    struct tmb_stats stats = {0};

    tmb_stats_get(&stats, sizeof(stats));
    return stats.doorbells_rung;
}

/* How many calls take a moment. */
static int64_t calls_for(const struct perf *perf)
{
    return !perf->mapped ? 2000 : perf->target == PERF_CREATE ? 20000 : 500000;
}

static int sync_row(const struct perf *perf, struct sync *sync,
                    const struct sync_row *what)
{
    struct perf_load load = {.call = what->call,
                             .bound = what->bound,
                             .arg = sync,
                             .calls = calls_for(perf),
                             .most = 2000};
    struct perf_row row = {.variant = what->variant, .bytes = what->bytes};
    uint64_t rung = doorbells();
    char note[64];
    int rc;

    perf_progress(perf, what->variant);
    rc = perf_measure(perf, &load, &row);
    if (rc)
        return rc;
    snprintf(note, sizeof(note), "%" PRIu64 " doorbells rung", doorbells() - rung);
    row.note = note;
    perf_report(perf, &row);
    return 0;
}

static int sync_rows(struct perf *perf, const struct sync_row *rows, int count)
{
    struct perf_window w;
    struct sync sync;
    int rc = perf_window_open(perf, 64, &w);

    if (rc)
        return rc;
    sync = (struct sync){w.win, perf_spare(&w)};
    perf_report_begin(perf);
    perf_target_stay(perf, &w);
    for (int i = 0; perf->rank == 0 && rc == 0 && i < count; i++)
        rc = sync_row(perf, &sync, &rows[i]);
    perf_target_release(perf, &w);
    perf_window_close(perf, &w);
    return rc;
}

int perf_atomic(struct perf *perf)
{
    static const struct sync_row rows[] = {{"fetch-add u64", fetch_add, bare_atomic, 8},
                                           {"add u64", add, bare_atomic, 8},
                                           {"cas u64", cas, bare_atomic, 8},
                                           {"set u64", set, bare_atomic, 8},
                                           {"add f64", add_f64, bare_atomic, 8}};

    return sync_rows(perf, rows, sizeof(rows) / sizeof(rows[0]));
}

int perf_lock(struct perf *perf)
{
    static const struct sync_row rows[] = {{"exclusive", exclusive, two_bare_atomics, 0},
                                           {"shared", shared, two_bare_atomics, 0},
                                           {"lock_all", lock_all, NULL, 0},
                                           {"flush_all", flush_all, NULL, 0}};

    return sync_rows(perf, rows, sizeof(rows) / sizeof(rows[0]));
}

/* ---- calls that all make ---- */

static int barrier(void *arg)
{
    (void)arg;
    return tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER);
}

/* Word that all have come needs log2 of their number ways of a cache line. */
int perf_barrier(struct perf *perf)
{
    struct perf_load load = {.call = barrier,
                             .calls = perf->mapped && perf->size <= 4 ? 100000 : 2000,
                             .most = 500};
    struct perf_row row = {.variant = "all ranks"}, line = {.variant = ""};
    int steps = 0, rc = perf_limit_cacheline(perf, &line);

    while (1 << steps < perf->size)
        steps++;
    perf_report_begin(perf);
    perf_progress(perf, "");
    if (rc == 0)
        rc = perf_measure(perf, &load, &row);
    row.limit = steps * line.p50 / 2;
    if (rc == 0 && perf->rank == 0)
        perf_report(perf, &row);
    return rc;
}
