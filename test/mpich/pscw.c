/* SPDX-License-Identifier: BSD-3-Clause */
/* Post, start, complete, wait (MPI-3.1, section 11.5.2). */
#include "suite.h"

static MPI_Group group_of(MPI_Win win, int count, const int *members)
{
    MPI_Group all, group;

    MPI_Win_get_group(win, &all);
    MPI_Group_incl(all, count, members, &group);
    MPI_Group_free(&all);
    return group;
}

static void post(MPI_Win win, int count, const int *members, int assert)
{
    MPI_Group group = group_of(win, count, members);

    OK(MPI_Win_post(group, assert, win));
    MPI_Group_free(&group);
}

static void start(MPI_Win win, int count, const int *members, int assert)
{
    MPI_Group group = group_of(win, count, members);

    OK(MPI_Win_start(group, assert, win));
    MPI_Group_free(&group);
}

/* One writer, and all others exposed, again and again. */
static void case_one_to_all(void)
{
    int others[RANKS_MAX], writer, value;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    for (int round = 0; round < rounds(30) + ranks; round++) {
        writer = round % ranks;
        for (int i = 0, n = 0; i < ranks; i++)
            if (i != writer)
                others[n++] = i;
        value = round + 1;
        if (me == writer) {
            start(w.win, ranks - 1, others, 0);
            for (int i = 0; i < ranks - 1; i++)
                OK(MPI_Put(&value, 1, MPI_INT, others[i], 0, 1, MPI_INT, w.win));
            OK(MPI_Win_complete(w.win));
        } else {
            post(w.win, 1, &writer, 0);
            OK(MPI_Win_wait(w.win));
            EQUAL(*(int *)(void *)w.base, value);
        }
    }
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

/* Many writers, one exposed. */
static void case_all_to_one(void)
{
    int others[RANKS_MAX], zero = 0;
    struct window w;

    for (int i = 1; i < ranks; i++)
        others[i - 1] = i;
    window_open(&w, HEAP, 4 * RANKS_MAX);
    for (int round = 0; round < rounds(30) + ranks; round++) {
        int value = round * 100 + me;

        if (me) {
            start(w.win, 1, &zero, 0);
            OK(MPI_Put(&value, 1, MPI_INT, 0, 4 * me, 1, MPI_INT, w.win));
            OK(MPI_Win_complete(w.win));
            continue;
        }
        post(w.win, ranks - 1, others, 0);
        OK(MPI_Win_wait(w.win));
        for (int i = 1; i < ranks; i++)
            EQUAL(((int *)(void *)w.base)[i], round * 100 + i);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

static void halo(struct window *w)
{
    const int both[2] = {from < to ? from : to, from < to ? to : from};
    int count = from == to ? 1 : 2, value;
    int *words = (int *)(void *)w->base;

    for (int round = 0; round < rounds(50); round++) { /* access and exposure overlap */
        value = round * 100 + me;
        post(w->win, count, both, 0);
        start(w->win, count, both, 0);
        OK(MPI_Put(&value, 1, MPI_INT, to, at(w, to, 0), 1, MPI_INT, w->win));
        OK(MPI_Put(&value, 1, MPI_INT, from, at(w, from, 4), 1, MPI_INT, w->win));
        OK(MPI_Win_complete(w->win));
        OK(MPI_Win_wait(w->win));
        EQUAL(words[0], round * 100 + from);
        EQUAL(words[1], round * 100 + to);
    }
}

static void case_halo(void)
{
    each_memory(64, halo);
}

static void case_test(void)
{
    int done = 0, tests = 0;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    if (me == 1) {
        start(w.win, 1, &(int){0}, 0);
        OK(MPI_Put(&(int){321}, 1, MPI_INT, 0, 0, 1, MPI_INT, w.win));
        OK(MPI_Win_complete(w.win));
        MPI_Recv(NULL, 0, MPI_INT, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        start(w.win, 1, &(int){0}, 0);
        OK(MPI_Win_complete(w.win));
    } else if (me == 0) {
        post(w.win, 1, &(int){1}, 0);
        for (done = 0; !done;)
            OK(MPI_Win_test(w.win, &done));
        EQUAL(*(int *)(void *)w.base, 321);
        post(w.win, 1, &(int){1}, 0);
        for (tests = 0; tests < 100; tests++) {
            OK(MPI_Win_test(w.win, &done));
            EQUAL(done, 0); /* nobody has started, by the message that is sent later */
        }
        MPI_Send(NULL, 0, MPI_INT, 1, 1, MPI_COMM_WORLD);
        OK(MPI_Win_wait(w.win));
    }
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

/* Empty groups: nothing is waited for. */
static void case_empty_groups(void)
{
    int done = 0;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    for (int i = 0; i < 5; i++) {
        OK(MPI_Win_post(MPI_GROUP_EMPTY, 0, w.win));
        OK(MPI_Win_start(MPI_GROUP_EMPTY, 0, w.win));
        OK(MPI_Win_complete(w.win));
        OK(MPI_Win_wait(w.win));
    }
    OK(MPI_Win_post(MPI_GROUP_EMPTY, 0, w.win));
    while (!done)
        OK(MPI_Win_test(w.win, &done));
    /* Only one side's group is empty. */
    if (me != 0)
        post(w.win, 1, &(int){0}, 0);
    else
        OK(MPI_Win_post(MPI_GROUP_EMPTY, 0, w.win));
    for (int i = 1; me == 0 && i < ranks; i++) {
        start(w.win, 1, &i, 0);
        OK(MPI_Win_complete(w.win));
    }
    OK(MPI_Win_wait(w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

/* NOCHECK: the post is known to have come first. */
static void case_no_check(void)
{
    struct window w;

    window_open(&w, ALLOCATE, 64);
    for (int i = 0; i < rounds(20); i++) {
        int value = i + me;

        post(w.win, 1, &from, MPI_MODE_NOCHECK);
        MPI_Barrier(MPI_COMM_WORLD);
        start(w.win, 1, &to, MPI_MODE_NOCHECK);
        OK(MPI_Put(&value, 1, MPI_INT, to, 0, 1, MPI_INT, w.win));
        OK(MPI_Win_complete(w.win));
        OK(MPI_Win_wait(w.win));
        EQUAL(*(int *)(void *)w.base, i + from);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

static void case_assertions(void)
{
    int got = -1;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    *(int *)(void *)w.base = me + 3;
    window_meet(w.win);
    post(w.win, 1, &from, MPI_MODE_NOPUT | MPI_MODE_NOSTORE);
    start(w.win, 1, &to, 0);
    OK(MPI_Get(&got, 1, MPI_INT, to, 0, 1, MPI_INT, w.win));
    OK(MPI_Win_complete(w.win));
    EQUAL(got, to + 3);
    OK(MPI_Win_wait(w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

/* A start may come long before the post, and a complete before the wait. */
static void case_early_and_late(void)
{
    struct window w;

    window_open(&w, ALLOCATE, 64);
    for (int i = 0; i < 4; i++) {
        if (me == 0) {
            if (i % 2)
                compute(0.01);
            start(w.win, 1, &(int){1}, 0);
            OK(MPI_Put(&i, 1, MPI_INT, 1, 0, 1, MPI_INT, w.win));
            OK(MPI_Win_complete(w.win));
        } else if (me == 1) {
            if (i % 2 == 0)
                compute(0.01);
            post(w.win, 1, &(int){0}, 0);
            OK(MPI_Win_wait(w.win));
            EQUAL(*(int *)(void *)w.base, i);
        }
    }
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

/* A rank in an exposure epoch accesses others in an epoch of its own, with other members,
 * and of its own group's subset. */
static void case_chain(void)
{
    int value = 0;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    for (int round = 0; round < 10; round++) {
        if (me > 0) { /* waits for the rank below, then goes on to the one above */
            post(w.win, 1, &(int){me - 1}, 0);
            OK(MPI_Win_wait(w.win));
            value = *(int *)(void *)w.base;
        } else {
            value = round;
        }
        value++;
        if (me < ranks - 1) {
            start(w.win, 1, &(int){me + 1}, 0);
            OK(MPI_Put(&value, 1, MPI_INT, me + 1, 0, 1, MPI_INT, w.win));
            OK(MPI_Win_complete(w.win));
        }
        EQUAL(value, round + 1 + me);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

const struct suite_case pscw_cases[] = {
    {"pscw: one to all others", 2, case_one_to_all, ALWAYS},
    {"pscw: all others to one", 2, case_all_to_one, ALWAYS},
    {"pscw: access and exposure overlap", 1, case_halo, ALWAYS},
    {"pscw: test", 2, case_test, ALWAYS},
    {"pscw: empty groups", 1, case_empty_groups, ALWAYS},
    {"pscw: NOCHECK", 1, case_no_check, ALWAYS},
    {"pscw: NOPUT and NOSTORE", 1, case_assertions, ALWAYS},
    {"pscw: early and late", 2, case_early_and_late, ALWAYS},
    {"pscw: chain", 2, case_chain, ALWAYS},
    {0}};
