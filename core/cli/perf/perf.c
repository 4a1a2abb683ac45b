/* SPDX-License-Identifier: BSD-3-Clause */
/* `tombolo perf`: options, starting ranks, and the list of tests. */
#include "perf.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../env.h"
#include "../cli.h"

#define SIZE_MAX_BYTES (UINT64_C(1) << 30)

enum option_key { KEY_SIZES = 256, KEY_ITERS, KEY_JSON, KEY_CSV, KEY_TARGET };

static const struct argp_option option_list[] = {
    {"sizes", KEY_SIZES, "MIN:MAX", 0, "bytes of a transfer, doubling (4:1M)", 0},
    {"iters", KEY_ITERS, "N", 0, "calls per row (as many as take a moment)", 0},
    {"target", KEY_TARGET, "alloc|create|adopt|mem", 0,
     "a window on the library's memory; or on the target's own, which computes "
     "meanwhile, "
     "as it is, adopted, or of tmb_mem_alloc",
     0},
    {"ranks", 'n', "N", 0, "ranks to start when run alone (2)", 0},
    {"provider", 'p', "LIST", 0, "what may move bytes, as TMB_PROVIDER", 0},
    {"json", KEY_JSON, NULL, 0, "one JSON object per row", 0},
    {"csv", KEY_CSV, NULL, 0, "comma-separated values", 0},
    {0}};

static const struct {
    const char *name;
    int (*run)(struct perf *perf);
} tests[] = {{"put-latency", perf_put_latency},
             {"get-latency", perf_get_latency},
             {"put-bandwidth", perf_put_bandwidth},
             {"get-bandwidth", perf_get_bandwidth},
             {"put-rate", perf_put_rate},
             {"lock-put", perf_lock_put},
             {"atomic", perf_atomic},
             {"lock", perf_lock},
             {"lock-contended", perf_lock_contended},
             {"signal", perf_signal},
             {"put-signal", perf_put_signal},
             {"barrier", perf_barrier},
             {"limits", perf_limits}};
#define TESTS (sizeof(tests) / sizeof(tests[0]))

struct arguments {
    struct perf perf;
    const char *ranks, *provider;
    const char *wanted; /* a test's name, or "all" */
};

static void parse_sizes(struct argp_state *state, const char *text, struct perf *perf)
{
    char min[32] = "";
    const char *colon = strchr(text, ':');

    if (colon && (size_t)(colon - text) < sizeof(min))
        memcpy(min, text, (size_t)(colon - text));
    if (!colon || tmbi_parse_size(min, &perf->min_bytes) ||
        tmbi_parse_size(colon + 1, &perf->max_bytes) || perf->min_bytes == 0 ||
        perf->min_bytes > perf->max_bytes || perf->max_bytes > SIZE_MAX_BYTES)
        argp_error(state, "--sizes %s: must be MIN:MAX, such as 4:1M, at most 1G", text);
}

static void parse_target(struct argp_state *state, const char *text, struct perf *perf)
{
    for (int target = 0; target < PERF_TARGETS; target++)
        if (!strcmp(text, perf_target_names[target])) {
            perf->target = (enum perf_target)target;
            return;
        }
    argp_error(state, "--target %s: must be alloc, create, adopt or mem", text);
}

