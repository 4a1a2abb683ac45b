/* SPDX-License-Identifier: BSD-3-Clause */
/* The region's header: what is made is whole, and what is damaged is refused. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../providers/ivshmem/region.h"

#define MIB          (UINT64_C(1) << 20)
#define REGION_BYTES (4 * MIB)

static uint8_t *memory_map(uint64_t bytes)
{
    uint8_t *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_ptr_not_equal(base, MAP_FAILED);
    return base;
}

/* Each refusal says so in a line; thousands of them are of no use. */
static int stderr_mute(void)
{
    int kept = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    dup2(null, STDERR_FILENO);
    close(null);
    return kept;
}

static void stderr_restore(int kept)
{
    dup2(kept, STDERR_FILENO);
    close(kept);
}

/* Everything that the structure points at lies inside, in order, and apart. */
static void geometry_check(const struct tmbi_region *region)
{
    const uint8_t *end = region->base + region->size;

    assert_true((uint8_t *)region->slots >= region->base + TMBI_HEADER_BYTES);
    assert_true((void *)(region->slots + region->slot_count) <= (void *)region->jobs);
    assert_true((void *)(region->jobs + region->job_count) <= (void *)region->pages);
    assert_true((void *)(region->pages + region->page_count) <= (void *)region->heap);
    assert_true(region->heap + region->page_count * TMBI_PAGE_BYTES <= end);
    assert_int_equal(region->heap_offset % TMBI_PAGE_BYTES, 0);
    assert_int_equal((uintptr_t)region->slots % 64, 0);
    assert_int_equal((uintptr_t)region->jobs % 64, 0);
}

static void every_size_is_whole(void **state)
{
    (void)state;
    for (uint64_t bytes = TMBI_REGION_MIN; bytes <= 4096 * MIB; bytes *= 2) {
        uint8_t *base = memory_map(bytes);
        struct tmbi_region region;

        assert_int_equal(tmbi_region_format(base, bytes, 8, 0), 0);
        assert_int_equal(tmbi_region_attach(&region, base, bytes), 0);
        geometry_check(&region);
        assert_int_equal(region.vectors, 8);
        assert_true(region.slot_count == (bytes < 2 * MIB ? 512 : 1024));
        /* Tables cost a quarter of the smallest region, and little of any other. */
        assert_true(region.heap_offset <=
                    bytes / 64 + (bytes < 8 * MIB ? bytes / 4 : MIB));
        assert_int_equal(region.heap_offset + region.page_count * TMBI_PAGE_BYTES, bytes);
        munmap(base, bytes);
    }
}

static void odd_sizes_are_refused(void **state)
{
    static const uint64_t sizes[] = {0,
                                     1,
                                     TMBI_REGION_MIN / 2,
                                     TMBI_REGION_MIN - 1,
                                     TMBI_REGION_MIN + 1,
                                     3 * MIB,
                                     TMBI_REGION_MAX * 2,
                                     UINT64_MAX};
    uint8_t *base = memory_map(REGION_BYTES);

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_int_equal(tmbi_region_format(base, sizes[i], 8, 0), -EINVAL);
    munmap(base, REGION_BYTES);
}

static void regions_differ(void **state)
{
    uint8_t *base = memory_map(REGION_BYTES);
    struct tmbi_region one, two;

    (void)state;
    assert_int_equal(tmbi_region_format(base, REGION_BYTES, 8, 16), 0);
    assert_int_equal(tmbi_region_attach(&one, base, REGION_BYTES), 0);
    assert_int_equal(tmbi_region_format(base, REGION_BYTES, 8, 16), 0);
    assert_int_equal(tmbi_region_attach(&two, base, REGION_BYTES), 0);
    assert_memory_not_equal(one.uuid, two.uuid, sizeof one.uuid);
    assert_int_equal(one.slot_count, 16);
    munmap(base, REGION_BYTES);
}

#define FIELD(name)                                                                      \
    {                                                                                    \
        offsetof(struct tmbi_region_header, name),                                       \
            sizeof(((struct tmbi_region_header *)0)->name)                               \
    }

static const struct field {
    size_t offset, bytes;
} fields[] = {FIELD(magic),      FIELD(version),      FIELD(header_bytes),
              FIELD(size),       FIELD(slots_offset), FIELD(jobs_offset),
              FIELD(map_offset), FIELD(heap_offset),  FIELD(slot_count),
              FIELD(job_count),  FIELD(page_count),   FIELD(page_shift),
              FIELD(vectors)};

/* In every field: nothing, too much, and values that wrap when they are added up. */
static void each_damaged_field_is_refused(void **state)
{
    static const uint64_t values[] = {0, UINT32_MAX, UINT64_MAX, UINT64_C(1) << 31,
                                      UINT64_C(0xffffffffffffffc0)};
    uint8_t *base = memory_map(REGION_BYTES);
    struct tmbi_region region;
    int kept = stderr_mute();

    (void)state;
    assert_int_equal(tmbi_region_format(base, REGION_BYTES, 8, 64), 0);
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
        uint64_t whole;

        memcpy(&whole, base + fields[f].offset, fields[f].bytes);
        /* No vectors: a region without a server. */
        size_t first = fields[f].offset == offsetof(struct tmbi_region_header, vectors);
        for (size_t v = first; v < sizeof values / sizeof *values; v++) {
            memcpy(base + fields[f].offset, &values[v], fields[f].bytes);
            if (tmbi_region_attach(&region, base, REGION_BYTES) != -EPROTO)
                fail_msg("field at %zu is taken with %#llx", fields[f].offset,
                         (unsigned long long)values[v]);
        }
        memcpy(base + fields[f].offset, &whole, fields[f].bytes);
        assert_int_equal(tmbi_region_attach(&region, base, REGION_BYTES), 0);
    }
    stderr_restore(kept);
    munmap(base, REGION_BYTES);
}

