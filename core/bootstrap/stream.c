/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "../clock.h"

int tmbi_stream_wait(int fd, short events, int64_t deadline)
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

int tmbi_stream_send(int fd, const void *data, size_t bytes, int64_t deadline)
{
    const uint8_t *at = data;

    while (bytes) {
        ssize_t sent = send(fd, at, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            at += sent;
            bytes -= (size_t)sent;
        } else if (errno == EAGAIN) {
            int rc = tmbi_stream_wait(fd, POLLOUT, deadline);
            if (rc)
                return rc;
        } else if (errno != EINTR) {
            return -ECONNRESET;
        }
    }
    return 0;
}

int tmbi_stream_receive(int fd, void *data, size_t bytes, int64_t deadline)
{
    uint8_t *at = data;

    while (bytes) {
        ssize_t got = recv(fd, at, bytes, MSG_DONTWAIT);
        if (got > 0) {
            at += got;
            bytes -= (size_t)got;
        } else if (got < 0 && errno == EAGAIN) {
            int rc = tmbi_stream_wait(fd, POLLIN, deadline);
            if (rc)
                return rc;
        } else if (got == 0 || errno != EINTR) {
            return -ECONNRESET;
        }
    }
    return 0;
}
