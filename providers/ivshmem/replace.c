/* SPDX-License-Identifier: BSD-3-Clause */
#include "replace.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "../../core/log.h"
#include "maps.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZER 1
#endif
#endif

/* Whole pages, in which there may be what sanitizers keep everybody off, or what other
 * threads read: volatile, so that no compiler makes a memcpy() of it. */
#ifdef SANITIZER
__attribute__((no_sanitize("address", "thread"))) static void
pages_copy(void *to, const void *from, size_t bytes)
{
    volatile uint64_t *target = to;
    const volatile uint64_t *source = from;

    for (size_t i = 0; i < bytes / sizeof *target; i++)
        target[i] = source[i];
}
#else
static void pages_copy(void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}
#endif

/* What of a stretch, outside of its inner part, lies in [start, end). */
static int edges_find(const struct tmbi_stretch *stretch, uintptr_t start, uintptr_t end,
                      struct tmbi_pages *edges)
{
    uintptr_t before = stretch->inner_start < end ? stretch->inner_start : end;
    uintptr_t behind = stretch->inner_end > start ? stretch->inner_end : start;
    int count = 0;

    if (before > start)
        edges[count++] = (struct tmbi_pages){(char *)start, before - start};
    if (end > behind)
        edges[count++] = (struct tmbi_pages){(char *)behind, end - behind};
    return count;
}

/* ---- to the region ---- */

static int move_error(uintptr_t start, size_t bytes)
{
    int error = errno;

    tmbi_error("memory at %#" PRIxPTR ": %zu bytes of the region can't be mapped there: "
               "%s",
               start, bytes, strerror(error));
    return -error;
}

int tmbi_stretch_share(struct tmbi_way *way, const struct tmbi_stretch *stretch,
                       uint8_t *at, enum tmbi_guard_means means)
{
    size_t bytes = stretch->end - stretch->start;
    struct tmbi_pages edges[2];
    struct tmbi_guard guard;
    void *fresh;

    int count = edges_find(stretch, stretch->start, stretch->end, edges);
    int status = way->ops->map(way, tmbi_region_offset(&way->region, at), bytes, &fresh);
    if (status)
        return status;
    if (count)
        status = tmbi_guard_begin(&guard, means, false, edges, count);
    if (status)
        goto unmap;
    pages_copy(at, (const void *)stretch->start, bytes);
    if (mremap(fresh, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
               (void *)stretch->start) == MAP_FAILED)
        status = move_error(stretch->start, bytes);
    if (count)
        tmbi_guard_end(&guard);
    if (!status)
        return 0;
unmap:
    munmap(fresh, bytes);
    return status;
}

/* ---- from the region ---- */

/* Is the region's mapping here, and at `offset` bytes behind its beginning. */
struct search {
    uintptr_t base; /* where all of the region is mapped */
    struct tmbi_mapping region;
    uintptr_t start, end; /* what is looked for, and then found */
    uint64_t offset;      /* of `start` in the region */
    bool found;
};

static bool region_take(const struct tmbi_mapping *mapping, void *arg)
{
    struct search *search = arg;

    search->region = *mapping;
    search->region.offset += search->base - mapping->start;
    search->found = true;
    return false;
}

static bool piece_take(const struct tmbi_mapping *mapping, void *arg)
{
    struct search *search = arg;
    const struct tmbi_mapping *region = &search->region;
    uint64_t offset = region->offset + search->offset - search->start + mapping->start;

    search->found = mapping->access[3] == 's' && mapping->inode == region->inode &&
                    mapping->major == region->major && mapping->minor == region->minor &&
                    mapping->offset == offset;
    if (!search->found)
        return true;
    uintptr_t start = mapping->start > search->start ? mapping->start : search->start;
    search->offset += start - search->start;
    search->start = start;
    search->end = mapping->end < search->end ? mapping->end : search->end;
    return false;
}

/* The first part of [start, end) where the region is still mapped as we did; start is end
 * if there is none. */
static int piece_find(const struct tmbi_region *region, struct search *search)
{
    search->base = (uintptr_t)region->base;
    search->found = false;
    int status = tmbi_mappings_each(search->base, search->base + 1, region_take, search);
    if (!status && !search->found)
        status = -ENOENT;
    search->found = false;
    if (!status)
        status = tmbi_mappings_each(search->start, search->end, piece_take, search);
    if (!search->found)
        search->start = search->end;
    return status;
}

/* Nobody looks: pages in place, which the kernel joins with those around them. */
static bool private_place(uintptr_t start, size_t bytes, const uint8_t *at)
{
    if (mmap((void *)start, bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        return false;
    pages_copy((void *)start, at, bytes);
    return true;
}

/* Others do: pages made elsewhere, and moved. */
static bool private_move(uintptr_t start, size_t bytes, const uint8_t *at)
{
    void *fresh =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (fresh == MAP_FAILED)
        return false;
    pages_copy(fresh, at, bytes);
    if (mremap(fresh, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)start) !=
        MAP_FAILED)
        return true;
    munmap(fresh, bytes);
    return false;
}

static bool edges_unshare(const struct tmbi_stretch *stretch, const struct search *piece,
                          const uint8_t *at)
{
    struct tmbi_pages edges[2];
    struct tmbi_guard guard;
    bool done = true;

    int count = edges_find(stretch, piece->start, piece->end, edges);
    if (!count)
        return true;
    tmbi_guard_begin(&guard, TMBI_GUARD_MUST, true, edges, count);
    for (int i = 0; i < count && done; i++) {
        uintptr_t start = (uintptr_t)edges[i].start;
        done = guard.alone
                   ? private_place(start, edges[i].bytes, at + (start - piece->start))
                   : private_move(start, edges[i].bytes, at + (start - piece->start));
    }
    tmbi_guard_end(&guard);
    return done;
}

static bool piece_unshare(const struct tmbi_stretch *stretch, const struct search *piece,
                          const uint8_t *at)
{
    uintptr_t start =
        stretch->inner_start > piece->start ? stretch->inner_start : piece->start;
    uintptr_t end = stretch->inner_end < piece->end ? stretch->inner_end : piece->end;

    if (start < end && !private_place(start, end - start, at + (start - piece->start)))
        return false;
    return edges_unshare(stretch, piece, at);
}

bool tmbi_stretch_unshare(const struct tmbi_region *region,
                          const struct tmbi_stretch *stretch, const uint8_t *at)
{
    uint64_t offset = tmbi_region_offset(region, at);
    struct search piece = {.end = stretch->start};
    int status = 0;

    while (piece.end < stretch->end && !status) {
        piece.start = piece.end;
        piece.offset = offset + (piece.start - stretch->start);
        piece.end = stretch->end;
        status = piece_find(region, &piece);
        if (!status && piece.start < piece.end &&
            !piece_unshare(stretch, &piece, at + (piece.start - stretch->start)))
            status = -errno;
    }
    if (status)
        tmbi_error("memory at %#" PRIxPTR ": %zu bytes can't be made the process's own "
                   "again, and stay shared: %s",
                   stretch->start, (size_t)(stretch->end - stretch->start),
                   strerror(-status));
    return !status;
}
