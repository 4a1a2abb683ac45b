/* SPDX-License-Identifier: BSD-3-Clause */
/* Several threads of a rank at once. */
#include <pthread.h>

#include "suite.h"

#define THREADS 4

struct worker {
    pthread_t thread;
    tmb_win *win;
    int number;
};

static void threads_run(struct window *w, void *(*body)(void *))
{
    struct worker workers[THREADS];

    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.win = w->win, .number = i};
        CHECK(pthread_create(&workers[i].thread, NULL, body, &workers[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
}

static void threads_run_on_all(size_t bytes, void *(*body)(void *))
{
    struct window w;

    for (int memory = 0; memory < MEMORY_KINDS; memory++) {
        window_open(&w, (enum memory)memory, bytes);
        threads_run(&w, body);
        window_close(&w);
    }
}

static void *put_own_block(void *arg)
{
    struct worker *worker = arg;
    int right = (me + 1) % ranks;
    uint64_t at = (uint64_t)worker->number * 1024, block[128], back[128];

    for (uint64_t i = 0; i < 500; i++) {
        for (int k = 0; k < 128; k++)
            block[k] = i * 1000 + (uint64_t)worker->number;
        OK(tmb_put(worker->win, right, at, block, sizeof(block)));
        OK(tmb_flush(worker->win, right));
        OK(tmb_get(worker->win, right, at, back, sizeof(back)));
        CHECK(!memcmp(block, back, sizeof(block)));
    }
    return NULL;
}

static void case_transfers(void)
{
    threads_run_on_all(THREADS * 1024, put_own_block);
}

/* Together more than is under way at a time; who flushes may end another's, but has its
 * own. */
static void *get_many(void *arg)
{
    enum { WORDS = 200 };
    struct worker *worker = arg;
    int right = (me + 1) % ranks;
    uint64_t at = (uint64_t)worker->number * 8 * WORDS, words[WORDS], back[WORDS];

    for (uint64_t i = 0; i < 50; i++) {
        for (uint64_t k = 0; k < WORDS; k++)
            words[k] = i * 1000 + k * 10 + (uint64_t)worker->number;
        OK(tmb_put(worker->win, right, at, words, sizeof(words)));
        memset(back, 0, sizeof(back));
        for (uint64_t k = 0; k < WORDS; k++)
            OK(tmb_get_nb(worker->win, right, at + 8 * k, &back[k], 8, NULL));
        OK(i % 2 ? tmb_flush(worker->win, right) : tmb_flush_local(worker->win, right));
        CHECK(!memcmp(words, back, sizeof(words)));
    }
    return NULL;
}

static void case_gets_begun(void)
{
    threads_run_on_all(THREADS * 1600, get_many);
}

static void *add_many(void *arg)
{
    struct worker *worker = arg;

    for (int i = 0; i < 200; i++)
        OK(tmb_fetch_add_u64(worker->win, 0, 0, 1, NULL));
    return NULL;
}

static void case_atomics(void)
{
    struct window w;
    uint64_t sum;

    for (int memory = 0; memory < MEMORY_KINDS; memory++) {
        window_open(&w, (enum memory)memory, 64);
        threads_run(&w, add_many);
        OK(tmb_fetch_u64(w.win, 0, 0, &sum));
        CHECK(sum == (uint64_t)(200 * THREADS * ranks));
        OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
        window_close(&w);
    }
}

/* Threads of one rank exclude each other as ranks do. */
static void *lock_and_add(void *arg)
{
    struct worker *worker = arg;
    uint64_t words[2];

    for (int i = 0; i < 300; i++) {
        bool write = (i + worker->number) % 3 != 0;

        OK(tmb_lock(worker->win, 0, write ? TMB_LOCK_EXCLUSIVE : TMB_LOCK_SHARED,
                    TMB_FOREVER));
        OK(tmb_get(worker->win, 0, 0, words, sizeof(words)));
        CHECK(words[0] == words[1]);
        words[0] = ++words[1];
        if (write)
            OK(tmb_put(worker->win, 0, 0, words, sizeof(words)));
        OK(tmb_unlock(worker->win, 0));
    }
    return NULL;
}

static void case_locks(void)
{
    struct window w;
    uint64_t sum;

    window_open(&w, MEMORY_ALLOC, 64);
    threads_run(&w, lock_and_add);
    OK(tmb_fetch_u64(w.win, 0, 0, &sum));
    CHECK(sum == (uint64_t)(200 * THREADS * ranks));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

/* Threads that wait for words of their own, each signalled by its like elsewhere. */
static void *ping(void *arg)
{
    struct worker *worker = arg;
    uint64_t at = (uint64_t)worker->number * 64;

    for (uint64_t i = 1; i <= 200; i++) {
        OK(tmb_put_signal(worker->win, (me + 1) % ranks, 0, NULL, 0, at, TMB_SIGNAL_ADD,
                          1));
        OK(tmb_wait(worker->win, at, TMB_GE, i, TMB_FOREVER, NULL));
    }
    return NULL;
}

static void case_waits(void)
{
    struct window w;

    window_open(&w, MEMORY_ALLOC, THREADS * 64);
    threads_run(&w, ping);
    window_close(&w);
}

static void *wait_for_self(void *arg)
{
    struct worker *worker = arg;

    if (worker->number == 0) {
        suite_sleep(30000000);
        OK(tmb_put_signal(worker->win, me, 0, NULL, 0, 0, TMB_SIGNAL_SET, 1));
    } else {
        OK(tmb_wait(worker->win, 0, TMB_EQ, 1, TMB_FOREVER, NULL));
    }
    return NULL;
}

static void case_self_signal(void)
{
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    threads_run(&w, wait_for_self);
    window_close(&w);
}

/* One thread's wait that times out again and again does not rob another of its wake. */
static void *wait_short_or_long(void *arg)
{
    struct worker *worker = arg;
    int rc;

    if (worker->number == 0) {
        OK(tmb_wait(worker->win, 0, TMB_EQ, 1, TMB_FOREVER, NULL));
    } else if (worker->number == 1) {
        suite_sleep(50000000);
        OK(tmb_fetch_add_u64(worker->win, me, 0, 1, NULL));
    } else {
        for (int i = 0; i < 50; i++) {
            rc = tmb_wait(worker->win, 8, TMB_EQ, 1, 1000000, NULL);
            EXPECT(rc, -ETIMEDOUT);
        }
    }
    return NULL;
}

static void case_short_and_long(void)
{
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    threads_run(&w, wait_short_or_long);
    window_close(&w);
}

const struct suite_case thread_cases[] = {
    {"thread/transfers", 1, case_transfers},
    {"thread/gets begun", 1, case_gets_begun},
    {"thread/atomics", 1, case_atomics},
    {"thread/locks", 1, case_locks},
    {"thread/waits", 1, case_waits},
    {"thread/self_signal", 1, case_self_signal},
    {"thread/short_and_long", 1, case_short_and_long},
    {0}};
