/* SPDX-License-Identifier: BSD-3-Clause */
/* Fences (MPI-3.1, section 11.5.1). */
#include "suite.h"

static void case_phases(void)
{
    const int number = rounds(100) / 2 * 2;
    int *words;
    struct window w;

    window_open(&w, ALLOCATE, 2 * (MPI_Aint)sizeof(int));
    words = (int *)(void *)w.base;
    OK(MPI_Win_fence(0, w.win));
    for (int i = 0; i < number; i++) { /* each passes on what it got the round before */
        int value = i == 0 ? me : words[(i + 1) % 2];

        OK(MPI_Put(&value, 1, MPI_INT, to, i % 2 * 4, 1, MPI_INT, w.win));
        OK(MPI_Win_fence(0, w.win));
    }
    EQUAL(words[(number + 1) % 2], ((me - number) % ranks + ranks) % ranks);
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, w.win));
    window_close(&w);
}

static void assertions(struct window *w)
{
    int value = me + 1, got = -1, *word = (int *)(void *)w->base;

    OK(MPI_Win_fence(MPI_MODE_NOPRECEDE, w->win));
    OK(MPI_Put(&value, 1, MPI_INT, to, at(w, to, 0), 1, MPI_INT, w->win));
    OK(MPI_Win_fence(MPI_MODE_NOSTORE | MPI_MODE_NOPUT, w->win));
    EQUAL(*word, from + 1);
    OK(MPI_Get(&got, 1, MPI_INT, to, at(w, to, 0), 1, MPI_INT, w->win));
    OK(MPI_Win_fence(MPI_MODE_NOSTORE | MPI_MODE_NOPUT | MPI_MODE_NOSUCCEED, w->win));
    EQUAL(got, value);
    *word = 0;
    OK(MPI_Win_fence(MPI_MODE_NOPRECEDE | MPI_MODE_NOSUCCEED, w->win));
}

static void case_assertions(void)
{
    each_memory(64, assertions);
}

/* Stores before a fence are seen by gets after it, and what was put, by loads. */
static void stores_and_loads(struct window *w)
{
    volatile int *words = (volatile int *)(void *)w->base;
    int got;

    OK(MPI_Win_fence(0, w->win));
    for (int i = 0; i < rounds(50); i++) {
        words[0] = i * 1000 + me;
        OK(MPI_Win_fence(0, w->win));
        OK(MPI_Get(&got, 1, MPI_INT, to, at(w, to, 0), 1, MPI_INT, w->win));
        OK(MPI_Win_fence(0, w->win));
        EQUAL(got, i * 1000 + to);
        OK(MPI_Put(&got, 1, MPI_INT, to, at(w, to, 4), 1, MPI_INT, w->win));
        OK(MPI_Win_fence(0, w->win));
        EQUAL(words[1], i * 1000 + me);
    }
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, w->win));
}

static void case_stores_and_loads(void)
{
    each_memory(64, stores_and_loads);
}

/* Fences of several windows, crossed. */
static void case_two_windows(void)
{
    struct window one, other;

    window_open(&one, ALLOCATE, 64);
    window_open(&other, HEAP, 64);
    OK(MPI_Win_fence(0, one.win));
    OK(MPI_Win_fence(0, other.win));
    OK(MPI_Put(&me, 1, MPI_INT, to, 0, 1, MPI_INT, one.win));
    OK(MPI_Put(&me, 1, MPI_INT, from, 0, 1, MPI_INT, other.win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, one.win));
    EQUAL(*(int *)(void *)one.base, from);
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, other.win));
    EQUAL(*(int *)(void *)other.base, to);
    window_close(&one);
    window_close(&other);
}

/* From fences to locks to PSCW and back, on one window. */
static void alternate(struct window *w)
{
    int *word = (int *)(void *)w->base, value;

    for (int i = 0; i < rounds(20) + 4; i++) {
        enum synchronization s = (enum synchronization)(i % SYNCHRONIZATIONS);

        value = i * 100 + me;
        epoch_open(w, s);
        OK(MPI_Accumulate(&value, 1, MPI_INT, to, at(w, to, 0), 1, MPI_INT, MPI_REPLACE,
                          w->win));
        epoch_close(w, s);
        EQUAL(*word, i * 100 + from);
        MPI_Barrier(MPI_COMM_WORLD);
    }
}

static void case_alternate(void)
{
    each_memory(64, alternate);
}

const struct suite_case fence_cases[] = {
    {"fence: phases", 1, case_phases, ALWAYS},
    {"fence: assertions", 1, case_assertions, ALWAYS},
    {"fence: stores and loads", 1, case_stores_and_loads, ALWAYS},
    {"fence: two windows", 1, case_two_windows, ALWAYS},
    {"fence: in turn with other epochs", 1, case_alternate, ALWAYS},
    {0}};
