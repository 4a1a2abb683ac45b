/* SPDX-License-Identifier: BSD-3-Clause */
/* What one rank waits for, asleep or spinning, and the other brings about: the hand-off
 * of a lock, and a signal with or without much data. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../wake.h"
#include "../cli.h"
#include "perf.h"

#define TARGET 1

/* So that a waiter never sleeps. */
#define SPIN_NS INT64_C(1000000000)

/* Where the data lies in a window: behind the word that signals it, in other cache lines.
 */
#define DATA_AT 128

struct handoff {
    const char *variant;
    int64_t spin_ns; /* before the waiter sleeps */
    double limit;
    const void *data; /* that a signal brings along */
    uint64_t bytes;
    int64_t calls;
};

/* One round; on rank 0 *ns is how long the hand-off took. */
typedef int handoff_round(const struct perf *perf, const struct handoff *what,
                          struct perf_window *w, uint64_t round, int64_t *ns);

/*
 * Rank 1 holds the lock until rank 0, which has said that it is about to ask for it, has
 * had the time to wait or to fall asleep; the moment of unlocking stands in a word of
 * rank 0's. Two readings of the clock are part of what is measured.
 */
static int lock_round(const struct perf *perf, const struct handoff *what,
                      struct perf_window *w, uint64_t round, int64_t *ns)
{
    int rc = 0;

    (void)what;
    if (perf->rank == 1) {
        rc = tmb_lock(w->win, TARGET, TMB_LOCK_EXCLUSIVE, TMB_FOREVER);
        perf_tell(w, 2 * round);
        perf_hear(w, 2 * round);
        perf_settle(w);
        rc = rc ? rc : tmb_unlock(w->win, TARGET);
        perf_hear(w, 2 * round + 1); /* it may have come too late to wait */
        return rc;
    }
    perf_hear(w, 2 * round);
    perf_tell(w, 2 * round);
    rc = tmb_lock(w->win, TARGET, TMB_LOCK_EXCLUSIVE, TMB_FOREVER);
    *ns = perf_since_settled(w);
    rc = rc ? rc : tmb_unlock(w->win, TARGET);
    perf_tell(w, 2 * round + 1);
    return rc;
}

/* To and fro, so half of a round is one hand-off. */
static int signal_round(const struct perf *perf, const struct handoff *what,
                        struct perf_window *w, uint64_t round, int64_t *ns)
{
    int64_t start = perf_clock();
    int rc = 0;

    if (perf->rank == 1)
        rc = tmb_wait(w->win, 0, TMB_GE, round, TMB_FOREVER, NULL);
    if (rc == 0)
        rc = tmb_put_signal(w->win, !perf->rank, DATA_AT, what->data, what->bytes, 0,
                            TMB_SIGNAL_SET, round);
    if (perf->rank == 0 && rc == 0)
        rc = tmb_wait(w->win, 0, TMB_GE, round, TMB_FOREVER, NULL);
    *ns = (perf_clock() - start) / 2;
    return rc;
}

static void handoff_report(const struct perf *perf, const struct handoff *what,
                           struct perf_samples *samples)
{
    struct perf_row row = {
        .variant = what->variant, .bytes = what->bytes, .limit = what->limit};

    perf_samples_sum(samples, &row);
    row.mbps = (double)what->bytes / row.p50 * 1e3;
    perf_report(perf, &row);
}

static int handoff_row(const struct perf *perf, handoff_round *go,
                       const struct handoff *what)
{
    struct perf_samples samples;
    struct perf_window w;
    int64_t ns = 0;
    int rc = perf_window_open(perf, DATA_AT + what->bytes, &w);

    if (rc == 0)
        rc = perf_samples_init(&samples, perf, what->calls, 1 << 30);
    if (rc)
        return rc;
    perf_progress(perf, what->variant);
    tmbi_wake_set_spin(what->spin_ns);
    for (uint64_t i = 1; perf->rank < 2 && rc == 0 && samples.count < samples.room; i++) {
        rc = go(perf, what, &w, i, &ns);
        perf_samples_add(&samples, ns);
    }
    if (rc == 0 && perf->rank == 0)
        handoff_report(perf, what, &samples);
    perf_samples_free(&samples);
    perf_window_close(perf, &w);
    return rc;
}

/* `what` to a sleeper and to a spinner, with what bounds each. */
static int handoff_rows(const struct perf *perf, handoff_round *go, struct handoff what,
                        double sleeper_limit, double spinner_limit)
{
    int rc;

    what.variant = "to a sleeper";
    what.limit = sleeper_limit;
    rc = handoff_row(perf, go, &what);
    if (rc)
        return rc;
    what.variant = "to a spinner";
    what.limit = spinner_limit;
    what.spin_ns = SPIN_NS;
    return handoff_row(perf, go, &what);
}

/* A sleeper is bounded by an eventfd's wake-up of a process that has slept as long. Where
 * the ranks are apart no clock is common to both, and the test is left out. */
int perf_lock_contended(struct perf *perf)
{
    struct perf_row wake = {.variant = ""}, line = {.variant = ""};
    int rc;

    if (perf->apart) {
        if (perf->rank == 0)
            tmbi_cli_say("%s is left out: it needs two ranks in one machine", perf->test);
        return 0;
    }
    rc = perf_limit_wake(perf, &wake);
    if (rc == 0)
        rc = perf_limit_cacheline(perf, &line);
    perf_report_begin(perf);
    return rc ? rc
              : handoff_rows(perf, lock_round, (struct handoff){.calls = 10000}, wake.p50,
                             line.p50 / 2);
}

/* A sleeper is bounded by half of an eventfd's round trip. */
int perf_signal(struct perf *perf)
{
    struct perf_row trip = {.variant = ""}, line = {.variant = ""};
    uint64_t data = 1;
    struct handoff what = {.data = &data, .bytes = sizeof(data), .calls = 10000};
    int rc = perf_limit_eventfd(perf, &trip);

    if (rc == 0)
        rc = perf_limit_cacheline(perf, &line);
    perf_report_begin(perf);
    return rc ? rc : handoff_rows(perf, signal_round, what, trip.p50 / 2, line.p50 / 2);
}

int perf_put_signal(struct perf *perf)
{
    void *data = calloc(1, perf->max_bytes);
    int rc = data ? 0 : -ENOMEM;

    perf_report_begin(perf);
    for (uint64_t bytes = perf->min_bytes; rc == 0 && bytes <= perf->max_bytes;
         bytes *= 2) {
        struct handoff what = {.data = data,
                               .bytes = bytes,
                               .calls = 2000 / (1 + (int64_t)bytes / 4096) + 50};

        rc = handoff_rows(perf, signal_round, what, 0, 0);
    }
    free(data);
    return rc;
}
