/* SPDX-License-Identifier: BSD-3-Clause */
/* `tombolo perf`: options, starting ranks, and the list of tests. */
#include "perf.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../bootstrap/bootstrap.h"
#include "../cli.h"
#include "compare.h"
#include "plot.h"
#include "start.h"

#define SIZE_MAX_BYTES (UINT64_C(1) << 30)

enum option_key {
    KEY_SIZES = 256,
    KEY_ITERS,
    KEY_JSON,
    KEY_CSV,
    KEY_TARGET,
    KEY_COMPARE,
    KEY_PLOT
};

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
    {"compare", KEY_COMPARE, "A,B", 0,
     "measure by two providers, in a job each, and show both side by side", 0},
    {"plot", KEY_PLOT, "FILE", 0,
     "draw what is measured over the size, by gnuplot: FILE.svg, .png or .pdf", 0},
    {"json", KEY_JSON, NULL, 0, "one JSON object per row", 0},
    {"csv", KEY_CSV, NULL, 0, "comma-separated values", 0},
    {0}};

static const struct {
    const char *name;
    int (*run)(struct perf *perf);
    bool sized; /* measures each of --sizes */
} tests[] = {{"put-latency", perf_put_latency, true},
             {"get-latency", perf_get_latency, true},
             {"put-bandwidth", perf_put_bandwidth, true},
             {"get-bandwidth", perf_get_bandwidth, true},
             {"put-rate", perf_put_rate, false},
             {"lock-put", perf_lock_put, true},
             {"atomic", perf_atomic, false},
             {"lock", perf_lock, false},
             {"lock-contended", perf_lock_contended, false},
             {"signal", perf_signal, false},
             {"put-signal", perf_put_signal, true},
             {"barrier", perf_barrier, false},
             {"limits", perf_limits, false}};
#define TESTS (sizeof(tests) / sizeof(tests[0]))

struct arguments {
    struct perf perf;
    const char *ranks, *provider, *compare;
    const char *plot;   /* a file, or NULL */
    const char *wanted; /* a test's name, or "all" */
};

bool perf_test_is_sized(const char *name)
{
    for (size_t i = 0; i < TESTS; i++)
        if (!strcmp(name, tests[i].name))
            return tests[i].sized;
    return false;
}

static bool is_wanted(const char *wanted, size_t test)
{
    return !strcmp(wanted, "all") || !strcmp(wanted, tests[test].name);
}

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

/* What options say together. */
static void check_arguments(struct argp_state *state, const struct arguments *arguments)
{
    const char *wanted = arguments->wanted;

    if (!wanted)
        argp_error(state, "a test is missing: see --help");
    if (arguments->compare && arguments->provider)
        argp_error(state, "--provider %s: --compare names the providers",
                   arguments->provider);
    if (arguments->plot && !perf_plot_terminal(arguments->plot))
        argp_error(state, "--plot %s: the name must end in .svg, .png or .pdf",
                   arguments->plot);
    if (arguments->plot && strcmp(wanted, "all") && !perf_test_is_sized(wanted))
        argp_error(state,
                   "--plot %s: %s has no sizes to draw it over; put-latency has, for one",
                   arguments->plot, wanted);
}

static void parse_iters(struct argp_state *state, const char *text, struct perf *perf)
{
    if (tmbi_parse_int(text, 1, INT64_C(1) << 40, &perf->iters))
        argp_error(state, "--iters %s: must be a number from 1 on", text);
}

static void parse_ranks(struct argp_state *state, const char *text,
                        struct arguments *arguments)
{
    int64_t ranks;

