/* SPDX-License-Identifier: BSD-3-Clause */
/* Lock - put - unlock by MPI from rank 0 to rank 1, which sits in a barrier meanwhile, so
 * that an MPI that needs it makes progress; and a fetch-and-op with its flush.
 *   mpi_lock_put MIN MAX ITERS */
#include <mpi.h>

#include "bench.h"

#define TARGET 1

static MPI_Win win;

static void lock_put_unlock(const void *data, long bytes)
{
    MPI_Win_lock(MPI_LOCK_EXCLUSIVE, TARGET, 0, win);
    MPI_Put(data, (int)bytes, MPI_BYTE, TARGET, 0, (int)bytes, MPI_BYTE, win);
    MPI_Win_unlock(TARGET, win);
}

static void fetch_op(const void *data, long bytes)
{
    int64_t old;

    (void)bytes;
    MPI_Fetch_and_op(data, &old, MPI_INT64_T, TARGET, 0, MPI_SUM, win);
    MPI_Win_flush(TARGET, win);
}

static void measure(struct bench *bench, void (*call)(const void *data, long bytes),
                    const void *data, long bytes)
{
    long iters = bench_iters(bench, bytes);

    for (long i = -5; i < iters; i++) { /* the first ones warm up */
        double start = bench_clock_us();

        call(data, bytes);
        if (i >= 0)
            bench->us[i] = bench_clock_us() - start;
    }
    bench_report(bench, bytes, iters);
}

int main(int argc, char **argv)
{
    struct bench bench = bench_begin("mpich-lock-put", argc, argv);
    long room = bench.max < 8 ? 8 : bench.max;
    char *data = calloc(1, (size_t)room);
    void *base;
    int rank;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Win_allocate(room, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win);
    for (long bytes = bench.min; bytes <= bench.max; bytes *= 2) {
        if (rank == 0)
            measure(&bench, lock_put_unlock, data, bytes);
        MPI_Barrier(MPI_COMM_WORLD);
    }
    bench.method = "mpich-fetch-op";
    MPI_Win_lock_all(0, win);
    if (rank == 0)
        measure(&bench, fetch_op, data, 8);
    MPI_Win_unlock_all(win);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_free(&win);
    MPI_Finalize();
    free(data);
    free(bench.us);
    return 0;
}
