/* SPDX-License-Identifier: BSD-3-Clause */
/* What a job costs in the region: the budgets that core/DESIGN.md states. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../../core/team.h"
#include "../../providers/ivshmem/call.h"
#include "../../providers/ivshmem/layout.h"

static void a_rank_costs_at_most_4_kib(void **state)
{
    size_t slot = sizeof(struct tmbi_slot);
    size_t endpoint = (size_t)tmbi_call_block_bytes(64);
    size_t world = tmbi_sync_bytes(64) + tmbi_lock_bytes(64);

    (void)state;
    print_message("slot %zu, endpoint %zu, world %zu bytes\n", slot, endpoint, world);
    assert_true(slot + endpoint + world <= 4096);
}

static void a_rank_and_window_cost_at_most_256_bytes(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= 600; ranks++)
        assert_true(tmbi_lock_bytes(ranks) <= 256);
    assert_int_equal(tmbi_lock_bytes(64), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rank_costs_at_most_4_kib),
        cmocka_unit_test(a_rank_and_window_cost_at_most_256_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
