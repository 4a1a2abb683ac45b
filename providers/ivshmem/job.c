/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Jobs: who shares memory, and when it is over.
 *
 * Joining and ending are Dekker's: a joiner names the job in its slot and then looks
 * whether the job is still ACTIVE; who ends it makes it CHECKING and then looks whether a
 * LIVE slot names it. All four accesses are seq_cst. If one does, the job is ACTIVE
 * again; if none does, it is OVER, unless the word has changed since the look began, and
 * there is no way back. A joiner that finds it not ACTIVE takes its name back and waits.
 * Whoever dies on the way leaves the rest to the next caller: each step is one atomic,
 * and freeing an OVER job twice frees nothing of others.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "../../core/clock.h"
#include "../../core/log.h"
#include "region.h"

#define STATE_BITS      4
#define STATE_MASK      ((UINT64_C(1) << STATE_BITS) - 1)
#define GENERATION_BITS (31 - TMBI_JOB_INDEX_BITS) /* a job's number + 1 fits 32 bits */
#define GENERATION_MASK ((UINT64_C(1) << GENERATION_BITS) - 1)
#define CHANGES_SHIFT   32
#define PAUSE_NS        100000

static uint64_t word_load(struct tmbi_job_entry *entry)
{
    return atomic_load_explicit(&entry->word, memory_order_seq_cst);
}

static enum tmbi_job_state word_state(uint64_t word)
{
    return (enum tmbi_job_state)(word & STATE_MASK);
}

static uint32_t word_job(uint64_t word, uint32_t index)
{
    uint32_t generation = (uint32_t)(word >> STATE_BITS & GENERATION_MASK);

    return generation << TMBI_JOB_INDEX_BITS | index;
}

/* What follows `word` when job `number` gets into a state. */
static uint64_t word_next(uint64_t word, uint32_t job, enum tmbi_job_state state)
{
    uint64_t changes = (word >> CHANGES_SHIFT) + 1;

    return changes << CHANGES_SHIFT | job >> TMBI_JOB_INDEX_BITS << STATE_BITS |
           (uint64_t)state;
}

/* Change the state, if the word is still what was seen; *word is then what it became. */
static bool job_change(struct tmbi_region *region, uint32_t job, uint64_t *word,
                       enum tmbi_job_state state)
{
    uint64_t next = word_next(*word, job, state);

    if (!atomic_compare_exchange_strong_explicit(&tmbi_job_entry(region, job)->word, word,
                                                 next, memory_order_seq_cst,
                                                 memory_order_seq_cst))
        return false;
    *word = next;
    return true;
}

static bool word_is(uint64_t word, uint32_t job, enum tmbi_job_state state)
{
    return word_state(word) == state &&
           word_job(word, 0) >> TMBI_JOB_INDEX_BITS == job >> TMBI_JOB_INDEX_BITS;
}

static bool slot_lives(const struct tmbi_slot *slot)
{
    uint32_t word = atomic_load_explicit(&slot->word, memory_order_seq_cst);

    return (word & TMBI_SLOT_STATE_MASK) == TMBI_SLOT_LIVE;
}

static bool job_has_live(struct tmbi_region *region, uint32_t job)
{
    for (uint32_t i = 0; i < region->slot_count; i++) {
        struct tmbi_slot *slot = &region->slots[i];

        if (atomic_load_explicit(&slot->job, memory_order_seq_cst) == job + 1 &&
            slot_lives(slot))
            return true;
    }
    return false;
}

/* Peers have no use for these ends any more: the slots may be claimed. */
static void job_free_slots(struct tmbi_region *region, uint32_t job)
{
    for (uint32_t i = 0; i < region->slot_count; i++) {
        struct tmbi_slot *slot = &region->slots[i];
        uint32_t name = job + 1;

        if (!slot_lives(slot))
            atomic_compare_exchange_strong_explicit(
                &slot->job, &name, 0, memory_order_seq_cst, memory_order_seq_cst);
    }
}

/* Whether the job has ended; what is left of it may then be freed. */
static bool job_is_over(struct tmbi_region *region, uint32_t job)
{
    uint64_t word = word_load(tmbi_job_entry(region, job));

    if (word_is(word, job, TMBI_JOB_ACTIVE) &&
        !job_change(region, job, &word, TMBI_JOB_CHECKING))
        return false; /* whoever changed it looks after us */
    if (!word_is(word, job, TMBI_JOB_CHECKING))
        return true;
    if (job_has_live(region, job)) {
        job_change(region, job, &word, TMBI_JOB_ACTIVE);
        return false;
    }
    return job_change(region, job, &word, TMBI_JOB_OVER);
}

void tmbi_job_reclaim(struct tmbi_region *region, uint32_t job)
{
    uint64_t word;

    if (!job_is_over(region, job))
        return;
    word = word_load(tmbi_job_entry(region, job));
    if (word_is(word, job, TMBI_JOB_OVER))
        tmbi_heap_free(region, job, 0, region->page_count);
    job_free_slots(region, job);
    if (word_is(word, job, TMBI_JOB_OVER))
        job_change(region, job, &word, TMBI_JOB_FREE);
}

void tmbi_job_sweep(struct tmbi_region *region)
{
    for (uint32_t i = 0; i < region->job_count; i++) {
        uint64_t word = word_load(&region->jobs[i]);

        if (word_state(word) >= TMBI_JOB_ACTIVE)
            tmbi_job_reclaim(region, word_job(word, i));
    }
}

/* ---- joining ---- */

