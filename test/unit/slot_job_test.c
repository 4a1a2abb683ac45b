/* SPDX-License-Identifier: BSD-3-Clause */
/* Slots and jobs: their lives, and every state that a process can leave behind when it
 * dies between two steps. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../core/clock.h"
#include "../../providers/ivshmem/region.h"

#define REGION_BYTES (UINT64_C(2) << 20)
#define SLOTS        16
#define RANKS        4
#define SOON         tmbi_deadline(INT64_C(5000000000))
#define AT_ONCE      tmbi_deadline(INT64_C(20000000))

static void region_open(struct tmbi_region *region)
{
    uint8_t *base = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(base, MAP_FAILED);
    assert_int_equal(tmbi_region_format(base, REGION_BYTES, 2, SLOTS), 0);
    assert_int_equal(tmbi_region_attach(region, base, REGION_BYTES), 0);
}

static uint32_t slot_claim(struct tmbi_region *region, uint32_t peer)
{
    uint32_t slot = UINT32_MAX;

    assert_int_equal(tmbi_slot_claim(region, peer, 0, 1000 + peer, &slot), 0);
    assert_true(slot < SLOTS);
    return slot;
}

/* The process that has the slot now is gone, or leaves. */
static bool slot_gone(struct tmbi_region *region, uint32_t slot)
{
    return tmbi_slot_gone(region, slot, region->slots[slot].epoch);
}

static void slot_leave(struct tmbi_region *region, uint32_t slot)
{
    tmbi_slot_leave(region, slot, region->slots[slot].epoch);
}

/* As if whoever changed it last had died right then. */
static void slot_state_set(struct tmbi_region *region, uint32_t slot,
                           enum tmbi_slot_state state)
{
    atomic_store(&region->slots[slot].word,
                 TMBI_SLOT_WORD(state, region->slots[slot].epoch));
}

static uint32_t state_of(const struct tmbi_region *region, uint32_t slot)
{
    return tmbi_slot_state(&region->slots[slot]);
}

static uint32_t job_join(struct tmbi_region *region, uint32_t slot, const char *name)
{
    uint32_t job = UINT32_MAX;

    assert_int_equal(tmbi_job_join(region, slot, name, 4, 2, SOON, &job), 0);
    assert_int_equal(atomic_load(&region->slots[slot].job), job + 1);
    assert_int_equal(region->slots[slot].rank, 2);
    return job;
}

static enum tmbi_job_state job_state(const struct tmbi_region *region, uint32_t job)
{
    return atomic_load(&region->jobs[job & 1023].word) & 15;
}

/* As if whoever changed it last had died right then. */
static void job_state_set(struct tmbi_region *region, uint32_t job,
                          enum tmbi_job_state state)
{
    uint64_t word = atomic_load(&region->jobs[job & 1023].word);

    atomic_store(&region->jobs[job & 1023].word, (word & ~UINT64_C(15)) | state);
}

static void pages_free_are(const struct tmbi_region *region, uint32_t pages)
{
    uint32_t free_pages, run;

    tmbi_heap_usage(region, &free_pages, &run);
    assert_int_equal(free_pages, pages);
}

/* ---- slots ---- */

static void slots_are_claimed_and_found(void **state)
{
    struct tmbi_region region;
    uint32_t slot, other;

    (void)state;
    region_open(&region);
    for (uint32_t peer = 0; peer < SLOTS; peer++) {
        slot = slot_claim(&region, 50 + peer);
        assert_int_equal(tmbi_slot_find(&region, 50 + peer, &other), 0);
        assert_int_equal(slot, other);
        assert_int_equal(region.slots[slot].pid, 1050 + peer);
        assert_int_equal(region.slots[slot].wake[1].doorbell, (50 + peer) << 16);
    }
    assert_int_equal(tmbi_slot_claim(&region, 99, 0, 1, &slot), -ENOSPC);
    assert_int_equal(tmbi_slot_find(&region, 99, &slot), -ENOENT);
    tmbi_region_unmap(&region);
}

static void slot_without_a_job_is_free_at_once(void **state)
{
    struct tmbi_region region;
    uint32_t slot, epoch;

    (void)state;
    region_open(&region);
    slot = slot_claim(&region, 1);
    epoch = region.slots[slot].epoch;
    assert_true(slot_gone(&region, slot));
    assert_false(slot_gone(&region, slot));
    assert_int_equal(atomic_load(&region.header->deaths), 1);
    assert_int_equal(tmbi_slot_find(&region, 1, &slot), -ENOENT);
    assert_int_equal(slot_claim(&region, 2), slot);
    assert_int_equal(region.slots[slot].epoch, epoch + 1);
    tmbi_region_unmap(&region);
}

