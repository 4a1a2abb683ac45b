/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <unistd.h>

#include "../clock.h"

int tmbi_loop_open(struct tmbi_loop *loop)
{
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    return loop->epoll < 0 ? -errno : 0;
}

void tmbi_loop_close(struct tmbi_loop *loop)
{
    close(loop->epoll);
}

int tmbi_loop_add(struct tmbi_loop *loop, struct tmbi_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watch->fd, &event) ? -errno : 0;
}

void tmbi_loop_change(struct tmbi_loop *loop, struct tmbi_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watch->fd, &event);
}

void tmbi_loop_remove(struct tmbi_loop *loop, struct tmbi_watch *watch)
{
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
}

static int timeout_ms(int64_t deadline)
{
    int64_t left;

    if (deadline == TMBI_NEVER)
        return -1;
    left = deadline - tmbi_clock_ns();
    if (left <= 0)
        return 0;
    left = left / 1000000 + 1;
    return left > INT_MAX ? INT_MAX : (int)left;
}

void tmbi_loop_turn(struct tmbi_loop *loop, int64_t deadline)
{
    struct epoll_event event;
    struct tmbi_watch *watch;

    if (epoll_wait(loop->epoll, &event, 1, timeout_ms(deadline)) == 1) {
        watch = event.data.ptr;
        watch->ready(watch, event.events);
    }
}
