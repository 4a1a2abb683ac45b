/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting for answers and completions. Who waits spins first, and looks for what comes
 * itself: meanwhile the progress thread is left asleep, which would be woken by each
 * answer, often on the same core, and find it taken. */
#include "tcp.h"

#include <errno.h>

#include "../../core/log.h"

/* With the fabric's mutex. Who looks has no need of the progress thread, unless somebody
 * else sleeps. What was taken already must not wake it; what was not, must. */
static void fabric_watch(struct tmbi_tcp *tcp)
{
    struct tmbi_tcp_fabric *f = &tcp->fabric;
    bool watched = f->lookers == 0 || f->sleepers > 0;

    if (watched == f->watched)
        return;
    if (watched)
        tmbi_tcp_fabric_settle(tcp);
    tmbi_tcp_watch_fabric(tcp, watched);
    f->watched = watched;
}

void tmbi_tcp_fabric_look(struct tmbi_tcp *tcp, bool begin)
{
    pthread_mutex_lock(&tcp->fabric.mutex);
    tcp->fabric.lookers += begin ? 1 : -1u;
    fabric_watch(tcp);
    pthread_mutex_unlock(&tcp->fabric.mutex);
}

static void fabric_sleep(struct tmbi_tcp *tcp, bool begin)
{
    pthread_mutex_lock(&tcp->fabric.mutex);
    tcp->fabric.sleepers += begin ? 1 : -1u;
    fabric_watch(tcp);
    pthread_mutex_unlock(&tcp->fabric.mutex);
}

static int fabric_wait(struct tmbi_tcp *tcp, tmbi_ready *ready, void *arg,
                       int64_t deadline)
{
    bool done;
    int rc;

    tmbi_tcp_fabric_look(tcp, true);
    done = tmbi_spin_until(TMBI_LINE_WAIT, ready, arg, deadline);
    tmbi_tcp_fabric_look(tcp, false);
    if (done)
        return 0;
    fabric_sleep(tcp, true);
    rc = tmbi_sleep_until(TMBI_LINE_WAIT, ready, arg, deadline);
    fabric_sleep(tcp, false);
    return rc;
}

int tmbi_tcp_link_look_wait(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                            tmbi_ready *ready, void *arg, int64_t deadline)
{
    bool done = tmbi_spin_until(TMBI_LINE_WAIT, ready, arg, deadline);

    tmbi_tcp_link_look_end(tcp, peer, done);
    return done ? 0 : tmbi_sleep_until(TMBI_LINE_WAIT, ready, arg, deadline);
}

int tmbi_tcp_wait(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                  enum tmbi_tcp_source source, tmbi_ready *ready, void *arg,
                  int64_t deadline)
{
    if (ready(arg))
        return 0;
    if (source == TMBI_TCP_FABRIC)
        return fabric_wait(tcp, ready, arg, deadline);
    tmbi_tcp_link_look_begin(tcp, peer);
    return tmbi_tcp_link_look_wait(tcp, peer, ready, arg, deadline);
}

int tmbi_tcp_late(const struct tmbi_tcp_peer *peer, const char *what)
{
    tmbi_error("rank %d: a %s did not end within TMB_OP_TIMEOUT; is it stopped, or the "
               "network cut?",
               peer->rank, what);
    return -ETIMEDOUT;
}
