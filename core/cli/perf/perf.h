/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `tombolo perf`: what its tests share. Every rank runs each test; rank 0 measures and
 * reports, rank 1 is its partner, and the others only meet in the barriers.
 *
 * A sample is a batch of calls, timed as a whole and divided by their number: a clock
 * read costs more than a put.
 */
#ifndef TMBI_PERF_H
#define TMBI_PERF_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../include/tombolo.h"

enum perf_format { PERF_TABLE, PERF_CSV, PERF_JSON };

/* What memory the target's window is of; perf_target_names are in this order. */
enum perf_target {
    PERF_ALLOC,  /* tmb_win_alloc()'s */
    PERF_CREATE, /* the target's own */
    PERF_ADOPT,  /* the same, with TMB_WIN_ADOPT */
    PERF_MEM,    /* tmb_mem_alloc()'s */
    PERF_TARGETS
};
extern const char *const perf_target_names[PERF_TARGETS];

struct perf {
    const char *test;
    uint64_t min_bytes, max_bytes;
    int64_t iters; /* 0: as many as take a moment */
    enum perf_format format;
    enum perf_target target;
    bool progress;
    int rank, size;
    bool apart;        /* ranks 0 and 1 are under different kernels */
    bool mapped;       /* rank 0 maps what rank 1 allocates, and the other way round */
    char provider[16]; /* by which rank 0 reaches rank 1 */
    json_t *kept;      /* if not NULL: an array of all rows, as perf_row_object() */
};

/* One line of the result. */
struct perf_row {
    const char *variant; /* "" if the test has but one */
    uint64_t bytes;
    uint64_t iters;        /* calls */
    double p50, p99, mean; /* ns per call */
    double mbps;           /* 10^6 bytes a second; 0: not told */
    double limit;          /* ns per call, or MB/s if by_rate; 0: none */
    bool by_rate;
    const char *note;
};

/* ---- samples (sample.c) ---- */

struct perf_samples {
    double *ns; /* per call */
    int count, room;
    uint64_t batch; /* calls per sample */
};

int64_t perf_clock(void);
/* Transfers whose bandwidth is timed as one, to see what goes at once. */
#define PERF_AT_ONCE 32

/* Room for the samples of about `calls` calls, or, if the user said --iters, of those. */
int perf_samples_init(struct perf_samples *samples, const struct perf *perf,
                      int64_t calls, int most);
void perf_samples_free(struct perf_samples *samples);
void perf_samples_add(struct perf_samples *samples, int64_t ns);
/* Sorts them and fills in iters, p50, p99 and mean. */
void perf_samples_sum(struct perf_samples *samples, struct perf_row *row);

typedef int perf_call(void *arg);

/* What is measured: calls of `call`, each sample ended by one of `finish`; and what
 * bounds them, by turns, so that noise meets both alike. What this processor does to
 * memory bounds nothing where memory is not mapped. */
struct perf_load {
    perf_call *call, *finish, *bound; /* finish, bound: or NULL */
    void *arg;
    int64_t calls; /* about so many */
    int most;      /* samples */
};

/* Fills in the row's times, and its limit if there is a bound. */
int perf_measure(const struct perf *perf, const struct perf_load *load,
                 struct perf_row *row);

/* ---- report (report.c) ---- */

void perf_report_begin(const struct perf *perf);
void perf_report(const struct perf *perf, const struct perf_row *row);
/* A row with all its fields; NULL if memory is short. */
json_t *perf_row_object(const struct perf *perf, const struct perf_row *row);
/* 1234567 ns as "1.235 ms", 4096 bytes as "4 KiB", none as "-"; in `text`. */
const char *perf_human_time(char *text, size_t bytes, double ns);
const char *perf_human_bytes(char *text, size_t bytes, uint64_t value);
void perf_progress(const struct perf *perf, const char *what);

/* ---- the window that is measured (target.c) ---- */

/* Rank 1's part is `bytes` (library memory, or its own); a second window, of library
 * memory, has each rank's flags. */
struct perf_window {
    tmb_win *win;
    tmb_win *flags;
    void *memory; /* of ours, but for PERF_ALLOC */
    int partner;
    _Atomic uint64_t *mine, *theirs; /* the flags: ours, and our partner's or NULL */
};

int perf_window_open(const struct perf *perf, uint64_t bytes, struct perf_window *window);
void perf_window_close(const struct perf *perf, struct perf_window *window);
/* On rank 1: call nothing until rank 0 has ended, and compute meanwhile, or, if the
 * memory is tmb_win_alloc()'s, nap. Elsewhere nothing. */
void perf_target_stay(const struct perf *perf, struct perf_window *window);
/* A word that rank 0 maps, rank 1's if it can, and nobody else uses. */
_Atomic uint64_t *perf_spare(const struct perf_window *window);
/* On rank 0: let rank 1 go on. */
void perf_target_release(const struct perf *perf, struct perf_window *window);

/* Hand-offs from rank 1 to rank 0: they tell each other numbers that grow, and wait
 * until they hear one. */
void perf_tell(const struct perf_window *window, uint64_t number);
void perf_hear(const struct perf_window *window, uint64_t number);
/* On rank 1: give rank 0 the time to fall asleep, and note the moment after. */
void perf_settle(const struct perf_window *window);
/* On rank 0: how long ago that moment was. */
int64_t perf_since_settled(const struct perf_window *window);

/* ---- limits (limit.c): what the machine allows; measured by ranks 0 and 1 ----
 * An eventfd joins no two kernels: where ranks 0 and 1 are apart, those rows stay empty,
 * and so there is no limit. */

int perf_limit_cacheline(const struct perf *perf, struct perf_row *row);
/* Round trips between two processes that sleep by turns. */
int perf_limit_eventfd(const struct perf *perf, struct perf_row *row);
/* One way, to a process that has slept for a while on another CPU. */
int perf_limit_wake(const struct perf *perf, struct perf_row *row);

/* Bare sockets and libfabric alone (limit_tcp.c): reports its rows. */
int perf_limits_tcp(const struct perf *perf);

/* ---- tests: all ranks call them ---- */

/* Whether the test of that name measures each size. (perf.c) */
bool perf_test_is_sized(const char *name);

int perf_put_latency(struct perf *perf);
int perf_get_latency(struct perf *perf);
int perf_lock_put(struct perf *perf);
int perf_put_bandwidth(struct perf *perf);
int perf_get_bandwidth(struct perf *perf);
int perf_put_rate(struct perf *perf);
int perf_atomic(struct perf *perf);
int perf_lock(struct perf *perf);
int perf_lock_contended(struct perf *perf);
int perf_signal(struct perf *perf);
int perf_put_signal(struct perf *perf);
int perf_barrier(struct perf *perf);
int perf_limits(struct perf *perf);

#endif
