/* SPDX-License-Identifier: BSD-3-Clause */
/* Windows on memory whose pages the library may replace. */
#include <alloca.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suite.h"

extern char **environ;

#define PAGE  4096u
#define PAGES 16u

static _Alignas(65536) uint8_t area[PAGES * PAGE];

/* Whether peers map it, as they must. */
static void mapped_check(tmb_win *win, const char *what)
{
    void *there;

    for (int i = 0; i < ranks; i++)
        if (must_adopt(i, what) || i == me)
            OK(tmb_win_ptr(win, i, &there));
}

static void area_fill(void)
{
    for (size_t i = 0; i < sizeof(area); i++)
        area[i] = (uint8_t)(i * 31 + i / 251 + (size_t)me);
}

static bool area_is_filled(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (area[i] != (uint8_t)(i * 31 + i / 251 + (size_t)me))
            return false;
    return true;
}

/* Whether the page is mapped as shared memory. */
static bool is_shared(const void *at)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long start, end;
    char line[4096], access[5];
    bool shared = false;

    while (maps && fgets(line, sizeof(line), maps))
        if (sscanf(line, "%lx-%lx %4s", &start, &end, access) == 3 &&
            (uintptr_t)at >= start && (uintptr_t)at < end)
            shared = access[3] == 's';
    if (maps)
        fclose(maps);
    return shared;
}

/* ---- what is adopted, and what stays ---- */

static void content_on(size_t from, size_t to, const char *what)
{
    tmb_win *win;
    void *there;

    area_fill();
    OK(tmb_win_create(TMB_TEAM_WORLD, area + from, to - from, TMB_WIN_ADOPT, &win));
    mapped_check(win, what);
    CHECK(area_is_filled(0, sizeof(area)));
    OK(tmb_win_ptr(win, me, &there));
    CHECK(there == area + from);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_put(win, (me + 1) % ranks, 0, "<", 1));
    OK(tmb_put(win, (me + 1) % ranks, to - from - 1, ">", 1));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_win_free(win));
    CHECK(area[to - 1] == '>' && (to - from == 1 || area[from] == '<'));
    CHECK(area_is_filled(0, from) && area_is_filled(to, sizeof(area)) &&
          (to - from < 3 || area_is_filled(from + 1, to - 1)));
    CHECK(!is_shared(area + from) && !is_shared(area + to - 1));
}

static void case_content(void)
{
    content_on(PAGE, 5 * PAGE, "inner");
    content_on(0, sizeof(area), "inner");
    content_on(PAGE + 8, 4 * PAGE - 16, "all");
    content_on(PAGE + 1, 2 * PAGE, "all");
    content_on(PAGE, 2 * PAGE + 1, "all");
    content_on(3 * PAGE - 1, 3 * PAGE + 1, "all");
    content_on(3 * PAGE + 5, 3 * PAGE + 6, "all");
}

/* A counter is a page's worth of trouble, but then nobody's agent is asked. */
static void case_counter(void)
{
    struct tmb_stats before, after;
    static uint64_t counter;
    bool all = true;
    tmb_win *win;

    counter = 0;
    OK(tmb_win_create(TMB_TEAM_WORLD, &counter, sizeof(counter), TMB_WIN_ADOPT, &win));
    OK(tmb_stats_get(&before, sizeof(before)));
    for (int i = 0; i < ranks; i++) {
        all = all && (i == me || must_adopt(i, "all"));
        OK(tmb_fetch_add_u64(win, i, 0, 1, NULL));
    }
    OK(tmb_stats_get(&after, sizeof(after)));
    CHECK(!all || after.agent_calls == before.agent_calls);
    OK(tmb_win_free(win));
    CHECK(counter == (uint64_t)ranks);
}

static void case_heap(void)
{
    static const size_t sizes[] = {1, 100, 5000, 70000, 1 << 20, 3 << 20};
    tmb_win *win;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t *bytes = malloc(sizes[i]), *more;

        memset(bytes, me + 1, sizes[i]);
        OK(tmb_win_create(TMB_TEAM_WORLD, bytes, sizes[i], TMB_WIN_ADOPT, &win));
        OK(tmb_put(win, (me + 1) % ranks, sizes[i] - 1, "x", 1));
        OK(tmb_win_free(win));
        CHECK(bytes[sizes[i] - 1] == 'x' && (sizes[i] == 1 || bytes[0] == me + 1));
        more = realloc(bytes, sizes[i] * 2 + 100000);
        CHECK(more[sizes[i] - 1] == 'x');
        free(more);
    }
}

