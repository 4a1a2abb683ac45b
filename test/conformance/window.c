/* SPDX-License-Identifier: BSD-3-Clause */
/* Making, asking and freeing windows. */
#include "suite.h"

static bool all_zero(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i])
            return false;
    return true;
}

static void case_alloc(void)
{
    size_t bytes = 1000 * (size_t)me + 1, got;
    tmb_team *team;
    tmb_win *win;
    void *ptr;

    for (int round = 0; round < 3; round++) {
        OK(tmb_win_alloc(TMB_TEAM_WORLD, bytes, 0, &win));
        OK(tmb_win_ptr(win, me, &ptr));
        CHECK((uintptr_t)ptr % 64 == 0 && all_zero(ptr, bytes));
        memset(ptr, 0xff, bytes);
        for (int i = 0; i < ranks; i++) {
            OK(tmb_win_size(win, i, &got));
            CHECK(got == 1000 * (size_t)i + 1);
        }
        OK(tmb_win_team(win, &team));
        CHECK(team == TMB_TEAM_WORLD);
        OK(tmb_win_free(win));
    }
}

static void case_zero_sizes(void)
{
    size_t bytes = me % 2 ? 0 : 64, got;
    tmb_win *win;
    void *ptr;

    OK(tmb_win_alloc(TMB_TEAM_WORLD, bytes, 0, &win));
    for (int i = 0; i < ranks; i++) {
        OK(tmb_win_size(win, i, &got));
        EXPECT(tmb_win_ptr(win, i, &ptr), got && !mapped(i) ? -EOPNOTSUPP : 0);
        CHECK((got == 0) == (i % 2 == 1) && (!mapped(i) || (ptr == NULL) == (got == 0)));
        OK(tmb_put(win, i, 0, NULL, 0));
        OK(tmb_flush(win, i));
        OK(tmb_lock(win, i, TMB_LOCK_SHARED, TMB_FOREVER));
        OK(tmb_unlock(win, i));
    }
    OK(tmb_win_free(win));
    OK(tmb_win_create(TMB_TEAM_WORLD, NULL, 0, 0, &win));
    OK(tmb_flush_all(win));
    OK(tmb_win_free(win));
}

static void case_uninit_flag(void)
{
    tmb_win *win;

    OK(tmb_win_alloc(TMB_TEAM_WORLD, 4096, TMB_WIN_UNINIT, &win));
    OK(tmb_win_free(win));
    EXPECT(tmb_win_alloc(TMB_TEAM_WORLD, 4096, 0x80, &win), -EINVAL);
    EXPECT(tmb_win_create(TMB_TEAM_WORLD, NULL, 0, 1, &win), -EINVAL);
}

static void case_errors(void)
{
    tmb_win *win;

    EXPECT(tmb_win_alloc(TMB_TEAM_NONE, 64, 0, &win), -EBADF);
    EXPECT(tmb_win_alloc(TMB_TEAM_WORLD, 64, 0, NULL), -EFAULT);
    EXPECT(tmb_win_create(TMB_TEAM_WORLD, NULL, 64, 0, &win), -EFAULT);
}

/* Loads and stores by everybody where all are mapped. */
static void case_load_store(void)
{
    tmb_win *win;
    void *ptr;

    OK(tmb_win_alloc(TMB_TEAM_WORLD, 64 * (size_t)ranks, 0, &win));
    for (int i = 0; i < ranks; i++) {
        OK(tmb_win_ptr(win, i, &ptr));
        ((uint8_t *)ptr)[me * 64] = (uint8_t)(me + 1);
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_win_ptr(win, me, &ptr));
    for (int i = 0; i < ranks; i++)
        CHECK(((uint8_t *)ptr)[i * 64] == i + 1);
    OK(tmb_win_free(win));
}

static void case_create_not_mapped(void)
{
    int on_stack[16] = {0};
    tmb_win *win;
    void *ptr;

    OK(tmb_win_create(TMB_TEAM_WORLD, on_stack, sizeof(on_stack), 0, &win));
    for (int i = 0; i < ranks; i++)
        EXPECT(tmb_win_ptr(win, i, &ptr), i == me ? 0 : -EOPNOTSUPP);
    OK(tmb_win_ptr(win, me, &ptr));
    CHECK(ptr == on_stack);
    OK(tmb_win_free(win));
}

