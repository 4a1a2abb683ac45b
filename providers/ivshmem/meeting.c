/* SPDX-License-Identifier: BSD-3-Clause */
/* Getting to the region, taking places there, and leaving. */
#include "meeting.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/clock.h"
#include "../../core/log.h"
#include "meeting_private.h"

#define OPEN_NS INT64_C(10000000000)
#define JOIN_NS INT64_C(1000000000)

/* Ranks' own jobs have names without a colon. */
#define NAMESPACE "run:"
_Static_assert(sizeof NAMESPACE + TMBI_MEETING_NAME_MAX <=
                   sizeof((struct tmbi_job_entry *)0)->name,
               "a meeting's name fits a job's");

static int region_error(const struct tmbi_meeting_plan *plan, int status)
{
    if (status == -ENODEV)
        tmbi_error("job %s: its launchers meet in a region, and there is none here: on a "
                   "host give --server or TMB_SERVER, in a guest an ivshmem device with "
                   "the module tombolo_uio",
                   plan->job);
    return status;
}

int tmbi_meeting_start(const struct tmbi_meeting_plan *plan, struct tmbi_way *way,
                       struct tmbi_meeting **result)
{
    struct tmbi_meeting *meeting = calloc(1, sizeof *meeting);

    if (!meeting)
        return -ENOMEM;
    meeting->plan = *plan;
    snprintf(meeting->name, sizeof meeting->name, "%s", plan->job);
    meeting->plan.job = meeting->name;
    meeting->way = way;
    meeting->region = &way->region;
    meeting->host = tmbi_host_identity();
    *result = meeting;
    return 0;
}

int tmbi_meeting_open(const struct tmbi_meeting_plan *plan, struct tmbi_meeting **result)
{
    const struct tmbi_way_config config = {.server = plan->server,
                                           .device = plan->device};
    struct tmbi_way *way;

    int status = tmbi_way_open(&config, tmbi_deadline(OPEN_NS), &way);
    if (status)
        return region_error(plan, status);
    status = tmbi_meeting_start(plan, way, result);
    if (status)
        tmbi_way_close(way);
    return status;
}

/* Whoever leaves last ends the job: its pages and slots are free for others. */
void tmbi_meeting_close(struct tmbi_meeting *meeting)
{
    tmbi_slot_leave(meeting->region, meeting->way->slot, meeting->way->epoch);
    if (meeting->joined) {
        tmbi_job_reclaim(meeting->region, meeting->job);
        tmbi_arena_fini(&meeting->arena);
    }
    tmbi_way_close(meeting->way);
    free(meeting->mates);
    free(meeting);
}

/* ---- places ---- */

/* Whether a process that names our job is on its way out, or the job has failed: it takes
 * nobody in any more. */
static bool job_ends(const struct tmbi_meeting *meeting)
{
    const struct tmbi_region *region = meeting->region;
    struct tmbi_mailbox_sender sender;

    /* relaxed: a look that comes too early is made again */
    if (atomic_load_explicit(&tmbi_job_entry(region, meeting->job)->failure,
                             memory_order_relaxed))
        return true;
    for (uint32_t i = 0; i < region->slot_count; i++) {
        const struct tmbi_slot *slot = &region->slots[i];
        /* acquire: partners are the releases in tmbi_job_join() and mailbox_publish() */
        if (atomic_load_explicit(&slot->job, memory_order_acquire) != meeting->job + 1)
            continue;
        uint64_t box = atomic_load_explicit(&slot->mailbox, memory_order_acquire);
        if (tmbi_slot_state(slot) != TMBI_SLOT_LIVE)
            return true;
        if (box && !tmbi_mailbox_open(region, box, &sender) &&
            atomic_load_explicit(&sender.box->ended, memory_order_relaxed))
            return true;
    }
    return false;
}

static int places_error(const struct tmbi_meeting *meeting, uint32_t size, uint32_t taken)
{
    const struct tmbi_meeting_plan *plan = &meeting->plan;

    if (size != (uint32_t)plan->size)
        tmbi_error("job %s: it has %" PRIu32 " ranks, not %d: give all its launchers the "
                   "same --np, or another --job if that one is another job",
                   plan->job, size, plan->size);
    else
        tmbi_error("job %s: %" PRIu32
                   " of its %d ranks have come already, so there is no "
                   "place for %d more: if another job of that name is running, choose "
                   "another --job",
                   plan->job, taken, plan->size, plan->ranks);
    return -EEXIST;
}

