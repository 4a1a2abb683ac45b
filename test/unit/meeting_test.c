/* SPDX-License-Identifier: BSD-3-Clause */
/* Launchers that meet in a region: three of them in this process, each with a slot of its
 * own, and what they believe of each other's mailboxes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../core/log.h"
#include "../../providers/ivshmem/meeting_private.h"

#define REGION_BYTES (UINT64_C(4) << 20)
#define MEMBERS      3

struct fixture {
    uint8_t *memory;
    struct tmbi_way ways[MEMBERS];
    struct tmbi_meeting *meetings[MEMBERS];
    int rung;
};

static struct fixture *fixture; /* for the way's operations */

static void fake_ring(struct tmbi_way *way, uint32_t doorbell)
{
    (void)way;
    (void)doorbell;
    fixture->rung++;
}

/* As the server does when a connection ends. */
static void fake_close(struct tmbi_way *way)
{
    tmbi_slot_gone(&way->region, way->slot, way->epoch);
}

static const struct tmbi_way_ops fake_ops = {
    .name = "fake", .ring = fake_ring, .close = fake_close};

static int fixture_open(void **state)
{
    fixture = calloc(1, sizeof *fixture);
    tmbi_log_set_level(TMBI_LOG_ERROR);
    if (posix_memalign((void **)&fixture->memory, 1 << 14, REGION_BYTES))
        return -1;
    memset(fixture->memory, 0, REGION_BYTES);
    if (tmbi_region_format(fixture->memory, REGION_BYTES, 2, 16))
        return -1;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        struct tmbi_way *way = &fixture->ways[i];
        *way = (struct tmbi_way){.ops = &fake_ops,
                                 .name = "fake",
                                 .id = 7 - i,
                                 .bell = {-1, -1},
                                 .watched = -1};
        if (tmbi_region_attach(&way->region, fixture->memory, REGION_BYTES) ||
            tmbi_slot_claim(&way->region, way->id, 0, 1, &way->slot))
            return -1;
        way->epoch = way->region.slots[way->slot].epoch;
        for (uint32_t line = 0; line < TMBI_LINES; line++)
            way->doorbell[line] = tmbi_doorbell(way->id, line);
        tmbi_way_introduce(way);
    }
    *state = fixture;
    return 0;
}

static void leave(struct fixture *f, int i)
{
    if (f->meetings[i])
        tmbi_meeting_close(f->meetings[i]);
    f->meetings[i] = NULL;
}

/* Whatever happened, an ended job leaves no page. */
static int fixture_close(void **state)
{
    struct fixture *f = *state;
    uint32_t free_pages, longest;

    for (int i = 0; i < MEMBERS; i++)
        leave(f, i);
    tmbi_job_sweep(&f->ways[0].region);
    tmbi_heap_usage(&f->ways[0].region, &free_pages, &longest);
    bool all_free = free_pages == f->ways[0].region.page_count;
    free(f->memory);
    free(f);
    return all_free ? 0 : -1;
}

static void start(struct fixture *f, int i, int size, int ranks, int first)
{
    struct tmbi_meeting_plan plan = {
        .job = "test", .size = size, .ranks = ranks, .first = first};

    assert_int_equal(tmbi_meeting_start(&plan, &f->ways[i], &f->meetings[i]), 0);
}

static int gather(struct fixture *f, int i)
{
    return tmbi_meeting_gather(f->meetings[i]);
}

/* Two launchers, of ranks 1-2 (the first) and 0 (the second, whose peer ID is lower). */
static void two_meet(struct fixture *f)
{
    start(f, 0, 3, 2, -1);
    start(f, 1, 3, 1, -1);
    assert_int_equal(gather(f, 0), -EAGAIN);
    assert_int_equal(gather(f, 1), 0);
    assert_int_equal(gather(f, 0), 0);
}

static struct tmbi_mailbox *box(struct fixture *f, int i)
{
    return f->meetings[i]->box;
}

static struct tmbi_slot *slot(struct fixture *f, int i)
{
    return &f->ways[i].region.slots[f->ways[i].slot];
}

/* ---- coming together ---- */