static void slot_of_a_dead_claimer_is_claimed(void **state)
{
    struct tmbi_region region;

    (void)state;
    region_open(&region);
    atomic_store(&region.slots[0].word,
                 TMBI_SLOT_WORD(TMBI_SLOT_CLAIMED, TMBI_CLAIMER_SERVER));
    assert_int_equal(slot_claim(&region, 1), 0);
    assert_int_equal(state_of(&region, 0), TMBI_SLOT_LIVE);
    tmbi_region_unmap(&region);
}

/* Who claims in the name of another machine is left alone, until that machine is gone. */
static void claims_are_kept_apart(void **state)
{
    struct tmbi_region region;
    uint32_t slot, late;

    (void)state;
    region_open(&region);
    atomic_store(&region.slots[0].word, TMBI_SLOT_WORD(TMBI_SLOT_CLAIMED, 7));
    assert_int_equal(slot_claim(&region, 1), 1);
    assert_int_equal(tmbi_slot_claim(&region, 8, TMBI_SLOT_OWN, 1, &slot), 0);
    assert_int_equal(slot, 2);
    assert_int_equal(tmbi_slot_find(&region, 8, &slot), -ENOENT);
    assert_int_equal(tmbi_slot_claim(&region, 7, TMBI_SLOT_OWN, 1, &slot), 0);
    assert_int_equal(slot, 0);

    atomic_store(&region.slots[3].word, TMBI_SLOT_WORD(TMBI_SLOT_CLAIMED, 7));
    tmbi_slots_gone(&region, 7, NULL, NULL);
    assert_int_equal(state_of(&region, 0), TMBI_SLOT_DEAD);
    assert_int_equal(state_of(&region, 3), TMBI_SLOT_FREE);
    assert_int_equal(state_of(&region, 2), TMBI_SLOT_LIVE);

    /* Who is late does not end the slot's next life. */
    late = region.slots[2].epoch;
    slot_gone(&region, 2);
    assert_int_equal(tmbi_slot_claim(&region, 7, TMBI_SLOT_OWN, 1, &slot), 0);
    assert_int_equal(tmbi_slot_claim(&region, 7, TMBI_SLOT_OWN, 1, &slot), 0);
    assert_int_equal(slot, 2);
    assert_false(tmbi_slot_gone(&region, 2, late));
    tmbi_slot_leave(&region, 2, late);
    assert_int_equal(state_of(&region, 2), TMBI_SLOT_LIVE);
    tmbi_region_unmap(&region);
}

static void ends_are_kept_while_the_job_runs(void **state)
{
    struct tmbi_region region;
    uint32_t left, dead, last;

    (void)state;
    region_open(&region);
    left = slot_claim(&region, 1);
    dead = slot_claim(&region, 2);
    last = slot_claim(&region, 3);
    job_join(&region, left, "job");
    job_join(&region, dead, "job");
    job_join(&region, last, "job");
    slot_leave(&region, left);
    assert_false(slot_gone(&region, left));
    assert_true(slot_gone(&region, dead));
    for (uint32_t peer = 10; peer < 10 + SLOTS - 3; peer++)
        slot_claim(&region, peer);
    assert_int_equal(tmbi_slot_claim(&region, 30, 0, 1, &left), -ENOSPC);
    assert_int_equal(state_of(&region, left), TMBI_SLOT_LEFT);
    assert_int_equal(state_of(&region, dead), TMBI_SLOT_DEAD);
    assert_int_equal(atomic_load(&region.header->deaths), 1);
    assert_true(slot_gone(&region, last));
    for (uint32_t peer = 20; peer < 23; peer++)
        slot_claim(&region, peer);
    tmbi_region_unmap(&region);
}

/* ---- jobs ---- */

static void jobs_are_found_by_name(void **state)
{
    struct tmbi_region region;
    uint32_t one, two, job;

    (void)state;
    region_open(&region);
    one = slot_claim(&region, 1);
    two = slot_claim(&region, 2);
    job = job_join(&region, one, "job");
    assert_int_equal(job_join(&region, two, "job"), job);
    two = slot_claim(&region, 3);
    assert_int_not_equal(job_join(&region, two, "other"), job);
    two = slot_claim(&region, 4);
    assert_int_equal(tmbi_job_join(&region, two, "job", 5, 0, SOON, &job), -EINVAL);
    assert_int_equal(atomic_load(&region.slots[two].job), 0);
    tmbi_region_unmap(&region);
}

