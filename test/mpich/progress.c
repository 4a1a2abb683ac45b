/* SPDX-License-Identifier: BSD-3-Clause */
/* Progress (MPI-3.1, section 11.7.3): accesses go on while a target computes, which MPI
 * allows and the adapter promises; and messages go on while a rank waits in a one-sided
 * call, which MPI demands. */
#include "suite.h"

/* Shared windows of ranks that share no region are MPICH's, which needs the target. */
static bool is_promised(const struct window *w)
{
    const char *provider = getenv("TMB_PROVIDER");

    return w->memory != SHARED || !provider || strcmp(provider, "tcp") != 0;
}

/* Rank 0 computes, with no call of MPI, until all others have done their accesses, which
 * they tell it through a second window: ranks need not be of one host. A library that
 * needs the target would never get there, and the case would end by time. */
static void while_target_computes(struct window *w,
                                  void (*access)(const struct window *w))
{
    const int one = 1;
    struct window done;

    window_open(&done, ALLOCATE, 64);
    if (me) {
        access(w);
        OK(MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, done.win));
        OK(MPI_Accumulate(&one, 1, MPI_INT, 0, 0, 1, MPI_INT, MPI_SUM, done.win));
        OK(MPI_Win_unlock(0, done.win));
    } else {
        while (is_promised(w) &&
               __atomic_load_n((int *)(void *)done.base, __ATOMIC_ACQUIRE) < ranks - 1)
            compute(0.001);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&done);
    window_meet(w->win);
}

static void lock_put_unlock(const struct window *w)
{
    int value = me * 7, got = 0;

    for (int i = 0; i < 20; i++) {
        OK(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, w->win));
        OK(MPI_Put(&value, 1, MPI_INT, 0, at(w, 0, 4 * me), 1, MPI_INT, w->win));
        OK(MPI_Win_unlock(0, w->win));
        OK(MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, w->win));
        OK(MPI_Get(&got, 1, MPI_INT, 0, at(w, 0, 4 * me), 1, MPI_INT, w->win));
        OK(MPI_Win_unlock(0, w->win));
        EQUAL(got, value);
    }
}

static void lock_put_unlock_memory(struct window *w)
{
    while_target_computes(w, lock_put_unlock);
    for (int i = 1; me == 0 && i < ranks; i++)
        EQUAL(((int *)(void *)w->base)[i], i * 7);
}

static void case_lock_put_unlock(void)
{
    each_memory(4 * RANKS_MAX, lock_put_unlock_memory);
}

static void accumulates(const struct window *w)
{
    int one = 1, old = 0, zero = 0;
    double large[3000], *got = malloc(sizeof(large));
    MPI_Datatype type;

    for (int i = 0; i < 3000; i++)
        large[i] = 1;
    MPI_Type_vector(1000, 1, 2, MPI_DOUBLE, &type);
    MPI_Type_commit(&type);
    OK(MPI_Win_lock_all(0, w->win));
    OK(MPI_Accumulate(large, 3000, MPI_DOUBLE, 0, at(w, 0, 64), 3000, MPI_DOUBLE, MPI_SUM,
                      w->win));
    OK(MPI_Accumulate(large, 1000, MPI_DOUBLE, 0, at(w, 0, 64), 1, type, MPI_SUM,
                      w->win));
    OK(MPI_Get_accumulate(NULL, 0, MPI_INT, got, 3000, MPI_DOUBLE, 0, at(w, 0, 64), 3000,
                          MPI_DOUBLE, MPI_NO_OP, w->win));
    for (int i = 0; i < 20; i++) {
        OK(MPI_Fetch_and_op(&one, &old, MPI_INT, 0, at(w, 0, 0), MPI_SUM, w->win));
        OK(MPI_Compare_and_swap(&one, &zero, &old, MPI_INT, 0, at(w, 0, 8), w->win));
        OK(MPI_Win_flush(0, w->win));
    }
    OK(MPI_Win_unlock_all(w->win));
    CHECK(got[0] >= 2 && got[1] >= 1);
    MPI_Type_free(&type);
    free(got);
}

