/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors (MPI-3.1, section 11.6): the window's handler is called, with the class that
 * MPICH gives. A call that fails leaves everything as it was. */
#include "suite.h"

static int value = 1, result, compare;

static void case_ranks(void)
{
    const int none = ranks;
    MPI_Request request;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    OK(MPI_Win_lock_all(0, w.win));
    EXPECT(MPI_Put(&value, 1, MPI_INT, none, 0, 1, MPI_INT, w.win), MPI_ERR_RANK);
    EXPECT(MPI_Put(&value, 1, MPI_INT, -3, 0, 1, MPI_INT, w.win), MPI_ERR_RANK);
    EXPECT(MPI_Get(&value, 1, MPI_INT, none, 0, 1, MPI_INT, w.win), MPI_ERR_RANK);
    EXPECT(MPI_Accumulate(&value, 1, MPI_INT, none, 0, 1, MPI_INT, MPI_SUM, w.win),
           MPI_ERR_RANK);
    EXPECT(MPI_Get_accumulate(&value, 1, MPI_INT, &result, 1, MPI_INT, none, 0, 1,
                              MPI_INT, MPI_SUM, w.win),
           MPI_ERR_RANK);
    EXPECT(MPI_Fetch_and_op(&value, &result, MPI_INT, none, 0, MPI_SUM, w.win),
           MPI_ERR_RANK);
    EXPECT(MPI_Compare_and_swap(&value, &compare, &result, MPI_INT, none, 0, w.win),
           MPI_ERR_RANK);
    EXPECT(MPI_Rput(&value, 1, MPI_INT, none, 0, 1, MPI_INT, w.win, &request),
           MPI_ERR_RANK);
    EXPECT(MPI_Rget(&value, 1, MPI_INT, none, 0, 1, MPI_INT, w.win, &request),
           MPI_ERR_RANK);
    EXPECT(MPI_Win_flush(none, w.win), MPI_ERR_RANK);
    EXPECT(MPI_Win_flush_local(none, w.win), MPI_ERR_RANK);
    OK(MPI_Win_unlock_all(w.win));
    EXPECT(MPI_Win_lock(MPI_LOCK_SHARED, none, 0, w.win), MPI_ERR_RANK);
    EXPECT(MPI_Win_unlock(none, w.win), MPI_ERR_RANK);
    MPI_Barrier(MPI_COMM_WORLD);
    CHECK(all_are(w.base, 64, 0));
    window_close(&w);
}

