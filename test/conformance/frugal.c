/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How often an operation over TCP may send: by the provider tcp, a system call each.
 * Stands in for send and sendmsg, and counts on both ranks: rank 0's requests, and the
 * answers of rank 1, which computes all along. Prints a line per operation. Collectives
 * come last. Needs 2 ranks, of whom one reaches the other by TCP.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <tombolo.h>

#define ROUNDS 5000
#define TARGET 1
#define DATA   64 /* offset; before it are the words below */

enum word { SENT, DONE }; /* how often this rank has sent; rank 0 has no more to do */

static _Atomic uint64_t early; /* before there is a window */
static _Atomic uint64_t *sent = &early;
static tmb_win *win;

__attribute__((visibility("default"))) ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
    atomic_fetch_add_explicit(sent, 1, memory_order_relaxed);
    return syscall(SYS_sendmsg, fd, message, flags);
}

__attribute__((visibility("default"))) ssize_t send(int fd, const void *data, size_t size,
                                                    int flags)
{
    atomic_fetch_add_explicit(sent, 1, memory_order_relaxed);
    return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}

/* ---- operations ---- */

static char bytes[65536];

static int op_put(void)
{
    return tmb_put(win, TARGET, DATA, bytes, 8);
}

static int op_put_flush(void)
{
    int rc = op_put();

    return rc ? rc : tmb_flush(win, TARGET);
}

static int op_puts_flush(void)
{
    int rc = 0;

    for (int i = 0; i < 20 && rc == 0; i++)
        rc = tmb_put(win, TARGET, DATA + 8 * (uint64_t)i, bytes, 8);
    return rc ? rc : tmb_flush(win, TARGET);
}

static int op_large_put_flush(void)
{
    int rc = tmb_put(win, TARGET, DATA, bytes, sizeof(bytes));

    return rc ? rc : tmb_flush(win, TARGET);
}

static int op_get(void)
{
    return tmb_get(win, TARGET, DATA, bytes, 8);
}

static int op_get_nb(void)
{
    static char here[ROUNDS][8];
    static int at;

    return tmb_get_nb(win, TARGET, DATA, here[at++ % ROUNDS], 8, NULL);
}

static int op_fetch_add(void)
{
    uint64_t old;

    return tmb_fetch_add_u64(win, TARGET, DATA, 1, &old);
}

static int op_lock(void)
{
    int rc = tmb_lock(win, TARGET, TMB_LOCK_EXCLUSIVE, TMB_FOREVER);

    return rc ? rc : tmb_unlock(win, TARGET);
}

static int op_put_signal(void)
{
    return tmb_put_signal(win, TARGET, DATA + 64, bytes, 8, DATA, TMB_SIGNAL_ADD, 1);
}

/* ---- counting ---- */

static uint64_t answers(void)
{
    uint64_t count = 0;

    tmb_get(win, TARGET, SENT * sizeof(count), &count, sizeof(count));
    return count;
}

/* Sends that an operation makes at most, on rank 0 and on rank 1. Beats, and puts that
 * are alone because a rank was not running, are few. */
struct bound {
    double requests, answers;
};

#define FEW (ROUNDS / 50)

static int measure(const char *name, int (*op)(void), struct bound bound)
{
    uint64_t answers_before = answers();
    uint64_t before = atomic_load_explicit(sent, memory_order_relaxed), requests;
    uint64_t answered;
    int rc = 0;

    for (int i = 0; i < ROUNDS && rc == 0; i++)
        rc = op();
    rc = rc ? rc : tmb_flush(win, TARGET);
    requests = atomic_load_explicit(sent, memory_order_relaxed) - before;
    answered = answers() - answers_before - 1; /* to answers() itself */
    if (rc == 0 && requests > 0 && answered > 0 &&
        (double)requests <= bound.requests * ROUNDS + FEW &&
        (double)answered <= bound.answers * ROUNDS + FEW) {
        printf("ok %s\n", name);
        return 0;
    }
    printf("not ok %s: %llu sends and %llu answers in %d calls, error %d\n", name,
           (unsigned long long)requests, (unsigned long long)answered, ROUNDS, rc);
    return 1;
}

static int measure_all(void)
{
    static const struct {
        const char *name;
        int (*op)(void);
        struct bound bound;
    } ops[] = {{"puts of 8 bytes", op_put, {1 / 50.0, 1 / 200.0}},
               {"put and flush", op_put_flush, {1, 1}},
               {"20 puts and a flush", op_puts_flush, {2, 2}},
               {"put of 64 KiB and flush", op_large_put_flush, {3, 1}},
               {"get", op_get, {1, 1}},
               {"gets that a flush ends", op_get_nb, {1 / 50.0, 1 / 20.0}},
               {"fetch-add", op_fetch_add, {1, 1}},
               {"lock and unlock", op_lock, {2, 2}},
               {"put-signal", op_put_signal, {1, 1}}};
    uint64_t done = 1;
    int bad = 0;

    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        bad += measure(ops[i].name, ops[i].op, ops[i].bound);
    return tmb_put(win, TARGET, DONE * sizeof(done), &done, sizeof(done)) ||
           tmb_flush(win, TARGET) || bad;
}

static void compute(const _Atomic uint64_t *words)
{
    const struct timespec moment = {.tv_nsec = 1000000};

    while (!atomic_load_explicit(&words[DONE], memory_order_acquire))
        nanosleep(&moment, NULL);
}

/* ---- collectives, which both ranks count ---- */

static int op_barrier(void)
{
    return tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER);
}

static int op_allgather(void)
{
    static char all[2][128];

    return tmb_allgather(TMB_TEAM_WORLD, bytes, all, sizeof(all[0]), TMB_FOREVER);
}

static int op_bcast(void)
{
    return tmb_bcast(TMB_TEAM_WORLD, 0, bytes, 128, TMB_FOREVER);
}

/* A round of two ranks: a message each way, with the data in it. */
static int collective(const char *name, int (*op)(void), int rank)
{
    uint64_t before = atomic_load_explicit(sent, memory_order_relaxed), sends;
    int rc = 0;

    for (int i = 0; i < ROUNDS && rc == 0; i++)
        rc = op();
    sends = atomic_load_explicit(sent, memory_order_relaxed) - before;
    if (rc == 0 && sends >= ROUNDS && sends <= ROUNDS + FEW) {
        printf("ok %s, rank %d\n", name, rank);
        return 0;
    }
    printf("not ok %s, rank %d: %llu sends in %d calls, error %d\n", name, rank,
           (unsigned long long)sends, ROUNDS, rc);
    return 1;
}

static int collectives(int rank)
{
    return collective("barrier", op_barrier, rank) +
           collective("allgather", op_allgather, rank) +
           collective("broadcast", op_bcast, rank);
}

int main(void)
{
    int rank, bad = 0;
    void *base;

    if (tmb_init(TMB_THREAD_SINGLE) || tmb_rank(&rank) ||
        tmb_win_alloc(TMB_TEAM_WORLD, 1 << 20, 0, &win) || tmb_win_ptr(win, rank, &base))
        return 1;
    sent = base;
    tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER);
    if (rank == 0)
        bad = measure_all();
    else
        compute(base);
    bad += collectives(rank);
    sent = &early;
    tmb_win_free(win);
    return tmb_finalize() || bad;
}
