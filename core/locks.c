/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks of ranks: the lock word (lockword.h) says which rank holds; here is how a rank
 * waits for it, asleep, and how its threads share it. Under TMB_THREAD_MULTIPLE a
 * window's mutex protects how this process holds each lock; it is never held while
 * waiting for another rank.
 */
#include <errno.h>

#include "adapter.h"
#include "clock.h"
#include "fence.h"
#include "log.h"
#include "lockword.h"
#include "stats.h"
#include "team.h"
#include "wake.h"

/* ---- between the threads of this process ---- */

static void threads_lock(struct tmb_win *win)
{
    if (tmbi_context.threads)
        pthread_mutex_lock(&win->mutex);
}

static void threads_unlock(struct tmb_win *win)
{
    if (tmbi_context.threads)
        pthread_mutex_unlock(&win->mutex);
}

/* Whether a thread may take the lock now: at once (another thread's shared hold is
 * shared), or by asking the other ranks. */
static bool hold_free(const struct tmbi_hold *hold, enum tmb_lock_mode mode)
{
    return hold->mode == TMBI_UNHELD ||
           (hold->mode == TMBI_HELD_SHARED && mode == TMB_LOCK_SHARED);
}

static bool hold_held(const struct tmbi_hold *hold)
{
    return hold->mode == TMBI_HELD_SHARED || hold->mode == TMBI_HELD_EXCLUSIVE;
}

static bool hold_mine(const struct tmbi_hold *hold)
{
    if (!hold_held(hold))
        return false;
    return !tmbi_context.threads ||
           (hold->sole && pthread_equal(hold->owner, pthread_self()));
}

/* Become the thread that acquires. *joined: another thread's shared hold was joined. */
static int hold_begin(struct tmb_win *win, int rank, enum tmb_lock_mode mode,
                      int64_t deadline, bool *joined)
{
    struct tmbi_hold *hold = &win->peers[rank].hold;
    int rc = 0;

    if (hold_mine(hold)) {
        tmbi_error("tmb_lock: window %p: the caller holds the lock of rank %d already",
                   (void *)win, rank);
        return -EDEADLK;
    }
    while (!hold_free(hold, mode) && rc == 0)
        rc = -tmbi_cond_wait(&win->released, &win->mutex, deadline);
    if (!hold_free(hold, mode))
        return rc;
    *joined = hold->mode == TMBI_HELD_SHARED;
    hold->sole = !*joined;
    if (*joined) {
        hold->holders++;
        return hold->broken ? -EOWNERDEAD : 0;
    }
    hold->owner = pthread_self();
    hold->mode = TMBI_ACQUIRING;
    win->held++;
    return 0;
}

static void hold_end(struct tmb_win *win, int rank, enum tmb_lock_mode mode, bool held,
                     bool broken)
{
    struct tmbi_hold *hold = &win->peers[rank].hold;

    hold->mode = !held                        ? TMBI_UNHELD
                 : mode == TMB_LOCK_EXCLUSIVE ? TMBI_HELD_EXCLUSIVE
                                              : TMBI_HELD_SHARED;
    hold->holders = held;
    hold->broken = broken;
    win->held -= !held;
    if (tmbi_context.threads)
        pthread_cond_broadcast(&win->released);
}

/* ---- between ranks ---- */

struct lock_wait {
    struct tmbi_lock_view view;
    enum tmb_lock_mode mode;
    bool announced;
    enum tmbi_lock_step step;
    bool outcast; /* others have declared us dead: none of them would let us in */
    uint64_t mortality;
};

/* Looks when somebody died, and the first time. */
static bool self_dead(struct lock_wait *wait)
{
    uint64_t mortality = tmbi_mortality_key() + 1;

    if (mortality != wait->mortality)
        wait->outcast = tmbi_rank_state(tmbi_context.bootstrap.job.rank) == TMB_PEER_DEAD;
    wait->mortality = mortality;
    return wait->outcast;
}

static bool lock_ready(void *arg)
{
    struct lock_wait *wait = arg;

    if (wait->mode == TMB_LOCK_EXCLUSIVE)
        wait->step = tmbi_lock_step_exclusive(&wait->view, &wait->announced);
    else
        wait->step = tmbi_lock_step_shared(&wait->view, &wait->announced);
    return wait->step != TMBI_LOCK_WAIT || self_dead(wait);
}

static bool withdraw(struct lock_wait *wait)
{
    if (wait->mode == TMB_LOCK_EXCLUSIVE)
        return tmbi_lock_withdraw_exclusive(&wait->view);
    return tmbi_lock_withdraw_shared(&wait->view);
}

