/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls of an adapter's handler. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "adapter.h"

struct held { /* what a handler finds */
    _Atomic uint64_t calls;
    tmb_win *win;
};

enum what { MOVE, FAIL, NOT_YET };

/* Bytes that are told from others by a number. */
static void pattern_fill(uint8_t *bytes, size_t count, uint64_t number)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(number * 167 + i * 13 + i / 251);
}

static bool pattern_is(const uint8_t *bytes, size_t count, uint64_t number)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != (uint8_t)(number * 167 + i * 13 + i / 251))
            return false;
    return true;
}

/* args: what, a number of the caller's, and as `what` says. MOVE: the origin. */
int adapter_answer(void *data, int origin, const uint64_t *args, const void *in,
                   size_t in_bytes, void *out, size_t out_bytes)
{
    struct held *held = data;
    size_t size;
    uint64_t count = atomic_fetch_add(&held->calls, 1);

    if (args[0] == FAIL)
        return (int)(int64_t)args[2];
    if (args[0] == NOT_YET)
        return count < args[2] ? -EAGAIN : 0;
    if (tmb_win_size(held->win, origin, &size) || size != 64)
        return -EBADF;
    pattern_fill(out, out_bytes, args[1] + 1); /* before `in` is read */
    return args[2] == (uint64_t)origin && args[3] == UINT64_MAX - args[1] &&
                   pattern_is(in, in_bytes, args[1])
               ? 0
               : -EILSEQ;
}

static void held_open(struct window *window, struct held *held, enum memory memory)
{
    window_open(window, memory, 64);
    *held = (struct held){.win = window->win};
    tmbi_adapter_data_set(window->win, held);
}

struct payload {
    uint8_t *in, *out;
    size_t most;
};

static bool move(tmb_win *win, int rank, const struct payload *payload, uint64_t number,
                 size_t in_bytes, size_t out_bytes)
{
    const uint64_t args[] = {MOVE, number, (uint64_t)me, UINT64_MAX - number};

    pattern_fill(payload->in, in_bytes, number);
    memset(payload->out, 0, out_bytes);
    return OK(tmbi_adapter_call(win, rank, args, payload->in, in_bytes, payload->out,
                                out_bytes)) &&
           CHECK(pattern_is(payload->out, out_bytes, number + 1));
}

/* Few of the payloads are large. */
static size_t some_bytes(uint64_t random, size_t most)
{
    return random % 64 == 0 ? random / 64 % (most + 1) : random / 64 % 300;
}

static void calls_to(struct window *window, int rank, int calls)
{
    size_t most = tmbi_adapter_call_bytes(window->win, rank);
    struct payload payload = {malloc(most), malloc(most), most};
    uint64_t random = 88172645463325252u + (uint64_t)me;
    bool ok = CHECK(most >= 4096);

    ok = ok && move(window->win, rank, &payload, 1, 0, 0) &&
         move(window->win, rank, &payload, 2, most, 0) &&
         move(window->win, rank, &payload, 3, 0, most) &&
         move(window->win, rank, &payload, 4, most, most);
    for (int i = 4; ok && i < calls; i++)
        ok = move(window->win, rank, &payload, (uint64_t)i,
                  some_bytes(suite_random(&random), most),
                  some_bytes(suite_random(&random), most));
    free(payload.in);
    free(payload.out);
}

static void calls_all(enum memory memory)
{
    enum { CALLS = 10000 };
    struct window window;
    struct held held;

    held_open(&window, &held, memory);
    for (int i = 0; i < ranks; i++)
        calls_to(&window, (me + i) % ranks, CALLS / ranks);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    CHECK(atomic_load(&held.calls) == (uint64_t)(CALLS / ranks * ranks));
    window_close(&window);
}

static void calls_alloc(void)
{
    calls_all(MEMORY_ALLOC);
}

static void calls_create(void)
{
    calls_all(MEMORY_HEAP);
}

static void *calls_thread(void *window)
{
    calls_to(window, (me + 1) % ranks, 100);
    return NULL;
}

static void calls_threads(void)
{
    pthread_t threads[4];
    struct window window;
    struct held held;

    held_open(&window, &held, MEMORY_ALLOC);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, calls_thread, &window);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    window_close(&window);
}

/* What has no answer has all been executed after a flush, and a failure is told once, by
 * the post or by the flush. */
static void posts(void)
{
    enum { POSTS = 3000 };
    const uint64_t fail[] = {FAIL, 0, (uint64_t)-EDOM, 0};
    int rank = (me + 1) % ranks, rc;
    struct window window;
    struct held held;
    uint8_t bytes[300];

    held_open(&window, &held, MEMORY_ALLOC);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    for (uint64_t i = 0; i < POSTS; i++) {
        const uint64_t args[] = {MOVE, i, (uint64_t)me, UINT64_MAX - i};
        size_t count = i * 37 % sizeof(bytes);

        pattern_fill(bytes, count, i);
        OK(tmbi_adapter_post(window.win, rank, args, bytes, count));
    }
    OK(tmb_flush(window.win, rank));
    rc = tmbi_adapter_post(window.win, rank, fail, NULL, 0);
    if (rc == 0)
        rc = tmb_flush(window.win, rank);
    CHECK(rc == -EDOM);
    OK(tmb_flush(window.win, rank));
    EXPECT(tmbi_adapter_post(window.win, -1, fail, NULL, 0), -EINVAL);
    EXPECT(tmbi_adapter_post(window.win, rank, NULL, NULL, 0), -EFAULT);
    EXPECT(tmbi_adapter_post(window.win, rank, fail, bytes, SIZE_MAX), -EMSGSIZE);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    CHECK(atomic_load(&held.calls) == POSTS + 1);
    window_close(&window);
}

