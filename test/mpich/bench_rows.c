/* SPDX-License-Identifier: BSD-3-Clause */
/* What the bench measures. */
#include "bench.h"

#include <stddef.h>

#define EACH_ROUND for (int round = 0; round < rounds; round++)

static void put(void)
{
    MPI_Put(bench.buffer, bench.bytes, MPI_BYTE, TARGET, 0, bench.bytes, MPI_BYTE,
            bench.win);
}

static void put_flush(int rounds)
{
    EACH_ROUND
    {
        put();
        MPI_Win_flush(TARGET, bench.win);
    }
}

static void get_flush(int rounds)
{
    EACH_ROUND
    {
        MPI_Get(bench.buffer, bench.bytes, MPI_BYTE, TARGET, 0, bench.bytes, MPI_BYTE,
                bench.win);
        MPI_Win_flush(TARGET, bench.win);
    }
}

static void put_stream(int rounds)
{
    EACH_ROUND
    {
        for (int i = 0; i < STREAM; i++)
            put();
        MPI_Win_flush(TARGET, bench.win);
    }
}

static void get_stream(int rounds)
{
    EACH_ROUND
    {
        for (int i = 0; i < STREAM; i++)
            MPI_Get(bench.buffer, bench.bytes, MPI_BYTE, TARGET, 0, bench.bytes, MPI_BYTE,
                    bench.win);
        MPI_Win_flush(TARGET, bench.win);
    }
}

static void lock_put_unlock(int rounds)
{
    EACH_ROUND
    {
        MPI_Win_lock(MPI_LOCK_EXCLUSIVE, TARGET, 0, bench.win);
        put();
        MPI_Win_unlock(TARGET, bench.win);
    }
}

static void lock_all_put(int rounds)
{
    EACH_ROUND
    {
        MPI_Win_lock_all(0, bench.win);
        put();
        MPI_Win_unlock_all(bench.win);
    }
}

static void accumulate(MPI_Op op, int rounds)
{
    EACH_ROUND
    {
        MPI_Accumulate(bench.buffer, bench.bytes / 8, MPI_DOUBLE, TARGET, 0,
                       bench.bytes / 8, MPI_DOUBLE, op, bench.win);
        MPI_Win_flush(TARGET, bench.win);
    }
}

static void accumulate_sum(int rounds)
{
    accumulate(MPI_SUM, rounds);
}

static void accumulate_replace(int rounds)
{
    accumulate(MPI_REPLACE, rounds);
}

static void get_accumulate(MPI_Op op, int rounds)
{
    EACH_ROUND
    {
        MPI_Get_accumulate(bench.buffer, bench.bytes / 8, MPI_DOUBLE,
                           bench.buffer + LARGEST, bench.bytes / 8, MPI_DOUBLE, TARGET, 0,
                           bench.bytes / 8, MPI_DOUBLE, op, bench.win);
        MPI_Win_flush(TARGET, bench.win);
    }
}

static void get_accumulate_sum(int rounds)
{
    get_accumulate(MPI_SUM, rounds);
}

static void get_accumulate_no_op(int rounds)
{
    get_accumulate(MPI_NO_OP, rounds);
}

static void fetch_and_op(int rounds)
{
    const int64_t one = 1;
    int64_t old;

    EACH_ROUND
    {
        MPI_Fetch_and_op(&one, &old, MPI_INT64_T, TARGET, 0, MPI_SUM, bench.win);
        MPI_Win_flush(TARGET, bench.win);
    }
}

static void compare_and_swap(int rounds)
{
    int64_t old = 0, wanted, next;

    EACH_ROUND
    {
        wanted = old;
        next = old + 1;
        MPI_Compare_and_swap(&next, &wanted, &old, MPI_INT64_T, TARGET, 0, bench.win);
        MPI_Win_flush(TARGET, bench.win);
    }
}

static void fence_put(int rounds)
{
    EACH_ROUND
    {
        put();
        MPI_Win_fence(0, bench.win);
    }
}

