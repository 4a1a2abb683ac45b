/* SPDX-License-Identifier: BSD-3-Clause */
/* The forms with large counts, of MPI-4.0: the same, with MPI_Count and MPI_Aint. */
#include "suite.h"

static void words_pass(MPI_Win win, const int *words)
{
    const int value = me + 50;
    int got = 0, old = -1, *null = NULL;

    OK(MPI_Win_fence(0, win));
    OK(MPI_Put_c(&value, 1, MPI_INT, to, 0, 1, MPI_INT, win));
    OK(MPI_Accumulate_c(&value, 1, MPI_INT, to, 1, 1, MPI_INT, MPI_REPLACE, win));
    OK(MPI_Win_fence(0, win));
    EQUAL(words[0], from + 50);
    EQUAL(words[1], from + 50);
    OK(MPI_Get_c(&got, 1, MPI_INT, to, 0, 1, MPI_INT, win));
    OK(MPI_Get_accumulate_c(null, 0, MPI_INT, &old, 1, MPI_INT, to, 1, 1, MPI_INT,
                            MPI_NO_OP, win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, win));
    EQUAL(got, value);
    EQUAL(old, value);
}

static void case_windows(void)
{
    int *words = memory_get(64), *base, *queried;
    MPI_Aint bytes, unit;
    MPI_Win win;

    OK(MPI_Win_create_c(words, 64, 4, MPI_INFO_NULL, MPI_COMM_WORLD, &win));
    words_pass(win, words);
    OK(MPI_Win_free(&win));
    OK(MPI_Win_allocate_c(64, 4, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
    words_pass(win, base);
    OK(MPI_Win_free(&win));
    OK(MPI_Win_allocate_shared_c(64, 4, MPI_INFO_NULL, MPI_COMM_SELF, &base, &win));
    OK(MPI_Win_shared_query_c(win, 0, &bytes, &unit, &queried));
    CHECK(bytes == 64 && unit == 4 && queried == base);
    OK(MPI_Win_free(&win));
    free(words);
}

static void case_requests(void)
{
    int value = me + 9, got = 0, old = -1, *words;
    MPI_Request request;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    words = (int *)(void *)w.base;
    OK(MPI_Win_lock(MPI_LOCK_SHARED, to, 0, w.win));
    OK(MPI_Rput_c(&value, 1, MPI_INT, to, 0, 1, MPI_INT, w.win, &request));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    OK(MPI_Win_flush(to, w.win));
    OK(MPI_Rget_c(&got, 1, MPI_INT, to, 0, 1, MPI_INT, w.win, &request));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    EQUAL(got, value);
    OK(MPI_Raccumulate_c(&value, 1, MPI_INT, to, 0, 1, MPI_INT, MPI_SUM, w.win,
                         &request));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    OK(MPI_Rget_accumulate_c(&value, 1, MPI_INT, &old, 1, MPI_INT, to, 0, 1, MPI_INT,
                             MPI_SUM, w.win, &request));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    EQUAL(old, 2 * value);
    OK(MPI_Win_unlock(to, w.win));
    window_meet(w.win);
    EQUAL(words[0], 3 * (from + 9));
    window_close(&w);
}

/* Types made by the large forms, on both sides. */
static void case_types(void)
{
    const MPI_Count lengths[] = {2, 3}, places[] = {1, 10};
    int out[10], *words;
    MPI_Datatype vector, indexed;
    struct window w;

    window_open(&w, HEAP, 256);
    words = (int *)(void *)w.base;
    MPI_Type_vector_c(5, 1, 2, MPI_INT, &vector);
    MPI_Type_indexed_c(2, lengths, places, MPI_INT, &indexed);
    MPI_Type_commit(&vector);
    MPI_Type_commit(&indexed);
    for (int i = 0; i < 10; i++)
        out[i] = me * 10 + i;
    OK(MPI_Win_fence(0, w.win));
    OK(MPI_Put_c(out, 1, vector, to, 0, 1, indexed, w.win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, w.win));
    EQUAL(words[1], from * 10);
    EQUAL(words[2], from * 10 + 2);
    EQUAL(words[10], from * 10 + 4);
    EQUAL(words[12], from * 10 + 8);
    EQUAL(words[3], 0);
    MPI_Type_free(&vector);
    MPI_Type_free(&indexed);
    window_close(&w);
}

const struct suite_case large_cases[] = {
    {"large: windows and operations", 1, case_windows, ALWAYS},
    {"large: requests", 1, case_requests, ALWAYS},
    {"large: types", 1, case_types, ALWAYS},
    {0}};
