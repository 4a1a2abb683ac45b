/* SPDX-License-Identifier: BSD-3-Clause */
/* Pages that are replaced under the hands of threads that write to other data on them. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "suite.h"

#define PAGE   4096u
#define MARGIN 512u /* beside the window, on its first and its last page */
#define BYTES  (4 * PAGE)

static _Alignas(65536) uint8_t area[BYTES];

enum { WRITERS = 2, WORDS = MARGIN / 8 };
static atomic_bool stop;

/* Each writer has words of its own on both pages. */
static _Atomic uint64_t *word_of(unsigned writer, unsigned round)
{
    size_t index = (size_t)(round / 2 * WRITERS + writer) % (WORDS / WRITERS * WRITERS);
    size_t at = round % 2 ? BYTES - MARGIN : 0;

    return (_Atomic uint64_t *)(void *)(area + at) + index;
}

/* Nothing that is written gets lost. */
static void *write_words(void *arg)
{
    unsigned writer = (unsigned)(uintptr_t)arg;
    uint64_t counts[2 * WORDS] = {0};

    for (unsigned round = 0; !atomic_load(&stop); round++) {
        unsigned own = round % (WORDS / WRITERS * 2);
        _Atomic uint64_t *word = word_of(writer, own);

        if (!CHECK(atomic_load_explicit(word, memory_order_relaxed) == counts[own]))
            break;
        atomic_store_explicit(word, ++counts[own], memory_order_relaxed);
    }
    return NULL;
}

/* Nor is a system call refused that writes there. */
static void *read_file(void *arg)
{
    int file = memfd_create("suite", MFD_CLOEXEC);
    uint8_t *there = arg;

    for (uint64_t value = 1; !atomic_load(&stop); value++) {
        if (!CHECK(pwrite(file, &value, sizeof(value), 0) == sizeof(value)) ||
            !CHECK(pread(file, there, sizeof(value), 0) == sizeof(value)) ||
            !CHECK(!memcmp(there, &value, sizeof(value))))
            break;
    }
    close(file);
    return NULL;
}

/* Whether the kernel can have all that others do wait, for this user. */
static bool can_wait(void)
{
    int fd = (int)syscall(SYS_userfaultfd, 0);

    return fd >= 0 && !close(fd);
}

static void window_check(bool all)
{
    tmb_win *win;
    void *there;
    size_t bytes = BYTES - 2 * (MARGIN + 64);

    OK(tmb_win_create(TMB_TEAM_WORLD, area + MARGIN + 64, bytes, TMB_WIN_ADOPT, &win));
    for (int i = 0; all && i < ranks; i++)
        if (must_adopt(i, "all"))
            OK(tmb_win_ptr(win, i, &there));
    OK(tmb_fetch_add_u64(win, (me + 1) % ranks, 0, 1, NULL));
    OK(tmb_fetch_add_u64(win, (me + 1) % ranks, bytes - 8, 1, NULL));
    OK(tmb_win_free(win));
}

static void case_writers(void)
{
    const int rounds = ranks <= 2 ? 50 : 20; /* threads of more have no processor */
    pthread_t threads[WRITERS + 2];
    bool all = can_wait();
    uint64_t seen;

    memset(area, 0, sizeof(area));
    atomic_store(&stop, false);
    for (uintptr_t i = 0; i < WRITERS; i++)
        CHECK(!pthread_create(&threads[i], NULL, write_words, (void *)i));
    CHECK(!pthread_create(&threads[WRITERS], NULL, read_file, area + MARGIN + 8));
    CHECK(
        !pthread_create(&threads[WRITERS + 1], NULL, read_file, area + BYTES - PAGE / 2));
    for (int i = 0; i < rounds; i++)
        window_check(all);
    atomic_store(&stop, true);
    for (int i = 0; i < WRITERS + 2; i++)
        pthread_join(threads[i], NULL);
    memcpy(&seen, area + MARGIN + 64, sizeof(seen));
    CHECK(seen == (uint64_t)rounds);
    memcpy(&seen, area + BYTES - MARGIN - 64 - 8, sizeof(seen));
    CHECK(seen == (uint64_t)rounds);
}

/* Threads that make windows on one page at once. */

enum { MAKERS = 4 };

struct maker {
    tmb_team *team;
    uint8_t *mine;
};

static void *make_windows(void *arg)
{
    enum { ROUNDS = 50 };
    const struct maker *maker = arg;
    uint64_t seen;
    tmb_win *win;

    for (int i = 0; i < ROUNDS; i++) {
        OK(tmb_win_create(maker->team, maker->mine, 64, i % 3 ? TMB_WIN_ADOPT : 0, &win));
        OK(tmb_fetch_add_u64(win, (me + 1) % ranks, 0, 1, NULL));
        OK(tmb_win_free(win));
    }
    memcpy(&seen, maker->mine, sizeof(seen));
    CHECK(seen == ROUNDS);
    return NULL;
}

static void case_makers(void)
{
    struct maker makers[MAKERS];
    pthread_t threads[MAKERS];

    memset(area, 0, sizeof(area));
    for (int i = 0; i < MAKERS; i++) {
        makers[i].mine = area + PAGE + 64 * (size_t)i;
        OK(tmb_team_split(TMB_TEAM_WORLD, 0, me, &makers[i].team));
    }
    for (int i = 0; i < MAKERS; i++)
        CHECK(!pthread_create(&threads[i], NULL, make_windows, &makers[i]));
    for (int i = 0; i < MAKERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < MAKERS; i++)
        OK(tmb_team_free(makers[i].team));
}

const struct suite_case adopt_thread_cases[] = {
    {"adopt/writers", 1 | MAPPED, case_writers},
    {"adopt/makers", 1 | MAPPED, case_makers},
    {0}};
