/* SPDX-License-Identifier: BSD-3-Clause */
#include "adopt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../core/log.h"
#include "maps.h"

/* A block of the region, and how many extents are in it. */
struct room {
    void *block;
    unsigned extents;
};

/* Pages [start, end) of the process are the region's that are at `at`. */
struct tmbi_extent {
    struct tmbi_extent *next;
    uintptr_t start, end;
    uint8_t *at;
    struct room *room;
};

void tmbi_adoption_init(struct tmbi_adoption *adoption, struct tmbi_arena *arena,
                        struct tmbi_way *way, enum tmbi_adopt_choice choice)
{
    *adoption = (struct tmbi_adoption){.arena = arena, .way = way, .choice = choice};
    pthread_mutex_init(&adoption->mutex, NULL);
    /* Blocks of the region lie at multiples of its pages' size at least. */
    if (!way->ops->map || (uint64_t)sysconf(_SC_PAGESIZE) > TMBI_PAGE_BYTES ||
        tmbi_backing_find(&way->region, &adoption->backing))
        adoption->choice = TMBI_ADOPT_OFF;
}

void tmbi_adoption_fini(struct tmbi_adoption *adoption)
{
    pthread_mutex_destroy(&adoption->mutex);
}

static uintptr_t page_bytes(void)
{
    return (uintptr_t)sysconf(_SC_PAGESIZE);
}

static uintptr_t page_down(uintptr_t address)
{
    return address & ~(page_bytes() - 1);
}

static uintptr_t page_up(uintptr_t address)
{
    return page_down(address + page_bytes() - 1);
}

static uintptr_t span_start(const struct tmbi_span *span)
{
    return (uintptr_t)span->base;
}

static uintptr_t span_end(const struct tmbi_span *span)
{
    return (uintptr_t)span->base + span->bytes;
}

static struct tmbi_stretch stretch_of(const struct tmbi_span *span, uintptr_t start,
                                      uintptr_t end)
{
    uintptr_t inner_start = page_up(span_start(span));
    uintptr_t inner_end = page_down(span_end(span));

    if (inner_start >= inner_end) /* it shares all its pages */
        inner_start = inner_end = end;
    return (struct tmbi_stretch){start, end, inner_start, inner_end};
}

/* ---- adopting ---- */

/* Without what is adopted already at its ends; empty if that is in its middle. */
static void candidate_trim(const struct tmbi_adoption *adoption, uintptr_t *start,
                           uintptr_t *end)
{
    bool trimmed = true;

    while (trimmed) {
        trimmed = false;
        for (const struct tmbi_extent *e = adoption->extents; e; e = e->next) {
            if (e->end <= *start || e->start >= *end)
                continue;
            if (e->start <= *start)
                *start = e->end;
            else if (e->end >= *end)
                *end = e->start;
            else
                *start = *end;
            trimmed = true;
        }
    }
}

/* Peers that don't map these pages may be writing to them. */
static bool is_used(const struct tmbi_adoption *adoption, uintptr_t start, uintptr_t end)
{
    for (const struct tmbi_span *s = adoption->spans; s; s = s->next)
        if (s->bytes && span_start(s) < end && span_end(s) > start)
            return true;
    return false;
}

static int extent_make(struct tmbi_adoption *adoption, uintptr_t start, uintptr_t end,
                       struct tmbi_extent **result)
{
    struct tmbi_extent *extent = malloc(sizeof *extent);
    struct room *room = malloc(sizeof *room);
    void *block;
    int status = -ENOMEM;

    if (extent && room)
        status = tmbi_arena_alloc(adoption->arena, end - start, &block);
    if (status) {
        free(room);
        free(extent);
        return status;
    }
    *room = (struct room){block, 1};
    *extent = (struct tmbi_extent){.start = start, .end = end, .at = block, .room = room};
    *result = extent;
    return 0;
}

static void extent_drop(struct tmbi_adoption *adoption, struct tmbi_extent *extent)
{
    if (--extent->room->extents == 0) {
        tmbi_arena_free(adoption->arena, extent->room->block);
        free(extent->room);
    }
    free(extent);
}

/* 0, or *why not. */
static int range_adopt(struct tmbi_adoption *adoption, const struct tmbi_span *span,
                       uintptr_t start, uintptr_t end, const char **why)
{
    const struct tmbi_stretch stretch = stretch_of(span, start, end);
    enum tmbi_guard_means means =
        adoption->choice == TMBI_ADOPT_EAGER ? TMBI_GUARD_USERS : TMBI_GUARD_SURE;
    struct tmbi_extent *extent;

    *why = "another window is on its pages";
    if (is_used(adoption, start, end) || !tmbi_memory_replaceable(start, end, why))
        return -EPERM;
    *why = "the region has no room for it";
    int status = extent_make(adoption, start, end, &extent);
    if (status)
        return status;
    *why = "other threads can't be kept from its pages";
    status = tmbi_stretch_share(adoption->way, &stretch, extent->at, means);
    if (status) {
        extent_drop(adoption, extent);
        return status;
    }
    extent->next = adoption->extents;
    adoption->extents = extent;
    return 0;
}

/* Which of its end pages, that it shares with other data, are tried together. */
enum { FIRST = 1, LAST = 2 };
static const unsigned tries[] = {FIRST | LAST, FIRST, LAST, 0};

