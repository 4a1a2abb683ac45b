/* SPDX-License-Identifier: BSD-3-Clause */
/* Request-based operations (MPI-3.1, section 11.3.5): real requests, for every way to
 * complete one. */
#include "suite.h"

/* A status is that of a request that has neither failed nor been cancelled. */
static void status_is_good(const MPI_Status *status)
{
    int cancelled = -1;

    OK(MPI_Test_cancelled(status, &cancelled));
    EQUAL(cancelled, 0);
}

static void wait_each(struct window *w)
{
    int value = me + 1, got = -1, old = -1, ten = 10;
    MPI_Request request;
    MPI_Status status;

    OK(MPI_Win_lock_all(0, w->win));
    OK(MPI_Rput(&value, 1, MPI_INT, to, at(w, to, 0), 1, MPI_INT, w->win, &request));
    CHECK(request != MPI_REQUEST_NULL);
    OK(MPI_Wait(&request, &status));
    status_is_good(&status);
    CHECK(request == MPI_REQUEST_NULL);
    OK(MPI_Win_flush(to, w->win));
    OK(MPI_Raccumulate(&ten, 1, MPI_INT, to, at(w, to, 0), 1, MPI_INT, MPI_SUM, w->win,
                       &request));
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    OK(MPI_Win_flush(to, w->win));
    OK(MPI_Rget(&got, 1, MPI_INT, to, at(w, to, 0), 1, MPI_INT, w->win, &request));
    OK(MPI_Wait(&request, &status)); /* completes at the origin: it is there */
    status_is_good(&status);
    EQUAL(got, value + 10);
    OK(MPI_Rget_accumulate(&ten, 1, MPI_INT, &old, 1, MPI_INT, to, at(w, to, 0), 1,
                           MPI_INT, MPI_PROD, w->win, &request));
    OK(MPI_Wait(&request, &status));
    EQUAL(old, value + 10);
    OK(MPI_Win_unlock_all(w->win));
    window_meet(w->win);
    EQUAL(*(int *)w->base, (from + 1 + 10) * 10);
}

static void case_wait(void)
{
    each_memory(64, wait_each);
}

