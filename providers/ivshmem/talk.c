/* SPDX-License-Identifier: BSD-3-Clause */
/* What launchers that have met tell each other. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "../../core/clock.h"
#include "../../core/log.h"
#include "meeting_private.h"

const struct tmbi_mate *tmbi_meeting_mate(const struct tmbi_meeting *meeting, int number)
{
    return number < meeting->count ? &meeting->mates[number].mate : NULL;
}

const struct tmbi_mate *tmbi_meeting_own(const struct tmbi_meeting *meeting)
{
    return &meeting->mates[meeting->own].mate;
}

/* What was ours in the region may be another job's by now: it is not to be touched. */
bool tmbi_meeting_outcast(const struct tmbi_meeting *meeting)
{
    const struct tmbi_way *way = meeting->way;

    return tmbi_slot_word(&meeting->region->slots[way->slot]) !=
           TMBI_SLOT_WORD(TMBI_SLOT_LIVE, way->epoch);
}

/* ---- bells ---- */

int tmbi_meeting_bell(const struct tmbi_meeting *meeting)
{
    return meeting->way->bell[TMBI_LINE_WAIT];
}

int tmbi_meeting_watched(const struct tmbi_meeting *meeting)
{
    return meeting->way->watched;
}

void tmbi_meeting_drain(struct tmbi_meeting *meeting)
{
    if (!meeting->way->ops->lost || !meeting->way->ops->lost(meeting->way))
        return;
    meeting->lost = true;
    tmbi_warn("job %s: %s has gone: the job goes on, but the death of launchers in other "
              "machines goes unnoticed",
              meeting->name, meeting->way->name);
}

void tmbi_meeting_ring(struct tmbi_meeting *meeting)
{
    for (int i = 0; i < meeting->count; i++)
        if (meeting->mates[i].met && !meeting->mates[i].mate.own &&
            meeting->mates[i].doorbell != TMBI_DOORBELL_NONE)
            meeting->way->ops->ring(meeting->way, meeting->mates[i].doorbell);
}

/* ---- rounds ---- */

static int block_reserve(struct tmbi_meeting *meeting, int place, uint64_t bytes)
{
    if (bytes <= meeting->block_bytes[place])
        return 0;
    tmbi_arena_free(&meeting->arena, meeting->block[place]);
    meeting->block[place] = NULL;
    meeting->block_bytes[place] = 0;
    int status = tmbi_arena_alloc(&meeting->arena, bytes, &meeting->block[place]);
    if (status)
        tmbi_error("job %s: the region has no %" PRIu64 " bytes left for an exchange "
                   "between launchers: enlarge it (%s)",
                   meeting->name, bytes, meeting->way->enlarge);
    else
        meeting->block_bytes[place] = bytes;
    return status;
}

int tmbi_meeting_post(struct tmbi_meeting *meeting, const void *parts, uint32_t bytes)
{
    uint64_t round = meeting->round + 1, all = (uint64_t)meeting->plan.ranks * bytes;
    struct tmbi_mailbox_place *place = &meeting->box->places[round % 2];

    int status = block_reserve(meeting, (int)(round % 2), all);
    if (status)
        return status;
    if (all) {
        memcpy(meeting->block[round % 2], parts, all);
        place->block = tmbi_region_offset(meeting->region, meeting->block[round % 2]);
    }
    place->bytes = all;
    /* release: partner is the acquire in tmbi_mailbox_read() */
    atomic_store_explicit(&place->round, round, memory_order_release);
    meeting->round = round;
    meeting->part_bytes = bytes;
    for (int i = 0; i < meeting->count; i++)
        meeting->mates[i].mate.came = i == meeting->own;
    tmbi_meeting_ring(meeting);
    return 0;
}

static int mate_collect(struct tmbi_meeting *meeting, struct tmbi_mate_entry *entry,
                        uint8_t *all)
{
    uint64_t bytes = (uint64_t)entry->mate.ranks * meeting->part_bytes;
    const uint8_t *data;

    int status =
        tmbi_mailbox_read(meeting->region, entry->box, meeting->round, bytes, &data);
    if (status == -EPROTO)
        tmbi_error("job %s: ranks %d-%d (peer %" PRIu32 ") sent a part of another size "
                   "than the other ranks, or garbage",
                   meeting->name, entry->mate.first,
                   entry->mate.first + entry->mate.ranks - 1, entry->mate.peer_id);
    if (status)
        return status;
    memcpy(all + (size_t)entry->mate.first * meeting->part_bytes, data, bytes);
    entry->mate.came = true;
    return 0;
}

