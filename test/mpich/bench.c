/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prints what one-sided communication takes between two ranks, a line for each row: its
 * name, the kind of window, bytes, the median, and its unit, separated by tabs. bench.sh
 * makes a table of several runs.
 *   mpich_bench [MILLISECONDS]    that a sample takes at least (2)
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLES      11
#define SLOW_SAMPLES 3
#define QUICK        1e-3 /* seconds; of shorter samples, the slow rows' number is enough */
#define STRIDED      (64 << 10)

struct bench bench;
static double sample_seconds = 2e-3;

double bench_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void bench_compute(double seconds)
{
    volatile double work = 0;
    double end = bench_now() + seconds;

    while (bench_now() < end)
        for (int i = 0; i < 100; i++)
            work = work + i;
}

/* The origin's side; the target is told how many rounds. Seconds of one round. */
static double sample(const struct row *row, int rounds)
{
    double start, seconds;

    MPI_Bcast(&rounds, 1, MPI_INT, ORIGIN, MPI_COMM_WORLD);
    if (rounds == 0)
        return 0;
    bench.apart = 0;
    start = bench_now();
    row->origin(rounds);
    seconds = (bench_now() - start - bench.apart) / rounds;
    MPI_Barrier(MPI_COMM_WORLD);
    return seconds;
}

/* The target's side of all samples of a row. */
static void follow(const struct row *row)
{
    int rounds = 1;

    while (rounds) {
        MPI_Bcast(&rounds, 1, MPI_INT, ORIGIN, MPI_COMM_WORLD);
        if (rounds && row->target)
            row->target(rounds);
        if (rounds)
            MPI_Barrier(MPI_COMM_WORLD);
    }
}

static int ascending(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;

    return (difference > 0) - (difference < 0);
}

static double median(const struct row *row)
{
    int rounds = 1, samples = SAMPLES;
    double times[SAMPLES];

    if (row->kind & SLOW || sample_seconds < QUICK)
        samples = SLOW_SAMPLES;
    sample(row, 1); /* connects, faults pages in */
    while (!(row->kind & SLOW) && sample(row, rounds) * rounds < sample_seconds)
        rounds *= 2;
    for (int i = 0; i < samples; i++)
        times[i] = sample(row, rounds);
    sample(row, 0);
    qsort(times, (size_t)samples, sizeof(times[0]), ascending);
    return times[samples / 2];
}

static void measure(const struct row *row, const char *window, int bytes)
{
    double seconds;

    bench.bytes = bytes;
    if (row->kind & LOCKED)
        MPI_Win_lock_all(0, bench.win);
    if (row->kind & FENCED)
        MPI_Win_fence(0, bench.win);
    if (bench.rank == ORIGIN) {
        seconds = median(row);
        if (row->kind & STREAMED)
            printf("%s\t%s\t%d\t%.1f\tMB/s\n", row->name, window, bytes,
                   bytes * (double)STREAM / seconds / 1e6);
        else
            printf("%s\t%s\t%d\t%.4f\tus\n", row->name, window, bytes, seconds * 1e6);
        fflush(stdout);
    } else {
        follow(row);
    }
    if (row->kind & FENCED)
        MPI_Win_fence(MPI_MODE_NOSUCCEED, bench.win);
    if (row->kind & LOCKED)
        MPI_Win_unlock_all(bench.win);
}

static void measure_window(const char *window)
{
    static const int sizes[] = {8, 64, 1024, 8192, 65536, 1048576};
    MPI_Group all;

    MPI_Win_get_group(bench.win, &all);
    MPI_Group_incl(all, 1, &(int){!bench.rank}, &bench.other);
    MPI_Group_free(&all);
    memset(bench.memory, 0, LARGEST);
    for (const struct row *row = rows; row->name; row++) {
        if (row->kind & ONCE && strcmp(window, "allocate"))
            continue;
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
            if (row->kind & SIZES || i == 0)
                measure(row, row->kind & ONCE ? "-" : window,
                        row->kind & STRIDES ? STRIDED : sizes[i]);
    }
    MPI_Group_free(&bench.other);
}

static void setup(void)
{
    bench.buffer = calloc(2, LARGEST);
    MPI_Type_vector(STRIDED / 8, 8, 16, MPI_BYTE, &bench.strided);
    MPI_Type_commit(&bench.strided);
}

int main(int argc, char **argv)
{
    int ranks;
    void *memory;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &bench.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (argc > 1)
        sample_seconds = atof(argv[1]) / 1000;
    if (ranks != 2 || sample_seconds <= 0) {
        fprintf(stderr, "mpich_bench: needs 2 ranks, and milliseconds above 0\n");
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    setup();
    MPI_Win_allocate(LARGEST, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &bench.memory,
                     &bench.win);
    measure_window("allocate");
    MPI_Win_free(&bench.win);
    memory = aligned_alloc(4096, LARGEST);
    bench.memory = memory;
    MPI_Win_create(memory, LARGEST, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &bench.win);
    measure_window("create");
    MPI_Win_free(&bench.win);
    MPI_Type_free(&bench.strided);
    free(memory);
    free(bench.buffer);
    if (bench.rank == ORIGIN)
        printf("done\n");
    fflush(stdout);
    MPI_Finalize();
    return 0;
}