static void span_adopt(struct tmbi_adoption *adoption, const struct tmbi_span *span)
{
    uintptr_t from = span_start(span), to = span_end(span);
    unsigned shared =
        (from != page_down(from) ? FIRST : 0) | (to != page_down(to) ? LAST : 0);
    const char *why = "it has no whole page";
    int status = -EPERM;

    for (unsigned i = 0; i < sizeof tries / sizeof *tries && status; i++) {
        uintptr_t start = tries[i] & FIRST ? page_down(from) : page_up(from);
        uintptr_t end = tries[i] & LAST ? page_up(to) : page_down(to);

        if (tries[i] & ~shared || (tries[i] && adoption->choice == TMBI_ADOPT_INNER) ||
            start >= end)
            continue;
        candidate_trim(adoption, &start, &end);
        status = start < end ? range_adopt(adoption, span, start, end, &why) : 0;
        if (status)
            tmbi_info("memory at %p, %zu bytes: pages %#" PRIxPTR " to %#" PRIxPTR
                      " are not adopted: %s",
                      (void *)span->base, span->bytes, start, end, why);
    }
}

/* ---- entering ---- */

/* The largest piece of it that is in the region. */
static void span_map(const struct tmbi_adoption *adoption, struct tmbi_span *span)
{
    for (const struct tmbi_extent *e = adoption->extents; e; e = e->next) {
        uintptr_t start = e->start > span_start(span) ? e->start : span_start(span);
        uintptr_t end = e->end < span_end(span) ? e->end : span_end(span);

        if (start >= end || end - start <= span->to - span->from)
            continue;
        span->mapped = e->at + (start - e->start);
        span->from = start - span_start(span);
        span->to = end - span_start(span);
    }
}

/* All of it is the region's own memory, as that of tmb_mem_alloc() is. */
static bool is_of_region(const struct tmbi_region *region, const struct tmbi_span *span)
{
    return span->base >= region->base && span->base < region->base + region->size &&
           tmbi_region_at(region, tmbi_region_offset(region, span->base), span->bytes);
}

void tmbi_span_enter(struct tmbi_adoption *adoption, struct tmbi_span *span, bool adopt)
{
    *span = (struct tmbi_span){.base = span->base, .bytes = span->bytes};
    if (span->bytes && is_of_region(&adoption->way->region, span)) {
        span->mapped = span->base;
        span->to = span->bytes;
        adopt = false;
    }
    pthread_mutex_lock(&adoption->mutex);
    if (adopt && span->bytes && adoption->choice != TMBI_ADOPT_OFF)
        span_adopt(adoption, span);
    span_map(adoption, span);
    span->next = adoption->spans;
    if (span->next)
        span->next->prev = span;
    adoption->spans = span;
    pthread_mutex_unlock(&adoption->mutex);
}

/* ---- leaving ---- */

/* The first pages from *start on, up to the extent's end, that no window is on. */
static bool unused_find(const struct tmbi_adoption *adoption,
                        const struct tmbi_extent *extent, uintptr_t *start,
                        uintptr_t *end)
{
    const struct tmbi_span *s = adoption->spans;

    while (s) { /* from the beginning, whenever *start has moved */
        bool on = s->bytes && page_down(span_start(s)) <= *start && span_end(s) > *start;

        if (on)
            *start = page_up(span_end(s));
        s = on ? adoption->spans : s->next;
    }
    if (*start >= extent->end)
        return false;
    *end = extent->end;
    for (s = adoption->spans; s; s = s->next)
        if (s->bytes && span_start(s) > *start && page_down(span_start(s)) < *end)
            *end = page_down(span_start(s));
    return true;
}

/* Cut pages out of an extent, which ends before them then; what is behind them becomes an
 * extent of its own. */
static void extent_cut(struct tmbi_extent *extent, struct tmbi_extent *behind,
                       uintptr_t start, uintptr_t end)
{
    if (behind) {
        *behind = *extent;
        behind->at += end - extent->start;
        behind->start = end;
        behind->room->extents++;
    }
    extent->end = start;
}

/* Give back the first pages of an extent that no window is on any more, now that `span`
 * has left. Returns what is behind them, or NULL. What fails stays as it is. */
static struct tmbi_extent *extent_release(struct tmbi_adoption *adoption,
                                          struct tmbi_extent *extent,
                                          const struct tmbi_span *span)
{
    uintptr_t start = extent->start, end;
    struct tmbi_extent *behind = NULL;

    if (!unused_find(adoption, extent, &start, &end))
        return NULL;
    if (end < extent->end) {
        behind = malloc(sizeof *behind);
        if (!behind)
            return NULL;
    }
    const struct tmbi_stretch stretch = stretch_of(span, start, end);
    if (!tmbi_stretch_unshare(&adoption->way->region, &adoption->backing, &stretch,
                              extent->at + (start - extent->start))) {
        free(behind);
        return NULL;
    }
    extent_cut(extent, behind, start, end);
    return behind;
}

static bool overlaps(const struct tmbi_extent *extent, const struct tmbi_span *span)
{
    return extent->start < span_end(span) && extent->end > span_start(span);
}

static void extents_release(struct tmbi_adoption *adoption, const struct tmbi_span *span)
{
    struct tmbi_extent *left = adoption->extents, *extent;

    adoption->extents = NULL;
    while ((extent = left)) {
        struct tmbi_extent *behind = NULL;

        left = extent->next;
        if (overlaps(extent, span))
            behind = extent_release(adoption, extent, span);
        if (behind) {
            behind->next = left;
            left = behind;
        }
        if (extent->start == extent->end) {
            extent_drop(adoption, extent);
            continue;
        }
        extent->next = adoption->extents;
        adoption->extents = extent;
    }
}

void tmbi_span_leave(struct tmbi_adoption *adoption, struct tmbi_span *span)
{
    pthread_mutex_lock(&adoption->mutex);
    if (span->prev)
        span->prev->next = span->next;
    else
        adoption->spans = span->next;
    if (span->next)
        span->next->prev = span->prev;
    extents_release(adoption, span);
    pthread_mutex_unlock(&adoption->mutex);
}