int tmbi_meeting_collect(struct tmbi_meeting *meeting, void *all)
{
    int result = 0;

    for (int i = 0; i < meeting->count; i++) {
        int status = meeting->mates[i].mate.came
                         ? 0
                         : mate_collect(meeting, &meeting->mates[i], all);
        if (status && status != -EAGAIN)
            return status;
        result = status ? status : result;
    }
    return result;
}

void tmbi_meeting_fault(struct tmbi_meeting *meeting, int error, const char *blame)
{
    struct tmbi_mailbox *box = meeting->box;

    if (tmbi_meeting_outcast(meeting) ||
        atomic_load_explicit(&box->fault, memory_order_relaxed)) /* ours alone */
        return;
    box->blame_bytes = (uint32_t)strnlen(blame, TMBI_BLAME_MAX);
    memcpy(box->blame, blame, box->blame_bytes);
    /* release: partner is the acquire in tmbi_mailbox_fault() */
    atomic_store_explicit(&box->fault, (uint32_t)-error, memory_order_release);
    tmbi_meeting_ring(meeting);
}

int tmbi_meeting_faulted(struct tmbi_meeting *meeting, const char **blame)
{
    for (int i = 0; i < meeting->count; i++) {
        int fault = i == meeting->own
                        ? 0
                        : tmbi_mailbox_fault(meeting->mates[i].box, meeting->blame);
        if (!fault)
            continue;
        *blame = meeting->blame;
        return fault;
    }
    return 0;
}

/* ---- the first failure: kind << 48 | slot << 32 | code << 24 | rank + 1 ---- */

static void failure_enter(struct tmbi_meeting *meeting, enum tmbi_failure_kind kind,
                          uint32_t slot, int rank, int code)
{
    uint64_t none = 0, word = (uint64_t)kind << 48 | (uint64_t)slot << 32 |
                              (uint64_t)(code & 0xff) << 24 |
                              (uint64_t)((rank + 1) & 0xffffff);

    /* relaxed: the word is all that it tells */
    if (!tmbi_meeting_outcast(meeting) &&
        atomic_compare_exchange_strong_explicit(
            &tmbi_job_entry(meeting->region, meeting->job)->failure, &none, word,
            memory_order_relaxed, memory_order_relaxed))
        tmbi_meeting_ring(meeting);
}

void tmbi_meeting_fail(struct tmbi_meeting *meeting, enum tmbi_failure_kind kind,
                       int rank, int code)
{
    failure_enter(meeting, kind, meeting->way->slot, rank, code);
}

/* The server enters deaths in the slots. Where it has gone, the kernel is asked. */
static bool mate_died(const struct tmbi_meeting *meeting,
                      const struct tmbi_mate_entry *entry)
{
    uint32_t word = tmbi_slot_word(&meeting->region->slots[entry->slot]);

    if (word == TMBI_SLOT_WORD(TMBI_SLOT_DEAD, entry->epoch))
        return true;
    return (meeting->lost || meeting->way->unreported) && entry->mate.here &&
           !entry->mate.own && word == TMBI_SLOT_WORD(TMBI_SLOT_LIVE, entry->epoch) &&
           entry->mate.pid > 0 && kill((pid_t)entry->mate.pid, 0) && errno == ESRCH;
}

static bool mate_ended(const struct tmbi_mate_entry *entry)
{
    /* acquire: partner is the release in tmbi_meeting_end() */
    return atomic_load_explicit(&entry->box->ended, memory_order_acquire) != 0;
}

