/* SPDX-License-Identifier: BSD-3-Clause */
#include "claim.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include "../../core/log.h"

/* Two machines of one number could take each other's half-made claims for their own, if
 * they claim the same slot at the same time. */
uint32_t tmbi_claim_machine(void)
{
    uint64_t host = tmbi_host_identity();

    host ^= host >> 46 ^ host >> 23;
    return TMBI_PEER_POLLS | (uint32_t)(host & (TMBI_PEER_POLLS - 1));
}

/* ---- doorbells ---- */

/* How many of this machine's living processes sleep on a vector. */
static uint32_t vector_users(const struct tmbi_region *region, uint32_t self,
                             uint32_t doorbell)
{
    uint32_t users = 0;

    for (uint32_t i = 0; i < region->slot_count; i++) {
        const struct tmbi_slot *slot = &region->slots[i];
        if (i == self || tmbi_slot_state(slot) != TMBI_SLOT_LIVE ||
            !(slot->kind & TMBI_SLOT_OWN))
            continue;
        for (uint32_t line = 0; line < TMBI_LINES; line++)
            users += slot->wake[line].doorbell == doorbell;
    }
    return users;
}

/* The first line's counts as used when the second one's is chosen. */
void tmbi_claim_doorbells(const struct tmbi_region *region, uint32_t id, uint32_t slot,
                          uint32_t vectors, uint32_t doorbell[TMBI_LINES])
{
    uint32_t chosen = UINT32_MAX;

    for (uint32_t line = 0; line < TMBI_LINES; line++) {
        uint32_t best = 0, least = UINT32_MAX;
        for (uint32_t vector = 0; vector < vectors; vector++) {
            uint32_t users = vector_users(region, slot, tmbi_doorbell(id, vector)) +
                             (vector == chosen);
            if (users < least) {
                least = users;
                best = vector;
            }
        }
        chosen = best;
        doorbell[line] = vectors ? tmbi_doorbell(id, best) : TMBI_DOORBELL_NONE;
    }
}

/* ---- slots ---- */

/* Its claimer died before anybody cared for it; or it was under our kernel, and is gone.
 */
static bool slot_is_orphan(const struct tmbi_slot *slot, uint64_t host)
{
    int64_t pid = slot->pid;

    if (atomic_load_explicit(&slot->heartbeat, memory_order_relaxed) == 0)
        return true;
    return slot->host == host && pid > 0 && pid <= INT32_MAX && kill((pid_t)pid, 0) &&
           errno == ESRCH;
}

void tmbi_claim_orphans_end(struct tmbi_region *region, uint32_t id)
{
    uint64_t host = tmbi_host_identity();

    for (uint32_t i = 0; i < region->slot_count; i++) {
        const struct tmbi_slot *slot = &region->slots[i];
        if (tmbi_slot_state(slot) == TMBI_SLOT_LIVE && slot->peer_id == id &&
            slot->kind & TMBI_SLOT_OWN && slot_is_orphan(slot, host))
            tmbi_slot_gone(region, i, slot->epoch);
    }
    tmbi_job_sweep(region);
}

static int claim_locked(const struct tmbi_claim *claim)
{
    struct tmbi_way *way = claim->way;

    tmbi_claim_orphans_end(&way->region, way->id);
    int status =
        tmbi_slot_claim(&way->region, way->id, TMBI_SLOT_OWN, getpid(), &way->slot);
    if (status) {
        tmbi_error("%s: all %" PRIu32 " slots of the region are taken; %s", way->name,
                   way->region.slot_count, claim->more);
        return status;
    }
    struct tmbi_slot *slot = &way->region.slots[way->slot];
    way->epoch = slot->epoch;
    tmbi_claim_doorbells(&way->region, way->id, way->slot, claim->vectors, way->doorbell);
    tmbi_way_introduce(way);
    status = claim->entrust(way);
    if (status)
        tmbi_slot_gone(&way->region, way->slot, way->epoch);
    else
        atomic_store_explicit(&slot->heartbeat, 1, memory_order_relaxed);
    return status;
}

int tmbi_claim_slot(const struct tmbi_claim *claim)
{
    while (flock(claim->lock, LOCK_EX))
        if (errno != EINTR) {
            int status = -errno;
            tmbi_error("%s: can't be locked: errno %d", claim->way->name, -status);
            return status;
        }
    int status = claim_locked(claim);
    flock(claim->lock, LOCK_UN);
    return status;
}
