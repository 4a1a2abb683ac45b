/* SPDX-License-Identifier: BSD-3-Clause */
/* MPI_THREAD_MULTIPLE: several threads of each rank, on one window and on their own. */
#include "suite.h"

#include <pthread.h>

#define THREADS 3
#define ROUNDS  150 /* at most */

struct worker {
    const struct window *window;
    int number;
    MPI_Comm comm; /* of the threads of that number */
    void (*run)(struct worker *);
};

static void *worker_main(void *argument)
{
    struct worker *worker = argument;

    worker->run(worker);
    return NULL;
}

/* Run in all threads at once. */
static void threads(const struct window *window, void (*run)(struct worker *))
{
    pthread_t thread[THREADS];
    struct worker worker[THREADS];

    for (int i = 0; i < THREADS; i++) {
        worker[i] = (struct worker){window, i, MPI_COMM_NULL, run};
        MPI_Comm_dup(MPI_COMM_WORLD, &worker[i].comm);
    }
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, worker_main, &worker[i]))
            abort();
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < THREADS; i++)
        MPI_Comm_free(&worker[i].comm);
}

static void count(struct worker *worker)
{
    MPI_Win win = worker->window->win;
    int one = 1, old;

    for (int i = 0; i < rounds(ROUNDS); i++) {
        OK(MPI_Fetch_and_op(&one, &old, MPI_INT, i % ranks, 0, MPI_SUM, win));
        OK(MPI_Win_flush(i % ranks, win));
        OK(MPI_Accumulate(&one, 1, MPI_INT, i % ranks, 4, 1, MPI_INT, MPI_SUM, win));
    }
    OK(MPI_Win_flush_all(win));
}

static void case_count(void)
{
    int sum[2], *words;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    words = (int *)(void *)w.base;
    OK(MPI_Win_lock_all(0, w.win));
    threads(&w, count);
    OK(MPI_Win_unlock_all(w.win));
    window_meet(w.win);
    MPI_Allreduce(words, sum, 2, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    EQUAL(sum[0], rounds(ROUNDS) * THREADS * ranks);
    EQUAL(sum[1], rounds(ROUNDS) * THREADS * ranks);
    window_close(&w);
}

/* Puts, gets and flushes of all threads, each in its stripe of the target. */
static void stripes(struct worker *worker)
{
    enum { STRIPE = 2048 };
    uint8_t out[STRIPE], in[STRIPE];
    MPI_Win win = worker->window->win;
    MPI_Aint place = (me * THREADS + worker->number) * STRIPE;

    for (int i = 0; i < rounds(ROUNDS); i++) {
        int target = (me + i) % ranks;

        pattern_fill(out, STRIPE, (unsigned)(me * 31 + worker->number * 7 + i));
        OK(MPI_Put(out, STRIPE, MPI_BYTE, target, place, STRIPE, MPI_BYTE, win));
        OK(MPI_Win_flush(target, win));
        OK(MPI_Get(in, STRIPE, MPI_BYTE, target, place, STRIPE, MPI_BYTE, win));
        OK(MPI_Win_flush(target, win));
        CHECK(!memcmp(in, out, STRIPE));
    }
}

static void case_stripes(void)
{
    struct window w;

    for (enum memory memory = ALLOCATE; memory <= HEAP; memory++) {
        window_open(&w, memory, 2048 * THREADS * ranks);
        OK(MPI_Win_lock_all(0, w.win));
        threads(&w, stripes);
        OK(MPI_Win_unlock_all(w.win));
        MPI_Barrier(MPI_COMM_WORLD);
        window_close(&w);
    }
}

/* Each thread has its own windows, which it makes and frees. */
static void own_windows(struct worker *worker)
{
    for (int i = 0; i < rounds(20); i++) {
        int *base, value = i * 10 + worker->number;
        MPI_Win win;

        OK(MPI_Win_allocate(64, 4, MPI_INFO_NULL, worker->comm, &base, &win));
        OK(MPI_Win_fence(0, win));
        OK(MPI_Put(&value, 1, MPI_INT, to, 3, 1, MPI_INT, win));
        OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, win));
        EQUAL(base[3], value);
        OK(MPI_Win_free(&win));
    }
}