static void in_the_order_of_ids(void **state)
{
    struct fixture *f = *state;

    two_meet(f);
    for (int i = 0; i < 2; i++) {
        const struct tmbi_mate *first = tmbi_meeting_mate(f->meetings[i], 0);
        const struct tmbi_mate *second = tmbi_meeting_mate(f->meetings[i], 1);
        assert_int_equal(first->peer_id, 6);
        assert_int_equal(first->first, 0);
        assert_int_equal(first->ranks, 1);
        assert_true(first->here);
        assert_int_equal(second->peer_id, 7);
        assert_int_equal(second->first, 1);
        assert_null(tmbi_meeting_mate(f->meetings[i], 2));
    }
    assert_int_equal(tmbi_meeting_own(f->meetings[0])->first, 1);
    assert_true(f->rung > 0);
}

static void in_the_order_given(void **state)
{
    struct fixture *f = *state;

    start(f, 0, 4, 1, 0);
    start(f, 1, 4, 2, 1);
    start(f, 2, 4, 1, 3);
    assert_int_equal(gather(f, 2), -EAGAIN);
    assert_int_equal(gather(f, 1), -EAGAIN);
    assert_int_equal(gather(f, 0), 0);
    assert_int_equal(gather(f, 1), 0);
    assert_int_equal(tmbi_meeting_own(f->meetings[1])->first, 1);
}

static void given_ranks_must_fit(void **state)
{
    static const int wrong[][2] = {{0, 1}, {1, 2}, {0, 3}, {2, -1}};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        start(f, 0, 4, 2, wrong[i][0]);
        start(f, 1, 4, 2, wrong[i][1]);
        assert_int_equal(gather(f, 0), -EAGAIN);
        assert_int_equal(gather(f, 1), -EINVAL);
        assert_int_equal(gather(f, 0), -EINVAL);
        fixture_close(state);
        fixture_open(state);
        f = *state;
    }
}

static void no_more_than_there_are_places(void **state)
{
    struct fixture *f = *state;

    start(f, 0, 3, 2, -1);
    assert_int_equal(gather(f, 0), -EAGAIN);
    start(f, 1, 3, 2, -1);
    assert_int_equal(gather(f, 1), -EEXIST);
    start(f, 2, 4, 1, -1);
    assert_int_equal(gather(f, 2), -EEXIST);
    leave(f, 1);
    leave(f, 2);
    assert_int_equal(gather(f, 0), -EAGAIN); /* those never were in the job */
}

static void who_goes_early_fails_all(void **state)
{
    struct fixture *f = *state;

    start(f, 0, 3, 1, -1);
    start(f, 1, 3, 1, -1);
    assert_int_equal(gather(f, 0), -EAGAIN);
    assert_int_equal(gather(f, 1), -EAGAIN);
    fake_close(&f->ways[1]);
    assert_int_equal(gather(f, 0), -EHOSTDOWN);
}

/* It has taken a place, but told nobody. */
static void who_dies_without_a_mailbox_fails_all(void **state)
{
    struct fixture *f = *state;
    uint32_t job;

    start(f, 0, 3, 1, -1);
    assert_int_equal(gather(f, 0), -EAGAIN);
    assert_int_equal(tmbi_job_join(&f->ways[1].region, f->ways[1].slot, "run:test", 0, -1,
                                   INT64_MAX, &job),
                     0);
    assert_int_equal(gather(f, 0), -EAGAIN);
    fake_close(&f->ways[1]);
    assert_int_equal(gather(f, 0), -EHOSTDOWN);
}

static void the_next_job_waits_for_the_end(void **state)
{
    struct fixture *f = *state;

    two_meet(f);
    tmbi_meeting_end(f->meetings[0]);
    assert_true(tmbi_meeting_over(f->meetings[1]));
    assert_false(tmbi_meeting_over(f->meetings[0]));
    start(f, 2, 2, 2, -1);
    assert_int_equal(gather(f, 2), -EAGAIN);
    leave(f, 0);
    assert_true(tmbi_meeting_over(f->meetings[1]));
    assert_int_equal(gather(f, 2), -EAGAIN);
    tmbi_meeting_end(f->meetings[1]);
    leave(f, 1);
    assert_int_equal(gather(f, 2), 0);
}

/* ---- mailboxes that can't be believed ---- */

