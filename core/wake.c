/* SPDX-License-Identifier: BSD-3-Clause */
#include "wake.h"

#include <errno.h>
#include <pthread.h>

#include "clock.h"
#include "context.h"
#include "fence.h"
#include "stats.h"

/* A wake-up that was lost (a doorbell is a hint) costs this much at most. */
#define SLEEP_MAX_NS 100000000

/* How often the clock is read while spinning. */
#define SPINS_PER_LOOK 32

struct line {
    pthread_mutex_t mutex; /* protects sleepers, leader, sleeps */
    pthread_cond_t woken;  /* CLOCK_MONOTONIC */
    struct tmbi_wake_slot *slot;
    unsigned sleepers;
    bool leader;             /* a thread sleeps on the doorbell */
    uint64_t sleeps;         /* that a leader has ended */
    _Atomic int64_t spin_ns; /* between these two; relaxed, as they are */
    _Atomic int64_t spin_least_ns, spin_most_ns;
    _Atomic uint64_t rings; /* heard by tmbi_rung(); seq_cst, as any condition */
};

/* How long a wait sleeps between the calls of the poll function, at first and at last. */
#define POLL_FIRST_NS 20000
#define POLL_LAST_NS  1000000

static struct {
    atomic_bool on; /* release after all else; a provider's thread may come earlier */
    struct tmbi_endpoint *ep;
    struct tmbi_endpoint *looked_at; /* NULL: all that comes, comes into memory */
    int rank;
    struct line lines[TMBI_LINES];
    void (*_Atomic poll)(void); /* relaxed: set before any wait */
    atomic_flag polling; /* acquire, release: what poll() touches is one thread's */
} wake = {.polling = ATOMIC_FLAG_INIT};

static void spin_set(struct line *line, int64_t least_ns, int64_t most_ns)
{
    atomic_store_explicit(&line->spin_ns, least_ns, memory_order_relaxed);
    atomic_store_explicit(&line->spin_least_ns, least_ns, memory_order_relaxed);
    atomic_store_explicit(&line->spin_most_ns, most_ns, memory_order_relaxed);
}

void tmbi_wake_start(struct tmbi_endpoint *ep, int rank, int64_t least_ns,
                     int64_t most_ns)
{
    for (int i = 0; i < TMBI_LINES; i++) {
        struct line *line = &wake.lines[i];

        pthread_mutex_init(&line->mutex, NULL);
        tmbi_cond_init(&line->woken);
        line->slot = ep->ops->wake_slot(ep, rank, (enum tmbi_line)i);
        /* The agent shares its core with the application: it never spins. */
        if (i == TMBI_LINE_WAIT)
            spin_set(line, least_ns, most_ns);
        else
            spin_set(line, 0, 0);
    }
    wake.ep = ep;
    wake.looked_at = NULL;
    for (int i = 0; i < tmbi_context.endpoint_count; i++)
        if (tmbi_context.endpoints[i]->ops->look)
            wake.looked_at = tmbi_context.endpoints[i];
    wake.rank = rank;
    /* release: partner is the acquire in tmbi_wake_self() */
    atomic_store_explicit(&wake.on, true, memory_order_release);
}

void tmbi_wake_set_spin(int64_t spin_ns)
{
    spin_set(&wake.lines[TMBI_LINE_WAIT], spin_ns, spin_ns);
}

void tmbi_wake_set_poll(void (*poll)(void))
{
    atomic_store_explicit(&wake.poll, poll, memory_order_relaxed);
}

void tmbi_wake_stop(void)
{
    atomic_store_explicit(&wake.on, false, memory_order_release);
    for (int i = 0; i < TMBI_LINES; i++) {
        pthread_cond_destroy(&wake.lines[i].woken);
        pthread_mutex_destroy(&wake.lines[i].mutex);
    }
}

void tmbi_wake_slot_ring(struct tmbi_wake_slot *slot, struct tmbi_endpoint *ep, int rank,
                         enum tmbi_line line)
{
    /* seq_cst load: partner is the exchange in arm(). The exchange lets one of many
     * wakers ring. */
    if (slot && !atomic_load_explicit(&slot->armed, memory_order_seq_cst))
        return;
    if (slot && !atomic_exchange_explicit(&slot->armed, 0, memory_order_seq_cst))
        return;
    ep->ops->ring(ep, rank, line);
}

void tmbi_wake(struct tmbi_endpoint *ep, int rank, enum tmbi_line line)
{
    /* Orders the caller's change, however it was made, before the look at armed. */
    tmbi_fence_full();
    tmbi_wake_slot_ring(ep->ops->wake_slot(ep, rank, line), ep, rank, line);
}