static void case_counts(void)
{
    struct window w;

    window_open(&w, ALLOCATE, 64);
    OK(MPI_Win_lock_all(0, w.win));
    EXPECT(MPI_Put(&value, -1, MPI_INT, to, 0, 1, MPI_INT, w.win), MPI_ERR_COUNT);
    EXPECT(MPI_Put(&value, 1, MPI_INT, to, 0, -1, MPI_INT, w.win), MPI_ERR_COUNT);
    EXPECT(MPI_Get(&value, -1, MPI_INT, to, 0, 1, MPI_INT, w.win), MPI_ERR_COUNT);
    EXPECT(MPI_Accumulate(&value, -1, MPI_INT, to, 0, 1, MPI_INT, MPI_SUM, w.win),
           MPI_ERR_COUNT);
    EXPECT(MPI_Get_accumulate(&value, 1, MPI_INT, &result, -1, MPI_INT, to, 0, 1, MPI_INT,
                              MPI_SUM, w.win),
           MPI_ERR_COUNT);
    OK(MPI_Win_unlock_all(w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    CHECK(all_are(w.base, 64, 0));
    window_close(&w);
}

static void case_types(void)
{
    MPI_Datatype type;
    struct window w;

    MPI_Type_vector(2, 1, 2, MPI_INT, &type); /* not committed */
    window_open(&w, ALLOCATE, 64);
    OK(MPI_Win_lock_all(0, w.win));
    EXPECT(MPI_Put(&value, 1, MPI_DATATYPE_NULL, to, 0, 1, MPI_INT, w.win), MPI_ERR_TYPE);
    EXPECT(MPI_Put(&value, 1, MPI_INT, to, 0, 1, MPI_DATATYPE_NULL, w.win), MPI_ERR_TYPE);
    EXPECT(MPI_Put(&value, 1, type, to, 0, 2, MPI_INT, w.win), MPI_ERR_TYPE);
    EXPECT(MPI_Get(&value, 2, MPI_INT, to, 0, 1, type, w.win), MPI_ERR_TYPE);
    EXPECT(
        MPI_Accumulate(&value, 1, MPI_DATATYPE_NULL, to, 0, 1, MPI_INT, MPI_SUM, w.win),
        MPI_ERR_TYPE);
    EXPECT(MPI_Fetch_and_op(&value, &result, MPI_DATATYPE_NULL, to, 0, MPI_SUM, w.win),
           MPI_ERR_TYPE);
    EXPECT(MPI_Fetch_and_op(&value, &result, type, to, 0, MPI_SUM, w.win), MPI_ERR_TYPE);
    EXPECT(MPI_Compare_and_swap(&value, &compare, &result, MPI_DOUBLE, to, 0, w.win),
           MPI_ERR_TYPE);
    EXPECT(MPI_Compare_and_swap(&value, &compare, &result, type, to, 0, w.win),
           MPI_ERR_TYPE);
    OK(MPI_Win_unlock_all(w.win));
    MPI_Type_free(&type);
    MPI_Barrier(MPI_COMM_WORLD);
    CHECK(all_are(w.base, 64, 0));
    window_close(&w);
}

static void add(void *in, void *out, int *length, MPI_Datatype *type)
{
    (void)type;
    for (int i = 0; i < *length; i++)
        ((int *)out)[i] += ((int *)in)[i];
}

static void case_operations(void)
{
    MPI_Op user;
    struct window w;

    MPI_Op_create(add, 1, &user);
    window_open(&w, ALLOCATE, 64);
    OK(MPI_Win_lock_all(0, w.win));
    EXPECT(MPI_Accumulate(&value, 1, MPI_INT, to, 0, 1, MPI_INT, MPI_OP_NULL, w.win),
           MPI_ERR_OP);
    EXPECT(MPI_Accumulate(&value, 1, MPI_INT, to, 0, 1, MPI_INT, MPI_NO_OP, w.win),
           MPI_ERR_OP);
    EXPECT(MPI_Accumulate(&value, 1, MPI_INT, to, 0, 1, MPI_INT, user, w.win),
           MPI_ERR_OP);
    EXPECT(MPI_Get_accumulate(&value, 1, MPI_INT, &result, 1, MPI_INT, to, 0, 1, MPI_INT,
                              user, w.win),
           MPI_ERR_OP);
    EXPECT(MPI_Fetch_and_op(&value, &result, MPI_INT, to, 0, user, w.win), MPI_ERR_OP);
    OK(MPI_Win_unlock_all(w.win));
    MPI_Op_free(&user);
    MPI_Barrier(MPI_COMM_WORLD);
    CHECK(all_are(w.base, 64, 0));
    window_close(&w);
}

/* Operations that MPI does not define for the type. (MPICH does not look, and waits for
 * ever.) */
static void case_operations_of_types(void)
{
    double number = 1, pair[2] = {1, 2};
    struct window w;

    window_open(&w, ALLOCATE, 64);
    OK(MPI_Win_lock_all(0, w.win));
    EXPECT(MPI_Accumulate(&number, 1, MPI_DOUBLE, to, 0, 1, MPI_DOUBLE, MPI_BAND, w.win),
           MPI_ERR_OP);
    EXPECT(
        MPI_Accumulate(&number, 1, MPI_DOUBLE, to, 0, 1, MPI_DOUBLE, MPI_MAXLOC, w.win),
        MPI_ERR_OP);
    EXPECT(
        MPI_Accumulate(pair, 1, MPI_DOUBLE_INT, to, 0, 1, MPI_DOUBLE_INT, MPI_SUM, w.win),
        MPI_ERR_OP);
    OK(MPI_Win_unlock_all(w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

static void case_displacements(void)
{
    struct window w;

    window_open(&w, HEAP, 64);
    OK(MPI_Win_lock_all(0, w.win));
    EXPECT(MPI_Put(&value, 1, MPI_INT, to, -1, 1, MPI_INT, w.win), MPI_ERR_DISP);
    EXPECT(MPI_Get(&value, 1, MPI_INT, to, -4, 1, MPI_INT, w.win), MPI_ERR_DISP);
    EXPECT(MPI_Accumulate(&value, 1, MPI_INT, to, -4, 1, MPI_INT, MPI_SUM, w.win),
           MPI_ERR_DISP);
    EXPECT(MPI_Fetch_and_op(&value, &result, MPI_INT, to, -4, MPI_SUM, w.win),
           MPI_ERR_DISP);
    EXPECT(MPI_Compare_and_swap(&value, &compare, &result, MPI_INT, to, -4, w.win),
           MPI_ERR_DISP);
    OK(MPI_Win_unlock_all(w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

/* Beyond the target's part: MPI calls it erroneous, MPICH lets it through, and memory
 * that isn't the window's is overwritten. */
static void case_beyond(void)
{
    struct window w;

    window_open(&w, HEAP, 64);
    OK(MPI_Win_lock_all(0, w.win));
    EXPECT(MPI_Put(&value, 1, MPI_INT, to, 64, 1, MPI_INT, w.win), MPI_ERR_RMA_RANGE);
    EXPECT(MPI_Put(&value, 1, MPI_INT, to, 62, 1, MPI_INT, w.win), MPI_ERR_RMA_RANGE);
    EXPECT(MPI_Get(&value, 1, MPI_INT, to, 1 << 20, 1, MPI_INT, w.win),
           MPI_ERR_RMA_RANGE);
    EXPECT(MPI_Accumulate(&value, 1, MPI_INT, to, 64, 1, MPI_INT, MPI_SUM, w.win),
           MPI_ERR_RMA_RANGE);
    EXPECT(MPI_Fetch_and_op(&value, &result, MPI_INT, to, 64, MPI_SUM, w.win),
           MPI_ERR_RMA_RANGE);
    EXPECT(MPI_Compare_and_swap(&value, &compare, &result, MPI_INT, to, 64, w.win),
           MPI_ERR_RMA_RANGE);
    OK(MPI_Win_unlock_all(w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

static void case_no_epoch(void)
{
    MPI_Request request;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    EXPECT(MPI_Put(&value, 1, MPI_INT, to, 0, 1, MPI_INT, w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Get(&value, 1, MPI_INT, to, 0, 1, MPI_INT, w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Accumulate(&value, 1, MPI_INT, to, 0, 1, MPI_INT, MPI_SUM, w.win),
           MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Get_accumulate(&value, 1, MPI_INT, &result, 1, MPI_INT, to, 0, 1, MPI_INT,
                              MPI_SUM, w.win),
           MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Fetch_and_op(&value, &result, MPI_INT, to, 0, MPI_SUM, w.win),
           MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Compare_and_swap(&value, &compare, &result, MPI_INT, to, 0, w.win),
           MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Rput(&value, 1, MPI_INT, to, 0, 1, MPI_INT, w.win, &request),
           MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Win_flush(to, w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Win_flush_all(w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Win_flush_local(to, w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Win_flush_local_all(w.win), MPI_ERR_RMA_SYNC);
    MPI_Barrier(MPI_COMM_WORLD);
    CHECK(all_are(w.base, 64, 0));
    window_close(&w);
}

/* Each call that ends an epoch, without one that has begun. */
static void case_nothing_to_end(void)
{
    int flag;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    EXPECT(MPI_Win_unlock(to, w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Win_unlock_all(w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Win_complete(w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Win_wait(w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Win_test(w.win, &flag), MPI_ERR_RMA_SYNC);
    window_close(&w);
}

/* Epochs that exclude each other. */
static void case_two_epochs(void)
{
    int flag = 0;
    MPI_Group all;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    MPI_Win_get_group(w.win, &all);
    OK(MPI_Win_lock(MPI_LOCK_SHARED, to, 0, w.win));
    EXPECT(MPI_Win_lock(MPI_LOCK_SHARED, to, 0, w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Win_lock_all(0, w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Win_start(all, 0, w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Win_fence(0, w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Win_unlock_all(w.win), MPI_ERR_RMA_SYNC);
    OK(MPI_Win_unlock(to, w.win));
    OK(MPI_Win_lock_all(0, w.win));
    EXPECT(MPI_Win_lock(MPI_LOCK_SHARED, to, 0, w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Win_lock_all(0, w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Win_unlock(to, w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Win_fence(0, w.win), MPI_ERR_RMA_SYNC);
    OK(MPI_Win_unlock_all(w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    OK(MPI_Win_post(MPI_GROUP_EMPTY, 0, w.win));
    EXPECT(MPI_Win_post(MPI_GROUP_EMPTY, 0, w.win), MPI_ERR_RMA_SYNC);
    OK(MPI_Win_test(w.win, &flag));
    EQUAL(flag, 1);
    OK(MPI_Win_start(MPI_GROUP_EMPTY, 0, w.win));
    EXPECT(MPI_Win_start(MPI_GROUP_EMPTY, 0, w.win), MPI_ERR_RMA_SYNC);
    EXPECT(MPI_Win_lock(MPI_LOCK_SHARED, to, 0, w.win), MPI_ERR_RMA_SYNC);
    OK(MPI_Win_complete(w.win));
    MPI_Group_free(&all);
    window_close(&w);
}

static void case_arguments(void)
{
    struct window w;

    window_open(&w, ALLOCATE, 64);
    EXPECT(MPI_Win_lock(12345, to, 0, w.win), MPI_ERR_ARG);
    EXPECT(MPI_Win_lock(MPI_LOCK_SHARED, to, 1 << 30, w.win), MPI_ERR_ARG);
    EXPECT(MPI_Win_lock_all(1 << 30, w.win), MPI_ERR_ARG);
    EXPECT(MPI_Win_fence(1 << 30, w.win), MPI_ERR_ARG);
    EXPECT(MPI_Win_post(MPI_GROUP_EMPTY, 1 << 30, w.win), MPI_ERR_ARG);
    EXPECT(MPI_Win_start(MPI_GROUP_EMPTY, 1 << 30, w.win), MPI_ERR_ARG);
    EXPECT(MPI_Win_post(MPI_GROUP_NULL, 0, w.win), MPI_ERR_GROUP);
    EXPECT(MPI_Win_start(MPI_GROUP_NULL, 0, w.win), MPI_ERR_GROUP);
    window_close(&w);
}

/* Windows that aren't: these errors go to MPI_COMM_WORLD's handler. */
static void case_windows(void)
{
    MPI_Win win, none = MPI_WIN_NULL;
    int *base, memory[4];

    EXPECT(MPI_Put(&value, 1, MPI_INT, to, 0, 1, MPI_INT, MPI_WIN_NULL), MPI_ERR_WIN);
    EXPECT(MPI_Get(&value, 1, MPI_INT, to, 0, 1, MPI_INT, MPI_WIN_NULL), MPI_ERR_WIN);
    EXPECT(MPI_Accumulate(&value, 1, MPI_INT, to, 0, 1, MPI_INT, MPI_SUM, MPI_WIN_NULL),
           MPI_ERR_WIN);
    EXPECT(MPI_Win_fence(0, MPI_WIN_NULL), MPI_ERR_WIN);
    EXPECT(MPI_Win_lock(MPI_LOCK_SHARED, to, 0, MPI_WIN_NULL), MPI_ERR_WIN);
    EXPECT(MPI_Win_flush_all(MPI_WIN_NULL), MPI_ERR_WIN);
    EXPECT(MPI_Win_sync(MPI_WIN_NULL), MPI_ERR_WIN);
    EXPECT(MPI_Win_free(&none), MPI_ERR_WIN);
    EXPECT(MPI_Win_create(memory, -1, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &win),
           MPI_ERR_SIZE);
    EXPECT(MPI_Win_create(memory, 4, 0, MPI_INFO_NULL, MPI_COMM_WORLD, &win),
           MPI_ERR_DISP);
    EXPECT(MPI_Win_create(NULL, 4, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &win), MPI_ERR_ARG);
    EXPECT(MPI_Win_allocate(-1, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win),
           MPI_ERR_SIZE);
    EXPECT(MPI_Win_allocate(16, -2, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win),
           MPI_ERR_DISP);
    EXPECT(MPI_Win_create(memory, 4, 1, MPI_INFO_NULL, MPI_COMM_NULL, &win),
           MPI_ERR_COMM);
}

/* What was a window. (MPICH does not see that it is freed, and uses its memory.) */
static void case_freed_window(void)
{
    MPI_Win win, freed;
    int *base;

    OK(MPI_Win_allocate(64, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
    freed = win;
    OK(MPI_Win_free(&win));
    EXPECT(MPI_Win_fence(0, freed), MPI_ERR_WIN);
    EXPECT(MPI_Put(&value, 1, MPI_INT, to, 0, 1, MPI_INT, freed), MPI_ERR_WIN);
    EXPECT(MPI_Win_lock_all(0, freed), MPI_ERR_WIN);
    EXPECT(MPI_Win_free(&freed), MPI_ERR_WIN);
}

/* Within an epoch, a window can't be freed. */
static void case_free_in_epoch(void)
{
    struct window w;

    window_open(&w, ALLOCATE, 64);
    OK(MPI_Win_lock(MPI_LOCK_SHARED, to, 0, w.win));
    EXPECT(MPI_Win_free(&w.win), MPI_ERR_RMA_SYNC);
    OK(MPI_Win_unlock(to, w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

static void case_attach(void)
{
    int memory[4];
    MPI_Win win;
    struct window w;

    OK(MPI_Win_create_dynamic(MPI_INFO_NULL, MPI_COMM_WORLD, &win));
    OK(MPI_Win_set_errhandler(win, MPI_ERRORS_RETURN));
    EXPECT(MPI_Win_attach(win, memory, -1), MPI_ERR_SIZE);
    EXPECT(MPI_Win_attach(win, NULL, 4), MPI_ERR_ARG);
    OK(MPI_Win_free(&win));
    window_open(&w, ALLOCATE, 64);
    EXPECT(MPI_Win_attach(w.win, memory, 4), MPI_ERR_RMA_FLAVOR);
    EXPECT(MPI_Win_detach(w.win, memory), MPI_ERR_RMA_FLAVOR);
    window_close(&w);
}

static int handled, handled_class;
static MPI_Win handled_win;

static void handler(MPI_Win *win, int *code, ...)
{
    handled++;
    handled_win = *win;
    MPI_Error_class(*code, &handled_class);
}

/* The user's handler gets the window and the class, once for each error; then the call
 * returns the code. */
static void case_handlers(void)
{
    MPI_Errhandler mine, got;
    struct window w;

    handled = 0;
    MPI_Win_create_errhandler(handler, &mine);
    window_open(&w, ALLOCATE, 64);
    OK(MPI_Win_set_errhandler(w.win, mine));
    OK(MPI_Win_get_errhandler(w.win, &got));
    CHECK(got == mine);
    MPI_Errhandler_free(&got);
    OK(MPI_Win_lock_all(0, w.win));
    EXPECT(MPI_Put(&value, 1, MPI_INT, ranks, 0, 1, MPI_INT, w.win), MPI_ERR_RANK);
    EQUAL(handled, 1);
    EQUAL(handled_class, MPI_ERR_RANK);
    CHECK(handled_win == w.win);
    EXPECT(MPI_Win_lock(MPI_LOCK_SHARED, to, 0, w.win), MPI_ERR_RMA_SYNC);
    EQUAL(handled, 2);
    EQUAL(handled_class, MPI_ERR_RMA_SYNC);
    OK(MPI_Win_call_errhandler(w.win, MPI_ERR_ARG));
    EQUAL(handled, 3);
    OK(MPI_Put(&value, 1, MPI_INT, to, 0, 1, MPI_INT, w.win));
    EQUAL(handled, 3);
    OK(MPI_Win_unlock_all(w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Errhandler_free(&mine);
    window_close(&w);
}

/* A new window's handler is that which ends the program, whatever the last one had. */
static void case_default_handler(void)
{
    MPI_Errhandler got;
    MPI_Win win;
    int *base;

    for (int i = 0; i < 3; i++) {
        OK(MPI_Win_allocate(64, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
        OK(MPI_Win_get_errhandler(win, &got));
        CHECK(got == MPI_ERRORS_ARE_FATAL);
        OK(MPI_Win_set_errhandler(win, MPI_ERRORS_RETURN));
        OK(MPI_Win_get_errhandler(win, &got));
        CHECK(got == MPI_ERRORS_RETURN);
        OK(MPI_Win_free(&win));
    }
}

const struct suite_case error_cases[] = {
    {"error: ranks", 1, case_ranks, ALWAYS},
    {"error: counts", 1, case_counts, ALWAYS},
    {"error: types", 1, case_types, ALWAYS},
    {"error: operations", 1, case_operations, ALWAYS},
    {"error: operations that a type has not", 1, case_operations_of_types, ADAPTER},
    {"error: negative displacements", 1, case_displacements, ALWAYS},
    {"error: beyond the window", 1, case_beyond, ADAPTER},
    {"error: no epoch", 1, case_no_epoch, ALWAYS},
    {"error: nothing to end", 1, case_nothing_to_end, ALWAYS},
    {"error: epochs that exclude each other", 1, case_two_epochs, ALWAYS},
    {"error: arguments", 1, case_arguments, ALWAYS},
    {"error: windows", 1, case_windows, ALWAYS},
    {"error: free in an epoch", 1, case_free_in_epoch, ALWAYS},
    {"error: attach", 1, case_attach, ALWAYS},
    {"error: handlers of the user", 1, case_handlers, ALWAYS},
    {"error: the default handler", 1, case_default_handler, ALWAYS},
    {"error: a freed window", 1, case_freed_window, ADAPTER},
    {0}};
