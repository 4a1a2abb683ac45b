/* SPDX-License-Identifier: BSD-3-Clause */
/* Taking what comes: by the progress thread, which serves peers and finishes transfers
 * while the application computes or sleeps, and looks whether peers are alive; and by
 * threads of the application that wait, for as long as they spin. */
#include "tcp.h"

#include <errno.h>
#include <rdma/fi_eq.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "../../core/clock.h"
#include "../../core/include/tombolo.h"
#include "../../core/log.h"

#define EVENTS_AT_ONCE 64

/* Peers that asked for something so lately may ask again. */
#define ASKED_LATELY_NS INT64_C(10000000)
/* For how long who looks now and then is trusted to look again, and how often that is
 * checked. */
#define AWHILE_NS INT64_C(500000)
#define AWHILE_MS 1

/* How often an idle link is used, so that its peer knows that we live. */
#define BEAT_NS     INT64_C(1000000000)
#define BEAT_MIN_NS INT64_C(50000000)

/* ---- its objects ---- */

int tmbi_tcp_progress_open(struct tmbi_tcp *tcp)
{
    int rc;

    tmbi_tcp_strangers_open(tcp);
    pthread_mutex_init(&tcp->events_mutex, NULL);
    pthread_mutex_init(&tcp->look_mutex, NULL);
    rc = tmbi_tcp_watches_open(tcp);
    if (rc)
        tmbi_error("tcp: epoll or eventfd: %s", strerror(-rc));
    if (rc)
        tmbi_tcp_progress_close(tcp);
    return rc;
}

void tmbi_tcp_progress_close(struct tmbi_tcp *tcp)
{
    const int fds[] = {tcp->epoll, tcp->nest, tcp->kick};

    tmbi_tcp_strangers_close(tcp);
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    pthread_mutex_destroy(&tcp->look_mutex);
    pthread_mutex_destroy(&tcp->events_mutex);
}

/* ---- beats ---- */

static int64_t quiet_ns(const _Atomic int64_t *since, int64_t now)
{
    return now - atomic_load_explicit(since, memory_order_relaxed);
}

static void silent(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, int64_t quiet)
{
    struct tmbi_tcp_header dead = {.kind = TMBI_TCP_DEAD};

    tmbi_error("tcp: rank %d has been silent for %.1f s (TMB_TCP_TIMEOUT): it counts as "
               "dead; is it stopped, or the network cut?",
               peer->rank, (double)quiet / 1e9);
    tmbi_tcp_link_send(tcp, peer, &dead, NULL, 0, NULL, 0);
    tmbi_tcp_peer_end(tcp, peer, TMB_PEER_DEAD, NULL);
}

/* Several beats within the limit. */
static int64_t beat_ns(const struct tmbi_tcp *tcp)
{
    int64_t beat = tcp->config.timeout_ns / 5;

    return tcp->config.timeout_ns < 0 || beat > BEAT_NS ? BEAT_NS
           : beat < BEAT_MIN_NS                         ? BEAT_MIN_NS
                                                        : beat;
}

static void link_beat(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, int64_t now)
{
    struct tmbi_tcp_header beat = {.kind = TMBI_TCP_BEAT};
    int64_t quiet = quiet_ns(&peer->link.heard_ns, now);

    if (!atomic_load_explicit(&peer->link.up, memory_order_acquire) ||
        !tmbi_tcp_alive(peer))
        return;
    tmbi_tcp_link_release(tcp, peer); /* what nobody has flushed for so long goes, too */
    if (tcp->config.timeout_ns >= 0 && quiet > tcp->config.timeout_ns)
        silent(tcp, peer, quiet);
    else if (quiet_ns(&peer->link.sent_ns, now) >= beat_ns(tcp) * 7 / 8)
        tmbi_tcp_link_send(tcp, peer, &beat, NULL, 0, NULL, 0);
}

/* libfabric is called now and then whatever happens: it may have work that nothing tells
 * of. */
static void fabric_unsettle(struct tmbi_tcp *tcp)
{
    pthread_mutex_lock(&tcp->fabric.mutex);
    tcp->fabric.settled = false;
    pthread_mutex_unlock(&tcp->fabric.mutex);
}

/* A look that comes late means that we were stopped ourselves: nobody is judged by the
 * time before. */
