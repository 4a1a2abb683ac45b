/* SPDX-License-Identifier: BSD-3-Clause */
#include "bootstrap.h"

#include <errno.h>

#include "../log.h"
#include "backends.h"

static const struct tmbi_bootstrap_ops *const backends[] = {&tmbi_bootstrap_run,
                                                            &tmbi_bootstrap_single};

int tmbi_bootstrap_open(struct tmbi_bootstrap *b, const struct tmbi_core_config *config)
{
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        if (backends[i]->detect(config)) {
            *b = (struct tmbi_bootstrap){.ops = backends[i], .fd = -1};
            return b->ops->open(b, config);
        }
    }
    tmbi_error(
        "TMB_RANK, TMB_SIZE or TMB_JOB is set, but TMB_LAUNCH_FD is not: start ranks "
        "by `tombolo run`, or unset them to run alone");
    return -EINVAL;
}
