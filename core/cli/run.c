/* SPDX-License-Identifier: BSD-3-Clause */
/* `tombolo run`: its options, and what can be checked before anything starts. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../context.h"
#include "../env.h"
#include "../log.h"
#include "cli.h"
#include "launch.h"

#define WAIT_UNSET INT64_MIN

enum option_key {
    KEY_SERVER = 256,
    KEY_BIND,
    KEY_REGION,
    KEY_VECTORS,
    KEY_GRACE,
    KEY_JOB,
    KEY_NP,
    KEY_FIRST,
    KEY_WAIT
};

static const struct argp_option option_list[] = {
    {"ranks", 'n', "N", 0, "start N ranks (needed)", 0},
    {"provider", 'p', "LIST", 0, "what may move bytes, as TMB_PROVIDER", 0},
    {"server", KEY_SERVER, "SOCKET", 0,
     "use the server that listens there; otherwise TMB_SERVER's, otherwise a private one",
     0},
    {"bind", KEY_BIND, "core|numa|none", 0, "bind each rank to a core or a NUMA node", 0},
    {"label", 'l', NULL, 0, "put [RANK] before each line of output", 0},
    {"tag-output", 0, NULL, OPTION_ALIAS, NULL, 0},
    {"region-size", KEY_REGION, "SIZE", 0, "of the private server's region (256M)", 0},
    {"vectors", KEY_VECTORS, "N", 0, "doorbells per rank of the private server (2)", 0},
    {"job", KEY_JOB, "NAME", 0,
     "this is a part of the job NAME, whose launchers meet in the server's region, or in "
     "the one that this guest's ivshmem device has",
     0},
    {"np", KEY_NP, "N", 0, "how many ranks the whole job has (with --job)", 0},
    {"first-rank", KEY_FIRST, "R", 0,
     "number our ranks from R on (by default in the order of peer IDs)", 0},
    {"wait", KEY_WAIT, "DURATION", 0,
     "how long to wait for all ranks to come (TMB_INIT_TIMEOUT's)", 0},
    {"timeout", 't', "DURATION", 0, "end the job after this time, with exit code 124", 0},
    {"grace", KEY_GRACE, "DURATION", 0,
     "how long the others may go on after a rank failed (10s)", 0},
    {"keep-going", 'k', NULL, 0, "after a rank failed let the others go on for ever", 0},
    {"no-kill", 0, NULL, OPTION_ALIAS, NULL, 0},
    {0}};

static int64_t parse_within(struct argp_state *state, const char *option,
                            const char *text, int64_t min, int64_t max)
{
    int64_t value = 0;

    if (tmbi_parse_int(text, min, max, &value))
        argp_error(state, "%s %s: must be a number from %lld to %lld", option, text,
                   (long long)min, (long long)max);
    return value;
}

static int64_t parse_number(struct argp_state *state, const char *option,
                            const char *text, int64_t max)
{
    return parse_within(state, option, text, 1, max);
}

static int64_t parse_duration(struct argp_state *state, const char *option,
                              const char *text)
{
    int64_t ns = 0;

    if (tmbi_parse_duration(text, &ns))
        argp_error(state, "%s %s: must be a duration, such as 500ms, 10s or forever",
                   option, text);
    return ns;
}

static uint64_t parse_region(struct argp_state *state, const char *text)
{
    uint64_t bytes = 0;

    if (tmbi_parse_size(text, &bytes) || bytes < 1 << 20 || (bytes & (bytes - 1)))
        argp_error(state,
                   "--region-size %s: must be a power of two from 1M on, such as 256M",
                   text);
    return bytes;
}

static enum tmbi_bind parse_bind(struct argp_state *state, const char *text)
{
    if (!strcmp(text, "core"))
        return TMBI_BIND_CORE;
    if (!strcmp(text, "numa"))
        return TMBI_BIND_NUMA;
    if (strcmp(text, "none"))
        argp_error(state, "--bind %s: must be core, numa or none", text);
    return TMBI_BIND_NONE;
}

static const char *parse_job(struct argp_state *state, const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789._-");

    if (!length || text[length] || length > TMBI_MEETING_NAME_MAX)
        argp_error(state,
                   "--job %s: must be 1 to %d letters, digits, dots, dashes and "
                   "underscores",
                   text, TMBI_MEETING_NAME_MAX);
    return text;
}

/* What makes us a part of a larger job comes together. */
static void check_job(struct argp_state *state, struct tmbi_launch_options *options)
{
    if (options->job && !options->size)
        argp_error(state, "--job %s: how many ranks has the whole job? Give --np N",
                   options->job);
    if (!options->job && (options->size || options->first >= 0))
        argp_error(state, "%s is for a part of a job: name the job by --job NAME",
                   options->size ? "--np" : "--first-rank");
    if (!options->job)
        options->size = options->ranks;
    if (options->ranks > options->size)
        argp_error(state, "-n %d: the whole job has only --np %d ranks", options->ranks,
                   options->size);
    if (options->first > options->size - options->ranks)
        argp_error(state,
                   "--first-rank %d: %d ranks from there on are not within --np %d",
                   options->first, options->ranks, options->size);
}

static void check_complete(struct argp_state *state, struct tmbi_launch_options *options)
{
    if (!options->ranks)
        argp_error(state, "how many ranks? Give -n N");
    if (!options->program)
        argp_error(state, "which program? Give it after --");
    check_job(state, options);
}