static void accumulates_memory(struct window *w)
{
    const double *sums = (const double *)(const void *)(w->base + 64);

    while_target_computes(w, accumulates);
    if (me)
        return;
    EQUAL(((int *)(void *)w->base)[0], 20 * (ranks - 1));
    EQUAL(((int *)(void *)w->base)[2], 1);
    for (int i = 0; i < 3000; i++)
        EQUAL(sums[i], (i < 2000 && i % 2 == 0 ? 2 : 1) * (ranks - 1));
}

static void case_accumulates(void)
{
    each_memory(64 + 3000 * 8, accumulates_memory);
}

static void typed(const struct window *w)
{
    enum { N = 5000 };
    static int out[N], in[N];
    MPI_Request request;
    MPI_Datatype type;

    MPI_Type_vector(N, 1, 3, MPI_INT, &type);
    MPI_Type_commit(&type);
    for (int i = 0; i < N; i++)
        out[i] = me * N + i;
    OK(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, w->win));
    OK(MPI_Put(out, N, MPI_INT, 0, at(w, 0, 0), 1, type, w->win));
    OK(MPI_Win_flush(0, w->win));
    OK(MPI_Rget(in, N, MPI_INT, 0, at(w, 0, 0), 1, type, w->win, &request));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    OK(MPI_Win_unlock(0, w->win));
    CHECK(!memcmp(in, out, sizeof(in)));
    MPI_Type_free(&type);
}

static void typed_memory(struct window *w)
{
    while_target_computes(w, typed);
}

static void case_typed(void)
{
    each_memory(5000 * 3 * 4, typed_memory);
}

static void ask(const struct window *w, int times)
{
    int one = 1, old;

    for (int i = 0; i < times; i++) {
        OK(MPI_Fetch_and_op(&one, &old, MPI_INT, 0, 0, MPI_SUM, w->win));
        OK(MPI_Win_flush(0, w->win));
    }
}

/* Rank 0 is asked again and again while it waits for a message, and goes on to be served
 * when that has come and it computes. */
