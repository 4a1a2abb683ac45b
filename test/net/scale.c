/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What many ranks cost each other over TCP, and a rank that computes. Prints a line that
 * who runs it reads.
 *
 *   scale memory           every rank works a little with every other one: how much
 * memory of its own the one with most has, and how many sockets scale idle SECONDS all
 * wait for the last rank, which sleeps: what that costs the one that it costs most scale
 * passive SECONDS  rank 0 computes without a call; the others work on its memory
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tombolo.h"

#define SECOND      INT64_C(1000000000)
#define PIECE_BYTES 1024
#define PART_BYTES  65536
#define ROUNDS_MAX  100000

enum { COMPUTES = 0, ADDED = 8, PIECES = 64 };

static int me, ranks;
static tmb_win *win;

static void check(int rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "rank %d: %s: %s\n", me, what, tmb_strerror(rc));
    _exit(1);
}
#define OK(call) check(call, #call)

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static uint64_t most(uint64_t mine)
{
    uint64_t all;

    OK(tmb_allreduce(TMB_TEAM_WORLD, &mine, &all, 1, TMB_U64, TMB_OP_MAX, TMB_FOREVER));
    return all;
}

/* ---- memory ---- */

/* What no other process has, and no file. */
static uint64_t anonymous_kib(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    char line[128];
    unsigned long kib = 0;

    if (!file)
        check(-errno, "smaps_rollup");
    while (fgets(line, sizeof line, file) && sscanf(line, "Anonymous: %lu", &kib) != 1)
        ;
    fclose(file);
    return kib;
}

static uint64_t sockets(void)
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    char link[32];
    uint64_t count = 0;

    if (!directory)
        check(-errno, "/proc/self/fd");
    while ((entry = readdir(directory)))
        count += readlinkat(dirfd(directory), entry->d_name, link, sizeof link) >= 7 &&
                 !memcmp(link, "socket:", 7);
    closedir(directory);
    return count;
}

static void memory(void)
{
    uint8_t piece[PIECE_BYTES] = {0};
    uint64_t kib, count;

    for (int i = 1; i < ranks; i++) {
        int other = (me + i) % ranks;

        OK(tmb_put(win, other, PIECES, piece, sizeof piece));
        OK(tmb_flush(win, other));
        OK(tmb_get(win, other, PIECES, piece, sizeof piece));
        OK(tmb_fetch_add_u64(win, other, ADDED, 1, NULL));
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    kib = most(anonymous_kib());
    count = most(sockets());
    if (me == 0)
        printf("memory: %llu KiB, %llu sockets\n", (unsigned long long)kib,
               (unsigned long long)count);
}

/* ---- idleness ---- */

static void idle(int seconds)
{
    struct timespec pause = {.tv_sec = seconds};
    struct rusage before, after;
    int64_t cpu;
    uint64_t worst, woken;

    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    getrusage(RUSAGE_SELF, &before);
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (me == ranks - 1)
        nanosleep(&pause, NULL);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    getrusage(RUSAGE_SELF, &after);
    worst = most((uint64_t)cpu / 1000);
    woken = most((uint64_t)(after.ru_nvcsw - before.ru_nvcsw));
    if (me == 0)
        printf("idle: %llu us in %d s, woken %llu times\n", (unsigned long long)worst,
               seconds, (unsigned long long)woken);
}

/* ---- a target that computes ---- */

static void compute(int seconds)
{
    volatile uint64_t *computes;
    volatile double sum = 0;
    void *part;
    int64_t end;

    OK(tmb_win_ptr(win, 0, &part));
    computes = part;
    *computes = 1;
    end = clock_ns(CLOCK_MONOTONIC) + seconds * SECOND;
    while (clock_ns(CLOCK_MONOTONIC) < end)
        sum = sum + 1.0;
    *computes = 2;
}

static int by_time(const void *a, const void *b)
{
    const int64_t *one = a, *other = b;

    return (*one > *other) - (*one < *other);
}

/* One of each; returns whether the target still computed after the last. */
static int work(void)
{
    uint8_t piece[PIECE_BYTES] = {0};
    uint64_t computes = 0;

    OK(tmb_lock(win, 0, TMB_LOCK_EXCLUSIVE, TMB_FOREVER));
    OK(tmb_put(win, 0, PIECES, piece, sizeof piece));
    OK(tmb_flush(win, 0));
    OK(tmb_unlock(win, 0));
    OK(tmb_fetch_add_u64(win, 0, ADDED, 1, NULL));
    OK(tmb_get(win, 0, COMPUTES, &computes, sizeof computes));
    return computes < 2;
}

static uint64_t work_all_along(int64_t *times)
{
    uint64_t rounds = 0;
    int more = 1;

    while (more && rounds < ROUNDS_MAX) {
        int64_t begin = clock_ns(CLOCK_MONOTONIC);

        more = work();
        times[rounds] = clock_ns(CLOCK_MONOTONIC) - begin;
        rounds += (uint64_t)more;
    }
    return rounds;
}

static void passive(int seconds)
{
    static int64_t times[ROUNDS_MAX];
    uint64_t rounds = 0, added = 0, all;

    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me == 0)
        compute(seconds);
    else
        rounds = work_all_along(times);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    qsort(times, rounds, sizeof *times, by_time);
    OK(tmb_allreduce(TMB_TEAM_WORLD, &rounds, &all, 1, TMB_U64, TMB_OP_ADD, TMB_FOREVER));
    OK(tmb_fetch_u64(win, 0, ADDED, &added));
    if (me == 1)
        printf("passive: %llu rounds of %llu, median %lld us, longest %lld us\n",
               (unsigned long long)all, (unsigned long long)added,
               (long long)(rounds ? times[rounds / 2] / 1000 : 0),
               (long long)(rounds ? times[rounds - 1] / 1000 : 0));
}

int main(int argc, char **argv)
{
    int seconds = argc > 2 ? atoi(argv[2]) : 0;
    const char *what = argc > 1 ? argv[1] : "";

    OK(tmb_init(TMB_THREAD_SINGLE));
    OK(tmb_rank(&me));
    OK(tmb_size(&ranks));
    OK(tmb_win_alloc(TMB_TEAM_WORLD, PART_BYTES, 0, &win));
    if (!strcmp(what, "memory"))
        memory();
    else if (!strcmp(what, "idle"))
        idle(seconds);
    else if (!strcmp(what, "passive"))
        passive(seconds);
    OK(tmb_win_free(win));
    return tmb_finalize() != 0;
}
