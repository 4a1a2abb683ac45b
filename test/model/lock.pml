/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lock of core/lockword.c: each inline stands for the C function that it names, and
 * each of its atomics for one of C's. Ranks are processes; one of them may be killed
 * between any two steps (KILL), which is noticed a while later and then wakes everybody,
 * as the server does. A rank that waits may give up at any moment (GIVE_UP).
 *
 * Checked: an exclusive holder excludes all other living holders; nobody waits for ever
 * (no invalid end state); after a holder's death the next one is told; at the end nothing
 * is left behind. MUTATE breaks one rule each, which the check must find.
 *
 *   -DWRITERS=n -DREADERS=n -DROUNDS=n [-DKILL] [-DGIVE_UP] [-DMUTATE=n]
 */
#ifndef MUTATE
#define MUTATE 0
#endif

#define N (WRITERS + READERS)

#define OUT     0
#define WAITING 1
#define IN      2

#define WAIT   0
#define HELD   1
#define BROKEN 2

/* The word: owner is rank + 1. */
byte owner, arrivals;
bool waiters, broken;
byte shared[N];      /* OUT, WAITING, IN */
bool exclusive[N];   /* waits for ownership */

bool dead[N], noticed[N];
bool wakeup[N];      /* was rung since it last looked */
bool holds_x[N], holds_s[N];
bool told_x, told_s; /* a holder died, and the next (writer) must be told */
byte ended;

#define gone(o)     noticed[(o) - 1]
#define takeable(o) ((o) == 0 || gone(o))

/* models: core/lockword.c load */
inline load_word()
{
    atomic { lo = owner; la = arrivals; lw = waiters; lb = broken; }
}

/* models: core/lockword.c swap */
inline swap_word(no, na, nw, nb)
{
    atomic {
        ok = (owner == lo && arrivals == la && waiters == lw && broken == lb);
        if
        :: ok -> owner = no; arrivals = na; waiters = nw; broken = nb
        :: else
        fi
    }
}

inline wake(rank)
{
    wakeup[rank] = true
}

/* models: core/lockword.c any_in */
/* models: core/lockword.c drained */
inline drained()
{
    is_drained = true;
    k = 0;
    do
    :: k < N ->
        if
        :: shared[k] == IN && noticed[k] -> broken = true; shared[k] = OUT
        :: shared[k] == IN && !noticed[k] -> is_drained = false; break
        :: else
        fi;
        k++
    :: else -> break
    od;
    k = 0
}

/* models: core/lockword.c take */
inline take()
{
    swap_word(me + 1, la, lw, (lb || lo != 0))
}

/* models: core/lockword.c stop_waiting */
inline stop_waiting()
{
    exclusive[me] = false
}

/* models: core/lockword.c tmbi_lock_step_exclusive */
inline step_exclusive()
{
    do
    :: load_word();
        ok = false;
        if
        :: lo == me + 1 -> ok = true
        :: lo != me + 1 && takeable(lo) -> take()
        :: else
        fi;
        if
        :: ok ->
            stop_waiting();
            drained();
            if
            :: is_drained && broken -> result = BROKEN
            :: is_drained && !broken -> result = HELD
            :: else -> result = WAIT
            fi;
            break
        :: else
        fi;
        if
        :: takeable(lo)
        :: !takeable(lo) && announced -> result = WAIT; break
        :: else ->
            exclusive[me] = true;
#if MUTATE == 1 /* who waits does not say so in the word */
            announced = true
#else
            swap_word(lo, la + 1, true, lb);
            announced = ok
#endif
        fi
    od
}

/* models: core/lockword.c admit */
inline admit()
{
    atomic {
        k = 0;
        do
        :: k < N ->
            woken[k] = (shared[k] == WAITING && !noticed[k]);
            if
            :: woken[k] -> shared[k] = IN
            :: shared[k] == WAITING && noticed[k] -> shared[k] = OUT
            :: else
            fi;
            k++
        :: else -> break
        od;
        k = 0
    }
    atomic {
        do
        :: k < N ->
            if
            :: woken[k] -> wake(k)
            :: else
            fi;
            woken[k] = false;
            k++
        :: else -> break
        od;
        k = 0
    }
}

