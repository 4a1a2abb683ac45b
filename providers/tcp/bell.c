/* SPDX-License-Identifier: BSD-3-Clause */
/* Sleeping and ringing. Each line of this process sleeps on an eventfd, which its own
 * threads ring; a peer's is rung by a message to its progress thread. */
#include "tcp.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../core/log.h"
#include "../../core/stats.h"

int tmbi_tcp_bells_open(struct tmbi_tcp *tcp)
{
    for (int line = 0; line < TMBI_LINES; line++)
        tcp->bell[line] = -1;
    for (int line = 0; line < TMBI_LINES; line++) {
        tcp->bell[line] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (tcp->bell[line] < 0) {
            int rc = -errno;
            tmbi_error("tcp: eventfd: %s", strerror(-rc));
            tmbi_tcp_bells_close(tcp);
            return rc;
        }
    }
    return 0;
}

void tmbi_tcp_bells_close(struct tmbi_tcp *tcp)
{
    for (int line = 0; line < TMBI_LINES; line++)
        if (tcp->bell[line] >= 0)
            close(tcp->bell[line]);
}

struct tmbi_wake_slot *tmbi_tcp_wake_slot(struct tmbi_endpoint *ep, int rank,
                                          enum tmbi_line line)
{
    return rank == ep->job->rank ? &tmbi_tcp(ep)->wake[line] : NULL;
}

void tmbi_tcp_ring(struct tmbi_endpoint *ep, int rank, enum tmbi_line line)
{
    struct tmbi_tcp *tcp = tmbi_tcp(ep);
    struct tmbi_tcp_header header = {.kind = TMBI_TCP_RING, .line = (uint16_t)line};
    uint64_t one = 1;

    tmbi_count(doorbells_rung);
    if (rank != ep->job->rank)
        tmbi_tcp_link_send(tcp, &tcp->peers[rank], &header, NULL, 0, NULL, 0);
    else if (write(tcp->bell[line], &one, sizeof one) < 0)
        return; /* it has been rung more often than it can count */
}

int tmbi_tcp_sleep(struct tmbi_endpoint *ep, enum tmbi_line line, int64_t timeout_ns)
{
    struct pollfd bell = {.fd = tmbi_tcp(ep)->bell[line], .events = POLLIN};
    struct timespec timeout = {.tv_sec = timeout_ns / 1000000000,
                               .tv_nsec = timeout_ns % 1000000000};
    uint64_t rings;

    if (ppoll(&bell, 1, &timeout, NULL) != 1)
        return 0;
    return read(bell.fd, &rings, sizeof rings) == (ssize_t)sizeof rings;
}
