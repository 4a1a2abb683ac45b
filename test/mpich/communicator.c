/* SPDX-License-Identifier: BSD-3-Clause */
/* Windows over communicators of all kinds: ranks are those of the window's group. */
#include "suite.h"

/* Pass ranks round in that communicator, under every synchronization. */
static void ring(MPI_Comm comm)
{
    int rank, size, next, before, *base, counter = 0;
    MPI_Win win;

    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    next = (rank + 1) % size;
    before = (rank + size - 1) % size;
    OK(MPI_Win_allocate(64, 4, MPI_INFO_NULL, comm, &base, &win));
    memset(base, 0, 64);
    OK(MPI_Win_fence(0, win));
    OK(MPI_Put(&rank, 1, MPI_INT, next, 1, 1, MPI_INT, win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, win));
    EQUAL(base[1], before);
    OK(MPI_Win_lock(MPI_LOCK_SHARED, next, 0, win));
    OK(MPI_Put(&rank, 1, MPI_INT, next, 2, 1, MPI_INT, win));
    OK(MPI_Fetch_and_op(&size, &counter, MPI_INT, next, 3, MPI_SUM, win));
    OK(MPI_Win_unlock(next, win));
    EQUAL(counter, 0);
    MPI_Barrier(comm);
    OK(MPI_Win_lock(MPI_LOCK_SHARED, rank, 0, win));
    EQUAL(base[2], before);
    EQUAL(base[3], size);
    OK(MPI_Win_unlock(rank, win));
    OK(MPI_Win_free(&win));
}

static void case_duplicate(void)
{
    MPI_Comm comm;

    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    ring(comm);
    MPI_Comm_free(&comm);
    ring(MPI_COMM_SELF);
}

/* A window outlives the communicator that it was made of. */
static void case_outlives(void)
{
    int *base, value = me;
    MPI_Comm comm;
    MPI_Win win;

    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    OK(MPI_Win_allocate(64, 4, MPI_INFO_NULL, comm, &base, &win));
    MPI_Comm_free(&comm);
    OK(MPI_Win_fence(0, win));
    OK(MPI_Put(&value, 1, MPI_INT, to, 0, 1, MPI_INT, win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, win));
    EQUAL(*base, from);
    OK(MPI_Win_free(&win));
}

static void case_split(void)
{
    MPI_Comm comm;

    MPI_Comm_split(MPI_COMM_WORLD, me % 2, me, &comm);
    ring(comm);
    MPI_Comm_free(&comm);
    /* Only some ranks have one. */
    MPI_Comm_split(MPI_COMM_WORLD, me == 1 ? MPI_UNDEFINED : 0, me, &comm);
    if (comm != MPI_COMM_NULL) {
        ring(comm);
        MPI_Comm_free(&comm);
    }
}

static void case_reversed(void)
{
    MPI_Comm comm;

    MPI_Comm_split(MPI_COMM_WORLD, 0, ranks - me, &comm);
    ring(comm);
    MPI_Comm_free(&comm);
}

static void case_cartesian(void)
{
    int period = 1;
    MPI_Comm comm;

    MPI_Cart_create(MPI_COMM_WORLD, 1, &ranks, &period, 1, &comm);
    ring(comm);
    MPI_Comm_free(&comm);
}

/* Windows of overlapping groups at the same time. */
static void case_overlapping_groups(void)
{
    int *one, *other, value = me + 5;
    MPI_Win win_one, win_other;
    MPI_Comm comm;

    MPI_Comm_split(MPI_COMM_WORLD, me / 2, -me, &comm);
    OK(MPI_Win_allocate(64, 4, MPI_INFO_NULL, MPI_COMM_WORLD, &one, &win_one));
    OK(MPI_Win_allocate(64, 4, MPI_INFO_NULL, comm, &other, &win_other));
    other[0] = one[0] = 0;
    OK(MPI_Win_fence(0, win_one));
    OK(MPI_Win_fence(0, win_other));
    OK(MPI_Put(&value, 1, MPI_INT, 0, 0, 1, MPI_INT, win_other));
    OK(MPI_Put(&value, 1, MPI_INT, to, 0, 1, MPI_INT, win_one));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, win_other));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, win_one));
    EQUAL(one[0], from + 5);
    OK(MPI_Win_free(&win_one));
    OK(MPI_Win_free(&win_other));
    MPI_Comm_free(&comm);
}

static void case_group(void)
{
    MPI_Group group, all;
    MPI_Comm comm;
    MPI_Win win;
    int *base, result;

    MPI_Comm_split(MPI_COMM_WORLD, 0, ranks - me, &comm);
    OK(MPI_Win_allocate(64, 4, MPI_INFO_NULL, comm, &base, &win));
    MPI_Comm_group(comm, &all);
    OK(MPI_Win_get_group(win, &group));
    MPI_Group_compare(group, all, &result);
    EQUAL(result, MPI_IDENT);
    MPI_Group_free(&group);
    MPI_Group_free(&all);
    OK(MPI_Win_free(&win));
    MPI_Comm_free(&comm);
}

/* No windows over intercommunicators. (MPICH does not look, and crashes.) */
static void case_intercommunicator(void)
{
    int *base, memory, low = me % 2;
    MPI_Comm half, inter;
    MPI_Win win;

    MPI_Comm_split(MPI_COMM_WORLD, low, me, &half);
    MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, !low, 3, &inter);
    MPI_Comm_set_errhandler(inter, MPI_ERRORS_RETURN);
    EXPECT(MPI_Win_allocate(4, 4, MPI_INFO_NULL, inter, &base, &win), MPI_ERR_COMM);
    EXPECT(MPI_Win_create(&memory, 4, 4, MPI_INFO_NULL, inter, &win), MPI_ERR_COMM);
    EXPECT(MPI_Win_create_dynamic(MPI_INFO_NULL, inter, &win), MPI_ERR_COMM);
    MPI_Comm_free(&inter);
    MPI_Comm_free(&half);
}

const struct suite_case communicator_cases[] = {
    {"communicator: duplicates and MPI_COMM_SELF", 1, case_duplicate, ALWAYS},
    {"communicator: freed before the window", 1, case_outlives, ALWAYS},
    {"communicator: split", 2, case_split, ALWAYS},
    {"communicator: reversed order", 2, case_reversed, ALWAYS},
    {"communicator: Cartesian", 1, case_cartesian, ALWAYS},
    {"communicator: overlapping groups", 2, case_overlapping_groups, ALWAYS},
    {"communicator: the window's group", 1, case_group, ALWAYS},
    {"communicator: no intercommunicators", 2, case_intercommunicator, ADAPTER},
    {0}};