static void case_own_windows(void)
{
    threads(NULL, own_windows);
}

/* A lock belongs to the process: one thread takes it, another one releases it. */
static pthread_barrier_t turn;

static void hand_over(struct worker *worker)
{
    MPI_Win win = worker->window->win;
    int64_t value;

    for (int i = 0; i < rounds(30); i++) {
        if (worker->number == 0) {
            OK(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, win));
            OK(MPI_Get(&value, 1, MPI_INT64_T, 0, 0, 1, MPI_INT64_T, win));
            OK(MPI_Win_flush(0, win));
            value++;
            OK(MPI_Put(&value, 1, MPI_INT64_T, 0, 0, 1, MPI_INT64_T, win));
            OK(MPI_Win_flush(0, win));
        }
        pthread_barrier_wait(&turn);
        if (worker->number == 1 + i % (THREADS - 1))
            OK(MPI_Win_unlock(0, win));
        pthread_barrier_wait(&turn);
    }
}

static void case_hand_over(void)
{
    struct window w;

    pthread_barrier_init(&turn, NULL, THREADS);
    window_open(&w, ALLOCATE, 64);
    threads(&w, hand_over);
    window_meet(w.win);
    if (me == 0)
        EQUAL(*(int64_t *)(void *)w.base, rounds(30) * ranks);
    window_close(&w);
    pthread_barrier_destroy(&turn);
}

/* Some threads exchange messages while others access memory. */
static void messages_and_memory(struct worker *worker)
{
    int in, out;
    MPI_Win win = worker->window->win;

    for (int i = 0; i < rounds(ROUNDS); i++) {
        out = i * 10 + worker->number;
        if (worker->number == 0) {
            MPI_Sendrecv(&out, 1, MPI_INT, to, 5, &in, 1, MPI_INT, from, 5, worker->comm,
                         MPI_STATUS_IGNORE);
        } else {
            OK(MPI_Get_accumulate(&out, 1, MPI_INT, &in, 1, MPI_INT, to,
                                  8 * worker->number, 1, MPI_INT, MPI_REPLACE, win));
            OK(MPI_Win_flush(to, win));
            in += i ? 10 : out;
        }
        EQUAL(in, out);
    }
}

static void case_messages_and_memory(void)
{
    struct window w;

    window_open(&w, HEAP, 64);
    OK(MPI_Win_lock_all(0, w.win));
    threads(&w, messages_and_memory);
    OK(MPI_Win_unlock_all(w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

/* Requests of several threads, completed by others' Waitall. */
static void requests(struct worker *worker)
{
    enum { MANY = 20 };
    MPI_Request request[MANY];
    MPI_Status status[MANY];
    MPI_Win win = worker->window->win;
    int values[MANY], got[MANY];
    MPI_Aint place = worker->number * MANY * 4;

    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < MANY; i++) {
            values[i] = round * 1000 + me * 100 + i;
            OK(MPI_Rput(&values[i], 1, MPI_INT, to, place + 4 * i, 1, MPI_INT, win,
                        &request[i]));
        }
        OK(MPI_Waitall(MANY, request, status));
        OK(MPI_Win_flush(to, win));
        for (int i = 0; i < MANY; i++)
            OK(MPI_Rget(&got[i], 1, MPI_INT, to, place + 4 * i, 1, MPI_INT, win,
                        &request[i]));
        OK(MPI_Waitall(MANY, request, status));
        for (int i = 0; i < MANY; i++)
            EQUAL(got[i], values[i]);
    }
}

static void case_requests(void)
{
    struct window w;

    window_open(&w, ALLOCATE, 4096);
    OK(MPI_Win_lock_all(0, w.win));
    threads(&w, requests);
    OK(MPI_Win_unlock_all(w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

const struct suite_case thread_cases[] = {
    {"thread: counting", 1, case_count, ALWAYS},
    {"thread: stripes of one window", 1, case_stripes, ALWAYS},
    {"thread: windows of their own", 1, case_own_windows, ALWAYS},
    {"thread: a lock handed over", 1, case_hand_over, ALWAYS},
    {"thread: messages meanwhile", 1, case_messages_and_memory, ALWAYS},
    {"thread: requests", 1, case_requests, ALWAYS},
    {0}};
