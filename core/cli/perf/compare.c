/* SPDX-License-Identifier: BSD-3-Clause */
#include "compare.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../context.h"
#include "../cli.h"

/* ---- what is asked for ---- */

static int provider_check(const char *list, const char *name)
{
    size_t count;
    const struct tmbi_provider *const *providers = tmbi_providers(&count);

    for (size_t i = 0; i < count; i++)
        if (!strcmp(providers[i]->name, name))
            return 0;
    tmbi_cli_say("--compare %s: there is no provider `%s`; `tombolo info` lists those "
                 "that are built",
                 list, name);
    return -EINVAL;
}

int perf_compare_parse(struct perf_compare *compare, const char *text)
{
    const char *comma = strchr(text, ',');
    int rc;

    if (!comma || comma == text || !comma[1] || strchr(comma + 1, ',')) {
        tmbi_cli_say("--compare %s: must be two providers, such as ivshmem,tcp", text);
        return -EINVAL;
    }
    compare->providers[0] = strndup(text, (size_t)(comma - text));
    compare->providers[1] = strdup(comma + 1);
    if (!compare->providers[0] || !compare->providers[1])
        return -ENOMEM;
    rc = provider_check(text, compare->providers[0]);
    if (rc == 0)
        rc = provider_check(text, compare->providers[1]);
    if (rc == 0 && !strcmp(compare->providers[0], compare->providers[1])) {
        tmbi_cli_say("--compare %s: must be two different providers", text);
        rc = -EINVAL;
    }
    return rc;
}

/* ---- measuring ---- */

/* The rows of a test by a provider. */
static int rows_measure(const struct perf_compare *compare, const char *test,
                        const char *provider, json_t *rows)
{
    const struct perf *perf = compare->perf;
    char sizes[64], iters[32];
    char *argv[] = {"perf",   (char *)(uintptr_t)test,
                    "--json", "--sizes",
                    sizes,    "--target",
                    "alloc",  "--iters",
                    iters};
    struct perf_start start = {
        .ranks = compare->ranks, .provider = provider, .argc = 9, .argv = argv};

    snprintf(sizes, sizeof(sizes), "%" PRIu64 ":%" PRIu64, perf->min_bytes,
             perf->max_bytes);
    snprintf(iters, sizeof(iters), "%" PRId64, perf->iters);
    if (perf->target == PERF_CREATE)
        argv[6] = "create";
    if (perf->iters == 0)
        start.argc = 7;
    return perf_start_rows(&start, rows);
}

/* ---- rows side by side ---- */

static double number(const json_t *row, const char *key)
{
    return json_number_value(json_object_get(row, key));
}

static const char *variant(const json_t *row)
{
    const char *text = json_string_value(json_object_get(row, "variant"));

    return text ? text : "";
}

/* The row of the same thing, taken out; NULL: there is none. */
static json_t *take_partner(json_t *rows, const json_t *row)
{
    json_t *other;
    size_t i;

    json_array_foreach(rows, i, other)
    {
        if (strcmp(variant(other), variant(row)) ||
            number(other, "bytes") != number(row, "bytes"))
            continue;
        json_incref(other);
        json_array_remove(rows, i);
        return other;
    }
    return NULL;
}

static bool by_rate(const char *test)
{
    return strstr(test, "bandwidth") != NULL;
}

/* How many times faster the first provider is; 0: they are not both there. */
static double factor_of(json_t *const rows[2])
{
    double first = number(rows[0], "p50_ns");

    return rows[0] && rows[1] && first > 0 ? number(rows[1], "p50_ns") / first : 0;
}

static void print_cell(const char *test, const json_t *row)
{
    char text[32] = "-";

    if (row && by_rate(test))
        snprintf(text, sizeof(text), "%.1f MB/s", number(row, "MBps"));
    else if (row)
        perf_human_time(text, sizeof(text), number(row, "p50_ns"));
    printf(" %16s", text);
}

static void print_table(const char *test, json_t *const rows[2])
{
    const json_t *row = rows[0] ? rows[0] : rows[1];
    double factor = factor_of(rows);
    char size[40];

    printf("%-18s %8s", variant(row),
           perf_human_bytes(size, sizeof(size), (uint64_t)number(row, "bytes")));
    print_cell(test, rows[0]);
    print_cell(test, rows[1]);
    if (factor > 0)
        printf(factor < 10 ? " %10.2f\n" : " %10.0f\n", factor);
    else
        printf(" %10s\n", "-");
}

static void print_csv(const char *test, json_t *const rows[2])
{
    const json_t *row = rows[0] ? rows[0] : rows[1];
    double factor = factor_of(rows);

    printf("%s,%s,%.0f", test, variant(row), number(row, "bytes"));
    for (int i = 0; i < 2; i++) {
        if (rows[i])
            printf(",%.2f,%.2f", number(rows[i], "p50_ns"), number(rows[i], "MBps"));
        else
            printf(",,");
    }
    if (factor > 0)
        printf(",%.3f\n", factor);
    else
        printf(",\n");
}

static void print_json(const char *test, json_t *const rows[2])
{
    const json_t *row = rows[0] ? rows[0] : rows[1];
    json_t *list = json_array();
    json_t *object =
        json_pack("{s:s, s:s, s:O, s:o}", "test", test, "variant", variant(row), "bytes",
                  json_object_get(row, "bytes"), "rows", list);

    for (int i = 0; i < 2; i++)
        if (rows[i])
            json_array_append(list, rows[i]);
    if (factor_of(rows) > 0)
        json_object_set_new(object, "factor", json_real(factor_of(rows)));
    json_dumpf(object, stdout,
               JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(object);
}

static void print_pair(const struct perf_compare *compare, const char *test,
                       json_t *first, json_t *second)
{
    json_t *const rows[2] = {first, second};

    if (compare->perf->format == PERF_JSON)
        print_json(test, rows);
    else if (compare->perf->format == PERF_CSV)
        print_csv(test, rows);
    else
        print_table(test, rows);
}

static void print_test(const struct perf_compare *compare, const char *test,
                       json_t *const rows[2])
{
    json_t *row, *other;
    size_t i;

    if (compare->perf->format == PERF_TABLE)
        printf("\n# %s, target %s, %s ranks\n%-18s %8s %16s %16s %10s\n", test,
               compare->perf->target == PERF_ALLOC ? "alloc" : "create", compare->ranks,
               "", "size", compare->providers[0], compare->providers[1], "factor");
    json_array_foreach(rows[0], i, row)
    {
        other = take_partner(rows[1], row);
        print_pair(compare, test, row, other);
        json_decref(other);
    }
    json_array_foreach(rows[1], i, row) print_pair(compare, test, NULL, row);
    fflush(stdout);
}

void perf_compare_begin(const struct perf_compare *compare)
{
    const char *const *names = (const char *const *)compare->providers;

    if (compare->perf->format == PERF_CSV)
        printf("test,variant,bytes,%s_p50_ns,%s_MBps,%s_p50_ns,%s_MBps,factor\n",
               names[0], names[0], names[1], names[1]);
}

int perf_compare_test(const struct perf_compare *compare, const char *test)
{
    json_t *rows[2] = {json_array(), json_array()};
    int code = 0;

    for (int i = 0; i < 2 && code == 0; i++)
        code = rows_measure(compare, test, compare->providers[i], rows[i]);
    for (int i = 0; i < 2 && code == 0 && compare->kept; i++)
        json_array_extend(compare->kept, rows[i]);
    if (code == 0)
        print_test(compare, test, rows);
    json_decref(rows[0]);
    json_decref(rows[1]);
    return code;
}