static void long_names_are_told_apart(void **state)
{
    char name[sizeof(((struct tmbi_job_entry *)0)->name)];
    struct tmbi_region region;
    uint32_t job;

    (void)state;
    region_open(&region);
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0; /* as long as fits */
    job = job_join(&region, slot_claim(&region, 1), name);
    assert_int_equal(job_join(&region, slot_claim(&region, 2), name), job);
    name[sizeof name - 2] = 'y';
    assert_int_not_equal(job_join(&region, slot_claim(&region, 3), name), job);
    tmbi_region_unmap(&region);
}

static void full_table_is_enospc(void **state)
{
    struct tmbi_region region;
    uint32_t slots[SLOTS], job;
    char name[16];

    (void)state;
    region_open(&region);
    for (uint32_t i = 0; i < SLOTS; i++) {
        snprintf(name, sizeof name, "job%u", i);
        slots[i] = slot_claim(&region, i);
        if (i < region.job_count)
            job_join(&region, slots[i], name);
    }
    assert_int_equal(region.job_count, SLOTS);
    atomic_store(&region.slots[slots[0]].job, 0); /* one more process, so to say */
    assert_int_equal(tmbi_job_join(&region, slots[0], "another", 4, 0, SOON, &job),
                     -ENOSPC);
    tmbi_region_unmap(&region);
}

static void last_end_frees_everything(void **state)
{
    struct tmbi_region region;
    uint32_t one, two, job, first;

    (void)state;
    region_open(&region);
    one = slot_claim(&region, 1);
    two = slot_claim(&region, 2);
    job = job_join(&region, one, "job");
    job_join(&region, two, "job");
    assert_int_equal(tmbi_heap_alloc(&region, job, 9, &first), 0);
    slot_gone(&region, one);
    assert_int_equal(job_state(&region, job), TMBI_JOB_ACTIVE);
    pages_free_are(&region, region.page_count - 9);
    slot_leave(&region, two);
    slot_gone(&region, two);
    assert_int_equal(job_state(&region, job), TMBI_JOB_FREE);
    pages_free_are(&region, region.page_count);
    /* The next of that name is another job. */
    assert_int_not_equal(job_join(&region, slot_claim(&region, 3), "job"), job);
    tmbi_region_unmap(&region);
}

/* A reclaimer that comes late must not touch the entry's next job. */
static void late_reclaimer_is_harmless(void **state)
{
    struct tmbi_region region;
    uint32_t slot, old, new, first;

    (void)state;
    region_open(&region);
    slot = slot_claim(&region, 1);
    old = job_join(&region, slot, "job");
    slot_gone(&region, slot);
    slot = slot_claim(&region, 2);
    new = job_join(&region, slot, "job");
    assert_int_equal(old & 1023, new & 1023);
    assert_int_equal(tmbi_heap_alloc(&region, new, 3, &first), 0);
    tmbi_job_reclaim(&region, old);
    assert_int_equal(job_state(&region, new), TMBI_JOB_ACTIVE);
    assert_int_equal(atomic_load(&region.slots[slot].job), new + 1);
    pages_free_are(&region, region.page_count - 3);
    tmbi_region_unmap(&region);
}

/* ---- deaths between two steps ---- */

static void maker_that_died_is_replaced(void **state)
{
    struct tmbi_region region;
    uint32_t dead, next;

    (void)state;
    region_open(&region);
    dead = slot_claim(&region, 1);
    next = slot_claim(&region, 2);
    atomic_store(&region.header->job_maker, dead + 1);
    slot_state_set(&region, dead, TMBI_SLOT_DEAD);
    job_join(&region, next, "job");
    assert_int_equal(atomic_load(&region.header->job_maker), 0);
    /* Nor is its slot's next process taken for it. */
    dead = slot_claim(&region, 3);
    atomic_store(&region.header->job_maker, dead + 1);
    slot_gone(&region, dead);
    assert_int_equal(slot_claim(&region, 4), dead);
    job_join(&region, dead, "job");
    /* Garbage there blocks nobody. */
    atomic_store(&region.header->job_maker, UINT32_MAX);
    job_join(&region, slot_claim(&region, 5), "third");
    tmbi_region_unmap(&region);
}

