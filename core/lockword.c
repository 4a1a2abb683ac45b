/* SPDX-License-Identifier: BSD-3-Clause */
#include "lockword.h"

/* word: owner 0..15, WAITERS 16, BROKEN 17, arrivals 18..63 */
#define OWNER   UINT64_C(0xffff)
#define WAITERS (UINT64_C(1) << 16)
#define BROKEN  (UINT64_C(1) << 17)
#define ARRIVAL (UINT64_C(1) << 18)

/* shared[]: 32 ranks per word */
#define OUT         UINT64_C(0)
#define WAITING     UINT64_C(1)
#define IN          UINT64_C(2)
#define STATE       UINT64_C(3)
#define ALL_IN      UINT64_C(0xaaaaaaaaaaaaaaaa)
#define ALL_WAITING UINT64_C(0x5555555555555555)

static int shared_words(int size)
{
    return (size + 31) / 32;
}

static int exclusive_words(int size)
{
    return (size + 63) / 64;
}

size_t tmbi_lock_bytes(int size)
{
    size_t words = 1u + (size_t)shared_words(size) + (size_t)exclusive_words(size);

    return (words * sizeof(uint64_t) + 63) / 64 * 64;
}

static _Atomic uint64_t *shared_word(const struct tmbi_lock_view *view, int rank)
{
    return &view->lock->bits[rank / 32];
}

static unsigned shared_shift(int rank)
{
    return (unsigned)rank % 32 * 2;
}

static _Atomic uint64_t *exclusive_word(const struct tmbi_lock_view *view, int rank)
{
    return &view->lock->bits[shared_words(view->size) + rank / 64];
}

static uint64_t exclusive_bit(int rank)
{
    return UINT64_C(1) << (rank % 64);
}

/* Everything here is seq_cst: the pairs of accesses that must not pass each other
 * (IN and owner, waiter and arrivals) are on different words. */
static uint64_t load(_Atomic uint64_t *at)
{
    return atomic_load_explicit(at, memory_order_seq_cst);
}

static bool swap(_Atomic uint64_t *at, uint64_t from, uint64_t to)
{
    return atomic_compare_exchange_strong_explicit(at, &from, to, memory_order_seq_cst,
                                                   memory_order_seq_cst);
}

static int owner_of(uint64_t word)
{
    return (int)(word & OWNER) - 1;
}

static uint64_t with_owner(uint64_t word, int rank)
{
    return (word & ~OWNER) | (uint64_t)(rank + 1);
}

static uint64_t state_of(const struct tmbi_lock_view *view, int rank)
{
    return load(shared_word(view, rank)) >> shared_shift(rank) & STATE;
}

/* Change the caller's own state, which others only change from WAITING to IN. */
static bool state_change(const struct tmbi_lock_view *view, uint64_t from, uint64_t to)
{
    _Atomic uint64_t *at = shared_word(view, view->me);
    unsigned shift = shared_shift(view->me);
    uint64_t old = load(at);

    while ((old >> shift & STATE) == from)
        if (atomic_compare_exchange_weak_explicit(
                at, &old, (old & ~(STATE << shift)) | to << shift, memory_order_seq_cst,
                memory_order_seq_cst))
            return true;
    return false;
}

static enum tmbi_lock_step held(uint64_t word)
{
    return word & BROKEN ? TMBI_LOCK_BROKEN : TMBI_LOCK_HELD;
}

/* Any rank IN that is alive? Clears the dead ones, whose data may be half-written. */
static bool any_in(const struct tmbi_lock_view *view, int word)
{
    _Atomic uint64_t *at = &view->lock->bits[word];
    uint64_t in = load(at) & ALL_IN;
    bool alive = false;

    while (in) {
        unsigned shift = (unsigned)__builtin_ctzll(in) - 1;
        int rank = word * 32 + (int)shift / 2;

        in &= in - 1;
        if (rank < view->size && !view->gone(view->arg, rank)) {
            alive = true;
            continue;
        }
        atomic_fetch_or_explicit(&view->lock->word, BROKEN, memory_order_seq_cst);
        atomic_fetch_and_explicit(at, ~(STATE << shift), memory_order_seq_cst);
    }
    return alive;
}