/* models: core/lockword.c next_writer */
inline next_writer()
{
    next = 0;
    k = 1;
    do
    :: k <= N && exclusive[(me + k) % N] && !noticed[(me + k) % N] ->
        next = (me + k) % N + 1;
        break
    :: k <= N && exclusive[(me + k) % N] && noticed[(me + k) % N] ->
        exclusive[(me + k) % N] = false;
        k++
    :: k <= N && !exclusive[(me + k) % N] -> k++
    :: else -> break
    od;
    k = 0
}

/* models: core/lockword.c hand_over */
inline hand_over()
{
    do
    :: load_word();
#if MUTATE != 2 /* readers that wait are not let in */
        admit();
#endif
        next_writer();
        swap_word(next, la, (next != 0 && lw), lb);
        if
        :: ok -> break
        :: else
        fi
    od
}

/* models: core/lockword.c tmbi_lock_leave_exclusive */
inline leave_exclusive()
{
    load_word();
    ok = false;
    if
    :: !lw -> swap_word(0, la, lw, lb)
    :: else
    fi;
    if
    :: !ok ->
        hand_over();
        if
        :: next != 0 ->
            drained();
            if
            :: is_drained -> wake(next - 1)
            :: else
            fi
        :: else
        fi;
        next = 0
    :: else
    fi
}

/* models: core/lockword.c wake_owner */
inline wake_owner()
{
#if MUTATE == 3 /* the last reader does not wake the writer */
    skip
#else
    load_word();
    if
    :: lo != 0 ->
        drained();
        if
        :: is_drained -> wake(lo - 1)
        :: else
        fi
    :: else
    fi
#endif
}

/* models: core/lockword.c tmbi_lock_leave_shared */
inline leave_shared()
{
    shared[me] = OUT;
    wake_owner()
}

/* models: core/lockword.c state_change */
inline state_change(from, to)
{
    atomic {
        ok = (shared[me] == from);
        if
        :: ok -> shared[me] = to
        :: else
        fi
    }
}

/* models: core/lockword.c take_and_share */
inline take_and_share()
{
    take();
    if
    :: ok ->
        state_change(WAITING, IN);
        if
        :: !ok -> state_change(OUT, IN)
        :: else
        fi;
        leave_exclusive()
    :: else
    fi
}

/* models: core/lockword.c tmbi_lock_step_shared */
inline step_shared()
{
    do
    :: load_word();
        state = shared[me];
        if
        :: state == IN ->
            result = (lb -> BROKEN : HELD);
            break
        :: state != IN && lo == 0 ->
            state_change(state, IN);
            if
            :: ok ->
#if MUTATE == 4 /* who enters does not look at the word again */
                result = (lb -> BROKEN : HELD);
                break
#else
                load_word();
                if
                :: lo == 0 -> result = (lb -> BROKEN : HELD); break
                :: else ->
                    state_change(IN, WAITING);
#if MUTATE == 7 /* who steps back wakes the owner that it saw, not the one there is */
                    wake(lo - 1);
#else
                    wake_owner();
#endif
                    announced = false
                fi
#endif
            :: else
            fi
        :: state != IN && lo != 0 && gone(lo) ->
#if MUTATE == 5 /* nobody takes over from the dead */
            result = WAIT; break
#else
            take_and_share()
#endif
        :: state == OUT && lo != 0 && !gone(lo) -> state_change(OUT, WAITING)
        :: state == WAITING && lo != 0 && !gone(lo) && announced -> result = WAIT; break
        :: state == WAITING && lo != 0 && !gone(lo) && !announced ->
            swap_word(lo, la + 1, true, lb);
            announced = ok
        fi
    od
}