static void case_test(void)
{
    int value = me, got = -1, done = 0;
    MPI_Request request;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    OK(MPI_Win_lock(MPI_LOCK_SHARED, to, 0, w.win));
    OK(MPI_Rput(&value, 1, MPI_INT, to, 0, 1, MPI_INT, w.win, &request));
    while (!done)
        OK(MPI_Test(&request, &done, MPI_STATUS_IGNORE));
    CHECK(request == MPI_REQUEST_NULL);
    OK(MPI_Win_flush(to, w.win));
    OK(MPI_Rget(&got, 1, MPI_INT, to, 0, 1, MPI_INT, w.win, &request));
    for (done = 0; !done;)
        OK(MPI_Request_get_status(request, &done, MPI_STATUS_IGNORE));
    EQUAL(got, value);
    OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
    OK(MPI_Win_unlock(to, w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

#define REQUESTS 64

/* One-sided requests among those of messages. */
static void case_waitall(void)
{
    MPI_Request requests[REQUESTS + 2];
    MPI_Status statuses[REQUESTS + 2];
    int values[REQUESTS], message = me, received = -1;
    struct window w;

    window_open(&w, ALLOCATE, REQUESTS * (MPI_Aint)sizeof(int));
    OK(MPI_Win_lock_all(0, w.win));
    MPI_Irecv(&received, 1, MPI_INT, from, 9, MPI_COMM_WORLD, &requests[0]);
    for (int i = 0; i < REQUESTS; i++) {
        values[i] = me * 100 + i;
        OK(MPI_Rput(&values[i], 1, MPI_INT, to, i * 4, 1, MPI_INT, w.win,
                    &requests[i + 1]));
    }
    MPI_Isend(&message, 1, MPI_INT, to, 9, MPI_COMM_WORLD, &requests[REQUESTS + 1]);
    OK(MPI_Waitall(REQUESTS + 2, requests, statuses));
    EQUAL(received, from);
    EQUAL(statuses[0].MPI_SOURCE, from);
    for (int i = 0; i < REQUESTS + 2; i++)
        CHECK(requests[i] == MPI_REQUEST_NULL);
    OK(MPI_Win_unlock_all(w.win));
    window_meet(w.win);
    for (int i = 0; i < REQUESTS; i++)
        EQUAL(((int *)w.base)[i], from * 100 + i);
    window_close(&w);
}

static void complete_any(MPI_Request *requests, int *seen)
{
    int index, flag, some, indices[REQUESTS];
    MPI_Status statuses[REQUESTS];

    for (int left = REQUESTS; left > 0;) {
        if (left % 3 == 0) {
            OK(MPI_Waitany(REQUESTS, requests, &index, MPI_STATUS_IGNORE));
            seen[index]++;
            left--;
        } else if (left % 3 == 1) {
            OK(MPI_Testany(REQUESTS, requests, &index, &flag, MPI_STATUS_IGNORE));
            if (flag)
                seen[index]++;
            left -= flag;
        } else {
            OK(MPI_Waitsome(REQUESTS, requests, &some, indices, statuses));
            for (int i = 0; i < some; i++)
                seen[indices[i]]++;
            left -= some;
        }
    }
}

static void case_any(void)
{
    MPI_Request requests[REQUESTS];
    int got[REQUESTS], seen[REQUESTS] = {0};
    struct window w;

    window_open(&w, HEAP, REQUESTS * (MPI_Aint)sizeof(int));
    for (int i = 0; i < REQUESTS; i++)
        ((int *)w.base)[i] = me * 100 + i;
    window_meet(w.win);
    OK(MPI_Win_lock_all(0, w.win));
    for (int i = 0; i < REQUESTS; i++)
        OK(MPI_Rget(&got[i], 1, MPI_INT, to, i * 4, 1, MPI_INT, w.win, &requests[i]));
    complete_any(requests, seen);
    for (int i = 0; i < REQUESTS; i++) {
        EQUAL(seen[i], 1);
        EQUAL(got[i], to * 100 + i);
    }
    OK(MPI_Win_unlock_all(w.win));
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

/* MPI_PROC_NULL gives a request, too, of which nothing comes. */
static void case_no_process(void)
{
    MPI_Request requests[4];
    MPI_Status statuses[4];
    int value = 5, old = 6;
    const int none = MPI_PROC_NULL;
    struct window w;

    window_open(&w, ALLOCATE, 64);
    OK(MPI_Win_lock_all(0, w.win));
    OK(MPI_Rput(&value, 1, MPI_INT, none, 0, 1, MPI_INT, w.win, &requests[0]));
    OK(MPI_Rget(&value, 1, MPI_INT, none, 0, 1, MPI_INT, w.win, &requests[1]));
    OK(MPI_Raccumulate(&value, 1, MPI_INT, none, 0, 1, MPI_INT, MPI_SUM, w.win,
                       &requests[2]));
    OK(MPI_Rget_accumulate(&value, 1, MPI_INT, &old, 1, MPI_INT, none, 0, 1, MPI_INT,
                           MPI_SUM, w.win, &requests[3]));
    OK(MPI_Waitall(4, requests, statuses));
    EQUAL(value, 5);
    EQUAL(old, 6);
    OK(MPI_Win_unlock_all(w.win));
    window_close(&w);
}

/* Rget of what is not contiguous: the data is there once the request is complete. UCX
 * 1.13.1 under MPICH 4.0.2 completes it before. */
static void case_strided_get(void)
{
    enum { BLOCKS = 4096 };
    static int got[BLOCKS];
    MPI_Datatype type;
    MPI_Request request;
    struct window w;

    window_open(&w, HEAP, 3 * BLOCKS * (MPI_Aint)sizeof(int));
    MPI_Type_vector(BLOCKS, 1, 3, MPI_INT, &type);
    MPI_Type_commit(&type);
    for (int i = 0; i < BLOCKS; i++)
        ((int *)w.base)[3 * i] = me + i;
    window_meet(w.win);
    OK(MPI_Win_lock_all(0, w.win));
    for (int round = 0; round < rounds(20); round++) {
        memset(got, 0xff, sizeof(got));
        OK(MPI_Rget(got, BLOCKS, MPI_INT, to, 0, 1, type, w.win, &request));
        OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
        for (int i = 0; i < BLOCKS; i++)
            EQUAL(got[i], to + i);
        OK(MPI_Win_flush(to, w.win));
    }
    OK(MPI_Win_unlock_all(w.win));
    MPI_Type_free(&type);
    MPI_Barrier(MPI_COMM_WORLD);
    window_close(&w);
}

const struct suite_case request_cases[] = {
    {"request: wait", 1, case_wait, ALWAYS},
    {"request: test and get_status", 1, case_test, ALWAYS},
    {"request: waitall among messages", 1, case_waitall, ALWAYS},
    {"request: waitany, testany, waitsome", 1, case_any, ALWAYS},
    {"request: MPI_PROC_NULL", 1, case_no_process, ALWAYS},
    {"request: get of what is not contiguous", 1, case_strided_get, MPICH_WRONG},
    {0}};