static void beats(struct tmbi_tcp *tcp)
{
    int64_t now = tmbi_clock_ns();
    bool stopped = now - tcp->looked_ns > 2 * beat_ns(tcp);

    if (now - tcp->looked_ns < beat_ns(tcp))
        return;
    tcp->looked_ns = now;
    fabric_unsettle(tcp);
    for (int i = 0; i < tcp->head.job->size; i++) {
        if (stopped)
            atomic_store_explicit(&tcp->peers[i].link.heard_ns, now,
                                  memory_order_relaxed);
        link_beat(tcp, &tcp->peers[i], now);
    }
}

/* ---- events ---- */

bool tmbi_tcp_fabric_settle(struct tmbi_tcp *tcp)
{
    struct fid *cq = &tcp->fabric.cq->fid;

    if (!tcp->fabric.settled) {
        tmbi_tcp_complete(tcp);
        tcp->fabric.settled = fi_trywait(tcp->fabric.fabric, &cq, 1) != -FI_EAGAIN;
    }
    return tcp->fabric.settled;
}

static void asked(struct tmbi_tcp *tcp)
{
    atomic_store_explicit(&tcp->asked_ns, tmbi_clock_ns(), memory_order_relaxed);
}

/* With nothing of our own under way it was a peer who wants something. Settled, for who
 * took this event may not be who sleeps for the next. */
static void fabric_event(struct tmbi_tcp *tcp)
{
    pthread_mutex_lock(&tcp->fabric.mutex);
    if (!tcp->fabric.under_way)
        asked(tcp);
    tcp->fabric.settled = false;
    tmbi_tcp_fabric_settle(tcp);
    pthread_mutex_unlock(&tcp->fabric.mutex);
}

static bool awhile(const struct tmbi_tcp *tcp)
{
    return atomic_load_explicit(&tcp->awhile, memory_order_relaxed);
}

static void link_event(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, uint32_t events,
                       bool by_thread)
{
    if (events & EPOLLOUT) {
        tmbi_tcp_link_push(tcp, peer);
        tmbi_wake_self(TMBI_LINE_WAIT); /* who waits for room */
    }
    if (events & ~(uint32_t)EPOLLOUT)
        (by_thread ? tmbi_tcp_link_pull_after : tmbi_tcp_link_pull)(tcp, peer);
    if (!by_thread && awhile(tcp)) /* it will look again */
        tmbi_tcp_asked_again(tcp, peer);
}

static void event_take(struct tmbi_tcp *tcp, const struct epoll_event *event,
                       bool by_thread)
{
    uint64_t what = event->data.u64;

    if (what == TMBI_TCP_LISTENER)
        tmbi_tcp_stranger_accept(tcp);
    else if (what >= TMBI_TCP_STRANGER(0) && what != TMBI_TCP_COMPLETIONS)
        tmbi_tcp_stranger_hear(tcp, (unsigned)(what - TMBI_TCP_STRANGER(0)));
    else if (what == TMBI_TCP_COMPLETIONS)
        fabric_event(tcp);
    else
        link_event(tcp, &tcp->peers[what], event->events, by_thread);
}

/* With the events' mutex. by_thread: by the progress thread, and not one that waits,
 * which may be taking apart a message already. */
static void events_take(struct tmbi_tcp *tcp, bool by_thread)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = epoll_wait(tcp->epoll, events, EVENTS_AT_ONCE, 0);

    for (int i = 0; i < count; i++)
        event_take(tcp, &events[i], by_thread);
}

/* ---- threads of the application ---- */

void tmbi_tcp_progress_kick(const struct tmbi_tcp *tcp)
{
    uint64_t one = 1;
    ssize_t bytes = write(tcp->kick, &one, sizeof one);

    (void)bytes; /* it can't fail but by having been done very often */
}

/* With the look mutex. */
static void look_change(struct tmbi_tcp *tcp, bool begin)
{
    unsigned before =
        atomic_fetch_add_explicit(&tcp->lookers, begin ? 1 : -1u, memory_order_relaxed);

    if (before == (begin ? 0 : 1))
        tmbi_tcp_watch_thread(tcp, !begin);
}

void tmbi_tcp_look_begin(struct tmbi_endpoint *ep)
{
    pthread_mutex_lock(&tmbi_tcp(ep)->look_mutex);
    look_change(tmbi_tcp(ep), true);
    pthread_mutex_unlock(&tmbi_tcp(ep)->look_mutex);
}

void tmbi_tcp_look_end(struct tmbi_endpoint *ep)
{
    tmbi_tcp_stay_end(tmbi_tcp(ep)); /* it may go to sleep */
    pthread_mutex_lock(&tmbi_tcp(ep)->look_mutex);
    look_change(tmbi_tcp(ep), false);
    pthread_mutex_unlock(&tmbi_tcp(ep)->look_mutex);
}