/* models: core/lockword.c tmbi_lock_withdraw_exclusive */
inline withdraw_exclusive()
{
    stop_waiting();
    result = HELD;
    do
    :: load_word();
        if
        :: lo == me + 1 -> break
        :: else ->
#if MUTATE == 6 /* who gives up does not change the word */
            result = WAIT;
            break
#else
            swap_word(lo, la + 1, lw, lb);
            if
            :: ok -> result = WAIT; break
            :: else
            fi
#endif
        fi
    od;
    if
    :: result == HELD ->
        drained();
        if
        :: is_drained -> result = (broken -> BROKEN : HELD)
        :: else -> leave_exclusive(); result = WAIT
        fi
    :: else
    fi
}

/* models: core/lockword.c tmbi_lock_withdraw_shared */
inline withdraw_shared()
{
    state_change(WAITING, OUT);
    result = ((!ok && shared[me] == IN) -> (broken -> BROKEN : HELD) : WAIT)
}

/* No other living rank holds what excludes this. */
inline check_exclusion(as_writer)
{
    k = 0;
    do
    :: k < N ->
        assert(k == me || dead[k] || !holds_x[k]);
        assert(k == me || dead[k] || !as_writer || !holds_s[k]);
        k++
    :: else -> break
    od;
    k = 0
}

#define LOCALS                                                                            \
    byte lo, la, k, next, state, result, round;                                           \
    bool lw, lb, ok, is_drained, announced;                                               \
    bool woken[N]

/* A lock, as core/locks.c's acquire() and the wake slots make it: a wake that comes after
 * the last look is not lost (wake.pml). */
#ifdef GIVE_UP
#define OR_GIVE_UP(withdraw) :: true -> withdraw(); break
#else
#define OR_GIVE_UP(withdraw)
#endif

#define WAIT_OR_GIVE_UP(step, withdraw)                                                   \
    announced = false;                                                                    \
    do                                                                                    \
    :: wakeup[me] = false;                                                                \
        step();                                                                           \
        if                                                                                \
        :: result != WAIT -> break                                                        \
        :: else                                                                           \
        fi;                                                                               \
        if                                                                                \
        :: wakeup[me]                                                                     \
        OR_GIVE_UP(withdraw)                                                              \
        fi                                                                                \
    od

proctype writer(byte me)
{
    LOCALS;
    {
        do
        :: round < ROUNDS ->
            round++;
            WAIT_OR_GIVE_UP(step_exclusive, withdraw_exclusive);
            if
            :: result != WAIT ->
                atomic {
                    holds_x[me] = true;
                    check_exclusion(true);
                    assert(result == BROKEN || (!told_x && !told_s));
                    told_x = false; /* mended */
                    told_s = false;
                }
                if
                :: result == BROKEN -> broken = false
                :: else
                fi;
                holds_x[me] = false;
                leave_exclusive()
            :: else
            fi
        :: else -> break
        od;
        ended++
    } unless { dead[me] }
}

proctype reader(byte me)
{
    LOCALS;
    {
        do
        :: round < ROUNDS ->
            round++;
            WAIT_OR_GIVE_UP(step_shared, withdraw_shared);
            if
            :: result != WAIT ->
                atomic {
                    holds_s[me] = true;
                    check_exclusion(false);
                    assert(result == BROKEN || !told_x);
                }
                holds_s[me] = false;
                leave_shared()
            :: else
            fi
        :: else -> break
        od;
        ended++
    } unless { dead[me] }
}

#ifdef KILL
proctype killer()
{
    byte victim, i;

    do
    :: victim < N - 1 -> victim++
    :: break
    od;
    atomic {
        dead[victim] = true;
        told_x = holds_x[victim];
        told_s = holds_s[victim];
    }
    atomic { /* the server has noticed, and rings all */
        noticed[victim] = true;
        do
        :: i < N -> wake(i); i++
        :: else -> break
        od
    }
}
#endif

init
{
    byte i;

    atomic {
        do
        :: i < WRITERS -> run writer(i); i++
        :: i >= WRITERS && i < N -> run reader(i); i++
        :: else -> break
        od
    }
#ifdef KILL
    run killer()
#else
    ended == N;
    assert(owner == 0 && !waiters);
    i = 0;
    do
    :: i < N -> assert(shared[i] == OUT && !exclusive[i]); i++
    :: else -> break
    od
#endif
}
