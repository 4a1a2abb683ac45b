/* SPDX-License-Identifier: BSD-3-Clause */
#include "suite.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define CASE_SECONDS 120

int me, ranks;

static const struct suite_case *const families[] = {
    library_cases, team_cases,   collective_cases,   window_cases,
    block_cases,   adopt_cases,  adopt_thread_cases, transfer_cases,
    strided_cases, bounds_cases, atomic_cases,       signal_cases,
    lock_cases,    thread_cases, adapter_cases,      adapter_call_cases};

static atomic_int failures; /* of this rank in the current case */
static const char *running;

bool suite_check(bool ok, const char *text, const char *file, int line)
{
    if (!ok && atomic_fetch_add(&failures, 1) < 3)
        fprintf(stderr, "# [%d] %s: %s:%d: %s\n", me, running, file, line, text);
    return ok;
}

bool suite_expect(int got, int wanted, const char *text, const char *file, int line)
{
    char line_text[256];

    if (got == wanted)
        return true;
    snprintf(line_text, sizeof(line_text), "%s gave %d (%s) instead of %d (%s)", text,
             got, tmb_strerror(got), wanted, tmb_strerror(wanted));
    return suite_check(false, line_text, file, line);
}

int64_t suite_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int64_t suite_cpu_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

bool suite_slept(int64_t wall, int64_t cpu)
{
    return cpu * (getenv("SUITE_GUEST") ? 5 : 20) < wall;
}

void suite_sleep(int64_t ns)
{
    struct timespec left = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};

    nanosleep(&left, NULL);
}

/* xorshift64 (Marsaglia, Journal of Statistical Software 8, 2003). */
uint64_t suite_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A multiple of 8, and of no more: atomics need that much. */
#define MARGIN      ((size_t)24)
#define MARGIN_BYTE 0xa5

/* Memory with other data before and behind it. */
static uint8_t *memory_take(enum memory memory, size_t bytes)
{
    static _Alignas(64) uint8_t storage[STATIC_BYTES + 2 * MARGIN];
    void *block = NULL;

    if (memory == MEMORY_STATIC || memory == MEMORY_ADOPTED_STATIC)
        return storage;
    if (memory == MEMORY_BLOCK)
        OK(tmb_mem_alloc(bytes + 2 * MARGIN, &block));
    else
        block = malloc(bytes + 2 * MARGIN);
    return block;
}

static void memory_give(enum memory memory, uint8_t *around)
{
    if (memory == MEMORY_BLOCK)
        OK(tmb_mem_free(around));
    else if (memory == MEMORY_HEAP || memory == MEMORY_ADOPTED_HEAP)
        free(around);
}

void window_open(struct window *window, enum memory memory, size_t bytes)
{
    unsigned flags = memory == MEMORY_ADOPTED_HEAP || memory == MEMORY_ADOPTED_STATIC
                         ? TMB_WIN_ADOPT
                         : 0;
    void *ptr = NULL;

    *window = (struct window){.memory = memory, .bytes = bytes};
    if (memory == MEMORY_ALLOC) {
        OK(tmb_win_alloc(TMB_TEAM_WORLD, bytes, 0, &window->win));
        OK(tmb_win_ptr(window->win, me, &ptr));
        window->mine = ptr;
        return;
    }
    window->around = memory_take(memory, bytes);
    window->mine = window->around + MARGIN;
    memset(window->around, MARGIN_BYTE, bytes + 2 * MARGIN);
    memset(window->mine, 0, bytes);
    OK(tmb_win_create(TMB_TEAM_WORLD, window->mine, bytes, flags, &window->win));
}

/* Nothing around it has changed. */
static void margins_check(const struct window *window)
{
    const uint8_t *behind = window->mine + window->bytes;
    bool kept = true;

    for (size_t i = 0; i < MARGIN; i++)
        kept = kept && window->around[i] == MARGIN_BYTE && behind[i] == MARGIN_BYTE;
    CHECK(kept);
}

