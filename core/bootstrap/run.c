/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks of `tombolo run`: exchanges go through the launcher (launch.h). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../clock.h"
#include "../log.h"
#include "backends.h"
#include "launch.h"

/* How long the launcher may take to react, on a machine that is busy. */
#define ANSWER_NS INT64_C(10000000000)

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
    b->job.rank = (int)config->rank;
    b->job.size = (int)config->size;
    snprintf(b->job.name, sizeof b->job.name, "%s", config->job);
    return 0;
}

static int wait_ready(int fd, short events, int64_t deadline)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};

    for (;;) {
        int64_t left = deadline == TMBI_NEVER ? 60000 : deadline - tmbi_clock_ns();
        if (deadline != TMBI_NEVER)
            left = left <= 0 ? 0 : left / 1000000 + 1;
        int rc = poll(&poll_fd, 1, left > 60000 ? 60000 : (int)left);
        if (rc > 0)
            return 0;
        if (rc < 0 && errno != EINTR)
            return -errno;
        if (rc == 0 && left == 0)
            return -ETIMEDOUT;
    }
}

/* A launcher that is stopped, or busy beyond measure. */
static int wait_launcher(int fd, short events, int64_t deadline)
{
    int rc = wait_ready(fd, events, deadline);

    if (rc == -ETIMEDOUT)
        tmbi_error("the launcher does not answer");
    return rc;
}

static int launcher_gone(void)
{
    tmbi_error("the launcher is gone: its socket is closed");
    return -ECONNRESET;
}

static int send_all(int fd, const void *data, size_t bytes, int64_t deadline)
{
    const uint8_t *at = data;

    while (bytes) {
        ssize_t sent = send(fd, at, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            at += sent;
            bytes -= (size_t)sent;
        } else if (errno == EAGAIN) {
            int rc = wait_launcher(fd, POLLOUT, deadline);
            if (rc)
                return rc;
        } else if (errno != EINTR) {
            return launcher_gone();
        }
    }
    return 0;
}

static int receive_all(int fd, void *data, size_t bytes, int64_t deadline)
{
    uint8_t *at = data;

    while (bytes) {
        ssize_t got = recv(fd, at, bytes, MSG_DONTWAIT);
        if (got > 0) {
            at += got;
            bytes -= (size_t)got;
        } else if (got < 0 && errno == EAGAIN) {
            int rc = wait_launcher(fd, POLLIN, deadline);
            if (rc)
                return rc;
        } else if (got == 0 || errno != EINTR) {
            return launcher_gone();
        }
    }
    return 0;
}

static int send_message(struct tmbi_bootstrap *b, enum tmbi_launch_kind kind, int code,
                        const void *data, size_t bytes, int64_t deadline)
{
    struct tmbi_launch_header header = {.magic = TMBI_LAUNCH_MAGIC,
                                        .kind = (uint32_t)kind,
                                        .bytes = (uint32_t)bytes,
                                        .code = code,
                                        .rank = b->job.rank};
    int rc = send_all(b->fd, &header, sizeof header, deadline);

    return rc ? rc : send_all(b->fd, data, bytes, deadline);
}

/* The launcher's FAILED: why, and because of whom. */
static int exchange_failed(const struct tmbi_bootstrap *b,
                           const struct tmbi_launch_header *header, int64_t deadline)
{
    char blame[TMBI_LAUNCH_BLAME_MAX + 1] = "";
    int rc;

    if (header->bytes > TMBI_LAUNCH_BLAME_MAX || header->code >= 0 ||
        header->code < -4095) {
        tmbi_error("the launcher answered garbage: %u bytes, code %d", header->bytes,
                   header->code);
        return -EPROTO;
    }
    rc = receive_all(b->fd, blame, header->bytes, deadline);
    if (rc)
        return rc;
    if (header->code == -EHOSTDOWN)
        tmbi_error("rank %s ended before all ranks had met", blame);
    else if (header->code == -ETIMEDOUT)
        tmbi_error("rank %s did not come in time (TMB_INIT_TIMEOUT is how long to wait)",
                   blame);
    else
        tmbi_error("the ranks could not meet because of rank %s: %s", blame,
                   strerror(-header->code));
    return header->code;
}

static int receive_answer(struct tmbi_bootstrap *b, size_t bytes, void *all,
                          int64_t deadline)
{
    struct tmbi_launch_header header;
    int rc = receive_all(b->fd, &header, sizeof header, deadline);

    if (rc)
        return rc;
    if (header.magic == TMBI_LAUNCH_MAGIC && header.kind == TMBI_LAUNCH_FAILED)
        return exchange_failed(b, &header, deadline);
    if (header.magic != TMBI_LAUNCH_MAGIC || header.kind != TMBI_LAUNCH_EXCHANGE ||
        header.bytes != bytes) {
        tmbi_error("the launcher answered garbage: magic %#x, kind %u, %u bytes for %zu",
                   header.magic, header.kind, header.bytes, bytes);
        return -EPROTO;
    }
    return receive_all(b->fd, all, bytes * (size_t)b->job.size, deadline);
}

/* Give up. If the answer is under way already, then it is taken after all. */
static int ask_who_is_missing(struct tmbi_bootstrap *b, size_t bytes, void *all)
{
    int rc = send_message(b, TMBI_LAUNCH_GIVE_UP, 0, NULL, 0, tmbi_deadline(ANSWER_NS));

    return rc ? rc : receive_answer(b, bytes, all, tmbi_deadline(ANSWER_NS));
}

static int run_exchange(struct tmbi_bootstrap *b, const void *mine, size_t bytes,
                        void *all, int64_t deadline)
{
    int rc;

    if (bytes > TMBI_LAUNCH_BYTES_MAX) {
        tmbi_error("exchange of %zu bytes per rank: at most %u are possible", bytes,
                   TMBI_LAUNCH_BYTES_MAX);
        return -EMSGSIZE;
    }
    rc = send_message(b, TMBI_LAUNCH_EXCHANGE, 0, mine, bytes, deadline);
    if (rc)
        return rc;
    rc = wait_ready(b->fd, POLLIN, deadline);
    if (rc == -ETIMEDOUT)
        return ask_who_is_missing(b, bytes, all);
    return rc ? rc : receive_answer(b, bytes, all, tmbi_deadline(ANSWER_NS));
}

static void run_abort(struct tmbi_bootstrap *b, int exit_code)
{
    send_message(b, TMBI_LAUNCH_ABORT, exit_code, NULL, 0, tmbi_deadline(ANSWER_NS));
}

static void run_close(struct tmbi_bootstrap *b)
{
    close(b->fd);
    b->fd = -1;
}

const struct tmbi_bootstrap_ops tmbi_bootstrap_run = {.name = "run",
                                                      .detect = run_detect,
                                                      .open = run_open,
                                                      .exchange = run_exchange,
                                                      .abort = run_abort,
                                                      .close = run_close};