/* Whatever bytes are changed: refused, or all of it inside. */
static void garbage_is_refused_or_harmless(void **state)
{
    uint8_t *base = memory_map(REGION_BYTES);
    struct tmbi_region_header whole;
    struct tmbi_region region;
    unsigned seed = 1, refused = 0;
    int kept = stderr_mute();

    (void)state;
    assert_int_equal(tmbi_region_format(base, REGION_BYTES, 8, 64), 0);
    memcpy(&whole, base, sizeof whole);
    for (int round = 0; round < 5000; round++) {
        for (int i = rand_r(&seed) % 3; i >= 0; i--)
            base[rand_r(&seed) % offsetof(struct tmbi_region_header, reserved0)] =
                (uint8_t)rand_r(&seed);
        if (tmbi_region_attach(&region, base, REGION_BYTES) == 0)
            geometry_check(&region);
        else
            refused++;
        memcpy(base, &whole, sizeof whole);
    }
    stderr_restore(kept);
    assert_true(refused > 2500 && refused < 5000);
    munmap(base, REGION_BYTES);
}

static void other_sizes_than_the_header_says_are_refused(void **state)
{
    uint8_t *base = memory_map(REGION_BYTES);
    struct tmbi_region region;

    (void)state;
    assert_int_equal(tmbi_region_format(base, REGION_BYTES, 8, 64), 0);
    assert_int_equal(tmbi_region_attach(&region, base, REGION_BYTES / 2), -EPROTO);
    assert_int_equal(tmbi_region_attach(&region, base, 4096), -EPROTO);
    assert_int_equal(tmbi_region_attach(&region, base, 0), -EPROTO);
    munmap(base, REGION_BYTES);
}

static void descriptors_are_mapped_or_refused(void **state)
{
    int fd = memfd_create("region", MFD_CLOEXEC), ends[2];
    struct tmbi_region region;
    uint8_t *base;

    (void)state;
    assert_int_equal(tmbi_region_map(&region, -1), -EBADF);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(tmbi_region_map(&region, ends[0]), -EPROTO);
    assert_int_equal(tmbi_region_map(&region, fd), -EPROTO); /* empty */
    assert_int_equal(ftruncate(fd, REGION_BYTES), 0);
    assert_int_equal(tmbi_region_map(&region, fd), -EPROTO); /* zeroes */
    base = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_int_equal(tmbi_region_format(base, REGION_BYTES, 8, 64), 0);
    assert_int_equal(tmbi_region_map(&region, fd), 0);
    assert_ptr_not_equal(region.base, base);
    region.heap[0] = 7;
    assert_int_equal(base[region.heap_offset], 7);
    tmbi_region_unmap(&region);
    assert_null(region.base);
    munmap(base, REGION_BYTES);
    close(ends[0]);
    close(ends[1]);
    close(fd);
}

static void offsets_stay_inside(void **state)
{
    uint8_t *base = memory_map(REGION_BYTES);
    struct tmbi_region region;
    uint64_t first, last;

    (void)state;
    assert_int_equal(tmbi_region_format(base, REGION_BYTES, 8, 64), 0);
    assert_int_equal(tmbi_region_attach(&region, base, REGION_BYTES), 0);
    first = region.heap_offset;
    last = first + region.page_count * TMBI_PAGE_BYTES;
    assert_ptr_equal(tmbi_region_at(&region, first, last - first), region.heap);
    assert_int_equal(tmbi_region_offset(&region, region.heap + 5), first + 5);
    assert_non_null(tmbi_region_at(&region, last - 1, 1));
    assert_non_null(tmbi_region_at(&region, last, 0));
    assert_null(tmbi_region_at(&region, last, 1));
    assert_null(tmbi_region_at(&region, last + 1, 0));
    assert_null(tmbi_region_at(&region, first - 1, 1));
    assert_null(tmbi_region_at(&region, 0, 1));
    assert_null(tmbi_region_at(&region, first, last - first + 1));
    assert_null(tmbi_region_at(&region, first + 1, UINT64_MAX));
    assert_null(tmbi_region_at(&region, UINT64_MAX, 2));
    munmap(base, REGION_BYTES);
}

static void private_region_has_one_process(void **state)
{
    struct tmbi_region region;
    uint32_t slot = 1;
    int fd = -1;

    (void)state;
    assert_int_equal(tmbi_region_private(&region, REGION_BYTES, &fd), 0);
    assert_int_equal(tmbi_slot_find(&region, 0, &slot), 0);
    assert_int_equal(slot, 0);
    assert_int_equal(region.slots[0].pid, getpid());
    tmbi_region_unmap(&region);
    close(fd);
    assert_int_equal(tmbi_region_private(&region, 3 * MIB, &fd), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_is_whole),
        cmocka_unit_test(odd_sizes_are_refused),
        cmocka_unit_test(regions_differ),
        cmocka_unit_test(each_damaged_field_is_refused),
        cmocka_unit_test(garbage_is_refused_or_harmless),
        cmocka_unit_test(other_sizes_than_the_header_says_are_refused),
        cmocka_unit_test(descriptors_are_mapped_or_refused),
        cmocka_unit_test(offsets_stay_inside),
        cmocka_unit_test(private_region_has_one_process),
    };

    return cmocka_run_group_tests_name("region", tests, NULL, NULL);
}
