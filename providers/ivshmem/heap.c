/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pages of the heap. A page is claimed by one compare-and-swap of its owner's word, and a
 * run of pages one by one from the lowest: who meets a page that another has just taken
 * gives its own back and looks behind it. No state spans two words, so a crash leaves at
 * most pages that their job owns and nobody uses, until the job is over.
 */
#include <errno.h>

#include "region.h"

#define HUGE_PAGES (UINT32_C(2) << 20 >> TMBI_PAGE_SHIFT)

static uint32_t owner_word(uint32_t job)
{
    return job + 1;
}

static bool page_free(const struct tmbi_region *region, uint32_t page)
{
    /* relaxed: a guess, that the claim proves */
    return atomic_load_explicit(&region->pages[page], memory_order_relaxed) == 0;
}

static bool page_claim(struct tmbi_region *region, uint32_t page, uint32_t job)
{
    uint32_t nobody = 0;

    /* acquire: partner is the release in page_release(); what its former owner wrote is
     * before what we write */
    return atomic_compare_exchange_strong_explicit(&region->pages[page], &nobody,
                                                   owner_word(job), memory_order_acquire,
                                                   memory_order_relaxed);
}

/* Only its owner's page is freed, whatever the caller believes. */
static void page_release(struct tmbi_region *region, uint32_t page, uint32_t job)
{
    uint32_t owner = owner_word(job);

    atomic_compare_exchange_strong_explicit(&region->pages[page], &owner, 0,
                                            memory_order_release, memory_order_relaxed);
}

void tmbi_heap_free(struct tmbi_region *region, uint32_t job, uint32_t first,
                    uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        page_release(region, first + i, job);
}

/* Claim [first, first + count); on failure *stop is the page that was not free. */
static bool run_claim(struct tmbi_region *region, uint32_t job, uint32_t first,
                      uint32_t count, uint32_t *stop)
{
    for (uint32_t i = 0; i < count; i++) {
        if (page_claim(region, first + i, job))
            continue;
        tmbi_heap_free(region, job, first, i);
        *stop = first + i;
        return false;
    }
    return true;
}

/* The first place from `from` on, at a multiple of `align` pages of the region, where
 * `count` pages look free; page_count if there is none. */
static uint32_t run_find(const struct tmbi_region *region, uint32_t from, uint32_t count,
                         uint32_t align)
{
    uint32_t heap_page = (uint32_t)(region->heap_offset >> TMBI_PAGE_SHIFT);
    uint32_t first = from;

    while (first < region->page_count) {
        uint32_t found = 0;

        first += (align - (heap_page + first) % align) % align;
        if (first >= region->page_count || count > region->page_count - first)
            break;
        while (found < count && page_free(region, first + found))
            found++;
        if (found == count)
            return first;
        first += found + 1;
    }
    return region->page_count;
}

static int run_take(struct tmbi_region *region, uint32_t job, uint32_t count,
                    uint32_t align, uint32_t *result)
{
    uint32_t from = 0;

    for (;;) {
        uint32_t first = run_find(region, from, count, align);

        if (first >= region->page_count)
            return -ENOMEM;
        if (run_claim(region, job, first, count, &from)) {
            *result = first;
            return 0;
        }
    }
}

int tmbi_heap_alloc(struct tmbi_region *region, uint32_t job, uint32_t count,
                    uint32_t *first)
{
    if (count == 0 || count > region->page_count)
        return -ENOMEM;
    if (count >= HUGE_PAGES && run_take(region, job, count, HUGE_PAGES, first) == 0)
        return 0;
    return run_take(region, job, count, 1, first);
}

void tmbi_heap_usage(const struct tmbi_region *region, uint32_t *free_pages,
                     uint32_t *longest_run)
{
    uint32_t run = 0;

    *free_pages = *longest_run = 0;
    for (uint32_t i = 0; i < region->page_count; i++) {
        run = page_free(region, i) ? run + 1 : 0;
        *free_pages += run > 0;
        *longest_run = run > *longest_run ? run : *longest_run;
    }
}
