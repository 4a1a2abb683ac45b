/* SPDX-License-Identifier: BSD-3-Clause */
/* A region that nobody serves: who comes first makes it, whoever dies on the way, and
 * what is something else is left alone. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "../../providers/ivshmem/region.h"

#define BYTES   (UINT64_C(2) << 20)
#define THREADS 4
#define ROUNDS  200

static uint8_t *base;

static int memory_open(void **state)
{
    (void)state;
    base = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return base == MAP_FAILED;
}

static int memory_close(void **state)
{
    (void)state;
    return munmap(base, BYTES);
}

static int form(void)
{
    return tmbi_region_form(base, BYTES, "memory");
}

static void zeros_become_a_region(void **state)
{
    static const uint8_t none[16];
    struct tmbi_region region, again;

    (void)state;
    assert_false(tmbi_region_formed(base));
    assert_int_equal(form(), 0);
    assert_true(tmbi_region_formed(base));
    assert_int_equal(tmbi_region_attach(&region, base, BYTES), 0);
    assert_int_equal(region.vectors, 0);
    assert_memory_not_equal(region.uuid, none, sizeof none);
    assert_int_equal(form(), 0);
    assert_int_equal(tmbi_region_attach(&again, base, BYTES), 0);
    assert_memory_equal(region.uuid, again.uuid, sizeof again.uuid);
}

static void a_servers_region_is_kept(void **state)
{
    struct tmbi_region region;

    (void)state;
    assert_int_equal(tmbi_region_format(base, BYTES, 3, 16), 0);
    assert_int_equal(form(), 0);
    assert_int_equal(tmbi_region_attach(&region, base, BYTES), 0);
    assert_int_equal(region.vectors, 3);
}

/* Each word of what will be a header, and nothing else, may be there already. */
static void half_made_is_finished(void **state)
{
    uint8_t whole[96];

    (void)state;
    assert_int_equal(form(), 0);
    memcpy(whole, base, sizeof whole);
    for (size_t words = 1; words < sizeof whole / 8; words++) {
        memset(base, 0, sizeof whole);
        memcpy(base + 8, whole + 8, words * 8);
        assert_int_equal(form(), 0);
        struct tmbi_region region;
        assert_int_equal(tmbi_region_attach(&region, base, BYTES), 0);
        if (words >= 4)
            assert_memory_equal(base, whole, sizeof whole);
    }
}

static void something_else_is_left_alone(void **state)
{
    static const size_t places[] = {0, 8, 16, 40, 88, 96, 4096, 8192, 100000};
    struct tmbi_region region;

    (void)state;
    assert_int_equal(form(), 0);
    assert_int_equal(tmbi_region_attach(&region, base, BYTES), 0);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        assert_true(places[i] < region.heap_offset);
        memset(base, 0, BYTES);
        base[places[i]] = 0xa5;
        assert_int_equal(form(), -EPROTO);
        assert_int_equal(base[places[i]], 0xa5);
        base[places[i]] = 0;
        for (size_t at = 0; at < BYTES; at++)
            assert_int_equal(base[at], 0);
    }
}

static void what_lies_in_the_heap_is_no_matter(void **state)
{
    (void)state;
    memset(base + BYTES - 4096, 0xa5, 4096);
    assert_int_equal(form(), 0);
}

static void a_wrong_size_is_eproto(void **state)
{
    (void)state;
    assert_int_equal(tmbi_region_form(base, BYTES - 4096, "memory"), -EPROTO);
    assert_int_equal(tmbi_region_form(base, 4096, "memory"), -EPROTO);
}

/* ---- several at once ---- */

static pthread_barrier_t start;

static void *form_and_claim(void *arg)
{
    struct tmbi_region region;
    uint32_t slot;

    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&start);
        if (form() || tmbi_region_attach(&region, base, BYTES))
            return NULL;
        memcpy((uint8_t *)arg + 1, region.uuid, sizeof region.uuid);
        if (tmbi_slot_claim(&region, (uint32_t) * (uint8_t *)arg + TMBI_PEER_POLLS,
                            TMBI_SLOT_OWN, 1, &slot))
            return NULL;
        pthread_barrier_wait(&start);
    }
    return arg;
}

static void all_at_once_make_one_region(void **state)
{
    uint8_t who[THREADS][17];
    pthread_t threads[THREADS];

    (void)state;
    pthread_barrier_init(&start, NULL, THREADS + 1);
    for (uint8_t i = 0; i < THREADS; i++) {
        who[i][0] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, form_and_claim, who[i]), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        memset(base, 0, BYTES);
        pthread_barrier_wait(&start);
        pthread_barrier_wait(&start);
        for (int i = 1; i < THREADS; i++)
            assert_memory_equal(who[i] + 1, who[0] + 1, 16);
    }
    for (int i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_ptr_equal(result, who[i]);
    }
    pthread_barrier_destroy(&start);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, memory_open, memory_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(zeros_become_a_region),
        CASE(a_servers_region_is_kept),
        CASE(half_made_is_finished),
        CASE(something_else_is_left_alone),
        CASE(what_lies_in_the_heap_is_no_matter),
        CASE(a_wrong_size_is_eproto),
        CASE(all_at_once_make_one_region),
    };

    return cmocka_run_group_tests_name("form", tests, NULL, NULL);
}