static bool drained(const struct tmbi_lock_view *view)
{
    for (int i = 0; i < shared_words(view->size); i++)
        if (any_in(view, i))
            return false;
    return true;
}

/* The bit may be set although the arrival could not be announced. */
static void stop_waiting(const struct tmbi_lock_view *view)
{
    _Atomic uint64_t *at = exclusive_word(view, view->me);
    uint64_t bit = exclusive_bit(view->me);

    if (load(at) & bit)
        atomic_fetch_and_explicit(at, ~bit, memory_order_seq_cst);
}

/* Take a word that nobody owns, or whose owner died. */
static bool take(const struct tmbi_lock_view *view, uint64_t word)
{
    uint64_t mine = with_owner(word, view->me);

    if (owner_of(word) >= 0)
        mine |= BROKEN;
    return swap(&view->lock->word, word, mine);
}

/* Whether `word` may be taken: unowned, or owned by a rank that ended. */
static bool takeable(const struct tmbi_lock_view *view, uint64_t word)
{
    int owner = owner_of(word);

    return owner < 0 || owner >= view->size || view->gone(view->arg, owner);
}

enum tmbi_lock_step tmbi_lock_step_exclusive(const struct tmbi_lock_view *view,
                                             bool *announced)
{
    for (;;) {
        uint64_t word = load(&view->lock->word);

        if (owner_of(word) == view->me || (takeable(view, word) && take(view, word))) {
            stop_waiting(view);
            return drained(view) ? held(load(&view->lock->word)) : TMBI_LOCK_WAIT;
        }
        if (takeable(view, word))
            continue;
        if (*announced)
            return TMBI_LOCK_WAIT;
        atomic_fetch_or_explicit(exclusive_word(view, view->me), exclusive_bit(view->me),
                                 memory_order_seq_cst);
        *announced = swap(&view->lock->word, word, (word | WAITERS) + ARRIVAL);
    }
}

/* A reader that finds a dead owner owns the word for a moment, and leaves it as any
 * owner does: with itself and all other waiting readers in. */
static void take_and_share(const struct tmbi_lock_view *view, uint64_t word)
{
    if (!take(view, word))
        return;
    if (!state_change(view, WAITING, IN))
        state_change(view, OUT, IN);
    tmbi_lock_leave_exclusive(view);
}

/* After the caller has ceased to be IN: the owner of now, who may not be the one of
 * before, may wait for just that. */
static void wake_owner(const struct tmbi_lock_view *view)
{
    int owner = owner_of(load(&view->lock->word));

    if (owner >= 0 && drained(view))
        view->wake(view->arg, owner);
}

enum tmbi_lock_step tmbi_lock_step_shared(const struct tmbi_lock_view *view,
                                          bool *announced)
{
    for (;;) {
        uint64_t word = load(&view->lock->word);
        uint64_t state = state_of(view, view->me);

        if (state == IN)
            return held(word);
        if (owner_of(word) < 0) {
            if (!state_change(view, state, IN))
                continue;
            word = load(&view->lock->word);
            if (owner_of(word) < 0)
                return held(word);
            state_change(view, IN, WAITING);
            wake_owner(view); /* it may have seen us IN */
            *announced = false;
        } else if (takeable(view, word)) {
            take_and_share(view, word);
        } else if (state == OUT) {
            state_change(view, OUT, WAITING);
        } else if (*announced) {
            return TMBI_LOCK_WAIT;
        } else {
            *announced = swap(&view->lock->word, word, (word | WAITERS) + ARRIVAL);
        }
    }
}

bool tmbi_lock_withdraw_exclusive(const struct tmbi_lock_view *view)
{
    stop_waiting(view);
    for (;;) {
        uint64_t word = load(&view->lock->word);

        if (owner_of(word) == view->me)
            break;
        /* Nobody that saw our bit can now pass the word to us. */
        if (swap(&view->lock->word, word, word + ARRIVAL))
            return false;
    }
    if (drained(view))
        return true;
    tmbi_lock_leave_exclusive(view);
    return false;
}

bool tmbi_lock_withdraw_shared(const struct tmbi_lock_view *view)
{
    return !state_change(view, WAITING, OUT) && state_of(view, view->me) == IN;
}

/* Those of the waiting ranks of a shared word that have not died: who never held must
 * not look like a holder that died. */
