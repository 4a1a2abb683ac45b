/* SPDX-License-Identifier: BSD-3-Clause */
/* Locks and flushes (MPI-3.1, sections 11.5.3 and 11.5.4). */
#include "suite.h"

/* What the lock protects: two words that a holder keeps equal, changed by put. */
static void increment(const struct window *w, int target)
{
    int64_t words[2] = {-1, -2};

    OK(MPI_Get(words, 2, MPI_INT64_T, target, at(w, target, 0), 2, MPI_INT64_T, w->win));
    OK(MPI_Win_flush(target, w->win));
    EQUAL(words[0], words[1]);
    words[0]++;
    OK(MPI_Put(&words[0], 1, MPI_INT64_T, target, at(w, target, 0), 1, MPI_INT64_T,
               w->win));
    words[1]++;
    OK(MPI_Put(&words[1], 1, MPI_INT64_T, target, at(w, target, 8), 1, MPI_INT64_T,
               w->win));
}

static void exclusion(struct window *w)
{
    const int number = rounds(100);

    for (int i = 0; i < number; i++) {
        OK(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, w->win));
        increment(w, 0);
        OK(MPI_Win_unlock(0, w->win));
    }
    window_meet(w->win);
    if (me == 0) {
        EQUAL(((int64_t *)(void *)w->base)[0], number * ranks);
        EQUAL(((int64_t *)(void *)w->base)[1], number * ranks);
    }
}

static void case_exclusion(void)
{
    each_memory(64, exclusion);
}

/* Every rank's lock, in random order: the sum of all is what all did. */
static void case_many_locks(void)
{
    uint64_t state = (uint64_t)me * 31 + 7;
    int64_t all = 0, mine;
    int target;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    for (int i = 0; i < rounds(200); i++) {
        target = (int)(suite_random(&state) % (unsigned)ranks);
        OK(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, target, 0, w.win));
        increment(&w, target);
        OK(MPI_Win_unlock(target, w.win));
    }
    window_meet(w.win);
    mine = *(int64_t *)(void *)w.base;
    MPI_Allreduce(&mine, &all, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    EQUAL(all, rounds(200) * ranks);
    window_close(&w);
}

