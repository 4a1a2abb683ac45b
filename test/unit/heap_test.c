/* SPDX-License-Identifier: BSD-3-Clause */
/* Pages: nobody gets another's, and none is lost, whoever dies when. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../providers/ivshmem/region.h"

#define REGION_BYTES (UINT64_C(16) << 20)
#define PROCESSES    4

static void region_open(struct tmbi_region *region)
{
    uint8_t *base = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(base, MAP_FAILED);
    assert_int_equal(tmbi_region_format(base, REGION_BYTES, 2, 16), 0);
    assert_int_equal(tmbi_region_attach(region, base, REGION_BYTES), 0);
}

static void usage_is(const struct tmbi_region *region, uint32_t free_pages, uint32_t run)
{
    uint32_t pages, longest;

    tmbi_heap_usage(region, &pages, &longest);
    assert_int_equal(pages, free_pages);
    assert_int_equal(longest, run);
}

static void runs_come_and_go(void **state)
{
    struct tmbi_region region;
    uint32_t a, b, c, all;

    (void)state;
    region_open(&region);
    all = region.page_count;
    usage_is(&region, all, all);
    assert_int_equal(tmbi_heap_alloc(&region, 0, 3, &a), 0);
    assert_int_equal(tmbi_heap_alloc(&region, 1, 5, &b), 0);
    assert_int_equal(tmbi_heap_alloc(&region, 0, 1, &c), 0);
    assert_true(a + 3 <= b && b + 5 <= c);
    usage_is(&region, all - 9, all - 9);
    tmbi_heap_free(&region, 1, b, 5);
    usage_is(&region, all - 4, all - 9);
    assert_int_equal(tmbi_heap_alloc(&region, 2, 5, &a), 0); /* the gap fits */
    assert_int_equal(a, b);
    tmbi_region_unmap(&region);
}

static void too_much_is_enomem(void **state)
{
    struct tmbi_region region;
    uint32_t first, hole;

    (void)state;
    region_open(&region);
    assert_int_equal(tmbi_heap_alloc(&region, 0, 0, &first), -ENOMEM);
    assert_int_equal(tmbi_heap_alloc(&region, 0, region.page_count + 1, &first), -ENOMEM);
    assert_int_equal(tmbi_heap_alloc(&region, 0, UINT32_MAX, &first), -ENOMEM);
    assert_int_equal(tmbi_heap_alloc(&region, 0, region.page_count, &first), 0);
    assert_int_equal(first, 0);
    assert_int_equal(tmbi_heap_alloc(&region, 0, 1, &hole), -ENOMEM);
    /* Free pages that are not adjacent are no run. */
    tmbi_heap_free(&region, 0, 10, 1);
    tmbi_heap_free(&region, 0, 12, 1);
    usage_is(&region, 2, 1);
    assert_int_equal(tmbi_heap_alloc(&region, 0, 2, &hole), -ENOMEM);
    usage_is(&region, 2, 1);
    tmbi_region_unmap(&region);
}

static void only_the_owner_frees(void **state)
{
    struct tmbi_region region;
    uint32_t first;

    (void)state;
    region_open(&region);
    assert_int_equal(tmbi_heap_alloc(&region, 5, 4, &first), 0);
    tmbi_heap_free(&region, 6, 0, region.page_count);
    usage_is(&region, region.page_count - 4, region.page_count - 4);
    tmbi_heap_free(&region, 5, 0, region.page_count);
    usage_is(&region, region.page_count, region.page_count);
    tmbi_region_unmap(&region);
}

static void large_runs_are_aligned_while_that_is_possible(void **state)
{
    const uint64_t huge = UINT64_C(2) << 20;
    uint32_t pages = (uint32_t)(huge >> TMBI_PAGE_SHIFT);
    struct tmbi_region region;
    uint32_t first, count = 0;

    (void)state;
    region_open(&region);
    while (tmbi_heap_alloc(&region, 0, pages, &first) == 0) {
        uint64_t offset = region.heap_offset + first * TMBI_PAGE_BYTES;
        if (offset % huge == 0)
            count++;
    }
    assert_int_equal(count, REGION_BYTES / huge - 1);
    tmbi_region_unmap(&region);
}

/* Marks of pages in use, shared by the processes; each run is marked by its owner. */
static void churn(struct tmbi_region *region, _Atomic uint32_t *marks, uint32_t job,
                  int rounds)
{
    unsigned seed = job + 1;

    for (int round = 0; round < rounds; round++) {
        uint32_t count = 1 + rand_r(&seed) % 160, first;

        if (tmbi_heap_alloc(region, job, count, &first))
            continue;
        for (uint32_t i = 0; i < count; i++)
            if (atomic_exchange(&marks[first + i], job + 1))
                _exit(1);
        for (uint32_t i = 0; i < count; i++)
            if (atomic_exchange(&marks[first + i], 0) != job + 1)
                _exit(2);
        tmbi_heap_free(region, job, first, count);
    }
}

static void processes_never_share_a_page(void **state)
{
    struct tmbi_region region;
    _Atomic uint32_t *marks;
    pid_t children[PROCESSES];

    (void)state;
    region_open(&region);
    marks = mmap(NULL, region.page_count * sizeof *marks, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(marks, MAP_FAILED);
    for (uint32_t i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            churn(&region, marks, i, 2000);
            _exit(0);
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    usage_is(&region, region.page_count, region.page_count);
    munmap((void *)marks, region.page_count * sizeof *marks);
    tmbi_region_unmap(&region);
}

/* Wherever it is killed, what it had is its job's, and goes with it. */
static void killed_process_leaves_only_its_own(void **state)
{
    struct tmbi_region region;
    uint32_t first;

    (void)state;
    region_open(&region);
    assert_int_equal(tmbi_heap_alloc(&region, 100, 7, &first), 0);
    for (uint32_t round = 0; round < 50; round++) {
        const struct timespec moment = {0, 20000L * (round % 50)};
        pid_t child = fork();

        if (child == 0)
            for (;;) {
                tmbi_heap_alloc(&region, round, 100, &first);
                tmbi_heap_free(&region, round, first, 100);
            }
        nanosleep(&moment, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        tmbi_heap_free(&region, round, 0, region.page_count);
        usage_is(&region, region.page_count - 7, region.page_count - 7);
    }
    tmbi_region_unmap(&region);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_come_and_go),
        cmocka_unit_test(too_much_is_enomem),
        cmocka_unit_test(only_the_owner_frees),
        cmocka_unit_test(large_runs_are_aligned_while_that_is_possible),
        cmocka_unit_test(processes_never_share_a_page),
        cmocka_unit_test(killed_process_leaves_only_its_own),
    };

    return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
