/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a mapped operation must not do: call the system or the allocator. Rank 0 makes
 * each operation many times while every system call of its thread is turned into a signal
 * that counts it (PR_SET_SYSCALL_USER_DISPATCH), and allocations are counted by standing
 * in for malloc. Prints a line per operation. Needs 2 ranks; rank 1 waits, asleep.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <tombolo.h>

#define ROUNDS 1000
#define TARGET 1

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
enum { DISPATCH_OFF = 0, DISPATCH_ON = 1, ALLOW = 0, BLOCK = 1 };

static volatile sig_atomic_t system_calls, allocations;
static volatile char selector = ALLOW;
static tmb_win *win;

/* ---- counting ---- */

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *at, size_t bytes);

void *malloc(size_t bytes)
{
    allocations = allocations + 1;
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    allocations = allocations + 1;
    return __libc_calloc(count, bytes);
}

void *realloc(void *at, size_t bytes)
{
    allocations = allocations + 1;
    return __libc_realloc(at, bytes);
}

/* The call that was made is not carried out, and seems to have failed. */
static void count_system_call(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    (void)context;
    selector = ALLOW; /* returning from here is a system call, too */
    system_calls = system_calls + 1;
}

static int dispatch_start(void)
{
    struct sigaction action = {.sa_sigaction = count_system_call, .sa_flags = SA_SIGINFO};

    sigaction(SIGSYS, &action, NULL);
    return prctl(PR_SET_SYSCALL_USER_DISPATCH, DISPATCH_ON, 0, 0, &selector);
}

/* ---- operations ---- */

static int op_put(void)
{
    static uint64_t word = 7;

    return tmb_put(win, TARGET, 64, &word, sizeof(word));
}

static int op_put_flush(void)
{
    int rc = op_put();

    return rc ? rc : tmb_flush(win, TARGET);
}

static int op_put_large(void)
{
    static char bytes[100000];

    return tmb_put(win, TARGET, 128, bytes, sizeof(bytes));
}

static int op_get(void)
{
    uint64_t word;

    return tmb_get(win, TARGET, 64, &word, sizeof(word));
}

/* Rank 1 sleeps: these words are rank 0's own, so that there is nobody to wake. */
static int op_fetch_add(void)
{
    uint64_t old;

    return tmb_fetch_add_u64(win, 0, 0, 1, &old);
}

static int op_add_f64(void)
{
    return tmb_fetch_add_f64(win, 0, 8, 1.0, NULL);
}

static int op_put_signal(void)
{
    return tmb_put_signal(win, 0, 64, "12345678", 8, 16, TMB_SIGNAL_ADD, 1);
}

static int op_wait_true(void)
{
    return tmb_wait(win, 0, TMB_GE, 0, TMB_FOREVER, NULL);
}

static int op_lock(void)
{
    int rc = tmb_lock(win, TARGET, TMB_LOCK_EXCLUSIVE, TMB_FOREVER);

    return rc ? rc : tmb_unlock(win, TARGET);
}

static int op_lock_all(void)
{
    int rc = tmb_lock_all(win, TMB_FOREVER);

    return rc ? rc : tmb_unlock_all(win);
}

static int op_flush_all(void)
{
    return tmb_flush_all(win);
}

/* That counting works at all. */
static int op_loud(void)
{
    free(malloc(16));
    return syscall(SYS_getpid) > 0 ? 0 : 0;
}

static int measure(const char *name, int (*op)(void), int quiet)
{
    int rc = op(); /* whatever is done once is done now */

    system_calls = allocations = 0;
    for (int i = 0; i < ROUNDS && rc == 0; i++) {
        selector = BLOCK;
        rc = op();
        selector = ALLOW;
    }
    if (rc == 0 && quiet == (system_calls == 0 && allocations == 0)) {
        printf("ok %s\n", name);
        return 0;
    }
    printf("not ok %s: %d system calls, %d allocations in %d calls, error %d\n", name,
           (int)system_calls, (int)allocations, ROUNDS, rc);
    return 1;
}

static int measure_all(void)
{
    static const struct {
        const char *name;
        int (*op)(void);
        int quiet;
    } ops[] = {{"a loud operation is heard", op_loud, 0},
               {"put of 8 bytes", op_put, 1},
               {"put and flush", op_put_flush, 1},
               {"put of 100000 bytes", op_put_large, 1},
               {"get", op_get, 1},
               {"fetch-add", op_fetch_add, 1},
               {"add of doubles", op_add_f64, 1},
               {"put-signal", op_put_signal, 1},
               {"wait for what is true", op_wait_true, 1},
               {"lock and unlock", op_lock, 1},
               {"lock_all and unlock_all", op_lock_all, 1},
               {"flush_all", op_flush_all, 1}};
    int bad = 0;

    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        bad += measure(ops[i].name, ops[i].op, ops[i].quiet);
    return bad;
}

int main(void)
{
    int rank, bad = 0;

    if (tmb_init(TMB_THREAD_SINGLE) || tmb_rank(&rank) ||
        tmb_win_alloc(TMB_TEAM_WORLD, 1 << 20, 0, &win))
        return 1;
    if (rank == 0 && dispatch_start()) {
        printf("skip quiet: this kernel has no PR_SET_SYSCALL_USER_DISPATCH\n");
        fflush(stdout);
    } else if (rank == 0) {
        bad = measure_all();
    }
    tmb_win_free(win);
    return tmb_finalize() || bad;
}
