/* SPDX-License-Identifier: BSD-3-Clause */
/* Latency, bandwidth and rate of put and get, and a put under a lock, from rank 0 to
 * rank 1. */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf.h"

#define TARGET    1
#define MOMENT_NS 100000000

/* What the median of a bandwidth is of, at least. */
#define SAMPLES_MIN 20

/* The buffer that is put from or got into, and the copy that bounds it. */
struct transfer {
    tmb_win *win;
    uint8_t *local, *scratch; /* scratch: in the region, ours */
    uint64_t bytes;
};

static int put(void *arg)
{
    const struct transfer *t = arg;

    return tmb_put(t->win, TARGET, 0, t->local, t->bytes);
}

static int flush(void *arg)
{
    const struct transfer *t = arg;

    return tmb_flush(t->win, TARGET);
}

static int put_flush(void *arg)
{
    int rc = put(arg);

    return rc ? rc : flush(arg);
}

static int lock_put_unlock(void *arg)
{
    const struct transfer *t = arg;
    int rc = tmb_lock(t->win, TARGET, TMB_LOCK_EXCLUSIVE, TMB_FOREVER);

    if (rc == 0)
        rc = put(arg);
    return rc ? rc : tmb_unlock(t->win, TARGET);
}

static int get(void *arg)
{
    const struct transfer *t = arg;

    return tmb_get(t->win, TARGET, 0, t->local, t->bytes);
}

static int copy_out(void *arg)
{
    const struct transfer *t = arg;

    memcpy(t->scratch, t->local, t->bytes);
    atomic_signal_fence(memory_order_seq_cst); /* every copy is made */
    return 0;
}

static int copy_in(void *arg)
{
    const struct transfer *t = arg;

    memcpy(t->local, t->scratch, t->bytes);
    atomic_signal_fence(memory_order_seq_cst);
    return 0;
}

/* How many calls take a moment. */
static int64_t calls_for(const struct perf *perf, uint64_t bytes)
{
    int64_t cost = 10 + (int64_t)(bytes / 8) + (perf->target == PERF_CREATE ? 1000 : 0);

    if (!perf->mapped)
        cost = 20000 + (int64_t)bytes;
    return MOMENT_NS / cost + 50;
}

static int latency_row(const struct perf *perf, struct transfer *t, const char *variant,
                       perf_call *call, perf_call *bound)
{
    struct perf_load load = {.call = call,
                             .bound = bound,
                             .arg = t,
                             .calls = calls_for(perf, t->bytes),
                             .most = 5000};
    struct perf_row row = {.variant = variant, .bytes = t->bytes};
    char note[32];
    int rc = perf_measure(perf, &load, &row);

    if (rc)
        return rc;
    row.mbps = (double)t->bytes / row.p50 * 1e3;
    snprintf(note, sizeof(note), "%.3g million/s", 1e3 / row.p50);
    row.note = note;
    perf_report(perf, &row);
    return 0;
}

static int bandwidth_row(const struct perf *perf, struct transfer *t, perf_call *call,
                         perf_call *bound)
{
    int64_t calls = calls_for(perf, t->bytes) + SAMPLES_MIN * PERF_AT_ONCE;
    int64_t most = (perf->iters ? perf->iters : calls) / PERF_AT_ONCE;
    struct perf_load load = {.call = call,
                             .finish = flush,
                             .bound = bound,
                             .arg = t,
                             .calls = calls,
                             .most = most > 200 ? 200
                                     : most > 1 ? (int)most
                                                : 1};
    struct perf_row row = {.variant = "", .bytes = t->bytes, .by_rate = true};
    int rc = perf_measure(perf, &load, &row);

    if (rc)
        return rc;
    row.mbps = (double)t->bytes / row.p50 * 1e3;
    if (row.limit > 0)
        row.limit = (double)t->bytes / row.limit * 1e3;
    perf_report(perf, &row);
    return 0;
}

typedef int transfer_rows(const struct perf *perf, struct transfer *t);

static int rows_of_size(struct perf *perf, uint64_t bytes, transfer_rows *rows)
{
    struct transfer t = {.bytes = bytes,
                         .local = aligned_alloc(4096, (bytes + 4095) & ~4095ul)};
    struct perf_window w, scratch;
    struct perf alloc = *perf;
    char size[32];
    void *ptr = NULL;
    /* Only the target's part, and rank 0's scratch, are as large: the region is shared.
     */
    int rc =
        t.local ? perf_window_open(perf, perf->rank == TARGET ? bytes : 64, &w) : -ENOMEM;

    if (rc)
        goto free_local;
    alloc.target = PERF_ALLOC;
    rc = perf_window_open(&alloc, perf->rank == 0 ? bytes : 64, &scratch);
    if (rc)
        goto close_window;
    memset(t.local, 1, bytes);
    tmb_win_ptr(scratch.win, perf->rank, &ptr);
    t.win = w.win;
    t.scratch = ptr;
    snprintf(size, sizeof(size), "%" PRIu64 " bytes", bytes);
    perf_progress(perf, size);
    perf_target_stay(perf, &w);
    if (perf->rank == 0)
        rc = rows(perf, &t);
    perf_target_release(perf, &w);
    perf_window_close(perf, &scratch);
close_window:
    perf_window_close(perf, &w);
free_local:
    free(t.local);
    return rc;
}

static int over_sizes(struct perf *perf, transfer_rows *rows)
{
    int rc = 0;

    perf_report_begin(perf);
    for (uint64_t bytes = perf->min_bytes; rc == 0 && bytes <= perf->max_bytes;
         bytes *= 2)
        rc = rows_of_size(perf, bytes, rows);
    return rc;
}

static int put_latency_rows(const struct perf *perf, struct transfer *t)
{
    int rc = latency_row(perf, t, "put", put, copy_out);

    return rc ? rc : latency_row(perf, t, "put+flush", put_flush, copy_out);
}

static int get_latency_rows(const struct perf *perf, struct transfer *t)
{
    return latency_row(perf, t, "get", get, copy_in);
}

static int lock_put_rows(const struct perf *perf, struct transfer *t)
{
    return latency_row(perf, t, "", lock_put_unlock, copy_out);
}

static int put_bandwidth_rows(const struct perf *perf, struct transfer *t)
{
    return bandwidth_row(perf, t, put, copy_out);
}

static int get_bandwidth_rows(const struct perf *perf, struct transfer *t)
{
    return bandwidth_row(perf, t, get, copy_in);
}

static int put_rate_rows(const struct perf *perf, struct transfer *t)
{
    return latency_row(perf, t, "puts", put, copy_out);
}

int perf_put_latency(struct perf *perf)
{
    return over_sizes(perf, put_latency_rows);
}

int perf_get_latency(struct perf *perf)
{
    return over_sizes(perf, get_latency_rows);
}

int perf_lock_put(struct perf *perf)
{
    return over_sizes(perf, lock_put_rows);
}

int perf_put_bandwidth(struct perf *perf)
{
    return over_sizes(perf, put_bandwidth_rows);
}

int perf_get_bandwidth(struct perf *perf)
{
    return over_sizes(perf, get_bandwidth_rows);
}

int perf_put_rate(struct perf *perf)
{
    perf_report_begin(perf);
    return rows_of_size(perf, 8, put_rate_rows);
}
