/* SPDX-License-Identifier: BSD-3-Clause */
/* Heartbeats: who is judged, after how long, and who is not, with forged beats and a
 * forged clock; and a heart of our own. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../core/clock.h"
#include "../../core/include/tombolo.h"
#include "../../providers/ivshmem/ivshmem.h"

#define MS    INT64_C(1000000)
#define LIMIT (1000 * MS)
#define STEP  (250 * MS)

static struct tmbi_watch watch;
static int64_t now;

static int watch_open(void **state)
{
    (void)state;
    now = 5000 * MS;
    return tmbi_watch_init(&watch, 2, LIMIT);
}

static int watch_close(void **state)
{
    (void)state;
    tmbi_watch_fini(&watch);
    return 0;
}

/* A step later; whether heart 0, which shows `heartbeat`, is found to have stopped. */
static bool stale_after_step(uint64_t heartbeat, int64_t step)
{
    now += step;
    assert_true(tmbi_watch_begin(&watch, now));
    bool stale = tmbi_watch_stale(&watch, 0, heartbeat, now);
    tmbi_watch_end(&watch);
    return stale;
}

static void beating_lives(void **state)
{
    (void)state;
    for (uint64_t beat = 1; beat < 100; beat++)
        assert_false(stale_after_step(beat, STEP));
}

static void stopped_is_stale_past_the_limit(void **state)
{
    (void)state;
    for (int i = 0; i <= LIMIT / STEP; i++)
        assert_false(stale_after_step(7, STEP));
    assert_true(stale_after_step(7, STEP));
    assert_true(stale_after_step(7, STEP));
    assert_false(stale_after_step(8, STEP));
}

static void a_slow_heart_lives(void **state)
{
    (void)state;
    for (uint64_t beat = 1; beat < 10; beat++)
        for (int i = 0; i < LIMIT / STEP; i++)
            assert_false(stale_after_step(beat, STEP));
}

static void who_has_no_heart_is_not_judged(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        assert_false(stale_after_step(0, STEP));
}

/* A heart that is seen to have stopped while we were stopped, too, gets its whole time.
 */
static void our_own_pause_fools_nobody(void **state)
{
    (void)state;
    assert_false(stale_after_step(7, STEP));
    assert_false(stale_after_step(7, 60000 * MS));
    for (int i = 0; i < LIMIT / STEP; i++)
        assert_false(stale_after_step(7, STEP));
    assert_true(stale_after_step(7, STEP));
}

static void for_ever_is_never(void **state)
{
    (void)state;
    tmbi_watch_fini(&watch);
    assert_int_equal(tmbi_watch_init(&watch, 1, -1), 0);
    for (int i = 0; i < 1000; i++)
        assert_false(stale_after_step(7, STEP));
}

static void looks_are_rare_and_one_at_a_time(void **state)
{
    (void)state;
    assert_true(tmbi_watch_begin(&watch, now));
    assert_false(tmbi_watch_begin(&watch, now + STEP));
    tmbi_watch_end(&watch);
    assert_false(tmbi_watch_begin(&watch, now + STEP - 1));
    assert_true(tmbi_watch_begin(&watch, now + STEP));
}

static void a_heart_beats_while_its_slot_lives(void **state)
{
    struct tmbi_slot slot = {.word = TMBI_SLOT_WORD(TMBI_SLOT_LIVE, 3), .epoch = 3};
    struct tmbi_heart heart;
    int64_t end = tmbi_deadline(20000 * MS);

    (void)state;
    assert_int_equal(tmbi_heart_start(&heart, &slot, 3, -1), 0);
    while (slot.heartbeat < 3 && tmbi_clock_ns() < end)
        nanosleep(&(struct timespec){.tv_nsec = MS}, NULL);
    assert_true(slot.heartbeat >= 3);
    slot.word = TMBI_SLOT_WORD(TMBI_SLOT_DEAD, 3);
    nanosleep(&(struct timespec){.tv_nsec = STEP + 50 * MS}, NULL);
    uint64_t last = slot.heartbeat;
    nanosleep(&(struct timespec){.tv_nsec = 2 * STEP}, NULL);
    assert_int_equal(slot.heartbeat, last);
    tmbi_heart_stop(&heart);
}

/* ---- a rank ---- */

struct alone {
    struct tmbi_job job;
    struct tmbi_endpoint *ep;
    struct tmbi_ivshmem *iv;
};

static int alone_open(void **state)
{
    static struct alone alone;

    memset(&alone, 0, sizeof alone);
    alone.job = (struct tmbi_job){.size = 1, .name = "heartbeat_test"};
    if (tmbi_provider_ivshmem.open(&alone.job, NULL, &alone.ep))
        return -1;
    alone.iv = (struct tmbi_ivshmem *)alone.ep;
    *state = &alone;
    return 0;
}

static int alone_close(void **state)
{
    struct alone *alone = *state;

    tmbi_provider_ivshmem.close(alone->ep, true);
    return 0;
}

static void declared_dead_by_others_is_dead(void **state)
{
    struct alone *alone = *state;
    struct tmbi_ivshmem *iv = alone->iv;
    uint8_t address[TMBI_ADDRESS_BYTES];

    tmbi_provider_ivshmem.address(alone->ep, address);
    assert_int_equal(tmbi_provider_ivshmem.connect(alone->ep, address, sizeof address, 0),
                     0);
    assert_int_equal(tmbi_provider_ivshmem.peer_state(alone->ep, 0), TMB_PEER_ALIVE);
    assert_true(tmbi_slot_gone(iv->region, iv->way->slot, iv->way->epoch));
    tmbi_ivshmem_look(iv, tmbi_clock_ns() + STEP);
    assert_true(iv->declared_dead);
    assert_int_equal(tmbi_provider_ivshmem.peer_state(alone->ep, 0), TMB_PEER_DEAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(beating_lives, watch_open, watch_close),
        cmocka_unit_test_setup_teardown(stopped_is_stale_past_the_limit, watch_open,
                                        watch_close),
        cmocka_unit_test_setup_teardown(a_slow_heart_lives, watch_open, watch_close),
        cmocka_unit_test_setup_teardown(who_has_no_heart_is_not_judged, watch_open,
                                        watch_close),
        cmocka_unit_test_setup_teardown(our_own_pause_fools_nobody, watch_open,
                                        watch_close),
        cmocka_unit_test_setup_teardown(for_ever_is_never, watch_open, watch_close),
        cmocka_unit_test_setup_teardown(looks_are_rare_and_one_at_a_time, watch_open,
                                        watch_close),
        cmocka_unit_test(a_heart_beats_while_its_slot_lives),
        cmocka_unit_test_setup_teardown(declared_dead_by_others_is_dead, alone_open,
                                        alone_close),
    };

    unsetenv("TMB_SERVER");
    return cmocka_run_group_tests_name("heartbeat", tests, NULL, NULL);
}