/* Whether that ended without the lock. */
static bool give_up(struct lock_wait *wait, int64_t deadline, bool test)
{
    bool late = test || tmbi_wait_until(TMBI_LINE_WAIT, lock_ready, wait, deadline);

    return (late || wait->step == TMBI_LOCK_WAIT) && !withdraw(wait);
}

static void broken_note(const struct tmb_win *win, int rank)
{
    tmbi_count(locks_recovered);
    tmbi_info("tmb_lock: window %p: rank %d's lock was held by a rank that died",
              (const void *)win, rank);
}

static int acquire_mapped(struct tmb_win *win, int rank, enum tmb_lock_mode mode,
                          int64_t deadline, bool test)
{
    struct lock_wait wait = {.view = tmbi_lock_view_of(win, rank, win->rank),
                             .mode = mode};

    if (!lock_ready(&wait) || wait.outcast) {
        tmbi_count(lock_waits);
        if (give_up(&wait, deadline, test))
            return wait.outcast ? -EHOSTDOWN : -ETIMEDOUT;
        if (wait.step == TMBI_LOCK_WAIT)
            lock_ready(&wait); /* got it while withdrawing: held or broken? */
    }
    return wait.step == TMBI_LOCK_BROKEN ? -EOWNERDEAD : 0;
}

/* 0, -EOWNERDEAD (held), -ETIMEDOUT, -EHOSTDOWN. */
static int acquire(struct tmb_win *win, int rank, enum tmb_lock_mode mode,
                   int64_t deadline, bool test)
{
    int rc = tmbi_likely(win->peers[rank].lock)
                 ? acquire_mapped(win, rank, mode, deadline, test)
                 : tmbi_lock_call_acquire(win, rank, mode, deadline, test);

    if (tmbi_unlikely(rc == -EOWNERDEAD))
        broken_note(win, rank);
    return rc;
}

static int leave(struct tmb_win *win, int rank, enum tmb_lock_mode mode)
{
    struct tmbi_lock_view view = tmbi_lock_view_of(win, rank, win->rank);
    uint64_t result;

    if (!view.lock)
        return tmbi_lock_call(win, rank,
                              mode == TMB_LOCK_EXCLUSIVE ? TMBI_LOCK_LEAVE_EXCLUSIVE
                                                         : TMBI_LOCK_LEAVE_SHARED,
                              false, &result);
    if (mode == TMB_LOCK_EXCLUSIVE)
        tmbi_lock_leave_exclusive(&view);
    else
        tmbi_lock_leave_shared(&view);
    return 0;
}

/* ---- calls ---- */

static int lock_check(tmb_win *win, const char *call, int rank, enum tmb_lock_mode mode)
{
    struct tmbi_peer *peer;
    int rc = tmbi_window_peer(win, call, rank, &peer);

    if (tmbi_likely(!rc && (unsigned)mode <= TMB_LOCK_EXCLUSIVE))
        return 0;
    if (!rc)
        tmbi_error("%s: unknown mode %u", call, mode);
    return rc ? rc : -EINVAL;
}

/* A lock that is free needs no clock. */
static int64_t lock_deadline(int64_t timeout_ns)
{
    return timeout_ns > 0 ? tmbi_deadline(timeout_ns) : timeout_ns < 0 ? TMBI_NEVER : 0;
}

static int lock(tmb_win *win, int rank, enum tmb_lock_mode mode, int64_t deadline,
                bool test)
{
    bool joined = false;
    int rc;

    threads_lock(win);
    rc = hold_begin(win, rank, mode, deadline, &joined);
    threads_unlock(win);
    if (rc || joined)
        return rc;
    rc = acquire(win, rank, mode, deadline, test);
    threads_lock(win);
    hold_end(win, rank, mode, rc == 0 || rc == -EOWNERDEAD, rc == -EOWNERDEAD);
    threads_unlock(win);
    return rc;
}

int tmb_lock(tmb_win *win, int rank, enum tmb_lock_mode mode, int64_t timeout_ns)
{
    int rc = lock_check(win, "tmb_lock", rank, mode);

    if (tmbi_unlikely(rc))
        return rc;
    return lock(win, rank, mode, lock_deadline(timeout_ns), timeout_ns == 0);
}

