/* SPDX-License-Identifier: BSD-3-Clause */
/* Joining by an adapter's callbacks. The other ranks are what these write. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../core/adapter.h"
#include "../../core/bootstrap/bootstrap.h"

#define RANKS 3

/* What rank 0 gives in the exchange of the name; the layout is that of callbacks.c. */
struct name {
    int32_t status;
    char text[40];
};

static struct {
    int calls, status, exit_code;
    struct name name; /* rank 0's, unless that is us */
    int rank;
} others;

static int exchange(void *arg, const void *mine, size_t bytes, void *all)
{
    assert_ptr_equal(arg, &others);
    others.calls++;
    for (int i = 0; bytes && i < RANKS; i++)
        memcpy((uint8_t *)all + (size_t)i * bytes, mine, bytes);
    if (others.rank != 0 && bytes == sizeof(others.name))
        memcpy(all, &others.name, bytes);
    return others.status;
}

static void end_job(void *arg, int exit_code)
{
    assert_ptr_equal(arg, &others);
    others.exit_code = exit_code;
}

static int join(struct tmbi_bootstrap *b, int rank)
{
    const struct tmbi_adapter_callbacks callbacks = {.rank = rank,
                                                     .size = RANKS,
                                                     .exchange = exchange,
                                                     .abort = end_job,
                                                     .arg = &others};

    others.rank = rank;
    return tmbi_bootstrap_open_callbacks(b, &callbacks);
}

static int reset(void **state)
{
    (void)state;
    memset(&others, 0, sizeof(others));
    strcpy(others.name.text, "a name");
    return 0;
}

static void test_rank_0_names(void **state)
{
    struct tmbi_bootstrap a, b;

    (void)state;
    assert_int_equal(join(&a, 0), 0);
    assert_int_equal(join(&b, 0), 0);
    assert_int_equal(a.job.rank, 0);
    assert_int_equal(a.job.size, RANKS);
    assert_true(strlen(a.job.name) > 0 && strlen(a.job.name) < sizeof(a.job.name));
    assert_string_not_equal(a.job.name, b.job.name);
    a.ops->close(&a);
    b.ops->close(&b);
}

static void test_others_take_it(void **state)
{
    struct tmbi_bootstrap b;

    (void)state;
    assert_int_equal(join(&b, 2), 0);
    assert_int_equal(b.job.rank, 2);
    assert_string_equal(b.job.name, "a name");
    b.ops->close(&b);
}

static void test_no_name(void **state)
{
    struct tmbi_bootstrap b;

    (void)state;
    memset(others.name.text, 'x', sizeof(others.name.text));
    assert_int_equal(join(&b, 1), -EPROTO);
    others.name.text[0] = '\0';
    assert_int_equal(join(&b, 1), -EPROTO);
    others.name = (struct name){.status = -EIO, .text = "a name"};
    assert_int_equal(join(&b, 1), -EIO);
}

static void test_exchange(void **state)
{
    struct tmbi_bootstrap b;
    uint32_t mine = 7, all[RANKS] = {0};

    (void)state;
    others.status = -ECONNRESET;
    assert_int_equal(join(&b, 1), -ECONNRESET);
    others.status = 0;
    assert_int_equal(join(&b, 1), 0);
    assert_int_equal(b.ops->exchange(&b, &mine, sizeof(mine), all, 0), 0);
    assert_int_equal(all[RANKS - 1], 7);
    assert_int_equal(b.ops->exchange(&b, NULL, 0, NULL, 0), 0);
    assert_int_equal(others.calls, 4);
    others.status = 12; /* an error of somebody else's */
    assert_int_equal(b.ops->exchange(&b, &mine, sizeof(mine), all, 0), -EPROTO);
    b.ops->close(&b);
}

static void test_abort(void **state)
{
    struct tmbi_bootstrap b;

    (void)state;
    assert_int_equal(join(&b, 1), 0);
    b.ops->abort(&b, 42);
    assert_int_equal(others.exit_code, 42);
    b.ops->close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rank_0_names, reset),
        cmocka_unit_test_setup(test_others_take_it, reset),
        cmocka_unit_test_setup(test_no_name, reset),
        cmocka_unit_test_setup(test_exchange, reset),
        cmocka_unit_test_setup(test_abort, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