static void garbage_mailboxes_are_refused(void **state)
{
    struct fixture *f = *state;
    struct tmbi_mailbox_sender sender;
    const struct tmbi_region *region = &f->ways[0].region;

    start(f, 0, 3, 2, -1);
    assert_int_equal(gather(f, 0), -EAGAIN);
    uint64_t offset = tmbi_region_offset(region, box(f, 0));
    assert_int_equal(tmbi_mailbox_open(region, offset, &sender), 0);
    assert_int_equal(tmbi_mailbox_open(region, offset + 8, &sender), -EPROTO);
    assert_int_equal(tmbi_mailbox_open(region, 64, &sender), -EPROTO);
    assert_int_equal(tmbi_mailbox_open(region, REGION_BYTES - 64, &sender), -EPROTO);
    assert_int_equal(tmbi_mailbox_open(region, UINT64_MAX - 63, &sender), -EPROTO);
    box(f, 0)->ranks = 0;
    assert_int_equal(tmbi_mailbox_open(region, offset, &sender), -EPROTO);
    box(f, 0)->ranks = TMBI_PLACES_MAX + 1;
    assert_int_equal(tmbi_mailbox_open(region, offset, &sender), -EPROTO);
    box(f, 0)->ranks = 2;
    box(f, 0)->first_rank = -2;
    assert_int_equal(tmbi_mailbox_open(region, offset, &sender), -EPROTO);
    box(f, 0)->first_rank = -1;
    box(f, 0)->magic++;
    assert_int_equal(tmbi_mailbox_open(region, offset, &sender), -EPROTO);
    start(f, 1, 3, 1, -1);
    assert_int_equal(gather(f, 1), -EPROTO);
}

static void more_ranks_than_places_are_refused(void **state)
{
    struct fixture *f = *state;

    start(f, 0, 3, 2, -1);
    assert_int_equal(gather(f, 0), -EAGAIN);
    box(f, 0)->ranks = 3;
    start(f, 1, 3, 1, -1);
    assert_int_equal(gather(f, 1), -EPROTO);
}

static void others_doorbells_are_refused(void **state)
{
    struct fixture *f = *state;

    start(f, 0, 3, 2, -1);
    assert_int_equal(gather(f, 0), -EAGAIN);
    slot(f, 0)->wake[TMBI_LINE_WAIT].doorbell = tmbi_doorbell(9, 0);
    start(f, 1, 3, 1, -1);
    assert_int_equal(gather(f, 1), -EPROTO);
}

static void places_are_checked(void **state)
{
    struct fixture *f = *state;
    struct tmbi_mailbox *theirs;
    char all[3] = "";

    two_meet(f);
    theirs = box(f, 0);
    assert_int_equal(tmbi_meeting_post(f->meetings[1], "a", 1), 0);
    assert_int_equal(tmbi_meeting_collect(f->meetings[1], all), -EAGAIN);
    assert_int_equal(tmbi_meeting_post(f->meetings[0], "bc", 1), 0);
    uint64_t block = theirs->places[1].block;
    theirs->places[1].block = REGION_BYTES - 1;
    assert_int_equal(tmbi_meeting_collect(f->meetings[1], all), -EPROTO);
    theirs->places[1].block = 0;
    assert_int_equal(tmbi_meeting_collect(f->meetings[1], all), -EPROTO);
    theirs->places[1].block = block;
    theirs->places[1].bytes = 3;
    assert_int_equal(tmbi_meeting_collect(f->meetings[1], all), -EPROTO);
    theirs->places[1].bytes = 2;
    theirs->places[1].round = 3;
    assert_int_equal(tmbi_meeting_collect(f->meetings[1], all), -EPROTO);
    theirs->places[1].round = 1;
    assert_int_equal(tmbi_meeting_collect(f->meetings[1], all), 0);
    assert_memory_equal(all + 1, "bc", 2);
}

/* ---- rounds ---- */

static void rounds_of_any_size(void **state)
{
    static const uint32_t sizes[] = {1, 100, 0, 20000, 3, TMBI_PART_MAX, 8};
    struct fixture *f = *state;
    uint8_t *parts = malloc(2 * TMBI_PART_MAX), *all = malloc(3 * TMBI_PART_MAX);

    two_meet(f);
    for (uint8_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memset(parts, 'A' + i, 2 * TMBI_PART_MAX);
        assert_int_equal(tmbi_meeting_post(f->meetings[0], parts, sizes[i]), 0);
        memset(all, 0, 3 * TMBI_PART_MAX);
        assert_int_equal(tmbi_meeting_collect(f->meetings[0], all), -EAGAIN);
        memset(parts, 'a' + i, sizes[i]);
        assert_int_equal(tmbi_meeting_post(f->meetings[1], parts, sizes[i]), 0);
        assert_int_equal(tmbi_meeting_collect(f->meetings[0], all), 0);
        for (uint32_t at = 0; at < sizes[i]; at++)
            assert_int_equal(all[at], 'a' + i);
        assert_int_equal(tmbi_meeting_collect(f->meetings[1], all), 0);
        for (uint32_t at = sizes[i]; at < 3 * sizes[i]; at++)
            assert_int_equal(all[at], 'A' + i);
    }
    free(parts);
    free(all);
}

