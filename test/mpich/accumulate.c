/* SPDX-License-Identifier: BSD-3-Clause */
/* Accumulates as what they are for: concurrent, atomic by element, ordered (MPI-3.1,
 * sections 11.3.4 and 11.7.1). */
#include "suite.h"

#define ROUNDS 200 /* at most */

/* All ranks count on one element by each of the calls that can. */
static void count(struct window *w)
{
    const int64_t one = 1;
    int64_t old, last = -1, total = 0;
    MPI_Aint there = at(w, 0, 8);

    OK(MPI_Win_lock_all(0, w->win));
    for (int i = 0; i < rounds(ROUNDS); i++) {
        if (i % 3 == 0)
            OK(MPI_Accumulate(&one, 1, MPI_INT64_T, 0, there, 1, MPI_INT64_T, MPI_SUM,
                              w->win));
        else if (i % 3 == 1)
            OK(MPI_Fetch_and_op(&one, &old, MPI_INT64_T, 0, there, MPI_SUM, w->win));
        else
            OK(MPI_Get_accumulate(&one, 1, MPI_INT64_T, &old, 1, MPI_INT64_T, 0, there, 1,
                                  MPI_INT64_T, MPI_SUM, w->win));
        OK(MPI_Win_flush(0, w->win));
        CHECK(i % 3 == 0 || old > last); /* one's own additions lie in between */
        last = i % 3 == 0 ? last : old;
    }
    OK(MPI_Win_unlock_all(w->win));
    window_meet(w->win);
    OK(MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, w->win));
    OK(MPI_Get(&total, 8, MPI_BYTE, 0, there, 8, MPI_BYTE, w->win));
    OK(MPI_Win_unlock(0, w->win));
    EQUAL(total, (int64_t)rounds(ROUNDS) * ranks);
}

static void case_count(void)
{
    each_memory(64, count);
}

/* What fetch_and_op hands out, each number goes to one rank only. */
static void case_tickets(void)
{
    int one = 1, ticket, tickets = rounds(300) * ranks;
    int *all = calloc((size_t)tickets, sizeof(int));
    struct window w;

    window_open(&w, ALLOCATE, 64);
    OK(MPI_Win_lock_all(0, w.win));
    for (int i = 0; i < tickets / ranks; i++) {
        OK(MPI_Fetch_and_op(&one, &ticket, MPI_INT, ranks - 1, 0, MPI_SUM, w.win));
        OK(MPI_Win_flush(ranks - 1, w.win));
        if (CHECK(ticket >= 0 && ticket < tickets))
            all[ticket]++;
    }
    OK(MPI_Win_unlock_all(w.win));
    MPI_Allreduce(MPI_IN_PLACE, all, tickets, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    for (int i = 0; i < tickets; i++)
        EQUAL(all[i], 1);
    free(all);
    window_close(&w);
}

/* Compare-and-swap in a loop counts, too; and a list of all ranks is built by it. */
static void swap_loop(struct window *w)
{
    int64_t old = 0, wanted, next;

    OK(MPI_Win_lock_all(0, w->win));
    for (int i = 0; i < rounds(ROUNDS / 4); i++) {
        do {
            wanted = old;
            next = wanted + 1;
            OK(MPI_Compare_and_swap(&next, &wanted, &old, MPI_INT64_T, 0, at(w, 0, 16),
                                    w->win));
            OK(MPI_Win_flush(0, w->win));
        } while (old != wanted);
    }
    OK(MPI_Win_unlock_all(w->win));
    window_meet(w->win);
    if (me == 0)
        EQUAL(*(int64_t *)(w->base + 16), (int64_t)rounds(ROUNDS / 4) * ranks);
}

static void case_swap_loop(void)
{
    each_memory(64, swap_loop);
}

/* Long vectors, all ranks on the same, under each kind of epoch. */
static void long_vectors(struct window *w, enum synchronization synchronization)
{
    enum { LENGTH = 20000 };
    static double ones[LENGTH], *sums;

    sums = (double *)(void *)w->base;
    for (int i = 0; i < LENGTH; i++)
        ones[i] = i + 1;
    epoch_open(w, synchronization);
    for (int i = 0; i < 3; i++)
        OK(MPI_Accumulate(ones, LENGTH, MPI_DOUBLE, to, at(w, to, 0), LENGTH, MPI_DOUBLE,
                          MPI_SUM, w->win));
    epoch_close(w, synchronization);
    for (int i = 0; i < LENGTH; i++)
        CHECK(sums[i] == 3.0 * (i + 1));
}

static void case_long_vectors(void)
{
    each_epoch(20000 * 8, long_vectors);
}

/* All to all, and everybody to one, of lengths that differ. */
static void contended(struct window *w)
{
    enum { LENGTH = 5000 };
    static int64_t ones[LENGTH];
    const int64_t *sums = (const int64_t *)(void *)w->base;
    int length;

    for (int i = 0; i < LENGTH; i++)
        ones[i] = 1;
    OK(MPI_Win_fence(0, w->win));
    for (int round = 0; round < 10; round++) {
        length = LENGTH - round * 17;
        for (int i = 0; i < ranks; i++)
            OK(MPI_Accumulate(ones, length, MPI_INT64_T, i, at(w, i, 0), length,
                              MPI_INT64_T, MPI_SUM, w->win));
    }
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, w->win));
    for (int i = 0; i < LENGTH - 9 * 17; i++)
        EQUAL(sums[i], 10 * ranks);
    EQUAL(sums[LENGTH - 1], ranks);
}

