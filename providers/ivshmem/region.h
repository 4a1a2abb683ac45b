/* SPDX-License-Identifier: BSD-3-Clause */
/* The region in this process: formatting, validating, and its tables (layout.h). Used
 * by ranks and by the server alike. Nothing here trusts the region's bytes: geometry is
 * read and checked once, in tmbi_region_attach(), and used from this structure. */
#ifndef TMBI_REGION_H
#define TMBI_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

struct tmbi_region {
    uint8_t *base;
    uint64_t size;
    struct tmbi_region_header *header;
    struct tmbi_slot *slots;
    struct tmbi_job_entry *jobs;
    tmbi_page_owner *pages;
    uint8_t *heap;
    uint64_t heap_offset;
    uint32_t slot_count, job_count, page_count;
    uint32_t vectors; /* doorbells per peer; 0: made without a server */
    uint8_t uuid[16];
};

/* Write the header and empty tables into zero-filled memory of `size` bytes at `base`.
 * -EINVAL: size is not a power of two within TMBI_REGION_MIN .. MAX. */
int tmbi_region_format(uint8_t *base, uint64_t size, uint32_t vectors,
                       uint32_t slot_count);

/*
 * The same for memory that no server formats and that is mapped here as `name`: whoever
 * comes first does it, and several may at once. They write the same words, and only where
 * there were zeros: it does not matter who dies or stops in the middle. Nothing to do if
 * it was done before. -EPROTO: there is something else in it, which is left alone
 * (logged).
 */
int tmbi_region_form(uint8_t *base, uint64_t size, const char *name);

/* Whether there is a region, of whatever version, in mapped memory. */
bool tmbi_region_formed(const uint8_t *base);

/* Check the header of mapped memory and fill in *region. -EPROTO: not a region, or of
 * another layout version (both versions logged), or geometry that does not fit `size`. */
int tmbi_region_attach(struct tmbi_region *region, uint8_t *base, uint64_t size);

/* Map a descriptor's whole size and attach. Unmap with tmbi_region_unmap(). */
int tmbi_region_map(struct tmbi_region *region, int fd);
void tmbi_region_unmap(struct tmbi_region *region);

/* A region of this process alone, in an anonymous memfd: jobs of one rank that name no
 * server. Its slot 0 is LIVE and ours. */
int tmbi_region_private(struct tmbi_region *region, uint64_t size, int *fd);

/* Offset <-> pointer; NULL if [offset, offset + bytes) is not inside of the heap. */
void *tmbi_region_at(const struct tmbi_region *region, uint64_t offset, uint64_t bytes);
uint64_t tmbi_region_offset(const struct tmbi_region *region, const void *at);

/* ---- slots (slot.c): a slot's life is named by its index and its epoch ---- */

static inline uint32_t tmbi_slot_word(const struct tmbi_slot *slot)
{
    /* acquire: partner is the release that made the slot LIVE, LEFT or DEAD */
    return atomic_load_explicit(&slot->word, memory_order_acquire);
}

static inline enum tmbi_slot_state tmbi_slot_state(const struct tmbi_slot *slot)
{
    return (enum tmbi_slot_state)(tmbi_slot_word(slot) & TMBI_SLOT_STATE_MASK);
}

/*
 * Claim a slot for a peer and make it LIVE with these values; -ENOSPC. kind 0: the caller
 * is the region's maker; TMBI_SLOT_OWN: a process of the machine `peer_id`, of which one
 * at a time claims. It may be a slot whose process has LEFT and is still there.
 */
int tmbi_slot_claim(struct tmbi_region *region, uint32_t peer_id, uint32_t kind,
                    int64_t pid, uint32_t *slot);
/* Find the LIVE slot that the server claimed for a peer; -ENOENT. */
int tmbi_slot_find(const struct tmbi_region *region, uint32_t peer_id, uint32_t *slot);
/* LIVE -> LEFT. */
void tmbi_slot_leave(struct tmbi_region *region, uint32_t slot, uint32_t epoch);
/*
 * The process behind a slot is gone: LIVE -> DEAD (and `deaths` grows), LEFT stays. Ends
 * its job if it was the last one. Without a job, the slot may be claimed from now on.
 * Returns true if it became DEAD: the caller rings the job's survivors.
 */
bool tmbi_slot_gone(struct tmbi_region *region, uint32_t slot, uint32_t epoch);
/* The same for all slots that processes of a machine have claimed or were claiming; for
 * each job that lost one, died(arg, job's number + 1). */
void tmbi_slots_gone(struct tmbi_region *region, uint32_t peer_id,
                     void (*died)(void *arg, uint32_t job), void *arg);

/* ---- jobs (job.c) ---- */

static inline struct tmbi_job_entry *tmbi_job_entry(const struct tmbi_region *region,
                                                    uint32_t job)
{
    return &region->jobs[(job & ((1u << TMBI_JOB_INDEX_BITS) - 1)) % region->job_count];
}

/* Join the job `name` as the process of `slot`: find or make its entry. Sets the slot's
 * job and rank. -EINVAL: exists with another size; -ENOSPC: table full; -ETIMEDOUT. */
int tmbi_job_join(struct tmbi_region *region, uint32_t slot, const char *name,
                  uint32_t size, int32_t rank, int64_t deadline, uint32_t *job);
/* The other way round: the process of `slot` is in no job any more. */
void tmbi_job_leave(struct tmbi_region *region, uint32_t slot, uint32_t job);
/* End a job if no LIVE slot names it: free its pages, its LEFT and DEAD slots, its
 * entry. Safe against ranks that join at the same moment (they retry), against being
 * called by several, and against a caller that dies half-way (next caller finishes). */
void tmbi_job_reclaim(struct tmbi_region *region, uint32_t job);
/* Reclaim every job that is over: where a process died that was in none yet. */
void tmbi_job_sweep(struct tmbi_region *region);
/* The process of `slot` makes no entry any more, if it did. */
void tmbi_job_maker_leave(struct tmbi_region *region, uint32_t slot);

/* ---- heap (heap.c): pages, claimed one by one with compare-and-swap ---- */

/* Claim `count` adjacent pages for a job (its number); -ENOMEM, nothing logged. Aligned
 * to 2 MiB from the region's start if that large and such a place is free. */
int tmbi_heap_alloc(struct tmbi_region *region, uint32_t job, uint32_t count,
                    uint32_t *first);
void tmbi_heap_free(struct tmbi_region *region, uint32_t job, uint32_t first,
                    uint32_t count);
/* Pages that are free now, and the longest run of them: for messages. */
void tmbi_heap_usage(const struct tmbi_region *region, uint32_t *free_pages,
                     uint32_t *longest_run);

#endif
