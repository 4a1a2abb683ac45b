/* SPDX-License-Identifier: BSD-3-Clause */
/* What adapters use besides the API. Ranks that joined by callbacks of ours meet on a
 * board, a file that all of them map. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "adapter.h"

#define PART_BYTES 1024

static struct board {
    _Atomic uint64_t round[RANKS_MAX];
    uint8_t parts[2][RANKS_MAX][PART_BYTES]; /* they take turns */
    _Atomic uint32_t polled;                 /* poll/others */
} * board;

/* ---- joining ---- */

static int exchange(void *arg, const void *mine, size_t bytes, void *all)
{
    static uint64_t round;
    const struct tmbi_adapter_callbacks *callbacks = arg;
    uint8_t(*parts)[PART_BYTES] = board->parts[++round % 2];

    if (bytes > PART_BYTES)
        return -EMSGSIZE;
    if (bytes)
        memcpy(parts[callbacks->rank], mine, bytes);
    atomic_store(&board->round[callbacks->rank], round);
    for (int i = 0; i < callbacks->size; i++) {
        while (atomic_load(&board->round[i]) < round)
            sched_yield();
        if (bytes)
            memcpy((uint8_t *)all + (size_t)i * bytes, parts[i], bytes);
    }
    return 0;
}

static void end_job(void *arg, int exit_code)
{
    (void)arg;
    _exit(exit_code); /* `tombolo run` ends the others */
}

static struct {
    atomic_int calls, strays; /* strays: by a thread that is not the application's */
    atomic_bool nested, post; /* post: tell on the board */
    pthread_t thread;
} polls;

static void poll_function(void)
{
    static atomic_bool inside;
    char name[16];

    if (atomic_exchange(&inside, true))
        atomic_store(&polls.nested, true);
    pthread_getname_np(pthread_self(), name, sizeof(name));
    if (!strncmp(name, "tmb-", 4))
        atomic_fetch_add(&polls.strays, 1);
    polls.thread = pthread_self();
    atomic_fetch_add(&polls.calls, 1);
    if (atomic_load(&polls.post))
        atomic_store(&board->polled, 1);
    atomic_store(&inside, false);
}

static void callbacks_fill(struct tmbi_adapter_callbacks *callbacks)
{
    const char *rank = getenv("TMB_RANK"), *size = getenv("TMB_SIZE");

    *callbacks =
        (struct tmbi_adapter_callbacks){.rank = rank ? (int)strtol(rank, NULL, 10) : -1,
                                        .size = size ? (int)strtol(size, NULL, 10) : -1,
                                        .exchange = exchange,
                                        .abort = end_job,
                                        .arg = callbacks};
}

int adapter_join(const char *path)
{
    static struct tmbi_adapter_callbacks callbacks;
    int fd = open(path, O_RDWR);
    int rc;

    if (fd < 0 || ftruncate(fd, sizeof(*board)))
        return -errno;
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (board == MAP_FAILED)
        return -errno;
    callbacks_fill(&callbacks);
    tmbi_adapter_poll(poll_function);
    rc = tmbi_adapter_init(TMB_THREAD_MULTIPLE, &callbacks);
    return rc ? rc : tmbi_adapter_handle(adapter_answer);
}

static void joining(void)
{
    struct tmbi_adapter_callbacks callbacks, bad;
    int rank, size;

    callbacks_fill(&callbacks);
    OK(tmb_rank(&rank));
    OK(tmb_size(&size));
    CHECK(rank == callbacks.rank && size == callbacks.size);
    EXPECT(tmbi_adapter_init(TMB_THREAD_SINGLE, &callbacks), -EALREADY);
    EXPECT(tmbi_adapter_init(TMB_THREAD_SINGLE, NULL), -EFAULT);
    bad = callbacks;
    bad.exchange = NULL;
    EXPECT(tmbi_adapter_init(TMB_THREAD_SINGLE, &bad), -EFAULT);
    bad = callbacks;
    bad.abort = NULL;
    EXPECT(tmbi_adapter_init(TMB_THREAD_SINGLE, &bad), -EFAULT);
    bad = callbacks;
    bad.rank = bad.size;
    EXPECT(tmbi_adapter_init(TMB_THREAD_SINGLE, &bad), -EINVAL);
    bad.rank = -1;
    EXPECT(tmbi_adapter_init(TMB_THREAD_SINGLE, &bad), -EINVAL);
    bad.size = 0;
    EXPECT(tmbi_adapter_init(TMB_THREAD_SINGLE, &bad), -EINVAL);
}

/* ---- polling ---- */

static void poll_in_waits(void)
{
    struct window window;
    int before;

    window_open(&window, MEMORY_ALLOC, 64);
    before = atomic_load(&polls.calls);
    suite_sleep(20000000);
    EXPECT(tmb_wait(window.win, 0, TMB_EQ, 0, TMB_FOREVER, NULL), 0);
    CHECK(atomic_load(&polls.calls) == before); /* nothing was waited for */
    EXPECT(tmb_wait(window.win, 0, TMB_NE, 0, 50000000, NULL), -ETIMEDOUT);
    CHECK(atomic_load(&polls.calls) > before);
    CHECK(pthread_equal(polls.thread, pthread_self()));
    CHECK(atomic_load(&polls.strays) == 0);
    window_close(&window);
}

