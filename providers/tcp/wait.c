/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting for answers and completions. Who waits spins first, and looks for what comes
 * itself: meanwhile the progress thread is left asleep, which would be woken by each
 * answer, often on the same core, and find it taken. */
#include "tcp.h"

#include <errno.h>

#include "../../core/log.h"

static void fabric_look(struct tmbi_tcp *tcp, bool begin)
{
    struct tmbi_tcp_fabric *f = &tcp->fabric;

    pthread_mutex_lock(&f->mutex);
    f->lookers += begin ? 1 : -1u;
    if (begin ? f->lookers == 1 : f->lookers == 0) {
        /* What was taken already must not wake anybody; what was not, must. */
        if (!begin)
            tmbi_tcp_fabric_settle(tcp);
        tmbi_tcp_watch_fabric(tcp, !begin);
    }
    pthread_mutex_unlock(&f->mutex);
}

static void look(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                 enum tmbi_tcp_source source, bool begin)
{
    if (source == TMBI_TCP_LINK)
        tmbi_tcp_link_look(tcp, peer, begin);
    else
        fabric_look(tcp, begin);
}

int tmbi_tcp_wait(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                  enum tmbi_tcp_source source, tmbi_ready *ready, void *arg,
                  int64_t deadline)
{
    bool done = ready(arg);

    if (!done && tmbi_spin_ns() > 0) {
        look(tcp, peer, source, true);
        done = tmbi_spin_until(TMBI_LINE_WAIT, ready, arg, deadline);
        look(tcp, peer, source, false);
    }
    return done ? 0 : tmbi_sleep_until(TMBI_LINE_WAIT, ready, arg, deadline);
}

int tmbi_tcp_late(const struct tmbi_tcp_peer *peer, const char *what)
{
    tmbi_error("rank %d: a %s did not end within TMB_OP_TIMEOUT; is it stopped, or the "
               "network cut?",
               peer->rank, what);
    return -ETIMEDOUT;
}
