/* SPDX-License-Identifier: BSD-3-Clause */
/* What the benchmark's programs share: which sizes, how often, and a line of its CSV. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A size is measured as often as so many bytes allow, but not too seldom. */
#define BENCH_BYTES (32 << 20)
#define BENCH_LEAST 20

struct bench {
    const char *method;
    long min, max, iters;
    double *us;
};

static inline double bench_clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static inline void bench_die(const char *what)
{
    perror(what);
    exit(1);
}

/* MIN MAX ITERS, the last three arguments. */
static inline struct bench bench_begin(const char *method, int argc, char **argv)
{
    struct bench bench = {.method = method};

    if (argc < 4 || (bench.min = atol(argv[argc - 3])) < 1 ||
        (bench.max = atol(argv[argc - 2])) < bench.min ||
        (bench.iters = atol(argv[argc - 1])) < 1) {
        fprintf(stderr, "the last arguments must be MIN MAX ITERS\n");
        exit(2);
    }
    bench.us = calloc((size_t)bench.iters + BENCH_LEAST, sizeof(*bench.us));
    if (!bench.us)
        bench_die("calloc");
    return bench;
}

static inline long bench_iters(const struct bench *bench, long bytes)
{
    long most = BENCH_BYTES / bytes;

    if (most < BENCH_LEAST)
        most = BENCH_LEAST;
    return bench->iters < most ? bench->iters : most;
}

static inline int bench_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* method,bytes,iters,p50_us,p99_us,MBps of the samples in bench->us */
static inline void bench_report(const struct bench *bench, long bytes, long iters)
{
    double p50, p99;

    qsort(bench->us, (size_t)iters, sizeof(*bench->us), bench_compare);
    p50 = bench->us[iters / 2];
    p99 = bench->us[(iters - 1) * 99 / 100];
    printf("%s,%ld,%ld,%.3f,%.3f,%.4g\n", bench->method, bytes, iters, p50, p99,
           (double)bytes / p50);
    fflush(stdout);
}

#endif
