/* SPDX-License-Identifier: BSD-3-Clause */
/* Slots: processes and their ends. */
#include <errno.h>
#include <string.h>

#include "region.h"

static uint32_t state_of(const struct tmbi_slot *slot)
{
    /* acquire: partner is the release that made the slot LIVE, LEFT or DEAD */
    return atomic_load_explicit(&slot->state, memory_order_acquire);
}

static bool state_change(struct tmbi_slot *slot, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong_explicit(
        &slot->state, &from, to, memory_order_acq_rel, memory_order_acquire);
}

/*
 * Only the server claims (and, in a private region, its one process), one at a time: a
 * slot that is CLAIMED is one whose claimer died. Who names no job and is not LIVE has
 * ended, and nobody asks how.
 */
static bool slot_take(struct tmbi_slot *slot)
{
    uint32_t state = state_of(slot);

    /* acquire: partner is the clearing in tmbi_job_reclaim() */
    return state != TMBI_SLOT_LIVE &&
           atomic_load_explicit(&slot->job, memory_order_acquire) == 0 &&
           state_change(slot, state, TMBI_SLOT_CLAIMED);
}

static void slot_fill(struct tmbi_slot *slot, uint32_t peer_id, int64_t pid)
{
    slot->peer_id = peer_id;
    slot->epoch++;
    slot->rank = -1;
    slot->pid = pid;
    slot->host = 0;
    /* relaxed: published by the state below */
    atomic_store_explicit(&slot->job, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->heartbeat, 0, memory_order_relaxed);
    for (int i = 0; i < TMBI_LINES; i++) {
        atomic_store_explicit(&slot->wake[i].armed, 0, memory_order_relaxed);
        slot->wake[i].doorbell = peer_id << 16;
    }
    atomic_store_explicit(&slot->state, TMBI_SLOT_LIVE, memory_order_release);
}

int tmbi_slot_claim(struct tmbi_region *region, uint32_t peer_id, int64_t pid,
                    uint32_t *result)
{
    for (uint32_t i = 0; i < region->slot_count; i++)
        if (slot_take(&region->slots[i])) {
            slot_fill(&region->slots[i], peer_id, pid);
            *result = i;
            return 0;
        }
    return -ENOSPC;
}

int tmbi_slot_find(const struct tmbi_region *region, uint32_t peer_id, uint32_t *result)
{
    for (uint32_t i = 0; i < region->slot_count; i++)
        if (state_of(&region->slots[i]) == TMBI_SLOT_LIVE &&
            region->slots[i].peer_id == peer_id) {
            *result = i;
            return 0;
        }
    return -ENOENT;
}

void tmbi_slot_leave(struct tmbi_region *region, uint32_t slot)
{
    state_change(&region->slots[slot], TMBI_SLOT_LIVE, TMBI_SLOT_LEFT);
}

bool tmbi_slot_gone(struct tmbi_region *region, uint32_t index)
{
    struct tmbi_slot *slot = &region->slots[index];
    bool died = state_change(slot, TMBI_SLOT_LIVE, TMBI_SLOT_DEAD);
    uint32_t job = atomic_load_explicit(&slot->job, memory_order_acquire);

    if (died) /* release: partner is the acquire of every wait; after the state */
        atomic_fetch_add_explicit(&region->header->deaths, 1, memory_order_release);
    tmbi_job_maker_leave(region, index);
    if (job)
        tmbi_job_reclaim(region, job - 1);
    else
        tmbi_job_sweep(region);
    return died;
}