    if (tmbi_parse_int(text, 2, 4096, &ranks))
        argp_error(state, "-n %s: must be a number from 2 on", text);
    arguments->ranks = text;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case KEY_SIZES:
        parse_sizes(state, value, &arguments->perf);
        break;
    case KEY_ITERS:
        parse_iters(state, value, &arguments->perf);
        break;
    case KEY_TARGET:
        parse_target(state, value, &arguments->perf);
        break;
    case KEY_JSON:
    case KEY_CSV:
        arguments->perf.format = key == KEY_JSON ? PERF_JSON : PERF_CSV;
        break;
    case 'n':
        parse_ranks(state, value, arguments);
        break;
    case 'p':
        arguments->provider = value;
        break;
    case KEY_COMPARE:
        arguments->compare = value;
        break;
    case KEY_PLOT:
        arguments->plot = value;
        break;
    case ARGP_KEY_ARG:
        check_test(state, arguments->wanted, value);
        arguments->wanted = value;
        break;
    case ARGP_KEY_END:
        check_arguments(state, arguments);
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

/* Nothing in the environment brings ranks together. */
static int alone_find(bool *alone)
{
    struct tmbi_core_config config;
    const struct tmbi_bootstrap_ops *called;

    if (tmbi_env_load(&tmbi_core_env, &config))
        return -EINVAL;
    called = tmbi_bootstrap_find(&config);
    *alone = !config.bootstrap && called && !strcmp(called->name, "single");
    return 0;
}

/* All must agree: what lies between ranks 0 and 1, by rank 0. */
static int find_distance(struct perf *perf)
{
    struct tmb_peer_info first = {0}, second = {0};
    struct {
        bool apart, mapped;
    } told;
    int rc = tmb_peer_info(0, &first, sizeof(first));

    if (rc == 0)
        rc = tmb_peer_info(1, &second, sizeof(second));
    told.apart = first.host != second.host;
    told.mapped = second.mapped;
    if (rc == 0)
        rc = tmb_bcast(TMB_TEAM_WORLD, 0, &told, sizeof(told), TMB_FOREVER);
    perf->apart = told.apart;
    perf->mapped = told.mapped;
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
        if (!is_wanted(wanted, i))
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

/* ---- in which way to run ---- */

static int compare_run(struct perf_compare *compare, const char *wanted)
{
    int code = 0;

    perf_compare_begin(compare);
    for (size_t i = 0; code == 0 && i < TESTS; i++)
        if (is_wanted(wanted, i))
            code = perf_compare_test(compare, tests[i].name);
    return code;
}

/* By two providers, in a job each. */
static int run_compared(struct arguments *arguments)
{
    struct perf_compare compare = {.perf = &arguments->perf, .ranks = arguments->ranks};
    struct perf_plot plot;
    int code = TMBI_EXIT_USAGE;

    if (perf_compare_parse(&compare, arguments->compare))
        goto free_providers;
    code = 1;
    if (arguments->plot && perf_plot_open(&plot, arguments->plot))
        goto free_providers;
    compare.kept = json_array();
    code = compare_run(&compare, arguments->wanted);
    if (arguments->plot) {
        if (code == 0)
            code = perf_plot_draw(&plot, compare.kept) ? 1 : 0;
        perf_plot_close(&plot, code == 0);
    }
    json_decref(compare.kept);
free_providers:
    free(compare.providers[0]);
    free(compare.providers[1]);
    return code;
}

/* In a job of its own; first see to what would fail only after it. */
static int run_started(const struct arguments *arguments, int argc, char **argv)
{
    struct perf_start start = {arguments->ranks, arguments->provider, argc, argv};
    struct perf_plot plot;

    if (arguments->plot) {
        if (perf_plot_open(&plot, arguments->plot))
            return 1;
        perf_plot_close(&plot, false);
    }
    return perf_start_exec(&start);
}

/* As a rank. */
static int run_joined(struct arguments *arguments)
{
    struct perf *perf = &arguments->perf;
    struct perf_plot plot;
    int rc = join(perf);
    bool draws = perf->rank == 0 && arguments->plot;

    if (rc)
        return 1;
    if (draws) {
        rc = perf_plot_open(&plot, arguments->plot);
        perf->kept = json_array();
    }
    if (rc == 0)
        rc = run_tests(perf, arguments->wanted);
    if (rc)
        tmb_abort(1); /* the other ranks may wait for this one */
    rc = tmb_finalize();
    if (draws) {
        rc = perf_plot_draw(&plot, perf->kept) ? 1 : rc;
        perf_plot_close(&plot, rc == 0);
        json_decref(perf->kept);
    }
    return rc ? 1 : 0;
}

int tmbi_cli_perf(int argc, char **argv)
{
    struct arguments arguments = {.perf = {.min_bytes = 4,
                                           .max_bytes = 1u << 20,
                                           .progress = isatty(STDERR_FILENO)},
                                  .ranks = "2"};
    bool alone;

    argp_parse(&options, argc, argv, 0, NULL, &arguments);
    if (alone_find(&alone))
        return TMBI_EXIT_USAGE;
    if (arguments.compare && alone)
        return run_compared(&arguments);
    if (arguments.compare) {
        tmbi_cli_say("--compare %s: it starts a job for each provider by itself; run it "
                     "without a launcher",
                     arguments.compare);
        return TMBI_EXIT_USAGE;
    }
    if (alone)
        return run_started(&arguments, argc, argv);
    if (arguments.provider && setenv("TMB_PROVIDER", arguments.provider, 1))
        return 1;
    return run_joined(&arguments);
}
