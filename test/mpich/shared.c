/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared windows (MPI-3.1, section 11.2.3): loads and stores to others' parts. */
#include "suite.h"

static MPI_Comm host_comm(void)
{
    MPI_Comm host;

    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
    return host;
}

static void neighbours(MPI_Comm comm, int *rank, int *size)
{
    MPI_Comm_rank(comm, rank);
    MPI_Comm_size(comm, size);
}

static void query_is(MPI_Win win, int rank, MPI_Aint bytes, int unit, int **base)
{
    MPI_Aint got = -1;
    int got_unit = -1;

    OK(MPI_Win_shared_query(win, rank, &got, &got_unit, base));
    EQUAL(got, bytes);
    EQUAL(got_unit, unit);
    CHECK(bytes == 0 || *base);
}

static void part_round(const char *contiguity)
{
    MPI_Comm host = host_comm();
    int rank, size, *mine, *theirs;
    MPI_Info info;
    MPI_Win win;

    neighbours(host, &rank, &size);
    MPI_Info_create(&info);
    MPI_Info_set(info, "alloc_shared_noncontig", contiguity);
    OK(MPI_Win_allocate_shared(4096, 4, info, host, &mine, &win));
    MPI_Info_free(&info);
    query_is(win, (rank + 1) % size, 4096, 4, &theirs);
    OK(MPI_Win_fence(0, win));
    theirs[7] = rank; /* a store, through the neighbour's part */
    OK(MPI_Win_fence(0, win));
    EQUAL(mine[7], (rank + size - 1) % size);
    OK(MPI_Put(&rank, 1, MPI_INT, (rank + 1) % size, 8, 1, MPI_INT, win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, win));
    EQUAL(mine[8], (rank + size - 1) % size);
    OK(MPI_Win_free(&win));
    MPI_Comm_free(&host);
}

static void case_query(void)
{
    part_round("false");
    part_round("true");
}

/* Parts are one after the other in memory, unless one agrees that they need not be. */
static void case_contiguous(void)
{
    MPI_Comm host = host_comm();
    int rank, size, unit;
    char *mine, *first, *base;
    MPI_Aint bytes, offset = 0;
    MPI_Win win;

    neighbours(host, &rank, &size);
    OK(MPI_Win_allocate_shared(rank * 64, 1, MPI_INFO_NULL, host, &mine, &win));
    OK(MPI_Win_shared_query(win, MPI_PROC_NULL, &bytes, &unit, &first));
    for (int i = 0; i < size; i++) {
        OK(MPI_Win_shared_query(win, i, &bytes, &unit, &base));
        EQUAL(bytes, i * 64);
        CHECK(bytes == 0 || base == first + offset);
        offset += bytes;
    }
    OK(MPI_Win_free(&win));
    MPI_Comm_free(&host);
}

/* Only one rank has memory; all use it, by loads, stores and accumulates. */
static void case_one_part(void)
{
    MPI_Comm host = host_comm();
    int rank, size, *mine, *shared, one = 1;
    MPI_Win win;

    neighbours(host, &rank, &size);
    OK(MPI_Win_allocate_shared(rank ? 0 : 4096, 4, MPI_INFO_NULL, host, &mine, &win));
    query_is(win, 0, 4096, 4, &shared);
    OK(MPI_Win_lock_all(0, win));
    if (rank == 0)
        shared[1000] = 0;
    OK(MPI_Win_sync(win));
    MPI_Barrier(host);
    OK(MPI_Win_sync(win));
    for (int i = 0; i < 100; i++)
        OK(MPI_Accumulate(&one, 1, MPI_INT, 0, 1000, 1, MPI_INT, MPI_SUM, win));
    shared[rank] = rank * 2;
    OK(MPI_Win_flush_all(win));
    OK(MPI_Win_sync(win));
    MPI_Barrier(host);
    OK(MPI_Win_sync(win));
    EQUAL(shared[1000], 100 * size);
    for (int i = 0; i < size; i++)
        EQUAL(shared[i], i * 2);
    OK(MPI_Win_unlock_all(win));
    OK(MPI_Win_free(&win));
    MPI_Comm_free(&host);
}

static void case_units(void)
{
    MPI_Comm host = host_comm();
    int rank, size, *mine, *base;
    MPI_Win win;

    neighbours(host, &rank, &size);
    OK(MPI_Win_allocate_shared(64 + 64 * rank, rank + 1, MPI_INFO_NULL, host, &mine,
                               &win));
    for (int i = 0; i < size; i++)
        query_is(win, i, 64 + 64 * i, i + 1, &base);
    OK(MPI_Win_free(&win));
    MPI_Comm_free(&host);
}

/* Other windows can't be asked. */
static void case_other_flavors(void)
{
    MPI_Aint bytes;
    int unit;
    void *base;
    struct window w;

    window_open(&w, HEAP, 64);
    EXPECT(MPI_Win_shared_query(w.win, 0, &bytes, &unit, &base), MPI_ERR_RMA_FLAVOR);
    window_close(&w);
}

const struct suite_case shared_cases[] = {
    {"shared: query", 1, case_query, ALWAYS},
    {"shared: contiguous parts", 1, case_contiguous, ALWAYS},
    {"shared: one part for all", 1, case_one_part, ALWAYS},
    {"shared: units and sizes of each rank", 1, case_units, ALWAYS},
    {"shared: other windows aren't", 1, case_other_flavors, ALWAYS},
    {0}};
