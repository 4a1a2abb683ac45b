/* SPDX-License-Identifier: BSD-3-Clause */
/* Meeting: which addresses are believed, and what a failed meeting leaves behind. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../core/clock.h"
#include "../../core/include/tombolo.h"
#include "../../providers/ivshmem/ivshmem.h"

#define RANKS 3

static const struct tmbi_provider *ops = &tmbi_provider_ivshmem;

/* Alone in a region of its own, and then told of more ranks. */
struct fixture {
    struct tmbi_job job;
    struct tmbi_endpoint *ep;
    uint8_t addresses[RANKS][TMBI_ADDRESS_BYTES];
};

static int fixture_open(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    f->job = (struct tmbi_job){.rank = 0, .size = 1, .name = "peers_test"};
    if (ops->open(&f->job, NULL, &f->ep))
        return -1;
    ops->address(f->ep, f->addresses[0]);
    f->job.size = RANKS;
    *state = f;
    return 0;
}

static int fixture_close(void **state)
{
    struct fixture *f = *state;

    ops->close(f->ep, false);
    free(f);
    /* Closing what was never opened would hit the standard files first. */
    return fcntl(0, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0 ? 0 : -1;
}

static int meet(struct fixture *f)
{
    return ops->connect(f->ep, f->addresses[0], TMBI_ADDRESS_BYTES, tmbi_deadline(0));
}

static void without_a_region_is_unreached(void **state)
{
    struct fixture *f = *state;
    const char *why = NULL;

    /* Rank 1 has no endpoint, and rank 2 one in another region (bytes 8 .. 23). */
    memcpy(f->addresses[2], f->addresses[0], TMBI_ADDRESS_BYTES);
    f->addresses[2][8] ^= 1;
    assert_int_equal(meet(f), 0);
    assert_int_equal(ops->reach(f->ep, 0, &why), 0);
    assert_int_equal(ops->peer_state(f->ep, 0), TMB_PEER_ALIVE);
    assert_int_equal(ops->reach(f->ep, 1, &why), -EHOSTUNREACH);
    assert_string_equal(why, "it has no region");
    assert_int_equal(ops->reach(f->ep, 2, &why), -EHOSTUNREACH);
    assert_string_equal(why, "it has no region in common with us");
}

static void garbage_is_eproto(void **state)
{
    struct fixture *f = *state;

    memset(f->addresses[1], 0x5a, TMBI_ADDRESS_BYTES);
    assert_int_equal(meet(f), -EPROTO);
}

static void another_ranks_slot_is_eproto(void **state)
{
    struct fixture *f = *state;

    memcpy(f->addresses[1], f->addresses[0], TMBI_ADDRESS_BYTES);
    assert_int_equal(meet(f), -EPROTO);
}

static void own_garbage_is_eproto(void **state)
{
    struct fixture *f = *state;

    memset(f->addresses[0], 0xff, TMBI_ADDRESS_BYTES);
    assert_int_equal(meet(f), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_region_is_unreached, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(garbage_is_eproto, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(another_ranks_slot_is_eproto, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(own_garbage_is_eproto, fixture_open,
                                        fixture_close),
    };

    unsetenv("TMB_SERVER");
    return cmocka_run_group_tests_name("peers", tests, NULL, NULL);
}