/* Take places for our ranks, all or none. */
static int places_take(const struct tmbi_meeting *meeting)
{
    struct tmbi_job_entry *entry = tmbi_job_entry(meeting->region, meeting->job);
    uint32_t size = (uint32_t)meeting->plan.size, ranks = (uint32_t)meeting->plan.ranks;
    /* relaxed: the count is all that it tells */
    uint32_t places = atomic_load_explicit(&entry->places, memory_order_relaxed);

    do {
        if (job_ends(meeting))
            return -EAGAIN;
        if (places && (places >> 16 != size || (places & 0xffff) + ranks > size))
            return places_error(meeting, places >> 16, places & 0xffff);
    } while (!atomic_compare_exchange_weak_explicit(
        &entry->places, &places, size << 16 | ((places & 0xffff) + ranks),
        memory_order_relaxed, memory_order_relaxed));
    return 0;
}

static int mailbox_publish(struct tmbi_meeting *meeting)
{
    struct tmbi_slot *slot = &meeting->region->slots[meeting->way->slot];
    void *box;

    int status = tmbi_arena_alloc(&meeting->arena, sizeof *meeting->box, &box);
    if (status) {
        tmbi_error("job %s: the region has no memory left for a launcher's mailbox: "
                   "enlarge it (%s)",
                   meeting->name, meeting->way->enlarge);
        return status;
    }
    meeting->box = memset(box, 0, sizeof *meeting->box);
    meeting->box->magic = TMBI_MAILBOX_MAGIC;
    meeting->box->ranks = (uint32_t)meeting->plan.ranks;
    meeting->box->first_rank = meeting->plan.first;
    /* release: partner is the acquire of whoever looks for mailboxes */
    atomic_store_explicit(&slot->mailbox, tmbi_region_offset(meeting->region, box),
                          memory_order_release);
    return 0;
}

static int places_take_joined(struct tmbi_meeting *meeting)
{
    int status = places_take(meeting);

    if (!status)
        status = tmbi_arena_init(&meeting->arena, meeting->region, meeting->job);
    if (status)
        return status;
    status = mailbox_publish(meeting);
    if (status)
        tmbi_arena_fini(&meeting->arena);
    return status;
}

/* -EAGAIN: an earlier job of the name has not ended yet. */
static int job_join(struct tmbi_meeting *meeting)
{
    char name[sizeof NAMESPACE + TMBI_MEETING_NAME_MAX];
    uint32_t slot = meeting->way->slot;

    snprintf(name, sizeof name, NAMESPACE "%s", meeting->name);
    tmbi_job_sweep(meeting->region);
    int status = tmbi_job_join(meeting->region, slot, name, 0, -1, tmbi_deadline(JOIN_NS),
                               &meeting->job);
    if (status)
        return status;
    status = places_take_joined(meeting);
    if (status)
        tmbi_job_leave(meeting->region, slot, meeting->job);
    meeting->joined = !status;
    if (status == -EAGAIN && !meeting->waited) {
        tmbi_info("job %s: waiting for the end of an earlier job of that name",
                  meeting->name);
        meeting->waited = true;
    }
    return status;
}

/* ---- coming together ---- */

/* Get hold of the mates' doorbells. */
static int mates_meet(struct tmbi_meeting *meeting)
{
    struct tmbi_way *way = meeting->way;
    int status = 0;

    for (int i = 0; i < meeting->count && !status; i++) {
        struct tmbi_mate_entry *entry = &meeting->mates[i];
        if (!entry->met && way->ops->meet)
            status = way->ops->meet(way, &entry->doorbell, 1, tmbi_clock_ns());
        entry->met = !status;
    }
    if (status == -ECONNRESET)
        tmbi_error("job %s: %s ended while the launchers came together", meeting->name,
                   way->name);
    return status;
}

static int mates_met(struct tmbi_meeting *meeting)
{
    uint32_t *doorbells = calloc((unsigned)meeting->count, sizeof *doorbells);

    if (!doorbells)
        return -ENOMEM;
    for (int i = 0; i < meeting->count; i++)
        doorbells[i] = meeting->mates[i].doorbell;
    if (meeting->way->ops->met)
        meeting->way->ops->met(meeting->way, doorbells, (uint32_t)meeting->count);
    free(doorbells);
    return 0;
}

int tmbi_meeting_gather(struct tmbi_meeting *meeting)
{
    int status = 0;

    if (meeting->gathered)
        return 0;
    if (!meeting->joined)
        status = job_join(meeting);
    if (!status)
        status = tmbi_meeting_find(meeting);
    if (status != 0 && status != -EAGAIN)
        return status;
    int met = mates_meet(meeting);
    if (!status && !met)
        status = mates_met(meeting);
    /* Those who came before us are met at once, and need not wait for their next look. */
    if (!met)
        tmbi_meeting_ring(meeting);
    meeting->gathered = !status && !met;
    return status ? status : met;
}