static error_t parse_ending(int key, char *arg, struct argp_state *state)
{
    struct tmbi_launch_options *options = state->input;

    switch (key) {
    case 't':
        options->timeout_ns = parse_duration(state, "--timeout", arg);
        return 0;
    case KEY_GRACE:
        options->grace_ns = parse_duration(state, "--grace", arg);
        return 0;
    case 'k':
        options->keep_going = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_meeting(int key, char *arg, struct argp_state *state)
{
    struct tmbi_launch_options *options = state->input;

    switch (key) {
    case KEY_JOB:
        options->job = parse_job(state, arg);
        return 0;
    case KEY_NP:
        options->size = (int)parse_number(state, "--np", arg, TMBI_RANKS_MAX);
        return 0;
    case KEY_FIRST:
        options->first =
            (int)parse_within(state, "--first-rank", arg, 0, TMBI_RANKS_MAX - 1);
        return 0;
    case KEY_WAIT:
        options->wait_ns = parse_duration(state, "--wait", arg);
        return 0;
    default:
        return parse_ending(key, arg, state);
    }
}

static error_t parse_server(int key, char *arg, struct argp_state *state)
{
    struct tmbi_launch_options *options = state->input;

    switch (key) {
    case KEY_SERVER:
        options->server = arg;
        return 0;
    case KEY_REGION:
        options->region_bytes = parse_region(state, arg);
        return 0;
    case KEY_VECTORS:
        options->vectors = (uint32_t)parse_number(state, "--vectors", arg, 64);
        return 0;
    default:
        return parse_meeting(key, arg, state);
    }
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct tmbi_launch_options *options = state->input;

    switch (key) {
    case 'n':
        options->ranks = (int)parse_number(state, "-n", arg, TMBI_RANKS_MAX);
        return 0;
    case 'p':
        options->provider = arg;
        return 0;
    case KEY_BIND:
        options->bind = parse_bind(state, arg);
        return 0;
    case 'l':
        options->label = true;
        return 0;
    case ARGP_KEY_ARG: /* the program; what follows is its own */
        options->program = &state->argv[state->next - 1];
        state->next = state->argc;
        return 0;
    case ARGP_KEY_END:
        check_complete(state, options);
        return 0;
    default:
        return parse_server(key, arg, state);
    }
}

static const struct argp run_argp = {
    .options = option_list,
    .parser = parse_option,
    .args_doc = "-n N -- PROGRAM [ARGUMENT...]",
    .doc =
        "Start the ranks of a job on this host, and wait for their end. With --job they "
        "are a part of a job that is started in several virtual machines, and on their "
        "host.\v"
        "The exit code is the first failing rank's (128 + signal if a signal killed it), "
        "2 for wrong usage, 127 for a program that does not exist and 126 for one that "
        "can't be executed."};

/* A server that is named must be there. */
static int server_check(const struct tmbi_launch_options *options)
{
    const char *server = options->server ? options->server : getenv("TMB_SERVER");
    struct stat status;
    int rc = 0;

    if (!server || !*server)
        return 0;
    if (stat(server, &status))
        rc = errno;
    else if (!S_ISSOCK(status.st_mode))
        rc = ENOTSOCK;
    else if (access(server, W_OK))
        rc = errno;
    if (rc)
        tmbi_cli_say(
            "server %s: %s. Is `tombolo server --socket %s` running, and may you "
            "use it?",
            server, strerror(rc), server);
    return -rc;
}

static bool provider_is_built(const char *name, size_t length)
{
    size_t count;
    const struct tmbi_provider *const *providers = tmbi_providers(&count);

    for (size_t i = 0; i < count; i++)
        if (strlen(providers[i]->name) == length &&
            !memcmp(providers[i]->name, name, length))
            return true;
    return false;
}

static int providers_check(const char *list)
{
    if (!list || !*list || !strcmp(list, "auto"))
        return 0;
    for (const char *name = list; *name;) {
        size_t length = strcspn(name, ",");
        if (!provider_is_built(name, length)) {
            tmbi_cli_say(
                "TMB_PROVIDER=%s: there is no provider `%.*s`. `tombolo info` lists "
                "those that are built; `auto` takes the best",
                list, (int)length, name);
            return -EINVAL;
        }
        name += length;
        name += *name == ',';
    }
    return 0;
}

/* Here, once, instead of in each rank. */
static int environment_check(struct tmbi_launch_options *options)
{
    size_t count;
    const struct tmbi_env_table *const *tables = tmbi_env_tables(&count);
    int rc = 0;
    struct tmbi_core_config config;

    if (options->provider)
        setenv("TMB_PROVIDER", options->provider, 1);
    for (size_t i = 0; i < count; i++)
        if (tmbi_env_load(tables[i], NULL))
            rc = -EINVAL;
    if (rc || tmbi_env_load(&tmbi_core_env, &config))
        return -EINVAL;
    if (options->job)
        tmbi_log_set_level((enum tmbi_log_level)config.log);
    if (options->wait_ns == WAIT_UNSET)
        options->wait_ns = config.init_timeout_ns;
    return providers_check(getenv("TMB_PROVIDER"));
}

int tmbi_cli_run(int argc, char **argv)
{
    struct tmbi_launch_options options = {.bind = TMBI_BIND_NONE,
                                          .grace_ns = INT64_C(10000000000),
                                          .timeout_ns = -1,
                                          .first = -1,
                                          .wait_ns = WAIT_UNSET,
                                          .region_bytes = UINT64_C(256) << 20,
                                          .vectors = 2};
    int rc;

    argp_parse(&run_argp, argc, argv, ARGP_IN_ORDER, NULL, &options);
    if (environment_check(&options))
        return TMBI_EXIT_USAGE;
    rc = tmbi_cli_program_check(options.program[0]);
    if (rc)
        return rc;
    if (server_check(&options))
        return 1;
    return tmbi_launch(&options);
}