/* Rank 1 goes on only when it was told by rank 0's poll function. */
static void poll_serves(void)
{
    struct window window;

    window_open(&window, MEMORY_ALLOC, 64);
    if (me == 0) {
        atomic_store(&polls.post, true);
        OK(tmb_wait(window.win, 0, TMB_EQ, 7, TMB_FOREVER, NULL));
        atomic_store(&polls.post, false);
    } else if (me == 1) {
        while (!atomic_load(&board->polled))
            sched_yield();
        OK(tmb_put_signal(window.win, 0, 0, NULL, 0, 0, TMB_SIGNAL_SET, 7));
    }
    window_close(&window);
    atomic_store(&board->polled, 0);
}

static void *wait_long(void *win)
{
    EXPECT(tmb_wait(win, 0, TMB_NE, 0, 50000000, NULL), -ETIMEDOUT);
    return NULL;
}

static void poll_threads(void)
{
    pthread_t threads[4];
    struct window window;

    window_open(&window, MEMORY_ALLOC, 64);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, wait_long, window.win);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK(!atomic_load(&polls.nested));
    window_close(&window);
}

/* ---- locks ---- */

static void *unlock_exclusive(void *win)
{
    OK(tmb_flush(win, 0));
    OK(tmbi_adapter_unlock(win, 0, TMB_LOCK_EXCLUSIVE));
    return NULL;
}

static void *unlock_shared(void *win)
{
    OK(tmbi_adapter_unlock(win, 0, TMB_LOCK_SHARED));
    return NULL;
}

static void in_thread(void *(*run)(void *), void *arg)
{
    pthread_t thread;

    OK(-pthread_create(&thread, NULL, run, arg));
    pthread_join(thread, NULL);
}

static void lock_excludes(void)
{
    enum { ROUNDS = 100 };
    struct window window;
    uint64_t count;

    window_open(&window, MEMORY_ALLOC, 64);
    for (int i = 0; i < ROUNDS; i++) {
        OK(tmbi_adapter_lock(window.win, 0, TMB_LOCK_EXCLUSIVE, TMB_FOREVER));
        OK(tmb_get(window.win, 0, 0, &count, sizeof(count)));
        count++;
        OK(tmb_put(window.win, 0, 0, &count, sizeof(count)));
        in_thread(unlock_exclusive, window.win);
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_get(window.win, 0, 0, &count, sizeof(count)));
    CHECK(count == (uint64_t)(ROUNDS * ranks));
    window_close(&window);
}

static void lock_shares(void)
{
    struct window window;

    window_open(&window, MEMORY_ALLOC, 64);
    OK(tmbi_adapter_lock(window.win, 0, TMB_LOCK_SHARED, TMB_FOREVER));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER)); /* all hold it */
    in_thread(unlock_shared, window.win);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me == 0)
        OK(tmbi_adapter_lock(window.win, 0, TMB_LOCK_EXCLUSIVE, 0));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me != 0) {
        EXPECT(tmbi_adapter_lock(window.win, 0, TMB_LOCK_SHARED, 0), -ETIMEDOUT);
        EXPECT(tmbi_adapter_lock(window.win, 0, TMB_LOCK_EXCLUSIVE, 1000000), -ETIMEDOUT);
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me == 0)
        in_thread(unlock_exclusive, window.win);
    window_close(&window);
}

static void lock_errors(void)
{
    const enum tmb_lock_mode no_mode = (enum tmb_lock_mode)7;
    struct window window;

    window_open(&window, MEMORY_ALLOC, 64);
    EXPECT(tmbi_adapter_lock(window.win, 0, no_mode, 0), -EINVAL);
    EXPECT(tmbi_adapter_unlock(window.win, 0, no_mode), -EINVAL);
    EXPECT(tmbi_adapter_lock(window.win, ranks, TMB_LOCK_SHARED, 0), -EINVAL);
    EXPECT(tmbi_adapter_unlock(window.win, -1, TMB_LOCK_SHARED), -EINVAL);
    window_close(&window);
    EXPECT(tmbi_adapter_lock(window.win, 0, TMB_LOCK_SHARED, 0), -EBADF);
    EXPECT(tmbi_adapter_unlock(window.win, 0, TMB_LOCK_SHARED), -EBADF);
}

const struct suite_case adapter_cases[] = {
    {"adapter/joining", 1, joining},
    {"adapter/poll in waits", 1, poll_in_waits},
    {"adapter/poll serves", 2, poll_serves},
    {"adapter/poll threads", 1, poll_threads},
    {"adapter/lock excludes", 1, lock_excludes},
    {"adapter/lock shares", 1, lock_shares},
    {"adapter/lock errors", 1, lock_errors},
    {NULL, 0, NULL},
};
