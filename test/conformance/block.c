/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of the caller's alone, and windows on it. */
#include <pthread.h>

#include "suite.h"

static void case_alignment(void)
{
    static const size_t sizes[] = {1, 63, 64, 1000, 4096, 100000, 5 << 20};
    uint8_t *blocks[7];
    void *ptr;

    for (size_t i = 0; i < 7; i++) {
        OK(tmb_mem_alloc(sizes[i], &ptr));
        blocks[i] = ptr;
        memset(ptr, (int)i + 1, sizes[i]);
        CHECK((uintptr_t)ptr % (sizes[i] >= 4096 ? 4096 : 64) == 0);
    }
    for (size_t i = 0; i < 7; i++) {
        CHECK(blocks[i][0] == i + 1 && blocks[i][sizes[i] - 1] == i + 1);
        OK(tmb_mem_free(blocks[i]));
    }
}

static void case_errors(void)
{
    uint8_t *block, word[8];
    void *ptr = word;

    OK(tmb_mem_alloc(0, &ptr));
    CHECK(ptr == NULL);
    OK(tmb_mem_free(NULL));
    EXPECT(tmb_mem_alloc(64, NULL), -EFAULT);
    EXPECT(tmb_mem_alloc(SIZE_MAX, &ptr), -ENOMEM);
    EXPECT(tmb_mem_alloc(SIZE_MAX / 2, &ptr), -ENOMEM);
    EXPECT(tmb_mem_free(word), -EINVAL);
    OK(tmb_mem_alloc(100, &ptr));
    block = ptr;
    EXPECT(tmb_mem_free(block + 1), -EINVAL);
    EXPECT(tmb_mem_free(block + 100), -EINVAL);
    OK(tmb_mem_free(block));
    EXPECT(tmb_mem_free(block), -EINVAL);
}

/* No other rank takes part. */
static void case_alone(void)
{
    void *ptr;

    for (int i = 0; me == 0 && i < 1000; i++) {
        OK(tmb_mem_alloc((size_t)i * 100 + 1, &ptr));
        OK(tmb_mem_free(ptr));
    }
}

static void case_busy(void)
{
    tmb_win *win;
    void *ptr;

    OK(tmb_mem_alloc(1000, &ptr));
    OK(tmb_win_create(TMB_TEAM_WORLD, (uint8_t *)ptr + 999, 1, 0, &win));
    EXPECT(tmb_mem_free(ptr), -EBUSY);
    OK(tmb_win_free(win));
    OK(tmb_mem_free(ptr));
}

/* A window anywhere in a block is mapped wherever one of tmb_win_alloc() is. */
static void mapped_check(uint8_t *at, size_t bytes)
{
    tmb_win *win;
    void *there;

    OK(tmb_win_create(TMB_TEAM_WORLD, at, bytes, 0, &win));
    for (int i = 0; i < ranks; i++)
        EXPECT(tmb_win_ptr(win, i, &there), mapped(i) || i == me ? 0 : -EOPNOTSUPP);
    OK(tmb_win_ptr(win, me, &there));
    CHECK(there == at);
    OK(tmb_win_free(win));
}

static void case_mapped(void)
{
    enum { BYTES = 300000 };
    uint64_t state = 7; /* the same sizes on all ranks */
    void *ptr;

    OK(tmb_mem_alloc(BYTES, &ptr));
    mapped_check(ptr, BYTES);
    for (int i = 0; i < 20; i++) {
        size_t from = suite_random(&state) % BYTES;

        mapped_check((uint8_t *)ptr + from, 1 + suite_random(&state) % (BYTES - from));
    }
    OK(tmb_mem_free(ptr));
}

/* Windows that overlap are one memory. */
static void case_overlap(void)
{
    uint64_t *words, seen;
    tmb_win *whole, *half;
    int right = (me + 1) % ranks;
    void *ptr;

    OK(tmb_mem_alloc(128, &ptr));
    words = ptr;
    memset(words, 0, 128);
    OK(tmb_win_create(TMB_TEAM_WORLD, words, 128, 0, &whole));
    OK(tmb_win_create(TMB_TEAM_WORLD, words + 8, 64, 0, &half));
    OK(tmb_fetch_add_u64(whole, right, 64, 5, NULL));
    OK(tmb_fetch_add_u64(half, right, 0, 6, NULL));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_fetch_u64(half, me, 0, &seen));
    CHECK(seen == 11 && words[8] == 11);
    OK(tmb_win_free(whole));
    OK(tmb_fetch_u64(half, right, 0, &seen));
    CHECK(seen == 11);
    OK(tmb_win_free(half));
    OK(tmb_mem_free(ptr));
}

/* Some of a rank's own memory, some of a block, in one window. */
static void case_mixed(void)
{
    uint64_t own = 0, seen;
    void *ptr = &own;
    tmb_win *win;

    if (me % 2)
        OK(tmb_mem_alloc(sizeof(own), &ptr));
    *(uint64_t *)ptr = 0;
    OK(tmb_win_create(TMB_TEAM_WORLD, ptr, sizeof(own), 0, &win));
    for (int i = 0; i < ranks; i++)
        OK(tmb_fetch_add_u64(win, i, 0, 1, NULL));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_fetch_u64(win, me, 0, &seen));
    CHECK(seen == (uint64_t)ranks);
    OK(tmb_win_free(win));
    if (me % 2)
        OK(tmb_mem_free(ptr));
}

static void *allocate(void *arg)
{
    uint64_t state = (uint64_t)(uintptr_t)arg;
    uint8_t *blocks[16] = {0};
    size_t sizes[16] = {0};

    for (int i = 0; i < 500; i++) {
        size_t at = suite_random(&state) % 16;
        void *ptr;

        if (blocks[at]) {
            CHECK(blocks[at][0] == at && blocks[at][sizes[at] - 1] == at);
            OK(tmb_mem_free(blocks[at]));
        }
        sizes[at] = 1 + suite_random(&state) % 20000;
        OK(tmb_mem_alloc(sizes[at], &ptr));
        blocks[at] = ptr;
        memset(ptr, (int)at, sizes[at]);
    }
    for (int i = 0; i < 16; i++)
        OK(tmb_mem_free(blocks[i]));
    return NULL;
}

static void case_threads(void)
{
    pthread_t threads[4];

    for (uintptr_t i = 0; i < 4; i++)
        CHECK(!pthread_create(&threads[i], NULL, allocate, (void *)(i + 1)));
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

const struct suite_case block_cases[] = {{"block/alignment", 1, case_alignment},
                                         {"block/errors", 1, case_errors},
                                         {"block/alone", 1, case_alone},
                                         {"block/busy", 1, case_busy},
                                         {"block/mapped", 1, case_mapped},
                                         {"block/overlap", 1, case_overlap},
                                         {"block/mixed", 1, case_mixed},
                                         {"block/threads", 1, case_threads},
                                         {0}};
