/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks of ranks whose memory is not mapped here. Each step on the lock word is a request
 * to its owner's agent, which takes it with the same code as everybody (lockword.h), in
 * the name of the rank that asks. In between we sleep like any waiter, until we are rung.
 */
#include <errno.h>

#include "clock.h"
#include "log.h"
#include "stats.h"
#include "team.h"
#include "wake.h"

/* How long a waiter sleeps before it looks by itself: a ring may be lost. */
#define LOOK_NS 100000000

static bool view_gone(void *arg, int rank)
{
    const struct tmb_win *win = arg;

    return tmbi_rank_state(win->peers[rank].rank) != TMB_PEER_ALIVE;
}

static void view_wake(void *arg, int rank)
{
    const struct tmb_win *win = arg;
    const struct tmbi_peer *peer = &win->peers[rank];

    tmbi_wake_slot_ring(peer->wake, peer->ep, peer->rank, TMBI_LINE_WAIT);
}

struct tmbi_lock_view tmbi_lock_view_of(struct tmb_win *win, int rank, int me)
{
    return (struct tmbi_lock_view){.lock = win->peers[rank].lock,
                                   .size = win->size,
                                   .me = me,
                                   .gone = view_gone,
                                   .wake = view_wake,
                                   .arg = win};
}

/* ---- the owner ---- */

int tmbi_lock_request_execute(struct tmb_win *win, struct tmbi_request *request)
{
    struct tmbi_lock_view view;

    /* acquire: partner is the release in tmbi_window_attach() */
    if (!atomic_load_explicit(&win->attached, memory_order_acquire))
        return -EAGAIN;
    if (request->op >= TMBI_LOCK_ACTIONS ||
        !tmbi_window_member_is(win, request->count, request->origin)) {
        tmbi_error("agent: request of rank %u: no such action on a lock, or another "
                   "member's",
                   request->origin);
        return -EPROTO;
    }
    view = tmbi_lock_view_of(win, win->rank, (int)request->count);
    request->result =
        tmbi_lock_act(&view, (enum tmbi_lock_action)request->op, request->operand != 0);
    return 0;
}

/* ---- the others ---- */

int tmbi_lock_call(struct tmb_win *win, int rank, enum tmbi_lock_action action,
                   bool announced, uint64_t *result)
{
    struct tmbi_request request = {.kind = TMBI_REQUEST_LOCK,
                                   .op = action,
                                   .count = (uint64_t)win->rank,
                                   .operand = announced};
    int rc = tmbi_window_call(win, rank, &request, NULL, 0, NULL, 0);

    *result = request.result;
    return rc;
}

struct ring_wait {
    uint64_t rings, mortality;
};

static bool ring_heard(void *arg)
{
    const struct ring_wait *wait = arg;

    return tmbi_rings(TMBI_LINE_WAIT) != wait->rings ||
           tmbi_mortality_key() != wait->mortality;
}

/* One step; then, if it has to wait, sleep until there is reason for the next. */
static int step(struct tmb_win *win, int rank, enum tmbi_lock_action action,
                int64_t deadline, uint64_t *result)
{
    struct ring_wait wait = {tmbi_rings(TMBI_LINE_WAIT), tmbi_mortality_key()};
    int64_t now, look;
    int rc = tmbi_lock_call(win, rank, action, *result & TMBI_LOCK_ANNOUNCED, result);

    if (rc || (*result & ~(uint64_t)TMBI_LOCK_ANNOUNCED) != TMBI_LOCK_WAIT)
        return rc;
    now = tmbi_clock_ns();
    if (now >= deadline)
        return -ETIMEDOUT;
    look = now + LOOK_NS;
    tmbi_wait_until(TMBI_LINE_WAIT, ring_heard, &wait, look < deadline ? look : deadline);
    return -EAGAIN;
}

/* Whether that ended with the lock. */
static int withdraw(struct tmb_win *win, int rank, enum tmb_lock_mode mode,
                    uint64_t *result)
{
    enum tmbi_lock_action action = mode == TMB_LOCK_EXCLUSIVE
                                       ? TMBI_LOCK_WITHDRAW_EXCLUSIVE
                                       : TMBI_LOCK_WITHDRAW_SHARED;
    int rc = tmbi_lock_call(win, rank, action, false, result);

    return rc ? rc : *result ? 0 : -ETIMEDOUT;
}

int tmbi_lock_call_acquire(struct tmb_win *win, int rank, enum tmb_lock_mode mode,
                           int64_t deadline, bool test)
{
    enum tmbi_lock_action action =
        mode == TMB_LOCK_EXCLUSIVE ? TMBI_LOCK_STEP_EXCLUSIVE : TMBI_LOCK_STEP_SHARED;
    uint64_t result = 0;
    bool counted = false;
    int rc;

    while ((rc = step(win, rank, action, test ? 0 : deadline, &result)) == -EAGAIN)
        if (!counted) {
            tmbi_count(lock_waits);
            counted = true;
        }
    if (rc == -ETIMEDOUT) {
        rc = withdraw(win, rank, mode, &result);
        if (rc == 0) /* got it while withdrawing: held or broken? */
            rc = tmbi_lock_call(win, rank, action, false, &result);
    }
    if (rc)
        return rc;
    return (result & ~(uint64_t)TMBI_LOCK_ANNOUNCED) == TMBI_LOCK_BROKEN ? -EOWNERDEAD
                                                                         : 0;
}
