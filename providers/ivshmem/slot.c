/* SPDX-License-Identifier: BSD-3-Clause */
/* Slots: processes and their ends. */
#include <errno.h>
#include <string.h>

#include "region.h"

static bool word_change(struct tmbi_slot *slot, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong_explicit(
        &slot->word, &from, to, memory_order_acq_rel, memory_order_acquire);
}

/*
 * The server claims one slot at a time, and so does each machine: a slot that is CLAIMED
 * in our name is one whose claimer died. Who names no job and is not LIVE has ended, and
 * nobody asks how.
 */
static bool slot_take(struct tmbi_slot *slot, uint32_t claimer)
{
    const uint32_t claimed = TMBI_SLOT_WORD(TMBI_SLOT_CLAIMED, claimer);
    uint32_t word = tmbi_slot_word(slot);
    uint32_t state = word & TMBI_SLOT_STATE_MASK;

    if (state == TMBI_SLOT_LIVE || (state == TMBI_SLOT_CLAIMED && word != claimed))
        return false;
    /* acquire: partner is the clearing in tmbi_job_reclaim() */
    return atomic_load_explicit(&slot->job, memory_order_acquire) == 0 &&
           word_change(slot, word, claimed);
}

static void slot_fill(struct tmbi_slot *slot, uint32_t peer_id, uint32_t kind,
                      int64_t pid)
{
    slot->peer_id = peer_id;
    slot->epoch++;
    slot->rank = -1;
    slot->kind = kind;
    slot->pid = pid;
    slot->host = 0;
    /* relaxed: published by the word below */
    atomic_store_explicit(&slot->job, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->heartbeat, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->mailbox, 0, memory_order_relaxed);
    for (int i = 0; i < TMBI_LINES; i++) {
        atomic_store_explicit(&slot->wake[i].armed, 0, memory_order_relaxed);
        slot->wake[i].doorbell = peer_id << 16;
    }
    atomic_store_explicit(&slot->word, TMBI_SLOT_WORD(TMBI_SLOT_LIVE, slot->epoch),
                          memory_order_release);
}

int tmbi_slot_claim(struct tmbi_region *region, uint32_t peer_id, uint32_t kind,
                    int64_t pid, uint32_t *result)
{
    uint32_t claimer = kind & TMBI_SLOT_OWN ? peer_id : TMBI_CLAIMER_SERVER;

    for (uint32_t i = 0; i < region->slot_count; i++)
        if (slot_take(&region->slots[i], claimer)) {
            slot_fill(&region->slots[i], peer_id, kind, pid);
            *result = i;
            return 0;
        }
    return -ENOSPC;
}

int tmbi_slot_find(const struct tmbi_region *region, uint32_t peer_id, uint32_t *result)
{
    for (uint32_t i = 0; i < region->slot_count; i++) {
        const struct tmbi_slot *slot = &region->slots[i];

        if (tmbi_slot_state(slot) == TMBI_SLOT_LIVE && slot->peer_id == peer_id &&
            !(slot->kind & TMBI_SLOT_OWN)) {
            *result = i;
            return 0;
        }
    }
    return -ENOENT;
}

void tmbi_slot_leave(struct tmbi_region *region, uint32_t slot, uint32_t epoch)
{
    word_change(&region->slots[slot], TMBI_SLOT_WORD(TMBI_SLOT_LIVE, epoch),
                TMBI_SLOT_WORD(TMBI_SLOT_LEFT, epoch));
}

bool tmbi_slot_gone(struct tmbi_region *region, uint32_t index, uint32_t epoch)
{
    struct tmbi_slot *slot = &region->slots[index];
    bool died = word_change(slot, TMBI_SLOT_WORD(TMBI_SLOT_LIVE, epoch),
                            TMBI_SLOT_WORD(TMBI_SLOT_DEAD, epoch));
    uint32_t job = atomic_load_explicit(&slot->job, memory_order_acquire);

    if (died) /* release: partner is the acquire of every wait; after the word */
        atomic_fetch_add_explicit(&region->header->deaths, 1, memory_order_release);
    tmbi_job_maker_leave(region, index);
    if (job)
        tmbi_job_reclaim(region, job - 1);
    else
        tmbi_job_sweep(region);
    return died;
}

void tmbi_slots_gone(struct tmbi_region *region, uint32_t peer_id,
                     void (*died)(void *arg, uint32_t job), void *arg)
{
    const uint32_t claimed = TMBI_SLOT_WORD(TMBI_SLOT_CLAIMED, peer_id);

    for (uint32_t i = 0; i < region->slot_count; i++) {
        struct tmbi_slot *slot = &region->slots[i];
        uint32_t job = atomic_load_explicit(&slot->job, memory_order_acquire);

        if (tmbi_slot_word(slot) == claimed)
            word_change(slot, claimed, TMBI_SLOT_FREE);
        if (tmbi_slot_state(slot) == TMBI_SLOT_LIVE && slot->peer_id == peer_id &&
            slot->kind & TMBI_SLOT_OWN && tmbi_slot_gone(region, i, slot->epoch) && job)
            died(arg, job);
    }
}
