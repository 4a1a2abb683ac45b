/* SPDX-License-Identifier: BSD-3-Clause */
/* A process that no launcher started is a job of one. */
#include <stdint.h>
#include <string.h>

#include "backends.h"

static int single_detect(const struct tmbi_core_config *config)
{
    return config->launch_fd < 0 && config->rank < 0 && config->size < 0 && !config->job;
}

static int single_open(struct tmbi_bootstrap *b, const struct tmbi_core_config *config)
{
    (void)config;
    b->job.rank = 0;
    b->job.size = 1;
    return tmbi_bootstrap_name(b->job.name);
}

static int single_exchange(struct tmbi_bootstrap *b, const void *mine, size_t bytes,
                           void *all, int64_t deadline)
{
    (void)b;
    (void)deadline;
    if (bytes)
        memmove(all, mine, bytes);
    return 0;
}

static void single_abort(struct tmbi_bootstrap *b, int exit_code)
{
    (void)b;
    (void)exit_code;
}

static void single_close(struct tmbi_bootstrap *b)
{
    (void)b;
}

const struct tmbi_bootstrap_ops tmbi_bootstrap_single = {
    .name = "single",
    .meaning = "a process alone is a job of one rank",
    .detect = single_detect,
    .open = single_open,
    .exchange = single_exchange,
    .abort = single_abort,
    .close = single_close};
