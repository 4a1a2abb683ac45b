/* SPDX-License-Identifier: BSD-3-Clause */
#include "channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "../clock.h"
#include "../log.h"
#include "launch.h"
#include "stream.h"

/* How long the server may take to react, on a machine that is busy. */
#define ANSWER_NS INT64_C(10000000000)

/* A server that is stopped, busy beyond measure, or gone. */
static int server_failed(const struct tmbi_bootstrap *b, int rc)
{
    if (rc == -ETIMEDOUT)
        tmbi_error("%s does not answer", b->server);
    else if (rc)
        tmbi_error("%s is gone: its socket is closed", b->server);
    return rc;
}

static int send_all(const struct tmbi_bootstrap *b, const void *data, size_t bytes,
                    int64_t deadline)
{
    return server_failed(b, tmbi_stream_send(b->fd, data, bytes, deadline));
}

static int receive_all(const struct tmbi_bootstrap *b, void *data, size_t bytes,
                       int64_t deadline)
{
    return server_failed(b, tmbi_stream_receive(b->fd, data, bytes, deadline));
}

static int send_message(struct tmbi_bootstrap *b, enum tmbi_launch_kind kind, int code,
                        const void *data, size_t bytes, int64_t deadline)
{
    struct tmbi_launch_header header = {.magic = TMBI_LAUNCH_MAGIC,
                                        .kind = (uint32_t)kind,
                                        .bytes = (uint32_t)bytes,
                                        .code = code,
                                        .rank = b->job.rank};
    int rc = send_all(b, &header, sizeof header, deadline);

    return rc ? rc : send_all(b, data, bytes, deadline);
}

int tmbi_channel_failed(int code, const char *blame)
{
    if (code == -EHOSTDOWN)
        tmbi_error("rank %s ended before all ranks had met", blame);
    else if (code == -ETIMEDOUT)
        tmbi_error("rank %s did not come in time (TMB_INIT_TIMEOUT is how long to wait)",
                   blame);
    else
        tmbi_error("the ranks could not meet because of rank %s: %s", blame,
                   strerror(-code));
    return code;
}

/* The server's FAILED: why, and because of whom. */
static int exchange_failed(const struct tmbi_bootstrap *b,
                           const struct tmbi_launch_header *header, int64_t deadline)
{
    char blame[TMBI_LAUNCH_BLAME_MAX + 1] = "";
    int rc;

    if (header->bytes > TMBI_LAUNCH_BLAME_MAX || header->code >= 0 ||
        header->code < -4095) {
        tmbi_error("%s answered garbage: %u bytes, code %d", b->server, header->bytes,
                   header->code);
        return -EPROTO;
    }
    rc = receive_all(b, blame, header->bytes, deadline);
    if (rc)
        return rc;
    return tmbi_channel_failed(header->code, blame);
}

static int receive_answer(struct tmbi_bootstrap *b, size_t bytes, void *all,
                          int64_t deadline)
{
    struct tmbi_launch_header header;
    int rc = receive_all(b, &header, sizeof header, deadline);

    if (rc)
        return rc;
    if (header.magic == TMBI_LAUNCH_MAGIC && header.kind == TMBI_LAUNCH_FAILED)
        return exchange_failed(b, &header, deadline);
    if (header.magic != TMBI_LAUNCH_MAGIC || header.kind != TMBI_LAUNCH_EXCHANGE ||
        header.bytes != bytes) {
        tmbi_error("%s answered garbage: magic %#x, kind %u, %u bytes for %zu", b->server,
                   header.magic, header.kind, header.bytes, bytes);
        return -EPROTO;
    }
    return receive_all(b, all, bytes * (size_t)b->job.size, deadline);
}

/* Give up. If the answer is under way already, then it is taken after all. */
static int ask_who_is_missing(struct tmbi_bootstrap *b, size_t bytes, void *all)
{
    int rc = send_message(b, TMBI_LAUNCH_GIVE_UP, 0, NULL, 0, tmbi_deadline(ANSWER_NS));

    return rc ? rc : receive_answer(b, bytes, all, tmbi_deadline(ANSWER_NS));
}

int tmbi_channel_check(size_t bytes)
{
    if (bytes > TMBI_LAUNCH_BYTES_MAX) {
        tmbi_error("exchange of %zu bytes per rank: at most %u are possible", bytes,
                   TMBI_LAUNCH_BYTES_MAX);
        return -EMSGSIZE;
    }
    return 0;
}

int tmbi_channel_exchange(struct tmbi_bootstrap *b, const void *mine, size_t bytes,
                          void *all, int64_t deadline)
{
    int rc = tmbi_channel_check(bytes);

    if (!rc)
        rc = send_message(b, TMBI_LAUNCH_EXCHANGE, 0, mine, bytes, deadline);
    if (rc)
        return rc;
    rc = tmbi_stream_wait(b->fd, POLLIN, deadline);
    if (rc == -ETIMEDOUT)
        return ask_who_is_missing(b, bytes, all);
    return rc ? rc : receive_answer(b, bytes, all, tmbi_deadline(ANSWER_NS));
}

void tmbi_channel_abort(struct tmbi_bootstrap *b, int exit_code)
{
    send_message(b, TMBI_LAUNCH_ABORT, exit_code, NULL, 0, tmbi_deadline(ANSWER_NS));
}

void tmbi_channel_close(struct tmbi_bootstrap *b)
{
    close(b->fd);
    b->fd = -1;
}