static void fence_only(int rounds)
{
    EACH_ROUND MPI_Win_fence(0, bench.win);
}

static void start_put_complete(int rounds)
{
    EACH_ROUND
    {
        MPI_Win_start(bench.other, 0, bench.win);
        put();
        MPI_Win_complete(bench.win);
    }
}

static void post_wait(int rounds)
{
    EACH_ROUND
    {
        MPI_Win_post(bench.other, 0, bench.win);
        MPI_Win_wait(bench.win);
    }
}

static void flush_all(int rounds)
{
    EACH_ROUND MPI_Win_flush_all(bench.win);
}

static void flush_local_all(int rounds)
{
    EACH_ROUND MPI_Win_flush_local_all(bench.win);
}

/* What Global Arrays does for each of its small arrays. */
static void allocate_free(int rounds)
{
    EACH_ROUND
    {
        MPI_Win win;
        void *base;

        MPI_Win_allocate(8192, 8, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win);
        MPI_Win_lock_all(MPI_MODE_NOCHECK, win);
        MPI_Win_unlock_all(win);
        MPI_Win_free(&win);
    }
}

#define BLOCKS 8192 /* of 8 bytes, every second one */

static void strided_put(int rounds)
{
    EACH_ROUND
    {
        MPI_Put(bench.buffer, BLOCKS * 8, MPI_BYTE, TARGET, 0, 1, bench.strided,
                bench.win);
        MPI_Win_flush(TARGET, bench.win);
    }
}

/* What a program would write by hand, into memory of its own. */
static void strided_copy(int rounds)
{
    EACH_ROUND
    {
        uint64_t *to = (uint64_t *)(void *)bench.memory;
        const uint64_t *from = (const uint64_t *)(const void *)bench.buffer;

        for (int i = 0; i < BLOCKS; i++)
            to[2 * i] = from[i];
        __asm__ volatile("" ::: "memory");
    }
}

static void compute_beside(int rounds)
{
    EACH_ROUND bench_compute(0.02);
}

/* The target is certainly computing by now. */
static void put_beside(int rounds)
{
    EACH_ROUND
    {
        double start = bench_now();

        bench_compute(0.004);
        bench.apart += bench_now() - start;
        lock_put_unlock(1);
    }
}

const struct row rows[] = {
    {"put + flush", put_flush, NULL, LOCKED | SIZES},
    {"get + flush", get_flush, NULL, LOCKED | SIZES},
    {"put bandwidth", put_stream, NULL, LOCKED | SIZES | STREAMED},
    {"get bandwidth", get_stream, NULL, LOCKED | SIZES | STREAMED},
    {"lock - put - unlock", lock_put_unlock, NULL, SIZES},
    {"lock_all - put - unlock_all", lock_all_put, NULL, 0},
    {"fence - put - fence", fence_put, fence_only, SIZES | FENCED},
    {"start - put - complete", start_put_complete, post_wait, SIZES},
    {"accumulate", accumulate_sum, NULL, LOCKED | SIZES},
    {"get_accumulate", get_accumulate_sum, NULL, LOCKED | SIZES},
    {"accumulate REPLACE", accumulate_replace, NULL, LOCKED},
    {"get_accumulate NO_OP", get_accumulate_no_op, NULL, LOCKED},
    {"fetch_and_op", fetch_and_op, NULL, LOCKED},
    {"compare_and_swap", compare_and_swap, NULL, LOCKED},
    {"strided put", strided_put, NULL, LOCKED | STRIDES},
    {"strided copy by hand", strided_copy, NULL, ONCE | STRIDES},
    {"flush_all, nothing pending", flush_all, NULL, LOCKED | ONCE},
    {"flush_local_all, nothing pending", flush_local_all, NULL, LOCKED | ONCE},
    {"allocate and free 8 KiB", allocate_free, allocate_free, ONCE},
    {"lock - put - unlock, target computes", put_beside, compute_beside, SLOW},
    {0}};
