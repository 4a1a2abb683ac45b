/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A region whose bytes another process wrote: header and tables as they please. Input is
 * a list of changes to a region that was whole: where (3 bytes, within header and
 * tables), and 8 bytes to put there. Then everything is used that trusts the tables.
 */
#include <string.h>
#include <sys/mman.h>

#include "../../core/clock.h"
#include "../../core/log.h"
#include "../../providers/ivshmem/region.h"
#include "fuzz.h"

#define REGION_BYTES (UINT64_C(1) << 20)
#define CHANGE_BYTES 11

static uint8_t *base, *whole;
static uint64_t tables_bytes; /* before the heap */

int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct tmbi_region region;

    (void)argc;
    (void)argv;
    base = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    FUZZ_CHECK(base != MAP_FAILED);
    FUZZ_CHECK(!tmbi_region_format(base, REGION_BYTES, 3, 8));
    FUZZ_CHECK(!tmbi_region_attach(&region, base, REGION_BYTES));
    tables_bytes = region.heap_offset;
    whole = malloc(tables_bytes);
    FUZZ_CHECK(whole);
    memcpy(whole, base, tables_bytes);
    return 0;
}

/* Wholly inside of the mapping, whatever the header said. */
static void inside(const void *at, uint64_t bytes)
{
    const uint8_t *first = at;

    FUZZ_CHECK(first >= base && bytes <= REGION_BYTES &&
               (uint64_t)(first - base) <= REGION_BYTES - bytes);
}

static void geometry_check(const struct tmbi_region *region)
{
    inside(region->slots, region->slot_count * sizeof(*region->slots));
    inside(region->jobs, region->job_count * sizeof(*region->jobs));
    inside(region->pages, region->page_count * sizeof(*region->pages));
    inside(region->heap, region->page_count * TMBI_PAGE_BYTES);
}

static void job_died(void *arg, uint32_t job)
{
    (void)arg;
    FUZZ_CHECK(job != 0);
}

static void tables_use(struct tmbi_region *region)
{
    uint32_t slot, job, first, free_pages, run;

    tmbi_heap_usage(region, &free_pages, &run);
    FUZZ_CHECK(free_pages <= region->page_count && run <= free_pages);
    tmbi_slot_find(region, 0, &slot);
    tmbi_job_sweep(region);
    for (uint32_t i = 0; i < region->slot_count && i < 16; i++)
        tmbi_slot_gone(region, i, region->slots[i].epoch);
    tmbi_slots_gone(region, 2, job_died, region);
    if (tmbi_slot_claim(region, 1, 0, 1, &slot))
        return;
    FUZZ_CHECK(slot < region->slot_count);
    /* Whoever seems to make entries may be waited for: not longer than said. */
    if (!tmbi_job_join(region, slot, "job", 2, 0, tmbi_clock_ns(), &job)) {
        if (!tmbi_heap_alloc(region, job, 2, &first))
            FUZZ_CHECK(first <= region->page_count - 2);
        tmbi_slot_leave(region, slot, region->slots[slot].epoch);
    }
    tmbi_slot_gone(region, slot, region->slots[slot].epoch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct tmbi_region region;

    memcpy(base, whole, tables_bytes);
    for (; bytes >= CHANGE_BYTES; data += CHANGE_BYTES, bytes -= CHANGE_BYTES) {
        uint32_t at =
            (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16;

        memcpy(base + at % (tables_bytes - 8), data + 3, 8);
    }
    if (tmbi_region_attach(&region, base, REGION_BYTES))
        return 0;
    geometry_check(&region);
    tables_use(&region);
    for (uint64_t offset = 1; offset; offset <<= 1) {
        void *at = tmbi_region_at(&region, offset, 4096);

        if (at)
            inside(at, 4096);
    }
    return 0;
}
