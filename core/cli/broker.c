/* SPDX-License-Identifier: BSD-3-Clause */
/* `tombolo broker`: its options. */
#include "../../providers/ivshmem/broker.h"

#include <argp.h>

#include "../env.h"
#include "../log.h"
#include "cli.h"

static const struct argp_option option_list[] = {
    {"socket", 's', "PATH", 0, "listen at this path (" TMBI_BROKER_SOCKET ")", 0},
    {"device", 'd', "ADDRESS", 0, "serve this ivshmem device; otherwise the first", 0},
    {"bind", 'b', NULL, 0, "bind the device to vfio-pci before", 0},
    {"group", 'g', "NAME", 0, "let the members of a group connect, too", 0},
    {0}};

static error_t parse_option(int key, char *value, struct argp_state *state)
{
    struct tmbi_broker_options *options = state->input;

    switch (key) {
    case 's':
        options->socket = value;
        return 0;
    case 'd':
        options->device = value;
        return 0;
    case 'b':
        options->bind = true;
        return 0;
    case 'g':
        options->group = value;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: there are only options", value);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = option_list,
    .parser = parse_option,
    .doc = "In a virtual machine with an IOMMU: open its ivshmem device by vfio-pci, and "
           "hand it to the machine's ranks. Ends on SIGTERM.\v"
           "See tombolo-broker(8)."};

int tmbi_cli_broker(int argc, char **argv)
{
    struct tmbi_broker_options options = {.socket = TMBI_BROKER_SOCKET};
    struct tmbi_core_config config;

    argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (tmbi_env_load(&tmbi_core_env, &config))
        return TMBI_EXIT_USAGE;
    tmbi_log_set_level((enum tmbi_log_level)config.log);
    return tmbi_broker_run(&options) ? 1 : 0;
}
