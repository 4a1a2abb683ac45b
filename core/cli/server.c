/* SPDX-License-Identifier: BSD-3-Clause */
/* `tombolo server`: its options. */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../providers/ivshmem/layout.h"
#include "../../providers/ivshmem/server/server.h"
#include "../env.h"
#include "../log.h"
#include "cli.h"
#include "keeper.h"

enum option_key { KEY_HUGEPAGES = 256, KEY_NUMA, KEY_CLIENTS, KEY_JOB };

static const struct argp_option option_list[] = {
    {"socket", 's', "PATH", 0, "listen at this path (needed)", 0},
    {"size", 'l', "SIZE", 0, "of the region: a power of two from 1M on (256M)", 0},
    {"vectors", 'n', "N", 0, "doorbells per client, 1 .. 64 (8)", 0},
    {"hugepages", KEY_HUGEPAGES, NULL, 0, "take the region from huge pages", 0},
    {"numa", KEY_NUMA, "NODE", 0, "put the region on a NUMA node", 0},
    {"group", 'g', "NAME", 0, "let the members of a group connect, too", 0},
    {"max-clients", KEY_CLIENTS, "N", 0, "slots for processes and machines (1024)", 0},
    {"for-job", KEY_JOB, "FD", 0,
     "go to the background, and end with the last client once FD's other end is closed",
     0},
    {0}};

static int64_t parse_number(struct argp_state *state, const char *option,
                            const char *text, int64_t min, int64_t max)
{
    int64_t value = 0;

    if (tmbi_parse_int(text, min, max, &value))
        argp_error(state, "%s %s: must be a number from %lld to %lld", option, text,
                   (long long)min, (long long)max);
    return value;
}

static uint64_t parse_size(struct argp_state *state, const char *text)
{
    uint64_t size = 0, power = TMBI_REGION_MIN;

    if (tmbi_parse_size(text, &size) || size < TMBI_REGION_MIN || size > TMBI_REGION_MAX)
        argp_error(state, "--size %s: must be a size from 1M to 1T, such as 256M", text);
    while (power < size)
        power *= 2;
    if (power != size)
        argp_error(state, "--size %s: must be a power of two; the next is %lluM", text,
                   (unsigned long long)(power >> 20));
    return size;
}

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct tmbi_server_options *options = state->input;

    switch (key) {
    case 's':
        options->socket = value;
        break;
    case 'l':
        options->size = parse_size(state, value);
        break;
    case 'n':
        options->vectors = (uint32_t)parse_number(state, "--vectors", value, 1, 64);
        break;
    case KEY_HUGEPAGES:
        options->hugepages = true;
        break;
    case KEY_NUMA:
        options->numa = (int)parse_number(state, "--numa", value, 0, 1023);
        break;
    case 'g':
        options->group = value;
        break;
    case KEY_CLIENTS:
        options->max_clients =
            (uint32_t)parse_number(state, "--max-clients", value, 1, TMBI_SLOTS_MAX);
        break;
    case KEY_JOB:
        options->job_fd = (int)parse_number(state, "--for-job", value, 3, INT32_MAX);
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: there are only options", value);
        break;
    case ARGP_KEY_END:
        if (!options->socket)
            argp_error(state, "--socket PATH is missing");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp argp = {
    .options = option_list,
    .parser = parse_option,
    .doc =
        "Make a region of shared memory and serve it, with doorbells, to ranks on this "
        "host and to virtual machines (QEMU's ivshmem-doorbell). Ends on SIGTERM.\v"
        "See tombolo-ivshmem(7)."};

/* Nobody's child and in nobody's session: it is to outlive the rank that started it. */
static int detach(void)
{
    pid_t pid = fork();

    if (pid < 0) {
        tmbi_cli_say("can't go to the background: %s", strerror(errno));
        return -1;
    }
    if (pid > 0)
        _exit(0);
    setsid();
    return 0;
}

/* For good: whoever asks it twice to end, as timeout(1) does, gets one good end. */
static void stops_block(void)
{
    sigset_t stops;

    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    sigprocmask(SIG_BLOCK, &stops, NULL);
}

int tmbi_cli_server(int argc, char **argv)
{
    struct tmbi_server_options options = {.size = UINT64_C(256) << 20,
                                          .vectors = 8,
                                          .max_clients = 1024,
                                          .numa = -1,
                                          .ready_fd = -1};
    struct tmbi_core_config config;

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (tmbi_env_load(&tmbi_core_env, &config))
        return TMBI_EXIT_USAGE;
    tmbi_log_set_level((enum tmbi_log_level)config.log);
    if (options.job_fd && detach())
        return 1;
    options.keeper = options.job_fd ? NULL : tmbi_keeper_open();
    stops_block();
    int rc = tmbi_server_run(&options);
    tmbi_keeper_close();
    return rc ? 1 : 0;
}
