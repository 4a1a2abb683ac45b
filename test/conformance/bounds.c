/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks, ranges and pointers that are wrong: refused, and nothing moved. */
#include <limits.h>

#include "suite.h"

#define PART 4096

static void bad_ranks(tmb_win *win, int rank)
{
    uint64_t word = 0;
    void *ptr;
    size_t size;

    EXPECT(tmb_put(win, rank, 0, &word, 8), -EINVAL);
    EXPECT(tmb_get(win, rank, 0, &word, 8), -EINVAL);
    EXPECT(tmb_put_signal(win, rank, 0, &word, 8, 8, TMB_SIGNAL_SET, 1), -EINVAL);
    EXPECT(tmb_notify(win, rank), -EINVAL);
    EXPECT(tmb_fetch_u64(win, rank, 0, &word), -EINVAL);
    EXPECT(tmb_flush(win, rank), -EINVAL);
    EXPECT(tmb_flush_local(win, rank), -EINVAL);
    EXPECT(tmb_lock(win, rank, TMB_LOCK_SHARED, 0), -EINVAL);
    EXPECT(tmb_unlock(win, rank), -EINVAL);
    EXPECT(tmb_lock_recover(win, rank), -EINVAL);
    EXPECT(tmb_win_ptr(win, rank, &ptr), -EINVAL);
    EXPECT(tmb_win_size(win, rank, &size), -EINVAL);
    EXPECT(tmb_putv(win, rank, NULL, 0), -EINVAL);
    EXPECT(tmb_accumulate(win, rank, 0, TMB_U64, TMB_OP_ADD, &word, 1, NULL), -EINVAL);
}

static void case_ranks(void)
{
    struct window w;

    for (int memory = 0; memory < MEMORY_KINDS; memory++) {
        window_open(&w, (enum memory)memory, PART);
        bad_ranks(w.win, -1);
        bad_ranks(w.win, ranks);
        bad_ranks(w.win, INT_MAX);
        bad_ranks(w.win, INT_MIN);
        window_close(&w);
    }
}

static void bad_ranges(tmb_win *win, int rank)
{
    static const struct {
        uint64_t offset, bytes;
    } bad[] = {{PART, 1},           {PART - 1, 2},
               {0, PART + 1},       {PART + 1, 0},
               {UINT64_MAX, 1},     {UINT64_MAX, 0},
               {UINT64_MAX - 7, 8}, {1, UINT64_MAX},
               {8, UINT64_MAX - 7}, {UINT64_MAX / 2 + 1, UINT64_MAX / 2 + 1}};
    uint8_t byte = 0;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        EXPECT(tmb_put(win, rank, bad[i].offset, &byte, bad[i].bytes), -ERANGE);
        EXPECT(tmb_get(win, rank, bad[i].offset, &byte, bad[i].bytes), -ERANGE);
        EXPECT(tmb_put_signal(win, rank, bad[i].offset, &byte, bad[i].bytes, 0,
                              TMB_SIGNAL_ADD, 1),
               -ERANGE);
    }
    EXPECT(tmb_put_signal(win, rank, 0, &byte, 1, PART, TMB_SIGNAL_SET, 1), -ERANGE);
    EXPECT(tmb_put_signal(win, rank, 0, &byte, 1, UINT64_MAX - 7, TMB_SIGNAL_SET, 1),
           -ERANGE);
    EXPECT(tmb_fetch_add_u64(win, rank, PART, 1, NULL), -ERANGE);
    EXPECT(tmb_fetch_add_u64(win, rank, UINT64_MAX - 7, 1, NULL), -ERANGE);
    EXPECT(tmb_accumulate(win, rank, 0, TMB_U64, TMB_OP_ADD, &byte, PART / 8 + 1, NULL),
           -ERANGE);
    EXPECT(
        tmb_accumulate(win, rank, 0, TMB_U64, TMB_OP_ADD, &byte, SIZE_MAX / 8 + 1, NULL),
        -ERANGE);
}

static void case_ranges(void)
{
    struct window w;

    for (int memory = 0; memory < MEMORY_KINDS; memory++) {
        window_open(&w, (enum memory)memory, PART);
        for (int i = 0; i < ranks; i++)
            bad_ranges(w.win, i);
        OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
        for (size_t i = 0; i < PART; i++)
            if (!CHECK(w.mine[i] == 0))
                break;
        OK(tmb_put(w.win, (me + 1) % ranks, PART, NULL, 0));
        window_close(&w);
    }
}

static void case_null(void)
{
    struct window w;

    window_open(&w, MEMORY_ALLOC, PART);
    EXPECT(tmb_put(w.win, me, 0, NULL, 1), -EFAULT);
    EXPECT(tmb_get(w.win, me, 0, NULL, 1), -EFAULT);
    EXPECT(tmb_put_signal(w.win, me, 0, NULL, 1, 8, TMB_SIGNAL_SET, 1), -EFAULT);
    EXPECT(tmb_win_ptr(w.win, me, NULL), -EFAULT);
    EXPECT(tmb_win_size(w.win, me, NULL), -EFAULT);
    EXPECT(tmb_win_team(w.win, NULL), -EFAULT);
    OK(tmb_put(w.win, me, 0, NULL, 0));
    window_close(&w);
}

static void case_handles(void)
{
    tmb_win *win = NULL;

    EXPECT(tmb_put(win, 0, 0, NULL, 0), -EBADF);
    EXPECT(tmb_flush_all(win), -EBADF);
    EXPECT(tmb_fence(win), -EBADF);
    EXPECT(tmb_wait(win, 0, TMB_EQ, 0, 0, NULL), -EBADF);
    EXPECT(tmb_lock_all(win, 0), -EBADF);
    EXPECT(tmb_unlock_all(win), -EBADF);
    EXPECT(tmb_barrier(TMB_TEAM_NONE, 0), -EBADF);
    EXPECT(tmb_team_free((tmb_team *)(void *)&(uint64_t[32]){0}), -EBADF);
}

const struct suite_case bounds_cases[] = {{"bounds/ranks", 1, case_ranks},
                                          {"bounds/ranges", 1, case_ranges},
                                          {"bounds/null", 1, case_null},
                                          {"bounds/handles", 1, case_handles},
                                          {0}};
