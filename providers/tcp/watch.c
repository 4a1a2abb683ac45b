/* SPDX-License-Identifier: BSD-3-Clause */
/* What the progress thread is woken by. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "../../core/clock.h"
#include "../../core/log.h"
#include "tcp.h"

int tmbi_tcp_watch_add(struct tmbi_tcp *tcp, int fd, uint64_t what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = what};

    return epoll_ctl(tcp->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static void watch_change(struct tmbi_tcp *tcp, int fd, uint64_t what, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u64 = what};

    epoll_ctl(tcp->epoll, EPOLL_CTL_MOD, fd, &event);
}

void tmbi_tcp_watch_link(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, bool receive,
                         bool send)
{
    uint32_t events = (receive ? EPOLLIN : 0u) | (send ? EPOLLOUT : 0u);

    if (events == peer->link.watched)
        return;
    peer->link.watched = events;
    watch_change(tcp, peer->link.fd, (uint64_t)peer->rank, events);
}

void tmbi_tcp_watch_fabric(struct tmbi_tcp *tcp, bool on)
{
    watch_change(tcp, tcp->fabric.wait_fd, TMBI_TCP_COMPLETIONS, on ? EPOLLIN : 0u);
}

void tmbi_tcp_unwatch(struct tmbi_tcp *tcp, int fd)
{
    epoll_ctl(tcp->epoll, EPOLL_CTL_DEL, fd, NULL);
}

int tmbi_tcp_link_adopt(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, int fd)
{
    int64_t now = tmbi_clock_ns();
    int rc;

    tmbi_tcp_socket_tune(&tcp->config, fd);
    atomic_store_explicit(&peer->link.sent_ns, now, memory_order_relaxed);
    atomic_store_explicit(&peer->link.heard_ns, now, memory_order_relaxed);
    pthread_mutex_lock(&peer->link.send_mutex);
    peer->link.fd = fd;
    peer->link.watched = EPOLLIN;
    rc = tmbi_tcp_watch_add(tcp, fd, (uint64_t)peer->rank);
    pthread_mutex_unlock(&peer->link.send_mutex);
    if (rc)
        tmbi_error("tcp: epoll: %s", strerror(-rc));
    return rc;
}

/* The progress thread sleeps until it is to stop, or, unless somebody looks, until
 * something happens that is watched. */
static int nest_change(struct tmbi_tcp *tcp, int change, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    return epoll_ctl(tcp->nest, change, fd, &event) ? -errno : 0;
}

int tmbi_tcp_watches_open(struct tmbi_tcp *tcp)
{
    int rc;

    tcp->epoll = epoll_create1(EPOLL_CLOEXEC);
    tcp->nest = epoll_create1(EPOLL_CLOEXEC);
    tcp->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    rc = tcp->epoll < 0 || tcp->nest < 0 || tcp->kick < 0 ? -errno : 0;
    if (rc == 0)
        rc = nest_change(tcp, EPOLL_CTL_ADD, tcp->epoll, EPOLLIN);
    if (rc == 0)
        rc = nest_change(tcp, EPOLL_CTL_ADD, tcp->kick, EPOLLIN);
    if (rc == 0)
        rc = tmbi_tcp_watch_add(tcp, tcp->listener, TMBI_TCP_LISTENER);
    if (rc == 0)
        rc = tmbi_tcp_watch_add(tcp, tcp->fabric.wait_fd, TMBI_TCP_COMPLETIONS);
    tcp->fabric.watched = true;
    return rc;
}

void tmbi_tcp_watch_thread(struct tmbi_tcp *tcp, bool on)
{
    nest_change(tcp, EPOLL_CTL_MOD, tcp->epoll, on ? EPOLLIN : 0);
}