void tmbi_wake_self(enum tmbi_line line)
{
    /* acquire: partner is the release in tmbi_wake_start() */
    if (atomic_load_explicit(&wake.on, memory_order_acquire))
        tmbi_wake_slot_ring(wake.lines[line].slot, wake.ep, wake.rank, line);
}

void tmbi_rung(enum tmbi_line line)
{
    atomic_fetch_add_explicit(&wake.lines[line].rings, 1, memory_order_seq_cst);
    tmbi_wake_self(line);
}

uint64_t tmbi_rings(enum tmbi_line line)
{
    return atomic_load_explicit(&wake.lines[line].rings, memory_order_seq_cst);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t line_spin_ns(const struct line *line)
{
    return atomic_load_explicit(&line->spin_ns, memory_order_relaxed);
}

int64_t tmbi_spin_ns(void)
{
    /* acquire: partner is the release in tmbi_wake_start() */
    return atomic_load_explicit(&wake.on, memory_order_acquire)
               ? atomic_load_explicit(&wake.lines[TMBI_LINE_WAIT].spin_least_ns,
                                      memory_order_relaxed)
               : 0;
}

static bool ready_within(int spins, tmbi_ready *ready, void *arg)
{
    for (int i = 0; i < spins; i++) {
        if (ready(arg))
            return true;
        tmbi_cpu_relax();
    }
    return false;
}

bool tmbi_spin_until(enum tmbi_line which, tmbi_ready *ready, void *arg, int64_t deadline)
{
    const struct line *line = &wake.lines[which];
    int64_t end;

    if (ready(arg))
        return true;
    if (line_spin_ns(line) == 0)
        return false;
    end = earlier(tmbi_clock_ns() + line_spin_ns(line), deadline);
    do {
        if (ready_within(SPINS_PER_LOOK, ready, arg))
            return true;
    } while (tmbi_clock_ns() < end);
    return false;
}

static void arm(struct line *line)
{
    /* Partner: tmbi_wake_slot_ring(). Before the condition is looked at again. */
    atomic_exchange_explicit(&line->slot->armed, 1, memory_order_seq_cst);
}

/* The line's doorbell has one sleeper at a time; called with the mutex held. */
static void lead(struct line *line, int64_t timeout_ns)
{
    int rung;

    line->leader = true;
    pthread_mutex_unlock(&line->mutex);
    tmbi_count(sleeps);
    rung = wake.ep->ops->sleep(wake.ep, (enum tmbi_line)(line - wake.lines), timeout_ns);
    if (rung)
        tmbi_count(doorbells_heard);
    pthread_mutex_lock(&line->mutex);
    line->leader = false;
    line->sleeps++;
    pthread_cond_broadcast(&line->woken);
}

/* Sleep until something happens on the line, unless it has since `sleeps` was read. */
static void line_sleep(struct line *line, uint64_t sleeps, int64_t timeout_ns)
{
    pthread_mutex_lock(&line->mutex);
    if (line->sleeps == sleeps) {
        if (line->leader)
            tmbi_cond_wait(&line->woken, &line->mutex, tmbi_deadline(timeout_ns));
        else
            lead(line, timeout_ns);
    }
    pthread_mutex_unlock(&line->mutex);
}

static uint64_t line_enter(struct line *line)
{
    uint64_t sleeps;

    pthread_mutex_lock(&line->mutex);
    line->sleepers++;
    sleeps = line->sleeps;
    pthread_mutex_unlock(&line->mutex);
    return sleeps;
}

static void line_leave(struct line *line)
{
    pthread_mutex_lock(&line->mutex);
    if (--line->sleepers == 0) /* relaxed: a waker that still sees 1 rings in vain */
        atomic_store_explicit(&line->slot->armed, 0, memory_order_relaxed);
    pthread_mutex_unlock(&line->mutex);
}

static uint64_t line_sleeps(struct line *line)
{
    uint64_t sleeps;

    pthread_mutex_lock(&line->mutex);
    sleeps = line->sleeps;
    pthread_mutex_unlock(&line->mutex);
    return sleeps;
}

/* ---- the poll function ---- */

struct polling {
    void (*poll)(void); /* NULL: none, or not on this line */
    int64_t interval, next;
};

static struct polling polling_begin(enum tmbi_line which)
{
    struct polling polling = {.interval = POLL_FIRST_NS};

    if (which == TMBI_LINE_WAIT)
        polling.poll = atomic_load_explicit(&wake.poll, memory_order_relaxed);
    if (polling.poll)
        polling.next = tmbi_clock_ns() + polling.interval;
    return polling;
}

/* A sleep of at most `ns` as the next call of poll() limits it. */
static int64_t polling_limit(const struct polling *polling, int64_t ns)
{
    int64_t left;

    if (!polling->poll)
        return ns;
    left = polling->next - tmbi_clock_ns();
    return left < 0 ? 0 : earlier(left, ns);
}

static void polling_turn(struct polling *polling)
{
    if (!polling->poll || tmbi_clock_ns() < polling->next)
        return;
    if (!atomic_flag_test_and_set_explicit(&wake.polling, memory_order_acquire)) {
        polling->poll();
        atomic_flag_clear_explicit(&wake.polling, memory_order_release);
    }
    polling->interval = earlier(2 * polling->interval, POLL_LAST_NS);
    polling->next = tmbi_clock_ns() + polling->interval;
}

/* ---- waiting ---- */

static int64_t time_left(int64_t deadline)
{
    return deadline == TMBI_NEVER ? SLEEP_MAX_NS
                                  : earlier(deadline - tmbi_clock_ns(), SLEEP_MAX_NS);
}

static _Thread_local bool looking;

void tmbi_look_begin(void)
{
    if (looking || !wake.looked_at || line_spin_ns(&wake.lines[TMBI_LINE_WAIT]) == 0)
        return;
    wake.looked_at->ops->look_begin(wake.looked_at);
    looking = true;
}

void tmbi_look_end(void)
{
    if (!looking)
        return;
    wake.looked_at->ops->look_end(wake.looked_at);
    looking = false;
}

static bool look_until(const struct line *line, tmbi_ready *ready, void *arg,
                       int64_t deadline)
{
    bool looked = looking, done;
    int64_t end;

    if (ready(arg))
        return true;
    if (line_spin_ns(line) == 0)
        return false;
    /* For what comes into memory, or at once, nobody need look. */
    if (!looked && ready_within(SPINS_PER_LOOK / 2, ready, arg))
        return true;
    end = earlier(tmbi_clock_ns() + line_spin_ns(line), deadline);
    tmbi_look_begin();
    do {
        wake.looked_at->ops->look(wake.looked_at);
        done = ready(arg);
    } while (!done && tmbi_clock_ns() < end);
    if (!looked || !done)
        tmbi_look_end();
    return done;
}

static bool own_spin_until(enum tmbi_line which, tmbi_ready *ready, void *arg,
                           int64_t deadline)
{
    return wake.looked_at ? look_until(&wake.lines[which], ready, arg, deadline)
                          : tmbi_spin_until(which, ready, arg, deadline);
}

void tmbi_wake_look(void)
{
    /* acquire: partner is the release in tmbi_wake_start() */
    if (atomic_load_explicit(&wake.on, memory_order_acquire) && wake.looked_at)
        wake.looked_at->ops->look_awhile(wake.looked_at);
}

int tmbi_wait_until(enum tmbi_line which, tmbi_ready *ready, void *arg, int64_t deadline)
{
    return own_spin_until(which, ready, arg, deadline)
               ? 0
               : tmbi_sleep_until(which, ready, arg, deadline);
}

/* Competitive spinning, after Karlin, Li, Manasse and Owicki, "Empirical Studies of
 * Competitive Spinning for a Shared-Memory Multiprocessor" (SOSP 1991): a sleep so short
 * that to spin would have cost less lets the next wait spin for longer, a long one for as
 * little as at first. */
static void spin_learn(struct line *line, int64_t slept_ns)
{
    int64_t least = atomic_load_explicit(&line->spin_least_ns, memory_order_relaxed);
    int64_t most = atomic_load_explicit(&line->spin_most_ns, memory_order_relaxed);
    int64_t spin = slept_ns < most ? earlier(line_spin_ns(line) + slept_ns, most) : least;

    atomic_store_explicit(&line->spin_ns, spin, memory_order_relaxed);
}

int tmbi_sleep_until(enum tmbi_line which, tmbi_ready *ready, void *arg, int64_t deadline)
{
    struct line *line = &wake.lines[which];
    struct polling polling = polling_begin(which);
    int64_t start = tmbi_clock_ns();
    uint64_t sleeps = line_enter(line);
    int rc = 0;

    tmbi_look_end(); /* who sleeps takes nothing */
    for (;;) {
        int64_t left;

        arm(line);
        if (ready(arg))
            break;
        left = time_left(deadline);
        if (left <= 0) {
            rc = -ETIMEDOUT;
            break;
        }
        line_sleep(line, sleeps, polling_limit(&polling, left));
        polling_turn(&polling);
        sleeps = line_sleeps(line);
    }
    line_leave(line);
    spin_learn(line, tmbi_clock_ns() - start);
    return rc;
}
