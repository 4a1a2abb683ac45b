/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>

#include "../../clock.h"
#include "perf.h"

int64_t perf_clock(void)
{
    return tmbi_clock_ns();
}

int perf_samples_init(struct perf_samples *samples, const struct perf *perf,
                      int64_t calls, int most)
{
    if (perf->iters)
        calls = perf->iters;
    samples->count = 0;
    samples->room = calls < most ? (int)calls : most;
    samples->batch = (uint64_t)(calls / samples->room);
    samples->ns = calloc((size_t)samples->room, sizeof(*samples->ns));
    return samples->ns ? 0 : -ENOMEM;
}

void perf_samples_free(struct perf_samples *samples)
{
    free(samples->ns);
}

void perf_samples_add(struct perf_samples *samples, int64_t ns)
{
    samples->ns[samples->count++] = (double)ns / (double)samples->batch;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double quantile(const struct perf_samples *samples, double q)
{
    return samples->ns[(int)(q * (samples->count - 1) + 0.5)];
}

static double median(struct perf_samples *samples)
{
    qsort(samples->ns, (size_t)samples->count, sizeof(*samples->ns), compare);
    return quantile(samples, 0.5);
}

void perf_samples_sum(struct perf_samples *samples, struct perf_row *row)
{
    double sum = 0;

    row->p50 = median(samples);
    row->p99 = quantile(samples, 0.99);
    for (int i = 0; i < samples->count; i++)
        sum += samples->ns[i];
    row->mean = sum / samples->count;
    row->iters = (uint64_t)samples->count * samples->batch;
}

static int sample(const struct perf_load *load, perf_call *call, perf_call *finish,
                  struct perf_samples *samples)
{
    int64_t start = perf_clock();
    int rc = 0;

    for (uint64_t i = 0; i < samples->batch && rc == 0; i++)
        rc = call(load->arg);
    if (rc == 0 && finish)
        rc = finish(load->arg);
    perf_samples_add(samples, perf_clock() - start);
    return rc;
}

int perf_measure(const struct perf *perf, const struct perf_load *load,
                 struct perf_row *row)
{
    struct perf_samples ours, bare;
    perf_call *bound = perf->mapped ? load->bound : NULL;
    int rc = perf_samples_init(&ours, perf, load->calls, load->most);

    if (rc)
        return rc;
    rc = perf_samples_init(&bare, perf, load->calls, load->most);
    if (rc)
        goto free_ours;
    sample(load, load->call, load->finish, &ours); /* warm-up */
    ours.count = 0;
    while (rc == 0 && ours.count < ours.room) {
        rc = sample(load, load->call, load->finish, &ours);
        if (bound)
            sample(load, bound, NULL, &bare);
    }
    perf_samples_sum(&ours, row);
    row->limit = bound ? median(&bare) : 0;
    perf_samples_free(&bare);
free_ours:
    perf_samples_free(&ours);
    return rc;
}