/* Who is at it already takes all. */
void tmbi_tcp_look(struct tmbi_endpoint *ep)
{
    struct tmbi_tcp *tcp = tmbi_tcp(ep);

    if (tmbi_tcp_stay_look(tcp) || pthread_mutex_trylock(&tcp->events_mutex))
        return;
    events_take(tcp, false);
    pthread_mutex_unlock(&tcp->events_mutex);
}

static void awhile_set(struct tmbi_tcp *tcp, bool on)
{
    pthread_mutex_lock(&tcp->look_mutex);
    if (awhile(tcp) != on) {
        look_change(tcp, on);
        atomic_store_explicit(&tcp->awhile, on, memory_order_relaxed);
    }
    pthread_mutex_unlock(&tcp->look_mutex);
}

void tmbi_tcp_look_awhile(struct tmbi_endpoint *ep)
{
    struct tmbi_tcp *tcp = tmbi_tcp(ep);
    int64_t now = tmbi_clock_ns();

    if (now - atomic_load_explicit(&tcp->asked_ns, memory_order_relaxed) >
        ASKED_LATELY_NS) {
        tmbi_tcp_stay_end(tcp);
        return;
    }
    atomic_store_explicit(&tcp->awhile_ns, now, memory_order_relaxed);
    if (!awhile(tcp)) {
        awhile_set(tcp, true);
        tmbi_tcp_progress_kick(tcp); /* it has to see when this is over */
    }
    tmbi_tcp_look(ep);
}

/* ---- the thread ---- */

/* Nobody who looks now and then has looked for so long: it is the thread's again. */
static void awhile_check(struct tmbi_tcp *tcp)
{
    int64_t last = atomic_load_explicit(&tcp->awhile_ns, memory_order_relaxed);

    if (awhile(tcp) && tmbi_clock_ns() - last > AWHILE_NS)
        awhile_set(tcp, false);
}

/* Who has asked for something may ask for more: it would be asleep by then. */
static int patience_ms(struct tmbi_tcp *tcp)
{
    int64_t asked_ns = atomic_load_explicit(&tcp->asked_ns, memory_order_relaxed);
    int nap_ms = tmbi_tcp_stay_check(tcp);
    bool settled;

    if (awhile(tcp))
        return AWHILE_MS;
    if (nap_ms)
        return nap_ms;
    if (atomic_load_explicit(&tcp->lookers, memory_order_relaxed) == 0 &&
        tmbi_clock_ns() - asked_ns < tmbi_spin_ns())
        return 0;
    pthread_mutex_lock(&tcp->fabric.mutex);
    settled = tmbi_tcp_fabric_settle(tcp);
    pthread_mutex_unlock(&tcp->fabric.mutex);
    return settled ? (int)(beat_ns(tcp) / 1000000) : 0;
}

/* Whether there may be something to take. */
static bool thread_sleep(struct tmbi_tcp *tcp)
{
    int patience = patience_ms(tcp);
    struct epoll_event event;
    uint64_t kicks;

    if (patience == 0)
        return true;
    if (epoll_wait(tcp->nest, &event, 1, patience) <= 0)
        return false;
    return event.data.fd != tcp->kick || read(tcp->kick, &kicks, sizeof kicks) < 0;
}

static void *progress_main(void *arg)
{
    struct tmbi_tcp *tcp = arg;

    tcp->looked_ns = tmbi_clock_ns();
    while (!atomic_load_explicit(&tcp->stop, memory_order_acquire)) {
        if (thread_sleep(tcp)) {
            pthread_mutex_lock(&tcp->events_mutex);
            events_take(tcp, true);
            pthread_mutex_unlock(&tcp->events_mutex);
        }
        awhile_check(tcp);
        beats(tcp);
    }
    return NULL;
}

/* Signals are the application's: this thread takes none. */
int tmbi_tcp_progress_start(struct tmbi_tcp *tcp)
{
    sigset_t all, old;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&tcp->thread, NULL, progress_main, tcp);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc) {
        tmbi_error("tcp: its thread can't be started: %s", strerror(rc));
        return -rc;
    }
    pthread_setname_np(tcp->thread, "tmb-tcp");
    tcp->running = true;
    return 0;
}

void tmbi_tcp_progress_stop(struct tmbi_tcp *tcp)
{
    if (!tcp->running)
        return;
    /* release: partner is the acquire in progress_main() */
    atomic_store_explicit(&tcp->stop, true, memory_order_release);
    tmbi_tcp_progress_kick(tcp);
    pthread_join(tcp->thread, NULL);
    tcp->running = false;
}