/* Readers and writers mixed: readers never see the words differ. */
static void case_readers_writers(void)
{
    uint64_t state = (uint64_t)me * 77 + 5;
    int64_t words[2], written = 0, all = 0;
    struct window w;
    bool write;

    window_open(&w, HEAP, 64);
    for (int i = 0; i < rounds(200); i++) {
        write = suite_random(&state) % 4 == 0;
        OK(MPI_Win_lock(write ? MPI_LOCK_EXCLUSIVE : MPI_LOCK_SHARED, 0, 0, w.win));
        OK(MPI_Get(words, 2, MPI_INT64_T, 0, 0, 2, MPI_INT64_T, w.win));
        OK(MPI_Win_flush(0, w.win));
        EQUAL(words[0], words[1]);
        if (write)
            increment(&w, 0);
        written += write;
        OK(MPI_Win_unlock(0, w.win));
    }
    MPI_Allreduce(&written, &all, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    window_meet(w.win);
    if (me == 0)
        EQUAL(*(int64_t *)(void *)w.base, all);
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

/* All hold it shared at once: each waits, inside, for all others. */
static void case_shared_together(void)
{
    const int one = 1;
    int seen = 0;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    OK(MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, w.win));
    OK(MPI_Accumulate(&one, 1, MPI_INT, 0, 0, 1, MPI_INT, MPI_SUM, w.win));
    while (seen < ranks) {
        OK(MPI_Get_accumulate(NULL, 0, MPI_INT, &seen, 1, MPI_INT, 0, 0, 1, MPI_INT,
                              MPI_NO_OP, w.win));
        OK(MPI_Win_flush(0, w.win));
    }
    OK(MPI_Win_unlock(0, w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

/* lock_all is a shared lock on each rank: exclusive locks wait for it, and it for them.
 */
static void case_lock_all_excludes(void)
{
    int64_t words[2];
    struct window w;

    window_open(&w, ALLOCATE, 64);
    for (int i = 0; i < rounds(100); i++) {
        if (me == 0) {
            OK(MPI_Win_lock_all(0, w.win));
            OK(MPI_Get(words, 2, MPI_INT64_T, ranks - 1, 0, 2, MPI_INT64_T, w.win));
            OK(MPI_Win_flush_all(w.win));
            EQUAL(words[0], words[1]);
            OK(MPI_Win_unlock_all(w.win));
        } else {
            OK(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, ranks - 1, 0, w.win));
            increment(&w, ranks - 1);
            OK(MPI_Win_unlock(ranks - 1, w.win));
        }
    }
    window_meet(w.win);
    if (me == ranks - 1)
        EQUAL(*(int64_t *)(void *)w.base, rounds(100) * (ranks - 1));
    window_close(&w);
}

/* Several targets locked by one rank at once. */
static void case_several_targets(void)
{
    int value = me + 1;
    struct window w;

    window_open(&w, ALLOCATE, 4 * RANKS_MAX);
    for (int i = 0; i < ranks; i++)
        OK(MPI_Win_lock(MPI_LOCK_SHARED, i, 0, w.win));
    for (int i = 0; i < ranks; i++)
        OK(MPI_Put(&value, 1, MPI_INT, i, 4 * me, 1, MPI_INT, w.win));
    for (int i = ranks - 1; i >= 0; i--)
        OK(MPI_Win_unlock(i, w.win));
    window_meet(w.win);
    for (int i = 0; i < ranks; i++)
        EQUAL(((int *)(void *)w.base)[i], i + 1);
    window_close(&w);
}

/* NOCHECK: nobody else holds or wants the lock. */
static void case_no_check(void)
{
    int value = me * 3;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    OK(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, to, MPI_MODE_NOCHECK, w.win));
    OK(MPI_Put(&value, 1, MPI_INT, to, 0, 1, MPI_INT, w.win));
    OK(MPI_Win_unlock(to, w.win));
    window_meet(w.win);
    EQUAL(*(int *)(void *)w.base, from * 3);
    MPI_Barrier(MPI_COMM_WORLD);
    OK(MPI_Win_lock_all(MPI_MODE_NOCHECK, w.win));
    OK(MPI_Put(&me, 1, MPI_INT, to, 4, 1, MPI_INT, w.win));
    OK(MPI_Win_unlock_all(w.win));
    window_meet(w.win);
    EQUAL(((int *)(void *)w.base)[1], from);
    window_close(&w);
}

static void flush_by(int way, int target, MPI_Win win)
{
    if (way == 0)
        OK(MPI_Win_flush(target, win));
    else if (way == 1)
        OK(MPI_Win_flush_all(win));
    else if (way == 2)
        OK(MPI_Win_flush_local(target, win));
    else
        OK(MPI_Win_flush_local_all(win));
}

/* After any flush the origin buffer is free; after flush and flush_all the data is there,
 * which a message tells the target. */
static void flushes(struct window *w)
{
    int value, got, round;

    OK(MPI_Win_lock_all(0, w->win));
    for (int i = 0; i < rounds(40) + 4; i++) {
        value = i * 10 + me;
        OK(MPI_Put(&value, 1, MPI_INT, to, at(w, to, 0), 1, MPI_INT, w->win));
        flush_by(i % 4, to, w->win);
        value = -1;
        if (i % 4 >= 2) /* completion here is not completion there */
            OK(MPI_Win_flush(to, w->win));
        MPI_Sendrecv(&i, 1, MPI_INT, to, 2, &round, 1, MPI_INT, from, 2, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE);
        OK(MPI_Win_sync(w->win));
        EQUAL(*(volatile int *)(void *)w->base, i * 10 + from);
        OK(MPI_Get(&got, 1, MPI_INT, to, at(w, to, 0), 1, MPI_INT, w->win));
        flush_by((i + 1) % 4, to, w->win); /* a get completes by any flush */
        EQUAL(got, i * 10 + me);
        MPI_Barrier(MPI_COMM_WORLD);
    }
    OK(MPI_Win_unlock_all(w->win));
}

static void case_flushes(void)
{
    each_memory(64, flushes);
}

/* Loads and stores in a passive epoch, with MPI_Win_sync and messages in between. */
static void syncs(struct window *w)
{
    volatile int *word = (volatile int *)(void *)w->base;
    int got;

    OK(MPI_Win_lock_all(0, w->win));
    for (int i = 1; i <= rounds(50); i++) {
        *word = i * 100 + me;
        OK(MPI_Win_sync(w->win));
        MPI_Barrier(MPI_COMM_WORLD);
        OK(MPI_Win_sync(w->win));
        OK(MPI_Get(&got, 1, MPI_INT, to, at(w, to, 0), 1, MPI_INT, w->win));
        OK(MPI_Win_flush(to, w->win));
        EQUAL(got, i * 100 + to);
        MPI_Barrier(MPI_COMM_WORLD);
    }
    OK(MPI_Win_unlock_all(w->win));
}

static void case_syncs(void)
{
    each_memory(64, syncs);
}

/* A lock for each of thousands of empty epochs. */
static void case_empty_epochs(void)
{
    struct window w;

    window_open(&w, ALLOCATE, 64);
    for (int i = 0; i < rounds(500); i++) {
        OK(MPI_Win_lock(i % 2 ? MPI_LOCK_SHARED : MPI_LOCK_EXCLUSIVE, to, 0, w.win));
        OK(MPI_Win_unlock(to, w.win));
        OK(MPI_Win_lock_all(0, w.win));
        OK(MPI_Win_flush_all(w.win));
        OK(MPI_Win_unlock_all(w.win));
    }
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

/* A mutex of MCS's kind, made of fetch_and_op and compare_and_swap, as libraries do. */
enum { NEXT = 0, BLOCKED = 4, TAIL = 8, NOBODY = -1 };

static int fetch(MPI_Win win, int target, MPI_Aint where, int value, MPI_Op op)
{
    int old;

    OK(MPI_Fetch_and_op(&value, &old, MPI_INT, target, where, op, win));
    OK(MPI_Win_flush(target, win));
    return old;
}

static void mutex_take(MPI_Win win)
{
    int before;

    fetch(win, me, NEXT, NOBODY, MPI_REPLACE);
    fetch(win, me, BLOCKED, 1, MPI_REPLACE);
    before = fetch(win, 0, TAIL, me, MPI_REPLACE);
    if (before == NOBODY)
        return;
    fetch(win, before, NEXT, me, MPI_REPLACE);
    while (fetch(win, me, BLOCKED, 0, MPI_NO_OP))
        ;
}

static void mutex_give(MPI_Win win)
{
    int none = NOBODY, last, next;

    OK(MPI_Compare_and_swap(&none, &me, &last, MPI_INT, 0, TAIL, win));
    OK(MPI_Win_flush(0, win));
    if (last == me)
        return;
    while ((next = fetch(win, me, NEXT, 0, MPI_NO_OP)) == NOBODY)
        ;
    fetch(win, next, BLOCKED, 0, MPI_REPLACE);
}

static void case_mutex(void)
{
    int value;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    ((int *)(void *)w.base)[TAIL / 4] = NOBODY;
    window_meet(w.win);
    OK(MPI_Win_lock_all(0, w.win));
    for (int i = 0; i < rounds(50); i++) {
        mutex_take(w.win);
        OK(MPI_Get(&value, 1, MPI_INT, 0, 16, 1, MPI_INT, w.win));
        OK(MPI_Win_flush(0, w.win));
        value++;
        OK(MPI_Put(&value, 1, MPI_INT, 0, 16, 1, MPI_INT, w.win));
        OK(MPI_Win_flush(0, w.win));
        mutex_give(w.win);
    }
    OK(MPI_Win_unlock_all(w.win));
    window_meet(w.win);
    if (me == 0)
        EQUAL(((int *)(void *)w.base)[4], rounds(50) * ranks);
    window_close(&w);
}

const struct suite_case lock_cases[] = {
    {"lock: mutual exclusion", 1, case_exclusion, ALWAYS},
    {"lock: of every rank", 1, case_many_locks, ALWAYS},
    {"lock: readers and writers", 1, case_readers_writers, ALWAYS},
    {"lock: shared together", 1, case_shared_together, ALWAYS},
    {"lock: lock_all and exclusive locks", 2, case_lock_all_excludes, ALWAYS},
    {"lock: several targets at once", 1, case_several_targets, ALWAYS},
    {"lock: NOCHECK", 1, case_no_check, ALWAYS},
    {"lock: every flush", 1, case_flushes, ALWAYS},
    {"lock: sync", 1, case_syncs, ALWAYS},
    {"lock: empty epochs", 1, case_empty_epochs, ALWAYS},
    {"lock: a mutex made of atomics", 1, case_mutex, ALWAYS},
    {0}};