static void maker_that_is_stopped_times_out(void **state)
{
    struct tmbi_region region;
    uint32_t stopped, next, job;

    (void)state;
    region_open(&region);
    stopped = slot_claim(&region, 1);
    next = slot_claim(&region, 2);
    atomic_store(&region.header->job_maker, stopped + 1);
    assert_int_equal(tmbi_job_join(&region, next, "job", 4, 0, AT_ONCE, &job),
                     -ETIMEDOUT);
    tmbi_region_unmap(&region);
}

static void entry_that_was_being_named_is_used(void **state)
{
    struct tmbi_region region;
    uint32_t job;

    (void)state;
    region_open(&region);
    job_state_set(&region, 0, TMBI_JOB_CLAIMED);
    memset(region.jobs[0].name, 'x', sizeof region.jobs[0].name);
    job = job_join(&region, slot_claim(&region, 1), "job");
    assert_int_equal(job & 1023, 0);
    assert_string_equal(region.jobs[0].name, "job");
    tmbi_region_unmap(&region);
}

static void job_that_nobody_entered_is_swept(void **state)
{
    struct tmbi_region region;
    uint32_t slot, job;

    (void)state;
    region_open(&region);
    slot = slot_claim(&region, 1);
    job = job_join(&region, slot, "job");
    atomic_store(&region.slots[slot].job, 0); /* made, not yet named */
    slot_gone(&region, slot);
    assert_int_equal(job_state(&region, job), TMBI_JOB_FREE);
    tmbi_region_unmap(&region);
}

/* The state in which a reclaimer died, with 5 pages still to be freed. */
static uint32_t half_reclaimed(struct tmbi_region *region, enum tmbi_job_state state)
{
    uint32_t slot, job, first;

    region_open(region);
    slot = slot_claim(region, 1);
    job = job_join(region, slot, "job");
    assert_int_equal(tmbi_heap_alloc(region, job, 5, &first), 0);
    slot_state_set(region, slot, TMBI_SLOT_DEAD);
    job_state_set(region, job, state);
    return job;
}

static void half_reclaimed_job_is_finished(void **state)
{
    static const enum tmbi_job_state states[] = {TMBI_JOB_ACTIVE, TMBI_JOB_CHECKING,
                                                 TMBI_JOB_OVER};
    struct tmbi_region region;

    (void)state;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        uint32_t job = half_reclaimed(&region, states[i]);

        slot_gone(&region, slot_claim(&region, 2)); /* anyone's end does it */
        assert_int_equal(job_state(&region, job), TMBI_JOB_FREE);
        pages_free_are(&region, region.page_count);
        assert_int_equal(atomic_load(&region.slots[0].job), 0);
        tmbi_region_unmap(&region);
    }
}

static void joiner_gets_past_a_half_reclaimed_job(void **state)
{
    static const enum tmbi_job_state states[] = {TMBI_JOB_CHECKING, TMBI_JOB_OVER};
    struct tmbi_region region;

    (void)state;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        uint32_t old = half_reclaimed(&region, states[i]);
        uint32_t slot = slot_claim(&region, 2);

        assert_int_not_equal(job_join(&region, slot, "job"), old);
        slot_gone(&region, slot);
        tmbi_job_sweep(&region);
        pages_free_are(&region, region.page_count);
        tmbi_region_unmap(&region);
    }
}

/* A check that was under way when a live rank's peer died finds the live one. */
static void checked_job_with_a_live_rank_goes_on(void **state)
{
    struct tmbi_region region;
    uint32_t job;

    (void)state;
    region_open(&region);
    job = job_join(&region, slot_claim(&region, 1), "job");
    job_state_set(&region, job, TMBI_JOB_CHECKING);
    assert_int_equal(job_join(&region, slot_claim(&region, 2), "job"), job);
    assert_int_equal(job_state(&region, job), TMBI_JOB_ACTIVE);
    tmbi_region_unmap(&region);
}

static void slot_that_names_an_ended_job_is_free(void **state)
{
    struct tmbi_region region;
    uint32_t slot;

    (void)state;
    region_open(&region);
    slot = slot_claim(&region, 1);
    atomic_store(&region.slots[slot].job, (7u << 10 | 3) + 1);
    slot_gone(&region, slot);
    assert_int_equal(slot_claim(&region, 2), slot);
    tmbi_region_unmap(&region);
}