/* Whether the calling thread may release; the last holder gives the lock back. */
static int hold_release(struct tmb_win *win, int rank, enum tmb_lock_mode *mode,
                        bool *last)
{
    struct tmbi_hold *hold = &win->peers[rank].hold;

    if (!hold_held(hold))
        return -EPERM;
    *mode = hold->mode == TMBI_HELD_EXCLUSIVE ? TMB_LOCK_EXCLUSIVE : TMB_LOCK_SHARED;
    if (*mode == TMB_LOCK_EXCLUSIVE && tmbi_context.threads &&
        !pthread_equal(hold->owner, pthread_self()))
        return -EPERM;
    *last = --hold->holders == 0;
    if (*last)
        hold->mode = TMBI_ACQUIRING; /* nobody joins while it is given back */
    return 0;
}

static int unlock(tmb_win *win, int rank)
{
    enum tmb_lock_mode mode = TMB_LOCK_SHARED;
    bool last = false;
    int rc;

    threads_lock(win);
    rc = hold_release(win, rank, &mode, &last);
    threads_unlock(win);
    if (rc || !last)
        return rc;
    rc = leave(win, rank, mode);
    threads_lock(win);
    hold_end(win, rank, mode, false, false);
    threads_unlock(win);
    return rc;
}

int tmb_unlock(tmb_win *win, int rank)
{
    struct tmbi_peer *peer;
    int rc = tmbi_window_peer(win, "tmb_unlock", rank, &peer);
    int flush_rc;

    if (tmbi_unlikely(rc))
        return rc;
    flush_rc = tmb_flush(win, rank);
    rc = unlock(win, rank);
    if (rc == -EPERM)
        tmbi_error("tmb_unlock: window %p: the caller does not hold the lock of rank %d",
                   (void *)win, rank);
    return rc ? rc : flush_rc;
}

int tmb_lock_all(tmb_win *win, int64_t timeout_ns)
{
    int64_t deadline = tmbi_deadline(timeout_ns);
    bool broken = false;
    int rc = tmbi_window_check(win, "tmb_lock_all");
    int i;

    for (i = 0; rc == 0 && i < win->size; i++) {
        rc = lock(win, i, TMB_LOCK_SHARED, deadline, timeout_ns == 0);
        broken |= rc == -EOWNERDEAD;
        rc = rc == -EOWNERDEAD ? 0 : rc;
    }
    if (rc == 0)
        return broken ? -EOWNERDEAD : 0;
    for (i -= 2; i >= 0; i--)
        unlock(win, i);
    return rc;
}

int tmb_unlock_all(tmb_win *win)
{
    int rc = tmb_flush_all(win);

    for (int i = 0; rc != -EBADF && rc != -ENOTCONN && i < win->size; i++) {
        int peer_rc = unlock(win, i);

        if (peer_rc)
            tmbi_error("tmb_unlock_all: window %p: the caller does not hold the lock of "
                       "rank %d",
                       (void *)win, i);
        rc = rc ? rc : peer_rc;
    }
    return rc;
}

static int mend(struct tmb_win *win, int rank, uint64_t *mended)
{
    struct tmbi_lock_view view = tmbi_lock_view_of(win, rank, win->rank);

    if (!view.lock)
        return tmbi_lock_call(win, rank, TMBI_LOCK_MEND, false, mended);
    *mended = tmbi_lock_mend(&view);
    return 0;
}

int tmb_lock_recover(tmb_win *win, int rank)
{
    struct tmbi_peer *peer;
    uint64_t mended;
    int rc = tmbi_window_peer(win, "tmb_lock_recover", rank, &peer);

    if (rc)
        return rc;
    if (!hold_held(&peer->hold)) {
        tmbi_error(
            "tmb_lock_recover: window %p: the caller does not hold the lock of rank "
            "%d",
            (void *)win, rank);
        return -EPERM;
    }
    threads_lock(win);
    peer->hold.broken = false;
    threads_unlock(win);
    rc = mend(win, rank, &mended);
    if (rc || mended)
        return rc;
    tmbi_error("tmb_lock_recover: window %p: the lock of rank %d needs no recovery",
               (void *)win, rank);
    return -EINVAL;
}

/* ---- of the process as a whole ---- */

int tmbi_adapter_lock(tmb_win *win, int rank, enum tmb_lock_mode mode, int64_t timeout_ns)
{
    int rc = lock_check(win, "tmbi_adapter_lock", rank, mode);

    if (tmbi_unlikely(rc))
        return rc;
    return acquire(win, rank, mode, lock_deadline(timeout_ns), timeout_ns == 0);
}

int tmbi_adapter_unlock(tmb_win *win, int rank, enum tmb_lock_mode mode)
{
    int rc = lock_check(win, "tmbi_adapter_unlock", rank, mode);

    return rc ? rc : leave(win, rank, mode);
}
