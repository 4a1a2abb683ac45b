/* SPDX-License-Identifier: BSD-3-Clause */
/* Starting `tombolo perf` again, as the ranks of a job of its own. */
#ifndef TMBI_PERF_START_H
#define TMBI_PERF_START_H

#include <jansson.h>

struct perf_start {
    const char *ranks;    /* how many */
    const char *provider; /* or NULL */
    int argc;             /* argv[0] is not looked at */
    char **argv;
};

/* Become that job. Returns, with 1, only if that fails. */
int perf_start_exec(const struct perf_start *start);

/* Run that job, whose output is a JSON object per line, and append these to `rows`; its
 * exit code. */
int perf_start_rows(const struct perf_start *start, json_t *rows);

#endif