/* Pages are adopted as long as a window is on them, whatever kind it is of. */
static void case_overlap(void)
{
    tmb_win *whole, *part, *plain;
    int right = (me + 1) % ranks;
    uint64_t seen;

    memset(area, 0, sizeof(area));
    OK(tmb_win_create(TMB_TEAM_WORLD, area, 8 * PAGE, TMB_WIN_ADOPT, &whole));
    OK(tmb_win_create(TMB_TEAM_WORLD, area + 2 * PAGE + 8, PAGE, TMB_WIN_ADOPT, &part));
    OK(tmb_win_create(TMB_TEAM_WORLD, area + 4 * PAGE + 8, 64, 0, &plain));
    mapped_check(part, "inner");
    mapped_check(plain, "inner");
    OK(tmb_fetch_add_u64(whole, right, 2 * PAGE + 8, 1, NULL));
    OK(tmb_fetch_add_u64(part, right, 0, 2, NULL));
    OK(tmb_fetch_add_u64(plain, right, 0, 4, NULL));
    OK(tmb_win_free(whole));
    CHECK(!is_shared(area) && !is_shared(area + 5 * PAGE));
    OK(tmb_fetch_add_u64(part, right, 0, 8, NULL));
    OK(tmb_fetch_add_u64(plain, right, 0, 16, NULL));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_fetch_u64(part, me, 0, &seen));
    CHECK(seen == 11);
    OK(tmb_fetch_u64(plain, me, 0, &seen));
    CHECK(seen == 20);
    OK(tmb_win_free(part));
    CHECK(!is_shared(area + 2 * PAGE) && !is_shared(area + 3 * PAGE));
    OK(tmb_win_free(plain));
    CHECK(!is_shared(area + 4 * PAGE));
    memcpy(&seen, area + 2 * PAGE + 8, sizeof(seen));
    CHECK(seen == 11);
    memcpy(&seen, area + 4 * PAGE + 8, sizeof(seen));
    CHECK(seen == 20);
}

/* Arrays that share a page: it is adopted once, and as long as one of them needs it. */
static void case_neighbours(void)
{
    enum { COUNT = 5 };
    size_t bytes = 2 * PAGE + 24;
    int right = (me + 1) % ranks;
    tmb_win *wins[COUNT];

    memset(area, 0, sizeof(area));
    for (size_t i = 0; i < COUNT; i++)
        OK(tmb_win_create(TMB_TEAM_WORLD, area + 8 + i * bytes, bytes, TMB_WIN_ADOPT,
                          &wins[i]));
    for (size_t round = 0; round < COUNT; round++) {
        for (size_t i = round; i < COUNT; i++)
            for (size_t at = 0; at < bytes; at += 8)
                OK(tmb_fetch_add_u64(wins[i * 3 % COUNT], right, at, 1, NULL));
        OK(tmb_win_free(wins[round * 3 % COUNT]));
    }
    for (size_t round = 0; round < COUNT; round++) {
        const uint64_t *words = (const void *)(area + 8 + round * 3 % COUNT * bytes);

        for (size_t i = 0; i < bytes / 8; i++)
            if (!CHECK(words[i] == round + 1))
                break;
    }
}

/* A put that begins before what is mapped and ends behind it is one put. */
static void case_across(void)
{
    static uint8_t out[6 * PAGE], in[6 * PAGE];
    uint64_t state = (uint64_t)me + 1;
    size_t bytes = 6 * PAGE - 100;
    tmb_win *win;

    OK(tmb_win_create(TMB_TEAM_WORLD, area + 50, bytes, TMB_WIN_ADOPT, &win));
    for (int i = 0; i < 200; i++) {
        size_t from = suite_random(&state) % bytes;
        size_t size = suite_random(&state) % (bytes - from + 1);

        for (size_t at = 0; at < size; at++)
            out[at] = (uint8_t)suite_random(&state);
        OK(tmb_put(win, (me + 1) % ranks, from, out, size));
        OK(tmb_get(win, (me + 1) % ranks, from, in, size));
        CHECK(!memcmp(out, in, size));
    }
    OK(tmb_win_free(win));
}

/* ---- what is left alone ---- */

static void unmapped_check(uint8_t *base, size_t bytes)
{
    uint8_t byte = 0;
    tmb_win *win;
    void *there;

    OK(tmb_win_create(TMB_TEAM_WORLD, base, bytes, TMB_WIN_ADOPT, &win));
    for (int i = 0; i < ranks; i++) {
        EXPECT(tmb_win_ptr(win, i, &there), i == me ? 0 : -EOPNOTSUPP);
        OK(tmb_get(win, i, bytes - 1, &byte, 1));
        CHECK(byte == 's');
    }
    OK(tmb_win_free(win));
}

