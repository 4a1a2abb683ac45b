/* SPDX-License-Identifier: BSD-3-Clause */
/* The arena: blocks that don't overlap, that come back, and that cost little. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "../../core/clock.h"
#include "../../providers/ivshmem/arena.h"

#define REGION_BYTES (UINT64_C(64) << 20)

struct fixture {
    struct tmbi_region region;
    struct tmbi_arena arena;
    uint32_t free_pages; /* at the start */
};

static void fixture_open(struct fixture *f, uint64_t bytes)
{
    uint32_t run;
    uint8_t *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_ptr_not_equal(base, MAP_FAILED);
    assert_int_equal(tmbi_region_format(base, bytes, 2, 4), 0);
    assert_int_equal(tmbi_region_attach(&f->region, base, bytes), 0);
    tmbi_heap_usage(&f->region, &f->free_pages, &run);
    assert_int_equal(tmbi_arena_init(&f->arena, &f->region, 7), 0);
}

static void fixture_close(struct fixture *f)
{
    tmbi_arena_fini(&f->arena);
    tmbi_region_unmap(&f->region);
}

static uint32_t pages_free(const struct fixture *f)
{
    uint32_t free_pages, run;

    tmbi_heap_usage(&f->region, &free_pages, &run);
    return free_pages;
}

static void *block_get(struct fixture *f, uint64_t bytes)
{
    void *block = NULL;

    assert_int_equal(tmbi_arena_alloc(&f->arena, bytes, &block), 0);
    assert_int_equal((uintptr_t)block % 64, 0);
    assert_non_null(
        tmbi_region_at(&f->region, tmbi_region_offset(&f->region, block), bytes));
    return block;
}

static void sizes_fit(void **state)
{
    static const uint64_t sizes[] = {1,     63,    64,    65,     128,  200,
                                     4096,  5000,  8192,  8193,   9000, 16385,
                                     30000, 32768, 32769, 1 << 20};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    void *blocks[COUNT];
    struct fixture f;

    (void)state;
    fixture_open(&f, REGION_BYTES);
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = block_get(&f, sizes[i]);
        memset(blocks[i], i + 1, sizes[i]);
    }
    for (int i = 0; i < COUNT; i++)
        for (uint64_t at = 0; at < sizes[i]; at++)
            assert_int_equal(((uint8_t *)blocks[i])[at], i + 1);
    for (int i = 0; i < COUNT; i++)
        tmbi_arena_free(&f.arena, blocks[i]);
    tmbi_arena_free(&f.arena, NULL);
    fixture_close(&f);
}

/* Random sizes, filled with a pattern of their own: any overlap spoils one. */
static void churn_keeps_content(void **state)
{
    enum { COUNT = 300, STEPS = 20000 };
    struct {
        uint8_t *at;
        uint64_t bytes;
        uint8_t mark;
    } live[COUNT] = {{0}};
    struct fixture f;
    unsigned seed = 1;

    (void)state;
    fixture_open(&f, REGION_BYTES);
    for (int step = 0; step < STEPS; step++) {
        int i = (int)(rand_r(&seed) % COUNT);
        if (live[i].at) {
            assert_int_equal(live[i].at[0], live[i].mark);
            assert_int_equal(live[i].at[live[i].bytes / 2], live[i].mark);
            assert_int_equal(live[i].at[live[i].bytes - 1], live[i].mark);
            tmbi_arena_free(&f.arena, live[i].at);
            live[i].at = NULL;
        } else {
            live[i].bytes = 1 + rand_r(&seed) % (1u << rand_r(&seed) % 18);
            live[i].mark = (uint8_t)rand_r(&seed);
            live[i].at = block_get(&f, live[i].bytes);
            memset(live[i].at, live[i].mark, live[i].bytes);
        }
    }
    for (int i = 0; i < COUNT; i++)
        tmbi_arena_free(&f.arena, live[i].at);
    /* What stays claimed is one chunk for each class at most. */
    assert_true(f.free_pages - pages_free(&f) <= TMBI_ARENA_CLASSES * 64);
    fixture_close(&f);
}

static void full_region_is_enomem_and_recovers(void **state)
{
    void **blocks = malloc(REGION_BYTES / 8192 * sizeof *blocks);
    struct fixture f;
    size_t count = 0;
    void *block;

    (void)state;
    fixture_open(&f, REGION_BYTES);
    while (!tmbi_arena_alloc(&f.arena, 8192, &blocks[count]))
        count++;
    assert_int_equal(count, f.free_pages * 2);
    assert_int_equal(tmbi_arena_alloc(&f.arena, 64, &block), -ENOMEM);
    assert_int_equal(tmbi_arena_alloc(&f.arena, 1 << 20, &block), -ENOMEM);
    assert_int_equal(tmbi_arena_alloc(&f.arena, UINT64_MAX, &block), -ENOMEM);
    for (size_t i = 0; i < count; i++)
        tmbi_arena_free(&f.arena, blocks[i]);
    /* The chunk that is kept for the next small block makes way for a large one. */
    block = block_get(&f, (uint64_t)f.free_pages * TMBI_PAGE_BYTES);
    tmbi_arena_free(&f.arena, block);
    assert_int_equal(pages_free(&f), f.free_pages);
    free(blocks);
    fixture_close(&f);
}

/* Programs make hundreds of thousands of small windows. The bound is far above what it
 * takes, so that only an algorithm that is not constant in time breaks it. */
static void many_small_blocks_are_cheap(void **state)
{
    enum { COUNT = 200000 };
    void **blocks = malloc(COUNT * sizeof *blocks);
    struct fixture f;

    (void)state;
    fixture_open(&f, UINT64_C(4) << 30);
    int64_t start = tmbi_clock_ns();
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(tmbi_arena_alloc(&f.arena, 8192, &blocks[i]), 0);
    int64_t allocated = tmbi_clock_ns();
    for (int i = 0; i < COUNT; i++)
        tmbi_arena_free(&f.arena, blocks[i]);
    int64_t freed = tmbi_clock_ns();
    print_message("%d blocks of 8 KiB: %lld ns to allocate one, %lld to free it\n", COUNT,
                  (long long)(allocated - start) / COUNT,
                  (long long)(freed - allocated) / COUNT);
    assert_true(freed - start < INT64_C(20000) * COUNT);
    free(blocks);
    fixture_close(&f);
}

static void *churn_thread(void *arg)
{
    struct fixture *f = arg;

    for (int step = 0; step < 20000; step++) {
        void *block;
        if (tmbi_arena_alloc(&f->arena, 64u << step % 10, &block))
            return "no memory";
        memset(block, step, 64);
        tmbi_arena_free(&f->arena, block);
    }
    return NULL;
}

static void threads_share(void **state)
{
    pthread_t threads[4];
    struct fixture f;
    void *failed;

    (void)state;
    fixture_open(&f, REGION_BYTES);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn_thread, &f), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_fit),
        cmocka_unit_test(churn_keeps_content),
        cmocka_unit_test(full_region_is_enomem_and_recovers),
        cmocka_unit_test(many_small_blocks_are_cheap),
        cmocka_unit_test(threads_share),
    };

    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
