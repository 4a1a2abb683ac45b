/* SPDX-License-Identifier: BSD-3-Clause */
/* One thread that waits for many descriptors. */
#ifndef TMBI_LOOP_H
#define TMBI_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

#include "../export.h"

struct tmbi_loop {
    int epoll;
};

/* A descriptor that is waited for; part of whatever handles it. */
struct tmbi_watch {
    int fd;
    void (*ready)(struct tmbi_watch *watch, uint32_t events);
};

TMBI_TOOL int tmbi_loop_open(struct tmbi_loop *loop);
TMBI_TOOL void tmbi_loop_close(struct tmbi_loop *loop);

/* events: EPOLLIN, EPOLLOUT, both, or 0 (errors only). */
TMBI_TOOL int tmbi_loop_add(struct tmbi_loop *loop, struct tmbi_watch *watch,
                            uint32_t events);
TMBI_TOOL void tmbi_loop_change(struct tmbi_loop *loop, struct tmbi_watch *watch,
                                uint32_t events);
TMBI_TOOL void tmbi_loop_remove(struct tmbi_loop *loop, struct tmbi_watch *watch);

/* Wait until `deadline` (tmbi_clock_ns()) and handle at most one event, so that a
 * handler may close whatever it wants. */
TMBI_TOOL void tmbi_loop_turn(struct tmbi_loop *loop, int64_t deadline);

#endif