static void check_test(struct argp_state *state, const char *wanted, const char *name)
{
    struct tmbi_nearest nearest = {.word = name};

    if (wanted)
        argp_error(state, "%s: one test at a time, or `all`", name);
    for (size_t i = 0; i < TESTS; i++) {
        if (!strcmp(name, tests[i].name))
            return;
        tmbi_nearest_offer(&nearest, tests[i].name);
    }
    if (!strcmp(name, "all"))
        return;
    if (nearest.name)
        argp_error(state, "there is no test `%s`: did you mean `%s`?", name,
                   nearest.name);
    else
        argp_error(state, "there is no test `%s`: see --help", name);
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    int64_t ranks;

    switch (key) {
    case KEY_SIZES:
        parse_sizes(state, value, &arguments->perf);
        break;
    case KEY_ITERS:
        if (tmbi_parse_int(value, 1, INT64_C(1) << 40, &arguments->perf.iters))
            argp_error(state, "--iters %s: must be a number from 1 on", value);
        break;
    case KEY_TARGET:
        parse_target(state, value, &arguments->perf);
        break;
    case KEY_JSON:
        arguments->perf.format = PERF_JSON;
        break;
    case KEY_CSV:
        arguments->perf.format = PERF_CSV;
        break;
    case 'n':
        if (tmbi_parse_int(value, 2, 4096, &ranks))
            argp_error(state, "-n %s: must be a number from 2 on", value);
        arguments->ranks = value;
        break;
    case 'p':
        arguments->provider = value;
        break;
    case ARGP_KEY_ARG:
        check_test(state, arguments->wanted, value);
        arguments->wanted = value;
        break;
    case ARGP_KEY_END:
        if (!arguments->wanted)
            argp_error(state, "a test is missing: see --help");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp options = {
    .options = option_list,
    .parser = parse_option,
    .args_doc = "TEST",
    .doc = "Measure what Tombolo does between two ranks, beside what bounds it.\v"
           "Tests: put-latency get-latency put-bandwidth get-bandwidth put-rate lock-put "
           "atomic lock lock-contended signal put-signal barrier limits, or all. Run "
           "alone it starts its ranks "
           "itself; under `tombolo run` it uses the ranks that it has. \"limit\" was "
           "measured "
           "in the same run; \"reached\" (ratio) is the part of it that was reached."};

/* Run alone: start this command again as the ranks of a job. */
static int start_ranks(const struct arguments *arguments, int argc, char **argv)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char **command = calloc((size_t)argc + 10, sizeof(*command));
    int n = 0;

    if (length < 0 || !command) {
        tmbi_cli_say("can't start ranks: %s", strerror(errno));
        free(command);
        return 1;
    }
    self[length] = 0;
    command[n++] = self;
    command[n++] = "run";
    command[n++] = "-n";
    command[n++] = (char *)(uintptr_t)arguments->ranks;
    command[n++] = "--bind"; /* or else two ranks may meet on one core */
    command[n++] = "core";
    if (arguments->provider) {
        command[n++] = "--provider";
        command[n++] = (char *)(uintptr_t)arguments->provider;
    }
    command[n++] = "--";
    command[n++] = self;
    command[n++] = "perf";
    for (int i = 1; i < argc; i++)
        command[n++] = argv[i];
    execv(self, command);
    tmbi_cli_say("can't start %s: %s", self, strerror(errno));
    free(command);
    return 1;
}

/* All must agree, so all look at the same two ranks. */
static int find_distance(struct perf *perf)
{
    struct tmb_peer_info first, second;
    int rc = tmb_peer_info(0, &first, sizeof(first));

    if (rc == 0)
        rc = tmb_peer_info(1, &second, sizeof(second));
    perf->apart = rc == 0 && first.host != second.host;
    return rc;
}

static int join(struct perf *perf)
{
    struct tmb_peer_info partner;
    int rc = tmb_init(TMB_THREAD_SINGLE);

    if (rc == 0)
        rc = tmb_rank(&perf->rank);
    if (rc == 0)
        rc = tmb_size(&perf->size);
    if (rc)
        return rc;
    if (perf->size < 2) {
        tmbi_cli_say("%d rank: at least 2 are needed", perf->size);
        return -EINVAL;
    }
    rc = tmb_peer_info(perf->rank == 0 ? 1 : 0, &partner, sizeof(partner));
    memcpy(perf->provider, partner.provider, sizeof(perf->provider));
    return rc ? rc : find_distance(perf);
}

static int run_tests(struct perf *perf, const char *wanted)
{
    int rc = 0;

    if (perf->format == PERF_CSV && perf->rank == 0)
        puts("test,variant,provider,bytes,iters,p50_ns,p99_ns,mean_ns,MBps,limit,ratio");
    for (size_t i = 0; rc == 0 && i < TESTS; i++) {
        if (strcmp(wanted, "all") && strcmp(wanted, tests[i].name))
            continue;
        perf->test = tests[i].name;
        rc = tests[i].run(perf);
        if (rc == 0)
            rc = tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER);
        if (rc)
            tmbi_cli_say("%s failed: %s", perf->test, tmb_strerror(rc));
    }
    return rc;
}

int tmbi_cli_perf(int argc, char **argv)
{
    struct arguments arguments = {.perf = {.min_bytes = 4,
                                           .max_bytes = 1u << 20,
                                           .progress = isatty(STDERR_FILENO)},
                                  .ranks = "2"};
    int rc;

    argp_parse(&options, argc, argv, 0, NULL, &arguments);
    if (!getenv("TMB_LAUNCH_FD"))
        return start_ranks(&arguments, argc, argv);
    if (arguments.provider && setenv("TMB_PROVIDER", arguments.provider, 1))
        return 1;
    rc = join(&arguments.perf);
    if (rc)
        return 1;
    rc = run_tests(&arguments.perf, arguments.wanted);
    if (rc)
        tmb_abort(1); /* the other ranks may wait for this one */
    return tmb_finalize() ? 1 : 0;
}
