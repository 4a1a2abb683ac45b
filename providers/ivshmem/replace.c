/* SPDX-License-Identifier: BSD-3-Clause */
#include "replace.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../core/log.h"
#include "../../core/provider.h"
#include "maps.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZER 1
#endif
#endif

/* Volatile, so that no compiler makes a memcpy() of it, which sanitizers watch. */
#ifdef SANITIZER
TMBI_ALL_SEEING static void pages_copy(void *to, const void *from, size_t bytes)
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

/* By the kernel's own name: libraries that watch memory, as UCX does, put a mremap() of
 * theirs in front, which may pass on four arguments of the five. */
static int pages_move(void *from, size_t bytes, uintptr_t to)
{
    long at = syscall(SYS_mremap, from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to);

    return at == -1 ? -errno : 0;
}

static uintptr_t min(uintptr_t a, uintptr_t b)
{
    return a < b ? a : b;
}

static uintptr_t max(uintptr_t a, uintptr_t b)
{
    return a > b ? a : b;
}

/* What of a stretch, outside of its inner part, lies in [start, end). */
static int edges_find(const struct tmbi_stretch *stretch, uintptr_t start, uintptr_t end,
                      struct tmbi_pages *edges)
{
    uintptr_t before = min(stretch->inner_start, end);
    uintptr_t behind = max(stretch->inner_end, start);
    int count = 0;

    if (before > start)
        edges[count++] = (struct tmbi_pages){(char *)start, before - start};
    if (end > behind)
        edges[count++] = (struct tmbi_pages){(char *)behind, end - behind};
    return count;
}

/* ---- to the region ---- */

/* Copy the ends, and put all in place, while nobody writes to them. */
static int stretch_place(const struct tmbi_stretch *stretch, uint8_t *at, void *fresh,
                         enum tmbi_guard_means means)
{
    size_t bytes = stretch->end - stretch->start;
    struct tmbi_pages edges[2];
    struct tmbi_guard guard;

    int count = edges_find(stretch, stretch->start, stretch->end, edges);
    int status = count ? tmbi_guard_begin(&guard, means, false, edges, count) : 0;
    if (status)
        return status;
    for (int i = 0; i < count; i++)
        pages_copy(at + ((uintptr_t)edges[i].start - stretch->start), edges[i].start,
                   edges[i].bytes);
    status = pages_move(fresh, bytes, stretch->start);
    if (count)
        tmbi_guard_end(&guard);
    if (status)
        tmbi_error("memory at %#" PRIxPTR ": %zu bytes of the region can't be mapped "
                   "there: %s",
                   stretch->start, bytes, strerror(-status));
    return status;
}

int tmbi_stretch_share(struct tmbi_way *way, const struct tmbi_stretch *stretch,
                       uint8_t *at, enum tmbi_guard_means means)
{
    size_t bytes = stretch->end - stretch->start;
    uintptr_t start = max(stretch->inner_start, stretch->start);
    uintptr_t end = min(stretch->inner_end, stretch->end);
    void *fresh;

    int status = way->ops->map(way, tmbi_region_offset(&way->region, at), bytes, &fresh);
    if (status)
        return status;
    tmbi_memory_place(at, bytes);
    if (start < end)
        pages_copy(at + (start - stretch->start), (const void *)start, end - start);
    status = stretch_place(stretch, at, fresh, means);
    if (status)
        munmap(fresh, bytes);
    return status;
}

/* ---- from the region ---- */

struct region_search {
    uintptr_t base; /* where all of it is mapped */
    struct tmbi_backing *backing;
    bool found;
};

static bool region_take(const struct tmbi_mapping *mapping, void *arg)
{
    struct region_search *search = arg;

    *search->backing =
        (struct tmbi_backing){.major = mapping->major,
                              .minor = mapping->minor,
                              .inode = mapping->inode,
                              .start = mapping->offset + search->base - mapping->start};
    search->found = true;
    return false;
}

int tmbi_backing_find(const struct tmbi_region *region, struct tmbi_backing *backing)
{
    struct region_search search = {.base = (uintptr_t)region->base, .backing = backing};
    int status = tmbi_mappings_each(search.base, search.base + 1, region_take, &search);

    return status || search.found ? status : -ENOENT;
}

/* Pages [start, end) where the region is mapped from `offset` on. */
struct piece {
    const struct tmbi_backing *backing;
    uintptr_t start, end;
    uint64_t offset;
    bool found;
};

/* Narrows it to the first part of it where that is so. */
static bool piece_take(const struct tmbi_mapping *mapping, void *arg)
{
    struct piece *piece = arg;
    const struct tmbi_backing *backing = piece->backing;
    uint64_t offset = backing->start + piece->offset - piece->start + mapping->start;

    piece->found = mapping->access[3] == 's' && mapping->inode == backing->inode &&
                   mapping->major == backing->major && mapping->minor == backing->minor &&
                   mapping->offset == offset;
    if (!piece->found)
        return true;
    if (mapping->start > piece->start) {
        piece->offset += mapping->start - piece->start;
        piece->start = mapping->start;
    }
    piece->end = min(piece->end, mapping->end);
    return false;
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
    if (pages_move(fresh, bytes, start) == 0)
        return true;
    munmap(fresh, bytes);
    return false;
}

static bool edges_unshare(const struct tmbi_stretch *stretch, const struct piece *piece,
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

static bool piece_unshare(const struct tmbi_stretch *stretch, const struct piece *piece,
                          const uint8_t *at)
{
    uintptr_t start = max(stretch->inner_start, piece->start);
    uintptr_t end = min(stretch->inner_end, piece->end);

    if (start < end && !private_place(start, end - start, at + (start - piece->start)))
        return false;
    return edges_unshare(stretch, piece, at);
}

bool tmbi_stretch_unshare(const struct tmbi_region *region,
                          const struct tmbi_backing *backing,
                          const struct tmbi_stretch *stretch, const uint8_t *at)
{
    uint64_t offset = tmbi_region_offset(region, at);
    struct piece piece = {.backing = backing, .end = stretch->start};
    int status = 0;

    do {
        piece.start = piece.end;
        piece.offset = offset + (piece.start - stretch->start);
        piece.end = stretch->end;
        piece.found = false;
        status = tmbi_mappings_each(piece.start, piece.end, piece_take, &piece);
        if (!status && piece.found &&
            !piece_unshare(stretch, &piece, at + (piece.start - stretch->start)))
            status = -errno;
    } while (!status && piece.found && piece.end < stretch->end);
    if (status)
        tmbi_error("memory at %#" PRIxPTR ": %zu bytes can't be made the process's own "
                   "again, and stay shared: %s",
                   stretch->start, (size_t)(stretch->end - stretch->start),
                   strerror(-status));
    return !status;
}
