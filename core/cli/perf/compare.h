/* SPDX-License-Identifier: BSD-3-Clause */
/* `tombolo perf --compare`: the same tests by two providers, each in a job of its own,
 * one after the other, test by test. */
#ifndef TMBI_PERF_COMPARE_H
#define TMBI_PERF_COMPARE_H

#include "perf.h"
#include "start.h"

struct perf_compare {
    const struct perf *perf;
    const char *ranks;
    char *providers[2];
    json_t *kept; /* if not NULL: where all rows go, too */
};

/* "ivshmem,tcp". -EINVAL, said. */
int perf_compare_parse(struct perf_compare *compare, const char *text);
void perf_compare_begin(const struct perf_compare *compare);
/* One test; its exit code. */
int perf_compare_test(const struct perf_compare *compare, const char *test);

#endif
