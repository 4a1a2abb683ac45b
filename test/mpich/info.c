/* SPDX-License-Identifier: BSD-3-Clause */
/* Hints on windows (MPI-3.1, section 11.2.7): they change no result. */
#include "suite.h"

static const char *const hints[][2] = {{"no_locks", "false"},
                                       {"accumulate_ordering", "none"},
                                       {"accumulate_ops", "same_op"},
                                       {"same_size", "true"},
                                       {"same_disp_unit", "true"},
                                       {"alloc_shm", "false"},
                                       {"accumulate_ordering", "rar,waw"},
                                       {"accumulate_ops", "same_op_no_op"},
                                       {"alloc_shared_noncontig", "true"},
                                       {"which_accumulate_ops", "sum,no_op"},
                                       {"accumulate_noncontig_dtype", "false"},
                                       {"nobody_knows_this", "whatever"}};
#define HINTS (sizeof(hints) / sizeof(hints[0]))

static void passes_round(MPI_Win win, const int *base)
{
    OK(MPI_Win_fence(0, win));
    OK(MPI_Accumulate(&me, 1, MPI_INT, to, 0, 1, MPI_INT, MPI_REPLACE, win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, win));
    EQUAL(*base, from);
}

static void case_hints(void)
{
    MPI_Info info;
    MPI_Win win;
    int *base;

    for (size_t i = 0; i < HINTS; i++) {
        suite_note("%s=%s", hints[i][0], hints[i][1]);
        MPI_Info_create(&info);
        MPI_Info_set(info, hints[i][0], hints[i][1]);
        OK(MPI_Win_allocate(64, 4, info, MPI_COMM_WORLD, &base, &win));
        MPI_Info_free(&info);
        passes_round(win, base);
        OK(MPI_Win_free(&win));
    }
}

static bool has(MPI_Info info, const char *key, const char *value)
{
    char text[MPI_MAX_INFO_VAL + 1] = "";
    int found = 0;

    MPI_Info_get(info, key, MPI_MAX_INFO_VAL, text, &found);
    return found && !strcmp(text, value);
}

static void case_get(void)
{
    int keys = 0, *base;
    MPI_Info info;
    MPI_Win win;

    MPI_Info_create(&info);
    MPI_Info_set(info, "no_locks", "true");
    MPI_Info_set(info, "same_size", "true");
    MPI_Info_set(info, "same_disp_unit", "true");
    MPI_Info_set(info, "accumulate_ops", "same_op");
    OK(MPI_Win_allocate(64, 4, info, MPI_COMM_WORLD, &base, &win));
    MPI_Info_free(&info);
    OK(MPI_Win_get_info(win, &info));
    MPI_Info_get_nkeys(info, &keys);
    CHECK(keys >= 4);
    CHECK(has(info, "no_locks", "true"));
    CHECK(has(info, "same_size", "true"));
    CHECK(has(info, "same_disp_unit", "true"));
    CHECK(has(info, "accumulate_ops", "same_op"));
    MPI_Info_free(&info);
    passes_round(win, base);
    OK(MPI_Win_free(&win));
}

static void case_defaults(void)
{
    int *base;
    MPI_Info info;
    MPI_Win win;

    OK(MPI_Win_allocate(64, 4, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
    OK(MPI_Win_get_info(win, &info));
    CHECK(has(info, "no_locks", "false"));
    CHECK(has(info, "accumulate_ops", "same_op_no_op"));
    CHECK(has(info, "accumulate_ordering", "rar,raw,war,waw"));
    MPI_Info_free(&info);
    OK(MPI_Win_free(&win));
}

static void case_set(void)
{
    int *base;
    MPI_Info info;
    MPI_Win win;

    OK(MPI_Win_allocate(64, 4, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
    MPI_Info_create(&info);
    MPI_Info_set(info, "accumulate_ordering", "none");
    MPI_Info_set(info, "nobody_knows_this", "whatever");
    OK(MPI_Win_set_info(win, info));
    MPI_Info_free(&info);
    OK(MPI_Win_get_info(win, &info));
    CHECK(has(info, "accumulate_ordering", "none"));
    MPI_Info_free(&info);
    passes_round(win, base);
    OK(MPI_Win_free(&win));
}

const struct suite_case info_cases[] = {
    {"info: every hint is taken", 1, case_hints, ALWAYS},
    {"info: what was given is told", 1, case_get, ALWAYS},
    {"info: defaults are told", 1, case_defaults, ALWAYS},
    {"info: set later", 1, case_set, ALWAYS},
    {0}};
