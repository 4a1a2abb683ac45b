/* SPDX-License-Identifier: BSD-3-Clause */
/* Put and flush from rank 0 to rank 1, which waits in a barrier: by Tombolo, or, with
 * BENCH_MPI, by MPI. Prints for each size the median in ns, and the MB/s of a stream. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MOST_BYTES (1u << 20)

#ifdef BENCH_MPI
#include <mpi.h>
#define OK(call) ((call) == MPI_SUCCESS ? (void)0 : (void)MPI_Abort(MPI_COMM_WORLD, 1))

static MPI_Win win;

static int begin(int argc, char **argv)
{
    void *base;
    int rank;

    OK(MPI_Init(&argc, &argv));
    OK(MPI_Comm_rank(MPI_COMM_WORLD, &rank));
    OK(MPI_Win_allocate(MOST_BYTES, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
    OK(MPI_Win_lock_all(0, win));
    OK(MPI_Barrier(MPI_COMM_WORLD));
    return rank;
}

static void put(const void *bytes, size_t count)
{
    OK(MPI_Put(bytes, (int)count, MPI_BYTE, 1, 0, (int)count, MPI_BYTE, win));
}

static void flush(void)
{
    OK(MPI_Win_flush(1, win));
}

static void end(void)
{
    OK(MPI_Barrier(MPI_COMM_WORLD));
    OK(MPI_Win_unlock_all(win));
    OK(MPI_Win_free(&win));
    OK(MPI_Finalize());
}
#else
#include <tombolo.h>
#define OK(call) ((call) == 0 ? (void)0 : (void)tmb_abort(1))

static tmb_win *win;

static int begin(int argc, char **argv)
{
    int rank;

    (void)argc;
    (void)argv;
    OK(tmb_init(TMB_THREAD_SINGLE));
    OK(tmb_rank(&rank));
    OK(tmb_win_alloc(TMB_TEAM_WORLD, MOST_BYTES, 0, &win));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    return rank;
}

static void put(const void *bytes, size_t count)
{
    OK(tmb_put(win, 1, 0, bytes, count));
}

static void flush(void)
{
    OK(tmb_flush(win, 1));
}

static void end(void)
{
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_win_free(win));
    OK(tmb_finalize());
}
#endif

static double clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double latency(const void *bytes, size_t count, int iters, double *samples)
{
    for (int i = -(iters / 10); i < iters; i++) {
        double start = clock_ns();

        put(bytes, count);
        flush();
        if (i >= 0)
            samples[i] = clock_ns() - start;
    }
    qsort(samples, (size_t)iters, sizeof(*samples), compare);
    return samples[iters / 2];
}

static double stream(const void *bytes, size_t count, int iters)
{
    double start = clock_ns();

    for (int i = 0; i < iters; i++)
        put(bytes, count);
    flush();
    return (double)count * iters / (clock_ns() - start) * 1e3;
}

int main(int argc, char **argv)
{
    int iters = argc > 1 ? atoi(argv[1]) : 1000;
    double *samples = calloc((size_t)iters, sizeof(*samples));
    char *bytes = malloc(MOST_BYTES);

    if (!samples || !bytes)
        return 1;
    memset(bytes, 1, MOST_BYTES);
    if (begin(argc, argv) == 0)
        for (size_t count = 4; count <= MOST_BYTES; count *= 2) {
            double ns = latency(bytes, count, iters, samples);

            printf("%zu %.0f %.4f\n", count, ns, stream(bytes, count, iters / 4 + 1));
            fflush(stdout);
        }
    end();
    free(samples);
    free(bytes);
    return 0;
}