static void faults_are_told(void **state)
{
    struct fixture *f = *state;
    const char *blame = NULL;

    two_meet(f);
    assert_int_equal(tmbi_meeting_faulted(f->meetings[1], &blame), 0);
    tmbi_meeting_fault(f->meetings[0], -ETIMEDOUT, "1, 5-7");
    tmbi_meeting_fault(f->meetings[0], -EHOSTDOWN, "2");
    assert_int_equal(tmbi_meeting_faulted(f->meetings[1], &blame), -ETIMEDOUT);
    assert_string_equal(blame, "1, 5-7");
    assert_int_equal(tmbi_meeting_faulted(f->meetings[0], &blame), 0);
    box(f, 0)->blame_bytes = UINT32_MAX;
    box(f, 0)->fault = UINT32_MAX;
    assert_int_equal(tmbi_meeting_faulted(f->meetings[1], &blame), -EPROTO);
    assert_true(strlen(blame) <= TMBI_BLAME_MAX);
}

/* ---- failures, signals ---- */

static void the_first_failure_counts(void **state)
{
    struct fixture *f = *state;
    struct tmbi_failure failure;

    two_meet(f);
    assert_false(tmbi_meeting_failed(f->meetings[0], &failure));
    tmbi_meeting_fail(f->meetings[1], TMBI_FAILURE_RANK, 0, 7);
    tmbi_meeting_fail(f->meetings[0], TMBI_FAILURE_END, -1, 124);
    for (int i = 0; i < 2; i++) {
        assert_true(tmbi_meeting_failed(f->meetings[i], &failure));
        assert_int_equal(failure.kind, TMBI_FAILURE_RANK);
        assert_int_equal(failure.rank, 0);
        assert_int_equal(failure.code, 7);
        assert_int_equal(failure.mate, 0);
    }
    tmbi_job_entry(f->meetings[0]->region, f->meetings[0]->job)->failure = UINT64_MAX;
    assert_true(tmbi_meeting_failed(f->meetings[0], &failure));
    assert_int_equal(failure.rank, -1);
    assert_int_equal(failure.code, 255);
}

static void a_death_is_a_failure_unless_ended(void **state)
{
    struct fixture *f = *state;
    struct tmbi_failure failure;

    two_meet(f);
    tmbi_meeting_end(f->meetings[1]);
    fake_close(&f->ways[1]);
    assert_false(tmbi_meeting_failed(f->meetings[0], &failure));
    assert_true(tmbi_meeting_over(f->meetings[0]));
    box(f, 1)->ended = 0;
    assert_true(tmbi_meeting_failed(f->meetings[0], &failure));
    assert_int_equal(failure.kind, TMBI_FAILURE_DEATH);
    assert_int_equal(failure.rank, 0);
    assert_int_equal(failure.code, 137);
    assert_true(tmbi_meeting_over(f->meetings[0]));
}

static void signals_are_passed_once(void **state)
{
    struct fixture *f = *state;

    two_meet(f);
    assert_int_equal(tmbi_meeting_signalled(f->meetings[0]), 0);
    tmbi_meeting_signal(f->meetings[1], 10);
    assert_int_equal(tmbi_meeting_signalled(f->meetings[1]), 0);
    assert_int_equal(tmbi_meeting_signalled(f->meetings[0]), 10);
    assert_int_equal(tmbi_meeting_signalled(f->meetings[0]), 0);
    tmbi_meeting_signal(f->meetings[1], 10);
    assert_int_equal(tmbi_meeting_signalled(f->meetings[0]), 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(in_the_order_of_ids),
        TEST(in_the_order_given),
        TEST(given_ranks_must_fit),
        TEST(no_more_than_there_are_places),
        TEST(who_goes_early_fails_all),
        TEST(who_dies_without_a_mailbox_fails_all),
        TEST(the_next_job_waits_for_the_end),
        TEST(garbage_mailboxes_are_refused),
        TEST(more_ranks_than_places_are_refused),
        TEST(others_doorbells_are_refused),
        TEST(places_are_checked),
        TEST(rounds_of_any_size),
        TEST(faults_are_told),
        TEST(the_first_failure_counts),
        TEST(a_death_is_a_failure_unless_ended),
        TEST(signals_are_passed_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