static void case_many(void)
{
    enum { MANY = 1000 };
    static tmb_win *wins[MANY];
    uint64_t value;

    for (int i = 0; i < MANY; i++)
        OK(tmb_win_alloc(TMB_TEAM_WORLD, 64 + (size_t)i % 5 * 8, 0, &wins[i]));
    for (int i = 0; i < MANY; i++) {
        value = (uint64_t)i * 1000 + (uint64_t)me;
        OK(tmb_put(wins[i], (me + 1) % ranks, 0, &value, sizeof(value)));
        OK(tmb_flush(wins[i], (me + 1) % ranks));
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    for (int i = 0; i < MANY; i++) {
        OK(tmb_get(wins[i], me, 0, &value, sizeof(value)));
        CHECK(value == (uint64_t)i * 1000 + (uint64_t)((me + ranks - 1) % ranks));
        OK(tmb_win_free(wins[i]));
    }
}

static void case_churn(void)
{
    tmb_win *win;

    for (int i = 0; i < 2000; i++) {
        OK(tmb_win_alloc(TMB_TEAM_WORLD, 8192, TMB_WIN_UNINIT, &win));
        OK(tmb_win_free(win));
    }
}

/* One rank asks for too much: all are told, and nothing is lost. */
static void case_too_large(void)
{
    size_t huge = (size_t)1 << 50;
    tmb_win *win;

    for (int i = 0; i < 3; i++)
        EXPECT(tmb_win_alloc(TMB_TEAM_WORLD, me == ranks - 1 ? huge : 1 << 20, 0, &win),
               -ENOMEM);
    OK(tmb_win_alloc(TMB_TEAM_WORLD, 1 << 20, 0, &win));
    OK(tmb_win_free(win));
}

/* One rank's arguments are wrong: it is told so, the others that there is no window, and
 * nobody waits for ever. */
static void case_one_wrong(void)
{
    bool wrong = me == ranks - 1;
    tmb_win *win;

    EXPECT(tmb_win_alloc(TMB_TEAM_WORLD, 64, wrong ? 0x80 : 0, &win), -EINVAL);
    EXPECT(tmb_win_create(TMB_TEAM_WORLD, wrong ? NULL : &win, sizeof(win), 0, &win),
           -EFAULT);
    OK(tmb_win_alloc(TMB_TEAM_WORLD, 64, 0, &win));
    OK(tmb_win_free(win));
}

static void case_freed_twice(void)
{
    tmb_win *win, *other;
    uint64_t value = 1;

    OK(tmb_win_alloc(TMB_TEAM_WORLD, 64, 0, &win));
    OK(tmb_win_free(win));
    EXPECT(tmb_win_free(win), -EBADF);
    EXPECT(tmb_put(win, 0, 0, &value, 8), -EBADF);
    OK(tmb_win_alloc(TMB_TEAM_WORLD, 64, 0, &other));
    EXPECT(tmb_win_free(win), -EBADF);
    EXPECT(tmb_win_free(NULL), -EBADF);
    EXPECT(tmb_win_free((tmb_win *)(void *)&(uint64_t[16]){0}), -EBADF);
    OK(tmb_win_free(other));
}

static void case_free_with_lock(void)
{
    tmb_win *win;

    OK(tmb_win_alloc(TMB_TEAM_WORLD, 64, 0, &win));
    OK(tmb_lock(win, me, TMB_LOCK_EXCLUSIVE, TMB_FOREVER));
    EXPECT(tmb_win_free(win), -EBUSY);
    OK(tmb_unlock(win, me));
    OK(tmb_win_free(win));
}

const struct suite_case window_cases[] = {
    {"window/alloc", 1, case_alloc},
    {"window/zero_sizes", 1, case_zero_sizes},
    {"window/flags", 1, case_uninit_flag},
    {"window/errors", 1, case_errors},
    {"window/load_store", 1 | MAPPED, case_load_store},
    {"window/create_unmapped", 2, case_create_not_mapped},
    {"window/many", 1, case_many},
    {"window/churn", 1, case_churn},
    {"window/too_large", 1, case_too_large},
    {"window/one_wrong", 1, case_one_wrong},
    {"window/freed_twice", 1, case_freed_twice},
    {"window/free_with_lock", 1, case_free_with_lock},
    {0}};