static void case_computes_after_a_wait(void)
{
    enum { TIMES = 1000 };
    volatile int *asked;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    asked = (volatile int *)(void *)w.base;
    OK(MPI_Win_lock_all(0, w.win));
    if (me == 1) {
        ask(&w, TIMES);
        MPI_Send(NULL, 0, MPI_BYTE, 0, 78, MPI_COMM_WORLD);
        ask(&w, TIMES);
    } else if (me == 0) {
        MPI_Recv(NULL, 0, MPI_BYTE, 1, 78, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        while (*asked < 2 * TIMES)
            compute(0.001);
    }
    OK(MPI_Win_unlock_all(w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

/* A message so large that the sender must take part again. */
#define LARGE (4 << 20)

static void large_send_start(uint8_t *data, MPI_Request *request)
{
    pattern_fill(data, LARGE, (unsigned)me);
    MPI_Isend(data, LARGE, MPI_BYTE, to, 77, MPI_COMM_WORLD, request);
}

static void large_receive(uint8_t *data)
{
    MPI_Recv(data, LARGE, MPI_BYTE, from, 77, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK(pattern_is(data, LARGE, (unsigned)from));
}

/* Rank 0 sits in a fence, to which the others come only after its message has come. */
static void case_send_in_fence(void)
{
    uint8_t *out = memory_get(LARGE), *in = memory_get(LARGE);
    MPI_Request request = MPI_REQUEST_NULL;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    OK(MPI_Win_fence(0, w.win));
    if (me == 0)
        large_send_start(out, &request);
    if (me == 1)
        large_receive(in);
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, w.win));
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    window_close(&w);
    free(out);
    free(in);
}

/* Rank 0 waits for a lock whose holder waits for rank 0's message. */
static void case_send_in_lock(void)
{
    uint8_t *out = memory_get(LARGE), *in = memory_get(LARGE);
    MPI_Request request = MPI_REQUEST_NULL;
    struct window w;
    int value = 3;

    window_open(&w, ALLOCATE, 64);
    if (me == 1)
        OK(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 1, 0, w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    if (me == 0) {
        large_send_start(out, &request);
        OK(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 1, 0, w.win));
        OK(MPI_Put(&value, 1, MPI_INT, 1, 0, 1, MPI_INT, w.win));
        OK(MPI_Win_unlock(1, w.win));
        MPI_Wait(&request, MPI_STATUS_IGNORE);
    } else if (me == 1) {
        large_receive(in);
        OK(MPI_Win_unlock(1, w.win));
    }
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
    free(out);
    free(in);
}

/* Rank 0 waits in MPI_Win_wait, and in MPI_Win_start or complete, likewise. */
static void case_send_in_pscw(void)
{
    uint8_t *out = memory_get(LARGE), *in = memory_get(LARGE);
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Group all, other;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    MPI_Win_get_group(w.win, &all);
    MPI_Group_incl(all, 1, &(int){me == 0}, &other);
    if (me == 0) {
        large_send_start(out, &request);
        OK(MPI_Win_post(other, 0, w.win));
        OK(MPI_Win_wait(w.win));
        MPI_Wait(&request, MPI_STATUS_IGNORE);
        large_send_start(out, &request);
        OK(MPI_Win_start(other, 0, w.win));
        OK(MPI_Put(&me, 1, MPI_INT, 1, 0, 1, MPI_INT, w.win));
        OK(MPI_Win_complete(w.win));
        MPI_Wait(&request, MPI_STATUS_IGNORE);
    } else if (me == 1) {
        large_receive(in);
        OK(MPI_Win_start(other, 0, w.win));
        OK(MPI_Win_complete(w.win));
        large_receive(in);
        OK(MPI_Win_post(other, 0, w.win));
        OK(MPI_Win_wait(w.win));
    }
    MPI_Group_free(&all);
    MPI_Group_free(&other);
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
    free(out);
    free(in);
}

/* The same in the calls that make and free windows. */
static void case_send_in_collectives(void)
{
    uint8_t *out = memory_get(LARGE), *in = memory_get(LARGE);
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Win win;
    int *base;

    if (me == 0)
        large_send_start(out, &request);
    if (me == 1)
        large_receive(in);
    OK(MPI_Win_allocate(64, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    if (me == 0)
        large_send_start(out, &request);
    if (me == 1)
        large_receive(in);
    OK(MPI_Win_free(&win));
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    free(out);
    free(in);
}

/* A flag in memory that another rank puts, and the owner polls by loads, with
 * MPI_Win_sync; no message tells of it. (MPICH needs a call of the owner's that
 * progresses.) */
static void case_polling(void)
{
    volatile int *flag;
    int value = 1, got = 0;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    flag = (volatile int *)(void *)w.base;
    OK(MPI_Win_lock_all(0, w.win));
    if (me == 0) {
        OK(MPI_Put(&value, 1, MPI_INT, 1, 0, 1, MPI_INT, w.win));
        OK(MPI_Win_flush(1, w.win));
        while (!got) {
            OK(MPI_Get(&got, 1, MPI_INT, 1, 4, 1, MPI_INT, w.win));
            OK(MPI_Win_flush(1, w.win));
        }
    } else if (me == 1) {
        while (!*flag)
            OK(MPI_Win_sync(w.win));
        OK(MPI_Put(&value, 1, MPI_INT, 1, 4, 1, MPI_INT, w.win));
        OK(MPI_Win_flush(1, w.win));
    }
    OK(MPI_Win_unlock_all(w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

const struct suite_case progress_cases[] = {
    {"progress: lock, put, get while the target computes", 2, case_lock_put_unlock,
     ADAPTER},
    {"progress: accumulates while the target computes", 2, case_accumulates, ADAPTER},
    {"progress: derived types while the target computes", 2, case_typed, ADAPTER},
    {"progress: a target that computes after a wait", 2, case_computes_after_a_wait,
     ADAPTER},
    {"progress: a message in a fence", 2, case_send_in_fence, ALWAYS},
    {"progress: a message in a lock", 2, case_send_in_lock, ALWAYS},
    {"progress: a message in PSCW", 2, case_send_in_pscw, ALWAYS},
    {"progress: a message in allocate and free", 2, case_send_in_collectives, ALWAYS},
    {"progress: polling a flag", 2, case_polling, ADAPTER},
    {0}};