/* A machine that stops as a whole is reported by nobody. */
static void hearts_look(struct tmbi_meeting *meeting)
{
    int64_t now = tmbi_clock_ns();

    if (!meeting->watch.pulses || !tmbi_watch_begin(&meeting->watch, now))
        return;
    for (int i = 0; i < meeting->count; i++) {
        const struct tmbi_mate_entry *entry = &meeting->mates[i];
        const struct tmbi_slot *slot = &meeting->region->slots[entry->slot];
        /* relaxed: only its change counts */
        uint64_t beat = atomic_load_explicit(&slot->heartbeat, memory_order_relaxed);

        if (!entry->mate.own &&
            tmbi_watch_stale(&meeting->watch, (uint32_t)i, beat, now) &&
            tmbi_slot_gone(meeting->region, entry->slot, entry->epoch))
            tmbi_warn("job %s: no heartbeat from the launcher of ranks %d-%d: it is "
                      "declared dead; is its machine stopped? (TMB_IVSHMEM_HEARTBEAT)",
                      meeting->name, entry->mate.first,
                      entry->mate.first + entry->mate.ranks - 1);
    }
    tmbi_watch_end(&meeting->watch);
}

static void deaths_look(struct tmbi_meeting *meeting)
{
    hearts_look(meeting);
    for (int i = 0; i < meeting->count; i++) {
        const struct tmbi_mate_entry *entry = &meeting->mates[i];
        if (!mate_ended(entry) && mate_died(meeting, entry))
            failure_enter(meeting, TMBI_FAILURE_DEATH, entry->slot, entry->mate.first,
                          128 + SIGKILL);
    }
}

bool tmbi_meeting_failed(struct tmbi_meeting *meeting, struct tmbi_failure *failure)
{
    deaths_look(meeting);
    uint64_t word = atomic_load_explicit(
        &tmbi_job_entry(meeting->region, meeting->job)->failure, memory_order_relaxed);
    int kind = (int)(word >> 48), rank = (int)(word & 0xffffff) - 1;

    if (!word)
        return false;
    *failure = (struct tmbi_failure){.kind = kind == TMBI_FAILURE_RANK ||
                                                     kind == TMBI_FAILURE_DEATH
                                                 ? (enum tmbi_failure_kind)kind
                                                 : TMBI_FAILURE_END,
                                     .rank = rank < meeting->plan.size ? rank : -1,
                                     .code = (int)(word >> 24 & 0xff),
                                     .mate = meeting->own};
    for (int i = 0; i < meeting->count; i++)
        if (meeting->mates[i].slot == (word >> 32 & 0xffff))
            failure->mate = i;
    return true;
}

/* ---- signals, and the end ---- */

void tmbi_meeting_signal(struct tmbi_meeting *meeting, int sig)
{
    if (tmbi_meeting_outcast(meeting))
        return;
    /* relaxed, as its readers: the word is all that it tells */
    uint32_t word = atomic_load_explicit(&meeting->box->signals, memory_order_relaxed);

    atomic_store_explicit(&meeting->box->signals,
                          ((word >> 8) + 1) << 8 | ((uint32_t)sig & 0xff),
                          memory_order_relaxed);
    tmbi_meeting_ring(meeting);
}

int tmbi_meeting_signalled(struct tmbi_meeting *meeting)
{
    for (int i = 0; i < meeting->count; i++) {
        struct tmbi_mate_entry *entry = &meeting->mates[i];
        uint32_t word = atomic_load_explicit(&entry->box->signals, memory_order_relaxed);
        if (i == meeting->own || word == entry->signals)
            continue;
        entry->signals = word;
        return (int)(word & 0xff);
    }
    return 0;
}

void tmbi_meeting_end(struct tmbi_meeting *meeting)
{
    if (tmbi_meeting_outcast(meeting))
        return;
    /* release: partner is the acquire in mate_ended() */
    atomic_store_explicit(&meeting->box->ended, 1, memory_order_release);
    tmbi_meeting_ring(meeting);
}

bool tmbi_meeting_over(struct tmbi_meeting *meeting)
{
    hearts_look(meeting);
    for (int i = 0; i < meeting->count; i++) {
        const struct tmbi_mate_entry *entry = &meeting->mates[i];
        const struct tmbi_slot *slot = &meeting->region->slots[entry->slot];
        if (!entry->mate.own && !mate_ended(entry) && !mate_died(meeting, entry) &&
            tmbi_slot_word(slot) == TMBI_SLOT_WORD(TMBI_SLOT_LIVE, entry->epoch))
            return false;
    }
    return true;
}
