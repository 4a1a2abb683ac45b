/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lock in memory that all of a window's members reach: a phase-fair reader-writer
 * lock (Brandenburg and Anderson, Real-Time Systems 46, 2010) with waiters in bitmaps
 * instead of tickets, so that any holder or waiter may die at any instruction.
 *
 * word        owner      rank + 1 of the exclusive owner, 0: none. An owner is
 *                        *pending* while shared holders are still in.
 *             WAITERS    someone waits; only ever set while there is an owner
 *             BROKEN     a holder died: new holders get -EOWNERDEAD until recovered
 *             arrivals   changes with each arrival and withdrawal of a waiter, so that
 *                        an owner that looked at the waiters and then passes the word on
 *                        by compare-and-swap fails if it had looked too early
 * shared[]    two bits per rank: OUT, WAITING or IN. A rank changes its own, and an
 *             owner that leaves changes WAITING to IN, each by one atomic
 * exclusive[] one bit per rank that waits for ownership; set and cleared by that rank
 *             (or cleared by an owner once that rank is dead)
 *
 * Enter exclusive: word 0 -> owner, then wait until no rank is IN.
 * Enter shared:    OUT -> IN, then look at word: no owner, held; otherwise IN -> WAITING.
 *                  The two orders are Dekker's: all four accesses are seq_cst.
 * Leave exclusive: without WAITERS, owner -> 0. Otherwise let in all WAITING ranks, then
 *                  pass the word to the next waiting writer in cyclic order of ranks, who
 *                  is pending until those readers have left: neither kind starves.
 * Leave shared:    IN -> OUT; the last one wakes a pending owner.
 * A dead owner's word is taken over by compare-and-swap by whoever finds it; a dead
 * reader's IN is cleared by a pending owner. Every step is one atomic, so no crash leaves
 * anything between two states. test/model/lock.pml models these functions by name.
 */
#ifndef TMBI_LOCKWORD_H
#define TMBI_LOCKWORD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tmbi_lock {
    _Atomic uint64_t word;
    _Atomic uint64_t bits[]; /* shared[], then exclusive[] */
};

/* A lock as one rank uses it. */
struct tmbi_lock_view {
    struct tmbi_lock *lock;
    int size; /* ranks */
    int me;
    /* Whether a rank has ended (for good), and how to wake one. */
    bool (*gone)(void *arg, int rank);
    void (*wake)(void *arg, int rank);
    void *arg;
};

enum tmbi_lock_step {
    TMBI_LOCK_HELD,
    TMBI_LOCK_BROKEN, /* held, and a former holder died */
    TMBI_LOCK_WAIT    /* not yet: step again when woken */
};

/* What a rank does with a lock: here, or by the agent of whom it belongs to. */
enum tmbi_lock_action {
    TMBI_LOCK_STEP_SHARED, /* result: enum tmbi_lock_step, | 0x100 if announced */
    TMBI_LOCK_STEP_EXCLUSIVE,
    TMBI_LOCK_WITHDRAW_SHARED, /* result: whether it was got all the same */
    TMBI_LOCK_WITHDRAW_EXCLUSIVE,
    TMBI_LOCK_LEAVE_SHARED,
    TMBI_LOCK_LEAVE_EXCLUSIVE,
    TMBI_LOCK_MEND, /* result: whether it was broken */
    TMBI_LOCK_ACTIONS
};
#define TMBI_LOCK_ANNOUNCED 0x100u

/* Bytes of a lock for `size` ranks, a multiple of 64. Zero-filled it is free. */
size_t tmbi_lock_bytes(int size);

/*
 * One step towards holding. *announced is false at first and belongs to the wait. To be
 * called again, whenever woken, until it holds or tmbi_lock_withdraw_*() gives up.
 */
enum tmbi_lock_step tmbi_lock_step_exclusive(const struct tmbi_lock_view *view,
                                             bool *announced);
enum tmbi_lock_step tmbi_lock_step_shared(const struct tmbi_lock_view *view,
                                          bool *announced);

/* Give up waiting. Returns true if the lock was got all the same, and is held. */
bool tmbi_lock_withdraw_exclusive(const struct tmbi_lock_view *view);
bool tmbi_lock_withdraw_shared(const struct tmbi_lock_view *view);

void tmbi_lock_leave_exclusive(const struct tmbi_lock_view *view);
void tmbi_lock_leave_shared(const struct tmbi_lock_view *view);

/* Clear BROKEN; false if it was not set. The caller holds the lock. */
bool tmbi_lock_mend(const struct tmbi_lock_view *view);

/* One of these by its number, for a rank that is elsewhere; `announced` as it was. */
uint32_t tmbi_lock_act(const struct tmbi_lock_view *view, enum tmbi_lock_action action,
                       bool announced);

#endif
