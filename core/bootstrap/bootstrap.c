/* SPDX-License-Identifier: BSD-3-Clause */
#include "bootstrap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "../log.h"
#include "backends.h"

/* In the order of TMBI_BOOTSTRAP_CHOICES. */
static const struct tmbi_bootstrap_ops *const backends[] = {
    &tmbi_bootstrap_run, &tmbi_bootstrap_rendezvous, &tmbi_bootstrap_pmix,
    &tmbi_bootstrap_pmi, &tmbi_bootstrap_single};

#define COUNT (sizeof backends / sizeof *backends)

const struct tmbi_bootstrap_ops *const *tmbi_bootstraps(size_t *count)
{
    *count = COUNT;
    return backends;
}

const struct tmbi_bootstrap_ops *
tmbi_bootstrap_find(const struct tmbi_core_config *config)
{
    if (config->bootstrap)
        return backends[config->bootstrap - 1];
    for (size_t i = 0; i < COUNT; i++)
        if (backends[i]->detect(config))
            return backends[i];
    return NULL;
}

int tmbi_bootstrap_name(char name[TMBI_JOB_NAME_BYTES])
{
    uint64_t random[2];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        tmbi_error("no random bytes for the job's name: %s", strerror(errno));
        return -EIO;
    }
    snprintf(name, TMBI_JOB_NAME_BYTES, "%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
    return 0;
}

/* Two that both call for ranks: there is no telling which is meant. */
static int check_conflict(const struct tmbi_core_config *config)
{
    if (config->bootstrap || config->launch_fd < 0 || !config->rendezvous)
        return 0;
    tmbi_error("TMB_LAUNCH_FD and TMB_RENDEZVOUS are both set: `tombolo run` brings its "
               "ranks together itself; unset TMB_RENDEZVOUS, or choose one by "
               "TMB_BOOTSTRAP=run or TMB_BOOTSTRAP=rendezvous");
    return -EINVAL;
}

/* One that was asked for needs what it would be detected by. */
static int check_asked(const struct tmbi_bootstrap_ops *ops,
                       const struct tmbi_core_config *config)
{
    if (!config->bootstrap || !ops->needs || ops->detect(config))
        return 0;
    tmbi_error("TMB_BOOTSTRAP=%s, but %s", ops->name, ops->needs);
    return -EINVAL;
}

int tmbi_bootstrap_open(struct tmbi_bootstrap *b, const struct tmbi_core_config *config)
{
    const struct tmbi_bootstrap_ops *ops = tmbi_bootstrap_find(config);
    int rc = check_conflict(config);

    if (!rc && ops)
        rc = check_asked(ops, config);
    if (rc)
        return rc;
    if (!ops) {
        tmbi_error(
            "TMB_RANK, TMB_SIZE or TMB_JOB is set, but neither TMB_LAUNCH_FD nor "
            "TMB_RENDEZVOUS is: start ranks by `tombolo run`, set TMB_RENDEZVOUS for all "
            "of them, or unset these to run alone");
        return -EINVAL;
    }
    *b = (struct tmbi_bootstrap){.ops = ops, .fd = -1};
    return ops->open(b, config);
}