/* ---- many processes, killed at any moment ---- */

/* Joins, takes pages, sees that nobody else writes them, leaves. */
static void rank_run(struct tmbi_region *region, uint32_t slot, const char *name)
{
    uint32_t job, first, mark = (uint32_t)getpid();

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (tmbi_job_join(region, slot, name, 4, 0, SOON, &job))
        _exit(1);
    for (uint32_t i = 0; i < 20; i++) {
        volatile uint32_t *page;

        if (tmbi_heap_alloc(region, job, 1 + i % 3, &first))
            continue;
        page = (uint32_t *)(region->heap + first * TMBI_PAGE_BYTES);
        *page = mark;
        usleep(20);
        if (*page != mark)
            _exit(2);
    }
    slot_leave(region, slot);
    for (;;)
        pause();
}

struct rank {
    pid_t pid;
    uint32_t slot; /* UINT32_MAX: it had left, and the slot is another's */
};

/* A few processes in a row make a job, so that ended ones don't use up the slots. */
static void rank_start(struct tmbi_region *region, struct rank ranks[RANKS], int number)
{
    uint32_t slot = slot_claim(region, (uint32_t)number);
    struct rank *rank = &ranks[number % RANKS];
    char name[16];

    snprintf(name, sizeof name, "job%d", number / 3);
    for (int i = 0; i < RANKS; i++)
        if (ranks[i].slot == slot)
            ranks[i].slot = UINT32_MAX;
    rank->slot = slot;
    rank->pid = fork();
    if (rank->pid == 0)
        rank_run(region, slot, name);
}

static void rank_kill(struct tmbi_region *region, struct rank *rank)
{
    int status;

    kill(rank->pid, SIGKILL);
    assert_int_equal(waitpid(rank->pid, &status, 0), rank->pid);
    assert_int_equal(status, SIGKILL); /* it had nothing to complain of */
    if (rank->slot != UINT32_MAX)
        slot_gone(region, rank->slot);
}

/* This process plays the server. Nothing may be left at the end but what is free. */
static void killed_at_any_moment_nothing_is_lost(void **state)
{
    struct rank ranks[RANKS];
    struct tmbi_region region;
    unsigned seed = 1;

    (void)state;
    region_open(&region);
    memset(ranks, -1, sizeof ranks);
    for (int i = 0; i < RANKS; i++)
        rank_start(&region, ranks, i);
    for (int number = RANKS; number < 300; number++) {
        usleep(rand_r(&seed) % 1500);
        rank_kill(&region, &ranks[number % RANKS]);
        rank_start(&region, ranks, number);
    }
    for (int i = 0; i < RANKS; i++)
        rank_kill(&region, &ranks[i]);
    pages_free_are(&region, region.page_count);
    for (uint32_t i = 0; i < region.job_count; i++)
        assert_true(job_state(&region, i) <= TMBI_JOB_CLAIMED);
    for (uint32_t peer = 5000; peer < 5000 + SLOTS; peer++)
        slot_claim(&region, peer);
    tmbi_region_unmap(&region);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_claimed_and_found),
        cmocka_unit_test(slot_without_a_job_is_free_at_once),
        cmocka_unit_test(slot_of_a_dead_claimer_is_claimed),
        cmocka_unit_test(claims_are_kept_apart),
        cmocka_unit_test(ends_are_kept_while_the_job_runs),
        cmocka_unit_test(jobs_are_found_by_name),
        cmocka_unit_test(long_names_are_told_apart),
        cmocka_unit_test(full_table_is_enospc),
        cmocka_unit_test(last_end_frees_everything),
        cmocka_unit_test(late_reclaimer_is_harmless),
        cmocka_unit_test(maker_that_died_is_replaced),
        cmocka_unit_test(maker_that_is_stopped_times_out),
        cmocka_unit_test(entry_that_was_being_named_is_used),
        cmocka_unit_test(job_that_nobody_entered_is_swept),
        cmocka_unit_test(half_reclaimed_job_is_finished),
        cmocka_unit_test(joiner_gets_past_a_half_reclaimed_job),
        cmocka_unit_test(checked_job_with_a_live_rank_goes_on),
        cmocka_unit_test(slot_that_names_an_ended_job_is_free),
        cmocka_unit_test(killed_at_any_moment_nothing_is_lost),
    };

    return cmocka_run_group_tests_name("slot_job", tests, NULL, NULL);
}