static uint64_t living(const struct tmbi_lock_view *view, int word, uint64_t waiting)
{
    uint64_t alive = waiting;

    for (; waiting; waiting &= waiting - 1) {
        int rank = word * 32 + __builtin_ctzll(waiting) / 2;

        if (rank >= view->size || view->gone(view->arg, rank))
            alive &= ~(waiting & -waiting);
    }
    return alive;
}

/* Let in the waiting ranks of one shared word, in one atomic; wake them. */
static void admit(const struct tmbi_lock_view *view, int word)
{
    _Atomic uint64_t *at = &view->lock->bits[word];
    uint64_t old = load(at);
    uint64_t waiting, in;

    do {
        waiting = old & ALL_WAITING;
        if (!waiting)
            return;
        in = living(view, word, waiting);
    } while (!atomic_compare_exchange_weak_explicit(at, &old, (old & ~waiting) | in << 1,
                                                    memory_order_seq_cst,
                                                    memory_order_seq_cst));
    for (; in; in &= in - 1)
        view->wake(view->arg, word * 32 + __builtin_ctzll(in) / 2);
}

/* The next living writer that waits, in cyclic order behind the caller, or -1. */
static int next_writer(const struct tmbi_lock_view *view)
{
    for (int i = 1; i <= view->size; i++) {
        int rank = (view->me + i) % view->size;
        _Atomic uint64_t *at = exclusive_word(view, rank);

        if (!(load(at) & exclusive_bit(rank)))
            continue;
        if (!view->gone(view->arg, rank))
            return rank;
        atomic_fetch_and_explicit(at, ~exclusive_bit(rank), memory_order_seq_cst);
    }
    return -1;
}

/* Pass the word on after letting in the readers. Returns the new owner, or -1. */
static int hand_over(const struct tmbi_lock_view *view)
{
    for (;;) {
        uint64_t word = load(&view->lock->word);
        int next;

        for (int i = 0; i < shared_words(view->size); i++)
            admit(view, i);
        next = next_writer(view);
        if (swap(&view->lock->word, word,
                 next < 0 ? word & ~(OWNER | WAITERS) : with_owner(word, next)))
            return next;
    }
}

void tmbi_lock_leave_exclusive(const struct tmbi_lock_view *view)
{
    uint64_t word = load(&view->lock->word);
    int next;

    if (!(word & WAITERS) && swap(&view->lock->word, word, word & ~OWNER))
        return;
    next = hand_over(view);
    if (next >= 0 && drained(view))
        view->wake(view->arg, next);
}

void tmbi_lock_leave_shared(const struct tmbi_lock_view *view)
{
    atomic_fetch_and_explicit(shared_word(view, view->me),
                              ~(STATE << shared_shift(view->me)), memory_order_seq_cst);
    wake_owner(view);
}

bool tmbi_lock_mend(const struct tmbi_lock_view *view)
{
    return atomic_fetch_and_explicit(&view->lock->word, ~BROKEN, memory_order_seq_cst) &
           BROKEN;
}

static uint32_t step_result(enum tmbi_lock_step step, bool announced)
{
    return (uint32_t)step | (announced ? TMBI_LOCK_ANNOUNCED : 0);
}

uint32_t tmbi_lock_act(const struct tmbi_lock_view *view, enum tmbi_lock_action action,
                       bool announced)
{
    enum tmbi_lock_step step;

    switch (action) {
    case TMBI_LOCK_STEP_SHARED:
        step = tmbi_lock_step_shared(view, &announced);
        return step_result(step, announced);
    case TMBI_LOCK_STEP_EXCLUSIVE:
        step = tmbi_lock_step_exclusive(view, &announced);
        return step_result(step, announced);
    case TMBI_LOCK_WITHDRAW_SHARED:
        return tmbi_lock_withdraw_shared(view);
    case TMBI_LOCK_WITHDRAW_EXCLUSIVE:
        return tmbi_lock_withdraw_exclusive(view);
    case TMBI_LOCK_LEAVE_SHARED:
        tmbi_lock_leave_shared(view);
        return 0;
    case TMBI_LOCK_LEAVE_EXCLUSIVE:
        tmbi_lock_leave_exclusive(view);
        return 0;
    default:
        return tmbi_lock_mend(view);
    }
}
