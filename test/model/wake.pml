/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting of core/wake.c: threads of one process, each for a condition of its own, share a
 * line: one wake slot, one doorbell, of which one thread at a time hears. Each condition
 * is a counter that its waker raises; the doorbell coalesces.
 *
 * Checked: without any bound on sleeps, every thread whose condition has come wakes up (no
 * invalid end state). With CRASH a waker may die between taking the slot and ringing; that
 * is what sleeps are bounded for (BOUND). MUTATE breaks one rule each, which the check must
 * find.
 *
 *   -DTHREADS=n -DROUNDS=n [-DCRASH] [-DBOUND] [-DMUTATE=n]
 */
#ifndef MUTATE
#define MUTATE 0
#endif

byte condition[THREADS];
bool armed, bell;
bool locked, leader; /* the line's mutex and what it protects */
byte sleepers, sleeps;
bool following[THREADS]; /* waits on the condition variable */

inline lock()
{
    atomic { !locked -> locked = true }
}

inline unlock()
{
    locked = false
}

/* models: core/wake.c arm */
inline arm()
{
    armed = true
}

/* models: core/wake.c lead */
inline lead()
{
    leader = true;
    unlock();
    if
    :: bell -> bell = false /* edge-triggered: heard once */
#ifdef BOUND
    :: timeout /* nothing else can happen */
#endif
    fi;
    lock();
    leader = false;
    sleeps++;
    atomic {
        i = 0;
        do
        :: i < THREADS -> following[i] = false; i++
        :: else -> break
        od;
        i = 0
    }
}

/* models: core/wake.c line_sleep */
inline line_sleep()
{
    lock();
    if
#if MUTATE == 2 /* a leader's sleep that has just ended is not noticed */
    :: true ->
#else
    :: sleeps == seen ->
#endif
        if
        :: leader ->
            atomic { following[me] = true; unlock() }
            !following[me];
            lock()
        :: !leader -> lead()
        fi
    :: else
    fi;
    unlock()
}

/* models: core/wake.c line_enter */
inline line_enter()
{
    lock();
    sleepers++;
    seen = sleeps;
    unlock()
}

/* models: core/wake.c line_leave */
inline line_leave()
{
    lock();
    sleepers--;
    if
#if MUTATE == 4 /* who leaves disarms for all */
    :: true -> armed = false
#else
    :: sleepers == 0 -> armed = false
    :: else
#endif
    fi;
    unlock()
}

/* models: core/wake.c line_sleeps */
inline line_sleeps()
{
    lock();
    seen = sleeps;
    unlock()
}

/* models: core/wake.c tmbi_wait_until */
inline wait_until(value)
{
    line_enter();
    do
#if MUTATE == 1 /* looks first, then arms */
    :: if
        :: condition[me] >= value -> break
        :: else
        fi;
        arm();
#else
    :: arm();
        if
        :: condition[me] >= value -> break
        :: else
        fi;
#endif
        line_sleep();
        line_sleeps()
    od;
    line_leave()
}

/* models: core/wake.c tmbi_wake_slot_ring */
inline slot_ring()
{
    if
    :: armed ->
        atomic { was = armed; armed = false }
        if
#ifdef CRASH
        :: was && !crashed -> crashed = true
#endif
        :: was -> bell = true
        :: !was
        fi
    :: else
    fi
}

bool crashed;

proctype waiter(byte me)
{
    byte seen, i, round;

    do
    :: round < ROUNDS ->
        round++;
        if
        :: condition[me] >= round /* came while it spun */
        :: else -> wait_until(round)
        fi
    :: else -> break
    od
}

proctype waker(byte target)
{
    byte round;
    bool was, saw;

    do
    :: round < ROUNDS ->
        round++;
#if MUTATE == 3 /* looks at the slot before it has changed the condition */
        saw = armed;
        condition[target]++;
        if
        :: saw -> slot_ring()
        :: else
        fi
#else
        condition[target]++;
        slot_ring()
#endif
    :: else -> break
    od
}

init
{
    byte n;

    atomic {
        do
        :: n < THREADS -> run waiter(n); run waker(n); n++
        :: else -> break
        od
    }
}