/* Wait a little, while another process changes an entry; false past the deadline. */
static bool pause_until(int64_t deadline)
{
    const struct timespec pause = {0, PAUSE_NS};

    nanosleep(&pause, NULL);
    return tmbi_clock_ns() < deadline;
}

static bool job_find(struct tmbi_region *region, const char *name, uint32_t *job)
{
    for (uint32_t i = 0; i < region->job_count; i++) {
        uint64_t word = word_load(&region->jobs[i]);

        if ((word_state(word) == TMBI_JOB_ACTIVE ||
             word_state(word) == TMBI_JOB_CHECKING) &&
            !strncmp(region->jobs[i].name, name, sizeof(region->jobs[i].name))) {
            *job = word_job(word, i);
            return true;
        }
    }
    return false;
}

/* One process makes entries at a time; a maker that died is replaced. */
static bool maker_try(struct tmbi_region *region, uint32_t slot)
{
    _Atomic uint32_t *maker = &region->header->job_maker;
    /* acquire: partner is the release in tmbi_job_maker_leave() */
    uint32_t holder = atomic_load_explicit(maker, memory_order_acquire);

    if (holder && holder <= region->slot_count &&
        tmbi_slot_state(&region->slots[holder - 1]) == TMBI_SLOT_LIVE)
        return false;
    return atomic_compare_exchange_strong_explicit(
        maker, &holder, slot + 1, memory_order_acq_rel, memory_order_relaxed);
}

void tmbi_job_maker_leave(struct tmbi_region *region, uint32_t slot)
{
    uint32_t holder = slot + 1;

    /* release: partner is the acquire in maker_try() */
    atomic_compare_exchange_strong_explicit(&region->header->job_maker, &holder, 0,
                                            memory_order_release, memory_order_relaxed);
}

/* Take a free entry for a new generation. CLAIMED was left by a maker that died. */
static bool entry_claim(struct tmbi_region *region, uint32_t index, uint64_t *word,
                        uint32_t *job)
{
    *word = word_load(&region->jobs[index]);
    *job = word_job(*word + (UINT64_C(1) << STATE_BITS), index);
    return (word_state(*word) == TMBI_JOB_FREE ||
            word_state(*word) == TMBI_JOB_CLAIMED) &&
           job_change(region, *job, word, TMBI_JOB_CLAIMED);
}

static int job_make(struct tmbi_region *region, const char *name, uint32_t size,
                    uint32_t *job)
{
    uint64_t word;

    for (uint32_t i = 0; i < region->job_count; i++) {
        struct tmbi_job_entry *entry = &region->jobs[i];

        if (!entry_claim(region, i, &word, job))
            continue;
        entry->size = size;
        /* relaxed: published by the word below */
        atomic_store_explicit(&entry->places, 0, memory_order_relaxed);
        atomic_store_explicit(&entry->failure, 0, memory_order_relaxed);
        strncpy(entry->name, name, sizeof(entry->name) - 1);
        entry->name[sizeof(entry->name) - 1] = 0;
        job_change(region, *job, &word, TMBI_JOB_ACTIVE);
        return 0;
    }
    tmbi_error("region: all %u jobs that fit are running", region->job_count);
    return -ENOSPC;
}

static int job_find_or_make(struct tmbi_region *region, uint32_t slot, const char *name,
                            uint32_t size, int64_t deadline, uint32_t *job)
{
    int rc = 0;

    while (!maker_try(region, slot))
        if (!pause_until(deadline))
            return -ETIMEDOUT;
    if (!job_find(region, name, job))
        rc = job_make(region, name, size, job);
    tmbi_job_maker_leave(region, slot);
    return rc;
}

/* Name the job in our slot; false if it is ending just now. */
static bool job_enter(struct tmbi_region *region, uint32_t slot, uint32_t job)
{
    struct tmbi_slot *own = &region->slots[slot];

    atomic_store_explicit(&own->job, job + 1, memory_order_seq_cst);
    if (word_is(word_load(tmbi_job_entry(region, job)), job, TMBI_JOB_ACTIVE))
        return true;
    atomic_store_explicit(&own->job, 0, memory_order_seq_cst);
    tmbi_job_reclaim(region, job); /* finishes what a dead process began */
    return false;
}

static int size_agrees(const struct tmbi_job_entry *entry, const char *name,
                       uint32_t size)
{
    uint32_t theirs = entry->size;

    if (theirs == size)
        return 0;
    tmbi_error("region: job %s has %u ranks, this rank was told of %u", name, theirs,
               size);
    return -EINVAL;
}

int tmbi_job_join(struct tmbi_region *region, uint32_t slot, const char *name,
                  uint32_t size, int32_t rank, int64_t deadline, uint32_t *job)
{
    int rc;

    region->slots[slot].rank = rank;
    do {
        rc = job_find_or_make(region, slot, name, size, deadline, job);
        if (rc == 0)
            rc = size_agrees(tmbi_job_entry(region, *job), name, size);
        if (rc == 0 && job_enter(region, slot, *job))
            return 0;
    } while (rc == 0 && pause_until(deadline));
    if (rc == 0 || rc == -ETIMEDOUT) {
        tmbi_error("region: job %s: its entry was not to be had in time: a rank that was "
                   "stopped?",
                   name);
        rc = -ETIMEDOUT;
    }
    return rc;
}

void tmbi_job_leave(struct tmbi_region *region, uint32_t slot, uint32_t job)
{
    atomic_store_explicit(&region->slots[slot].job, 0, memory_order_seq_cst);
    tmbi_job_reclaim(region, job);
}
