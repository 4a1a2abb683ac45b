/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "perf.h"

#define PROGRESS_WIDTH 60

/* What was reached of the limit: 1 is all of it. */
static double ratio_of(const struct perf_row *row)
{
    return row->by_rate ? row->mbps / row->limit : row->limit / row->p50;
}

static void json_number(json_t *object, const char *key, double value)
{
    char text[32];

    /* Three digits behind the point are what the clock is worth. */
    snprintf(text, sizeof(text), "%.3f", value);
    json_object_set_new(object, key, json_real(strtod(text, NULL)));
}

json_t *perf_row_object(const struct perf *perf, const struct perf_row *row)
{
    json_t *object = json_object();

    json_object_set_new(object, "test", json_string(perf->test));
    if (*row->variant)
        json_object_set_new(object, "variant", json_string(row->variant));
    json_object_set_new(object, "provider", json_string(perf->provider));
    json_object_set_new(object, "bytes", json_integer((json_int_t)row->bytes));
    json_object_set_new(object, "iters", json_integer((json_int_t)row->iters));
    json_number(object, "p50_ns", row->p50);
    json_number(object, "p99_ns", row->p99);
    json_number(object, "mean_ns", row->mean);
    json_number(object, "MBps", row->mbps);
    if (row->limit > 0) {
        json_number(object, "limit", row->limit);
        json_number(object, "ratio", ratio_of(row));
    }
    return object;
}

static void report_json(const struct perf *perf, const struct perf_row *row)
{
    json_t *object = perf_row_object(perf, row);

    json_dumpf(object, stdout,
               JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(object);
}

static void report_csv(const struct perf *perf, const struct perf_row *row)
{
    printf("%s,%s,%s,%" PRIu64 ",%" PRIu64 ",%.2f,%.2f,%.2f,%.2f,", perf->test,
           row->variant, perf->provider, row->bytes, row->iters, row->p50, row->p99,
           row->mean, row->mbps);
    if (row->limit > 0)
        printf("%.2f,%.3f\n", row->limit, ratio_of(row));
    else
        printf(",\n");
}

const char *perf_human_time(char *text, size_t bytes, double ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    int unit = 0;

    while (ns >= 1000 && unit < 3) {
        ns /= 1000;
        unit++;
    }
    snprintf(text, bytes,
             ns < 10    ? "%.2f %s"
             : ns < 100 ? "%.1f %s"
                        : "%.0f %s",
             ns, units[unit]);
    return text;
}

const char *perf_human_bytes(char *text, size_t bytes, uint64_t value)
{
    static const char units[] = " KMG";
    int unit = 0;

    while (value >= 1024 && value % 1024 == 0 && unit < 3) {
        value /= 1024;
        unit++;
    }
    if (value == 0)
        snprintf(text, bytes, "-");
    else
        snprintf(text, bytes, "%" PRIu64 " %.*s%s", value, unit > 0, &units[unit],
                 unit ? "iB" : "B");
    return text;
}

static void report_table(const struct perf_row *row)
{
    char size[40], p50[24], p99[24], mean[24], mbps[24] = "-", limit[24] = "-",
                                               of[24] = "-";

    if (row->mbps > 0)
        snprintf(mbps, sizeof(mbps), "%.1f", row->mbps);
    if (row->limit > 0) {
        if (row->by_rate)
            snprintf(limit, sizeof(limit), "%.1f MB/s", row->limit);
        else
            perf_human_time(limit, sizeof(limit), row->limit);
        snprintf(of, sizeof(of), "%.0f %%", 100 * ratio_of(row));
    }
    printf("%-18s %8s %10" PRIu64 " %9s %9s %9s %10s %14s %7s%s%s\n", row->variant,
           perf_human_bytes(size, sizeof(size), row->bytes), row->iters,
           perf_human_time(p50, sizeof(p50), row->p50),
           perf_human_time(p99, sizeof(p99), row->p99),
           perf_human_time(mean, sizeof(mean), row->mean), mbps, limit, of,
           row->note ? "  " : "", row->note ? row->note : "");
}

void perf_report_begin(const struct perf *perf)
{
    if (perf->rank != 0)
        return;
    if (perf->format == PERF_TABLE)
        printf(
            "\n# %s, %s, target %s, %d ranks\n%-18s %8s %10s %9s %9s %9s %10s %14s %7s\n",
            perf->test, perf->provider, perf_target_names[perf->target], perf->size, "",
            "size", "calls", "median", "99 %", "mean", "MB/s", "limit", "reached");
    fflush(stdout);
}

void perf_report(const struct perf *perf, const struct perf_row *row)
{
    perf_progress(perf, "");
    if (perf->kept)
        json_array_append_new(perf->kept, perf_row_object(perf, row));
    if (perf->format == PERF_JSON)
        report_json(perf, row);
    else if (perf->format == PERF_CSV)
        report_csv(perf, row);
    else
        report_table(row);
    fflush(stdout);
}

void perf_progress(const struct perf *perf, const char *what)
{
    if (perf->progress && perf->rank == 0)
        fprintf(stderr, "\r%*s\r%s%s%s", PROGRESS_WIDTH, "", *what ? perf->test : "",
                *what ? ": " : "", what);
}