/* Rank 0's adapter takes its time to make its window of it. */
static void calls_late(void)
{
    const uint64_t args[] = {FAIL, 0, 0, 0};
    struct window window;
    struct held held = {0};

    window_open(&window, MEMORY_ALLOC, 64);
    if (me == 0)
        suite_sleep(50000000);
    tmbi_adapter_data_set(window.win, &held);
    OK(tmbi_adapter_call(window.win, 0, args, NULL, 0, NULL, 0));
    window_close(&window);
}

static void calls_again(void)
{
    const uint64_t args[] = {NOT_YET, 0, 10, 0};
    struct window window;
    struct held held;

    held_open(&window, &held, MEMORY_ALLOC);
    OK(tmbi_adapter_call(window.win, (me + 1) % ranks, args, NULL, 0, NULL, 0));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    CHECK(atomic_load(&held.calls) == 11);
    window_close(&window);
}

static void calls_unserved(void)
{
    const uint64_t args[] = {FAIL, 0, 0, 0};
    struct window window;

    window_open(&window, MEMORY_ALLOC, 64);
    EXPECT(tmbi_adapter_call(window.win, (me + 1) % ranks, args, NULL, 0, NULL, 0),
           -ETIMEDOUT);
    window_close(&window);
}

static void calls_fail(void)
{
    static const int codes[] = {-EDOM, -4095, 0};
    struct window window;
    struct held held;

    held_open(&window, &held, MEMORY_ALLOC);
    for (int rank = 0; rank < ranks; rank++) {
        uint64_t args[] = {FAIL, 0, 1, 0};

        EXPECT(tmbi_adapter_call(window.win, rank, args, NULL, 0, NULL, 0), -EPROTO);
        args[2] = (uint64_t)-4096;
        EXPECT(tmbi_adapter_call(window.win, rank, args, NULL, 0, NULL, 0), -EPROTO);
        for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
            args[2] = (uint64_t)codes[i];
            EXPECT(tmbi_adapter_call(window.win, rank, args, NULL, 0, NULL, 0), codes[i]);
        }
    }
    window_close(&window);
}

static void calls_errors(void)
{
    const uint64_t args[TMBI_ADAPTER_ARGS] = {MOVE, 0, 0, 0};
    struct window window;
    struct held held;
    uint8_t byte = 0;
    size_t most;

    held_open(&window, &held, MEMORY_ALLOC);
    most = tmbi_adapter_call_bytes(window.win, 0);
    EXPECT(tmbi_adapter_call(window.win, ranks, args, NULL, 0, NULL, 0), -EINVAL);
    EXPECT(tmbi_adapter_call(window.win, 0, NULL, NULL, 0, NULL, 0), -EFAULT);
    EXPECT(tmbi_adapter_call(window.win, 0, args, NULL, 1, NULL, 0), -EFAULT);
    EXPECT(tmbi_adapter_call(window.win, 0, args, NULL, 0, NULL, 1), -EFAULT);
    EXPECT(tmbi_adapter_call(window.win, 0, args, &byte, most + 1, NULL, 0), -EMSGSIZE);
    EXPECT(tmbi_adapter_call(window.win, 0, args, NULL, 0, &byte, most + 1), -EMSGSIZE);
    EXPECT(tmbi_adapter_handle(NULL), -EFAULT);
    CHECK(tmbi_adapter_call_bytes(window.win, ranks) == 0);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    CHECK(atomic_load(&held.calls) == 0);
    window_close(&window);
    EXPECT(tmbi_adapter_call(window.win, 0, args, NULL, 0, NULL, 0), -EBADF);
}

/* Origins are ranks of the window's team. */
static void calls_in_team(void)
{
    uint64_t args[] = {MOVE, 0, 0, UINT64_MAX};
    struct held held = {0};
    tmb_team *team;
    tmb_win *win;
    int rank, size;

    OK(tmb_team_split(TMB_TEAM_WORLD, me % 2, -me, &team));
    OK(tmb_team_rank(team, &rank));
    OK(tmb_team_size(team, &size));
    OK(tmb_win_alloc(team, 64, 0, &win));
    held.win = win;
    tmbi_adapter_data_set(win, &held);
    args[2] = (uint64_t)rank;
    for (int i = 0; i < size; i++)
        OK(tmbi_adapter_call(win, i, args, NULL, 0, NULL, 0));
    OK(tmb_win_free(win));
    OK(tmb_team_free(team));
}

const struct suite_case adapter_call_cases[] = {
    {"adapter/calls", 1, calls_alloc},
    {"adapter/calls of created", 1, calls_create},
    {"adapter/calls by threads", 1, calls_threads},
    {"adapter/posts", 1, posts},
    {"adapter/calls late", 1, calls_late},
    {"adapter/calls again", 1, calls_again},
    {"adapter/calls unserved", 1, calls_unserved},
    {"adapter/calls fail", 1, calls_fail},
    {"adapter/calls errors", 1, calls_errors},
    {"adapter/calls in team", 1, calls_in_team},
    {NULL, 0, NULL},
};
