/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks of `tombolo run`: exchanges go through the launcher (launch.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../log.h"
#include "backends.h"
#include "channel.h"

static int run_detect(const struct tmbi_core_config *config)
{
    return config->launch_fd >= 0;
}

static int check_variables(const struct tmbi_core_config *config)
{
    if (config->rank < 0 || config->size < 0 || !config->job) {
        tmbi_error(
            "TMB_LAUNCH_FD is set, but %s is not: `tombolo run` sets them together",
            config->rank < 0   ? "TMB_RANK"
            : config->size < 0 ? "TMB_SIZE"
                               : "TMB_JOB");
        return -EINVAL;
    }
    if (config->rank >= config->size) {
        tmbi_error("TMB_RANK=%lld is not less than TMB_SIZE=%lld",
                   (long long)config->rank, (long long)config->size);
        return -EINVAL;
    }
    if (strlen(config->job) >= sizeof((struct tmbi_job *)0)->name) {
        tmbi_error("TMB_JOB=%s is longer than %zu characters", config->job,
                   sizeof((struct tmbi_job *)0)->name - 1);
        return -EINVAL;
    }
    return 0;
}

static int check_socket(int fd)
{
    int type = 0, domain = 0;
    socklen_t bytes = sizeof type;

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) || type != SOCK_STREAM ||
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) || domain != AF_UNIX) {
        tmbi_error(
            "TMB_LAUNCH_FD=%d is not the launcher's socket: was it closed, or is this "
            "a program that a rank started? Unset TMB_LAUNCH_FD, TMB_RANK, TMB_SIZE "
            "and TMB_JOB to run it alone",
            fd);
        return -EINVAL;
    }
    return 0;
}

static int run_open(struct tmbi_bootstrap *b, const struct tmbi_core_config *config)
{
    int rc = check_variables(config);

    if (!rc)
        rc = check_socket((int)config->launch_fd);
    if (rc)
        return rc;
    b->fd = (int)config->launch_fd;
    if (fcntl(b->fd, F_SETFD, FD_CLOEXEC)) {
        tmbi_error("TMB_LAUNCH_FD=%d: can't be marked close-on-exec: %s", b->fd,
                   strerror(errno));
        return -errno;
    }
    b->server = "the launcher";
    b->job.rank = (int)config->rank;
    b->job.size = (int)config->size;
    snprintf(b->job.name, sizeof b->job.name, "%s", config->job);
    return 0;
}

const struct tmbi_bootstrap_ops tmbi_bootstrap_run = {
    .name = "run",
    .meaning = "`tombolo run` has started the ranks",
    .needs = "TMB_LAUNCH_FD is not set: `tombolo run` sets it",
    .detect = run_detect,
    .open = run_open,
    .exchange = tmbi_channel_exchange,
    .abort = tmbi_channel_abort,
    .close = tmbi_channel_close};
