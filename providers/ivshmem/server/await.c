/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting for a server that was started. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "../../../core/clock.h"
#include "server.h"

#define READY_NS INT64_C(30000000000)

int tmbi_server_await(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    int64_t deadline = tmbi_deadline(READY_NS), left;
    char byte;

    for (;;) {
        left = deadline - tmbi_clock_ns();
        int rc = poll(&ready, 1, left > 0 ? (int)(left / 1000000) + 1 : 0);
        if (rc > 0)
            return read(fd, &byte, 1) == 1 ? 0 : -ECONNREFUSED;
        if (rc == 0)
            return -ETIMEDOUT;
        if (errno != EINTR)
            return -errno;
    }
}