static void case_left_alone(void)
{
    uint8_t *stack = alloca(3 * PAGE); /* a sanitizer has arrays elsewhere */
    uint8_t *pages =
        mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint8_t *constant =
        mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    memset(stack, 's', 3 * PAGE);
    unmapped_check(stack, 3 * PAGE);
    memset(pages, 's', 3 * PAGE);
    unmapped_check(pages, 3 * PAGE);
    munmap(pages, 3 * PAGE);
    memset(constant, 's', 3 * PAGE);
    CHECK(!mprotect(constant, 3 * PAGE, PROT_READ));
    unmapped_check(constant, 3 * PAGE);
    CHECK(!mprotect(constant, PAGE, PROT_READ | PROT_WRITE));
    unmapped_check(constant, 3 * PAGE);
    munmap(constant, 3 * PAGE);
}

static void case_locked(void)
{
    memset(area, 's', sizeof(area));
    CHECK(!syscall(SYS_mlock, area, PAGE)); /* sanitizers replace the function */
    unmapped_check(area, 4 * PAGE);
    CHECK(!syscall(SYS_munlock, area, PAGE));
}

/* What the region has no room for is as without the flag. */
static void case_no_room(void)
{
    size_t bytes = (size_t)8 << 30; /* more than any region of the tests */
    uint8_t *sparse = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (!CHECK(sparse != MAP_FAILED))
        return;
    sparse[bytes - 1] = 's';
    unmapped_check(sparse, bytes);
    munmap(sparse, bytes);
}

static void case_empty(void)
{
    tmb_win *win;

    OK(tmb_win_create(TMB_TEAM_WORLD, NULL, 0, TMB_WIN_ADOPT, &win));
    OK(tmb_win_free(win));
    OK(tmb_win_create(TMB_TEAM_WORLD, area + 5, 0, TMB_WIN_ADOPT, &win));
    OK(tmb_win_free(win));
    EXPECT(tmb_win_create(TMB_TEAM_WORLD, NULL, 8, TMB_WIN_ADOPT, &win), -EFAULT);
}

/* ---- going on ---- */

/* Far more than the region has, in all. */
static void case_churn(void)
{
    uint64_t state = 3; /* the same sizes on all ranks */
    tmb_win *win;

    for (int i = 0; i < 1000; i++) {
        size_t from = suite_random(&state) % (8 * PAGE);
        size_t bytes = PAGE + suite_random(&state) % (7 * PAGE);

        OK(tmb_win_create(TMB_TEAM_WORLD, area + from, bytes, TMB_WIN_ADOPT, &win));
        if (i % 100 == 99)
            mapped_check(win, "all");
        OK(tmb_win_free(win));
    }
    for (int i = 0; i < 20; i++) {
        uint8_t *large = calloc(1, 16 << 20);

        OK(tmb_win_create(TMB_TEAM_WORLD, large, 16 << 20, TMB_WIN_ADOPT, &win));
        mapped_check(win, "all");
        OK(tmb_win_free(win));
        free(large);
    }
}

/* A child that executes something else has nothing to do with it. */
static void case_child(void)
{
    char *arguments[] = {"true", NULL};
    tmb_win *win;
    int status;
    pid_t pid;

    memset(area, 0, sizeof(area));
    OK(tmb_win_create(TMB_TEAM_WORLD, area + 8, 4 * PAGE, TMB_WIN_ADOPT, &win));
    CHECK(!posix_spawnp(&pid, "true", NULL, NULL, arguments, environ));
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    pid = fork();
    if (pid == 0)
        _exit(area[8] == 0 ? 0 : 1);
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_fetch_add_u64(win, (me + 1) % ranks, 0, 1, NULL));
    OK(tmb_win_free(win));
    CHECK(area[8] == 1);
}

const struct suite_case adopt_cases[] = {{"adopt/content", 1, case_content},
                                         {"adopt/counter", 1, case_counter},
                                         {"adopt/heap", 1, case_heap},
                                         {"adopt/overlap", 1, case_overlap},
                                         {"adopt/neighbours", 1, case_neighbours},
                                         {"adopt/across", 1, case_across},
                                         {"adopt/left_alone", 2, case_left_alone},
                                         {"adopt/locked", 2, case_locked},
                                         {"adopt/no_room", 2, case_no_room},
                                         {"adopt/empty", 1, case_empty},
                                         {"adopt/child", 1, case_child},
                                         {"adopt/churn", 1, case_churn},
                                         {0}};