void window_close(struct window *window)
{
    OK(tmb_win_free(window->win));
    if (!window->around)
        return;
    margins_check(window);
    memory_give(window->memory, window->around);
}

static void too_long(int number)
{
    static const char text[] = "# the case took too long: ";

    (void)number;
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0 ||
        write(STDERR_FILENO, running, strlen(running)) < 0 ||
        write(STDERR_FILENO, "\n", 1) < 0)
        _exit(98);
    _exit(99);
}

struct tally {
    int passed, failed, skipped;
};

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strncmp(name, argv[i], strlen(argv[i])))
            return true;
    return argc < 2;
}

static void run_case(const struct suite_case *c, struct tally *tally)
{
    int mine, all = 0;

    running = c->name;
    atomic_store(&failures, 0);
    alarm(CASE_SECONDS);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    c->run();
    mine = atomic_load(&failures);
    if (tmb_allreduce(TMB_TEAM_WORLD, &mine, &all, 1, TMB_I32, TMB_OP_ADD, TMB_FOREVER))
        all = 1;
    alarm(0);
    tally->passed += all == 0;
    tally->failed += all != 0;
    if (me == 0)
        printf("%s %s\n", all ? "not ok" : "ok", c->name);
}

bool mapped(int rank)
{
    struct tmb_peer_info info = {0};

    return !tmb_peer_info(rank, &info, sizeof(info)) && info.mapped;
}

bool must_adopt(int rank, const char *what)
{
    const char *adopts = getenv("SUITE_ADOPTS");

    return rank != me && mapped(rank) && adopts &&
           (!strcmp(adopts, "all") || !strcmp(adopts, what));
}

/* All ranks answer alike, though some may map what others don't. */
static bool all_mapped(void)
{
    int mine = 1, all = 0;

    for (int i = 0; i < ranks; i++)
        mine &= mapped(i);
    OK(tmb_allreduce(TMB_TEAM_WORLD, &mine, &all, 1, TMB_I32, TMB_OP_MIN, TMB_FOREVER));
    return all;
}

static void skip_case(const struct suite_case *c, struct tally *tally)
{
    tally->skipped++;
    if (me == 0)
        printf("skip %s: needs capability mapped\n", c->name);
}

static void run_family(const struct suite_case *cases, int argc, char **argv,
                       struct tally *tally)
{
    for (const struct suite_case *c = cases; c->name; c++) {
        if (!wanted(c->name, argc, argv) || ranks < (c->ranks & ~MAPPED))
            continue; /* a smaller job has no such case; it is no skip */
        if (c->ranks & MAPPED && !all_mapped())
            skip_case(c, tally);
        else
            run_case(c, tally);
        fflush(stdout);
    }
}

/* Cases of adapters are for those who joined like one. */
static bool family_fits(const struct suite_case *cases)
{
    return (cases != adapter_cases && cases != adapter_call_cases) ||
           getenv("SUITE_ADAPTER");
}

static int join(void)
{
    const char *board = getenv("SUITE_ADAPTER");

    return board ? adapter_join(board) : tmb_init(TMB_THREAD_MULTIPLE);
}

int main(int argc, char **argv)
{
    struct tally tally = {0, 0, 0};

    if (join() || tmb_rank(&me) || tmb_size(&ranks) || ranks > RANKS_MAX)
        return 1;
    signal(SIGALRM, too_long);
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        if (family_fits(families[i]))
            run_family(families[i], argc, argv, &tally);
    running = "finalize";
    alarm(CASE_SECONDS);
    OK(tmb_finalize());
    EXPECT(tmb_barrier(TMB_TEAM_WORLD, 0), -ENOTCONN);
    if (me == 0)
        printf("%d passed, %d failed, %d skipped\n", tally.passed, tally.failed,
               tally.skipped);
    return tally.failed ? 1 : 0;
}
