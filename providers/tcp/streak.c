/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who waits at a link for one answer after another is likely to come back. It stays then:
 * the link is left to it between its waits, where to have it watched and no longer cost
 * two system calls, of ten microseconds that an answer takes. If it does not come back,
 * the progress thread has the link watched again after a while. That is about as long as
 * the streak has lasted, for to look often would disturb it, and some milliseconds at
 * most: what a peer asks meanwhile, while this process computes, is late by as much.
 * Likewise who looks for all that comes, and sees one peer ask again and again: it stays
 * at that peer's link, and looks for the others less often.
 */
#include "tcp.h"

#include "../../core/clock.h"

/* Waits that follow each other so closely are a streak; after so long, who waits stays,
 * and for so long. */
#define GAP_NS    INT64_C(50000)
#define STREAK_NS INT64_C(500000)
/* The progress thread looks as rarely as that; milliseconds. */
#define NAP_MAX 4
/* A peer that asks so often in a row will ask again; how often others are looked for. */
#define ASKS   32
#define OTHERS 8

static _Thread_local struct {
    const struct tmbi_tcp_peer *peer; /* to be compared only */
    int64_t begun_ns, ended_ns;
} streak;

static void streak_go_on(const struct tmbi_tcp_peer *peer)
{
    int64_t now = tmbi_clock_ns();

    if (streak.peer != peer || now - streak.ended_ns > GAP_NS) {
        streak.peer = peer;
        streak.begun_ns = now;
    }
}

void tmbi_tcp_link_look_begin(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    struct tmbi_tcp_peer *expected = peer;

    streak_go_on(peer);
    /* seq_cst: partner is the exchange in stay(). Who stayed, looks now. */
    if (!atomic_compare_exchange_strong(&tcp->stayed, &expected, NULL))
        tmbi_tcp_link_look(tcp, peer, true);
}

/* Who does is one of the link's lookers. */
static void stay(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, int64_t begun_ns,
                 int64_t now)
{
    struct tmbi_tcp_peer *other;

    atomic_store_explicit(&tcp->streak_ns, begun_ns, memory_order_relaxed);
    atomic_store_explicit(&tcp->stayed_ns, now, memory_order_relaxed);
    /* seq_cst: before the look at `naps`; partner is tmbi_tcp_stay_check() */
    other = atomic_exchange(&tcp->stayed, peer);
    if (other)
        tmbi_tcp_link_look(tcp, other, false);
    if (!atomic_load(&tcp->naps) && !atomic_exchange(&tcp->naps, true))
        tmbi_tcp_progress_kick(tcp); /* it has to see when this is over */
}

void tmbi_tcp_link_look_end(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                            bool answered)
{
    streak.ended_ns = tmbi_clock_ns();
    if (answered && streak.ended_ns - streak.begun_ns > STREAK_NS)
        stay(tcp, peer, streak.begun_ns, streak.ended_ns);
    else
        tmbi_tcp_link_look(tcp, peer, false);
    if (!answered) /* this thread may go to sleep: somebody has to see what comes */
        tmbi_tcp_stay_end(tcp);
}

void tmbi_tcp_stay_end(struct tmbi_tcp *tcp)
{
    struct tmbi_tcp_peer *stayed = atomic_load(&tcp->stayed);

    if (stayed)
        stayed = atomic_exchange(&tcp->stayed, NULL);
    if (stayed)
        tmbi_tcp_link_look(tcp, stayed, false);
}

void tmbi_tcp_asked_again(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    int64_t now = tmbi_clock_ns();

    if (tcp->asker != peer || now - tcp->asker_ns > GAP_NS)
        tcp->asks = 0;
    tcp->asker = peer;
    tcp->asker_ns = now;
    if (++tcp->asks < ASKS || atomic_load(&tcp->stayed))
        return;
    tmbi_tcp_link_look(tcp, peer, true);
    stay(tcp, peer, now, now);
}

bool tmbi_tcp_stay_look(struct tmbi_tcp *tcp)
{
    static _Thread_local unsigned looks;
    struct tmbi_tcp_peer *stayed =
        atomic_load_explicit(&tcp->stayed, memory_order_relaxed);

    if (!stayed)
        return false;
    tmbi_tcp_link_serve(tcp, stayed);
    return ++looks % OTHERS != 0;
}

static bool stayed_lately(struct tmbi_tcp *tcp)
{
    const struct tmbi_tcp_peer *stayed = atomic_load(&tcp->stayed);
    int64_t last = atomic_load_explicit(&tcp->stayed_ns, memory_order_relaxed), heard;

    if (stayed) {
        heard = atomic_load_explicit(&stayed->link.heard_ns, memory_order_relaxed);
        last = heard > last ? heard : last;
    }
    return tmbi_clock_ns() - last <= STREAK_NS;
}

static int nap_ms(struct tmbi_tcp *tcp)
{
    int64_t begun = atomic_load_explicit(&tcp->streak_ns, memory_order_relaxed);
    int64_t ms = (tmbi_clock_ns() - begun) / 1000000;

    return ms < 1 ? 1 : ms > NAP_MAX ? NAP_MAX : (int)ms;
}

int tmbi_tcp_stay_check(struct tmbi_tcp *tcp)
{
    if (!atomic_load_explicit(&tcp->naps, memory_order_relaxed))
        return 0;
    if (stayed_lately(tcp))
        return nap_ms(tcp);
    /* seq_cst: before the look at who stayed and may have seen `naps` */
    atomic_store(&tcp->naps, false);
    tmbi_tcp_stay_end(tcp);
    return 0;
}
