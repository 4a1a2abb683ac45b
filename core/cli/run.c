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
#include "cli.h"
#include "launch.h"

enum option_key { KEY_SERVER = 256, KEY_BIND, KEY_REGION, KEY_VECTORS, KEY_GRACE };

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
    {"timeout", 't', "DURATION", 0, "end the job after this time, with exit code 124", 0},
    {"grace", KEY_GRACE, "DURATION", 0,
     "how long the others may go on after a rank failed (10s)", 0},
    {"keep-going", 'k', NULL, 0, "after a rank failed let the others go on for ever", 0},
    {"no-kill", 0, NULL, OPTION_ALIAS, NULL, 0},
    {0}};

static int64_t parse_number(struct argp_state *state, const char *option,
                            const char *text, int64_t max)
{
    int64_t value = 0;

    if (tmbi_parse_int(text, 1, max, &value))
        argp_error(state, "%s %s: must be a number from 1 to %lld", option, text,
                   (long long)max);
    return value;
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

static void check_complete(struct argp_state *state,
                           const struct tmbi_launch_options *options)
{
    if (!options->ranks)
        argp_error(state, "how many ranks? Give -n N");
    if (!options->program)
        argp_error(state, "which program? Give it after --");
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
        return parse_ending(key, arg, state);
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
        "Start the ranks of a job on this host, and wait for their end.\v"
        "The exit code is the first failing rank's (128 + signal if a signal killed it), "
        "2 for wrong usage, 127 for a program that does not exist and 126 for one that "
        "can't be executed."};

static int executable_check(const char *path)
{
    struct stat status;

    if (stat(path, &status))
        return -errno;
    if (!S_ISREG(status.st_mode) || access(path, X_OK))
        return -EACCES;
    return 0;
}

/* Find a program as execvp() would: once, and not N times in N ranks. */
static int program_check(const char *name)
{
    const char *path = getenv("PATH"), *end;
    char candidate[4096];
    int rc, result = -ENOENT;

    if (strchr(name, '/'))
        return executable_check(name);
    for (path = path ? path : "/bin:/usr/bin"; *name && path;
         path = end ? end + 1 : NULL) {
        end = strchrnul(path, ':');
        snprintf(candidate, sizeof candidate, "%.*s%s%s", (int)(end - path), path,
                 end > path ? "/" : "", name);
        end = *end ? end : NULL;
        rc = executable_check(candidate);
        if (!rc)
            return 0;
        result = rc == -EACCES ? rc : result;
    }
    return result;
}

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
static int environment_check(const struct tmbi_launch_options *options)
{
    size_t count;
    const struct tmbi_env_table *const *tables = tmbi_env_tables(&count);
    int rc = 0;

    if (options->provider)
        setenv("TMB_PROVIDER", options->provider, 1);
    for (size_t i = 0; i < count; i++)
        if (tmbi_env_load(tables[i], NULL))
            rc = -EINVAL;
    return rc ? rc : providers_check(getenv("TMB_PROVIDER"));
}

int tmbi_cli_run(int argc, char **argv)
{
    struct tmbi_launch_options options = {.bind = TMBI_BIND_NONE,
                                          .grace_ns = INT64_C(10000000000),
                                          .timeout_ns = -1,
                                          .region_bytes = UINT64_C(256) << 20,
                                          .vectors = 2};
    int rc;

    argp_parse(&run_argp, argc, argv, ARGP_IN_ORDER, NULL, &options);
    if (environment_check(&options))
        return TMBI_EXIT_USAGE;
    rc = program_check(options.program[0]);
    if (rc) {
        tmbi_cli_say("can't execute %s: %s", options.program[0], strerror(-rc));
        return rc == -EACCES ? 126 : 127;
    }
    if (server_check(&options))
        return 1;
    return tmbi_launch(&options);
}