static void case_contended(void)
{
    each_memory(5000 * 8, contended);
}

/* Readers by NO_OP and Get_accumulate see whole elements while others REPLACE them:
 * complex numbers whose parts are equal. */
static void case_whole_elements(void)
{
    double mine[2], got[2];
    struct window w;

    window_open(&w, ALLOCATE, 16);
    OK(MPI_Win_lock_all(0, w.win));
    for (int i = 0; i < rounds(ROUNDS); i++) {
        mine[0] = mine[1] = i * ranks + me;
        if ((i + me) % 2)
            OK(MPI_Accumulate(mine, 1, MPI_C_DOUBLE_COMPLEX, 0, 0, 1,
                              MPI_C_DOUBLE_COMPLEX, MPI_REPLACE, w.win));
        else
            OK(MPI_Get_accumulate(NULL, 0, MPI_INT, got, 1, MPI_C_DOUBLE_COMPLEX, 0, 0, 1,
                                  MPI_C_DOUBLE_COMPLEX, MPI_NO_OP, w.win));
        OK(MPI_Win_flush(0, w.win));
        CHECK((i + me) % 2 || got[0] == got[1]);
    }
    OK(MPI_Win_unlock_all(w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

/* Accumulates of one rank to one element happen in the order of the calls. */
static void case_ordered(void)
{
    int values[ROUNDS], got = 0;
    struct window w;

    window_open(&w, HEAP, 4 * ranks);
    OK(MPI_Win_lock_all(0, w.win));
    for (int i = 0; i < rounds(ROUNDS); i++) {
        values[i] = i;
        OK(MPI_Accumulate(&values[i], 1, MPI_INT, to, 4 * me, 1, MPI_INT, MPI_REPLACE,
                          w.win));
        if (i % 10 == 9) {
            OK(MPI_Get_accumulate(NULL, 0, MPI_INT, &got, 1, MPI_INT, to, 4 * me, 1,
                                  MPI_INT, MPI_NO_OP, w.win));
            OK(MPI_Win_flush(to, w.win));
            EQUAL(got, i);
        }
    }
    OK(MPI_Win_unlock_all(w.win));
    window_meet(w.win);
    EQUAL(((int *)w.base)[from], rounds(ROUNDS) - 1);
    window_close(&w);
}

/* Get_accumulate with different types, and with a result that is the origin's neighbour.
 */
static void exchange(struct window *w, enum synchronization synchronization)
{
    enum { LENGTH = 1000 };
    static int32_t mine[LENGTH], old[LENGTH];
    const int32_t *target = (const int32_t *)(void *)w->base;

    for (int i = 0; i < LENGTH; i++) {
        mine[i] = i + me;
        ((int32_t *)(void *)w->base)[i] = 1000000 + me;
    }
    window_meet(w->win);
    epoch_open(w, synchronization);
    OK(MPI_Get_accumulate(mine, LENGTH, MPI_INT, old, LENGTH, MPI_INT, to, at(w, to, 0),
                          LENGTH, MPI_INT, MPI_SUM, w->win));
    epoch_close(w, synchronization);
    for (int i = 0; i < LENGTH; i++) {
        EQUAL(old[i], 1000000 + to);
        EQUAL(target[i], 1000000 + me + i + from);
    }
}

static void case_exchange(void)
{
    each_epoch(4000, exchange);
}

/* Accumulates that lie across boundaries of any block size, unaligned for the type's
 * neighbours, from many sides. */
static void case_scattered(void)
{
    enum { BYTES = 20000 };
    const int64_t one = 1;
    int64_t *sums, all = 0;
    uint64_t state = (uint64_t)me + 4711;
    struct window w;
    int start, length;
    static int64_t ones[BYTES / 8];

    for (int i = 0; i < BYTES / 8; i++)
        ones[i] = one;
    window_open(&w, ALLOCATE, BYTES);
    sums = (int64_t *)(void *)w.base;
    OK(MPI_Win_lock_all(0, w.win));
    for (int i = 0; i < rounds(ROUNDS); i++) {
        start = (int)(suite_random(&state) % (BYTES / 8));
        length = (int)(suite_random(&state) % (unsigned)(BYTES / 8 - start)) + 1;
        all += length;
        OK(MPI_Accumulate(ones, length, MPI_INT64_T, 0, start * 8, length, MPI_INT64_T,
                          MPI_SUM, w.win));
    }
    OK(MPI_Win_unlock_all(w.win));
    MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    window_meet(w.win);
    for (int i = 0; me == 0 && i < BYTES / 8; i++)
        all -= sums[i];
    CHECK(me || all == 0);
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

const struct suite_case accumulate_cases[] = {
    {"accumulate: counting by all calls", 1, case_count, ALWAYS},
    {"accumulate: tickets", 1, case_tickets, ALWAYS},
    {"accumulate: compare_and_swap loop", 1, case_swap_loop, ALWAYS},
    {"accumulate: long vectors", 1, case_long_vectors, ALWAYS},
    {"accumulate: contended", 1, case_contended, ALWAYS},
    {"accumulate: whole elements", 1, case_whole_elements, ALWAYS},
    {"accumulate: ordered", 1, case_ordered, ALWAYS},
    {"accumulate: get_accumulate exchanges", 1, case_exchange, ALWAYS},
    {"accumulate: scattered", 1, case_scattered, ALWAYS},
    {0}};
