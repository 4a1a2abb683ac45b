/* SPDX-License-Identifier: BSD-3-Clause */
/* Atomics: every type and operation, from everywhere, on every kind of memory. */
#include <math.h>

#include "suite.h"

/* On one word of the right neighbour: all operations in turn against plain arithmetic. */
#define TYPE_CASE(suffix, type, TYPE, low, high)                                         \
    static void ops_##suffix(tmb_win *win, int rank, uint64_t at)                        \
    {                                                                                    \
        type old = 0;                                                                    \
                                                                                         \
        OK(tmb_set_##suffix(win, rank, at, (type)5));                                    \
        OK(tmb_fetch_##suffix(win, rank, at, &old));                                     \
        CHECK(old == (type)5);                                                           \
        OK(tmb_fetch_add_##suffix(win, rank, at, (type)3, &old));                        \
        CHECK(old == (type)5);                                                           \
        OK(tmb_fetch_add_##suffix(win, rank, at, (type)-2, NULL));                       \
        OK(tmb_fetch_min_##suffix(win, rank, at, low, &old));                            \
        CHECK(old == (type)6);                                                           \
        OK(tmb_fetch_max_##suffix(win, rank, at, high, &old));                           \
        CHECK(old == low);                                                               \
        OK(tmb_fetch_min_##suffix(win, rank, at, high, &old));                           \
        CHECK(old == high);                                                              \
        OK(tmb_swap_##suffix(win, rank, at, (type)9, &old));                             \
        CHECK(old == high);                                                              \
        OK(tmb_cas_##suffix(win, rank, at, (type)8, (type)1, &old));                     \
        CHECK(old == (type)9);                                                           \
        OK(tmb_cas_##suffix(win, rank, at, (type)9, (type)1, &old));                     \
        CHECK(old == (type)9);                                                           \
        OK(tmb_fetch_##suffix(win, rank, at, &old));                                     \
        CHECK(old == (type)1);                                                           \
    }

#define BITS_CASE(suffix, type)                                                          \
    static void bits_##suffix(tmb_win *win, int rank, uint64_t at)                       \
    {                                                                                    \
        type old = 0;                                                                    \
                                                                                         \
        OK(tmb_set_##suffix(win, rank, at, (type)0xf0));                                 \
        OK(tmb_fetch_or_##suffix(win, rank, at, (type)0x0f, &old));                      \
        CHECK(old == (type)0xf0);                                                        \
        OK(tmb_fetch_and_##suffix(win, rank, at, (type)0x3c, &old));                     \
        CHECK(old == (type)0xff);                                                        \
        OK(tmb_fetch_xor_##suffix(win, rank, at, (type)0xff, &old));                     \
        CHECK(old == (type)0x3c);                                                        \
        OK(tmb_fetch_##suffix(win, rank, at, &old));                                     \
        CHECK(old == (type)0xc3);                                                        \
    }

TYPE_CASE(i32, int32_t, TMB_I32, INT32_MIN, INT32_MAX)
TYPE_CASE(u32, uint32_t, TMB_U32, 1u, UINT32_MAX)
TYPE_CASE(i64, int64_t, TMB_I64, INT64_MIN, INT64_MAX)
TYPE_CASE(u64, uint64_t, TMB_U64, UINT64_C(1), UINT64_MAX)
TYPE_CASE(f32, float, TMB_F32, -1e30f, 1e30f)
TYPE_CASE(f64, double, TMB_F64, -1e300, 1e300)
BITS_CASE(i32, int32_t)
BITS_CASE(u32, uint32_t)
BITS_CASE(i64, int64_t)
BITS_CASE(u64, uint64_t)

static void case_operations(void)
{
    struct window w;

    for (int memory = 0; memory < MEMORY_KINDS; memory++) {
        int right = (me + 1) % ranks;

        window_open(&w, (enum memory)memory, 256);
        ops_i32(w.win, right, 4);
        ops_u32(w.win, right, 12);
        ops_i64(w.win, right, 16);
        ops_u64(w.win, right, 24);
        ops_f32(w.win, right, 36);
        ops_f64(w.win, right, 40);
        bits_i32(w.win, right, 4);
        bits_u32(w.win, right, 12);
        bits_i64(w.win, right, 16);
        bits_u64(w.win, right, 24);
        OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
        CHECK(w.mine[0] == 0 && w.mine[8] == 0 && w.mine[32] == 0 && w.mine[48] == 0);
        window_close(&w);
    }
}

static void case_wraps(void)
{
    struct window w;
    int32_t old;
    int64_t old64;

    window_open(&w, MEMORY_ALLOC, 64);
    OK(tmb_set_i32(w.win, me, 0, INT32_MAX));
    OK(tmb_fetch_add_i32(w.win, me, 0, 1, NULL));
    OK(tmb_fetch_i32(w.win, me, 0, &old));
    CHECK(old == INT32_MIN);
    OK(tmb_set_i64(w.win, me, 8, INT64_MIN));
    OK(tmb_fetch_add_i64(w.win, me, 8, -1, NULL));
    OK(tmb_fetch_i64(w.win, me, 8, &old64));
    CHECK(old64 == INT64_MAX);
    window_close(&w);
}

static void case_nan(void)
{
    struct window w;
    double old;

    window_open(&w, MEMORY_ALLOC, 64);
    OK(tmb_set_f64(w.win, me, 0, NAN));
    OK(tmb_fetch_min_f64(w.win, me, 0, 4.0, &old));
    CHECK(isnan(old));
    OK(tmb_fetch_max_f64(w.win, me, 0, NAN, &old));
    CHECK(old == 4.0);
    OK(tmb_fetch_f64(w.win, me, 0, &old));
    CHECK(old == 4.0);
    window_close(&w);
}

static void case_errors(void)
{
    uint64_t word = 0;
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    for (uint64_t at = 1; at < 8; at++)
        EXPECT(tmb_fetch_u64(w.win, me, at, &word), -EINVAL);
    EXPECT(tmb_fetch_u32(w.win, me, 2, (uint32_t *)(void *)&word), -EINVAL);
    EXPECT(tmb_atomic(w.win, me, 0, TMB_F64, TMB_OP_AND, &word, NULL, &word), -EINVAL);
    EXPECT(tmb_atomic(w.win, me, 0, TMB_F32, TMB_OP_XOR, &word, NULL, &word), -EINVAL);
    EXPECT(tmb_atomic(w.win, me, 0, (enum tmb_type)6, TMB_OP_ADD, &word, NULL, NULL),
           -EINVAL);
    EXPECT(tmb_atomic(w.win, me, 0, TMB_U64, (enum tmb_atomic_op)77, &word, NULL, NULL),
           -EINVAL);
    EXPECT(tmb_atomic(w.win, me, 0, TMB_U64, TMB_OP_FETCH, NULL, NULL, NULL), -EINVAL);
    EXPECT(tmb_atomic(w.win, me, 0, TMB_U64, TMB_OP_ADD, NULL, NULL, &word), -EINVAL);
    EXPECT(tmb_atomic(w.win, me, 0, TMB_U64, TMB_OP_CAS, &word, NULL, &word), -EINVAL);
    EXPECT(tmb_atomic(w.win, me, 0, TMB_U64, TMB_OP_ADD, &word, &word, &word), -EINVAL);
    EXPECT(tmb_accumulate(w.win, me, 0, TMB_U64, TMB_OP_CAS, &word, 1, NULL), -EINVAL);
    EXPECT(tmb_accumulate(w.win, me, 4, TMB_U64, TMB_OP_ADD, &word, 1, NULL), -EINVAL);
    EXPECT(tmb_accumulate(w.win, me, 0, TMB_U64, TMB_OP_ADD, NULL, 1, NULL), -EINVAL);
    OK(tmb_accumulate(w.win, me, 0, TMB_U64, TMB_OP_ADD, NULL, 0, NULL));
    window_close(&w);
}

/* All ranks hammer one rank's words; none of what they add is lost. */
static void hammer(enum memory memory, int rounds)
{
    uint64_t sum;
    double real;
    int32_t small;
    struct window w;

    window_open(&w, memory, 64);
    for (int i = 0; i < rounds; i++) {
        uint64_t seen = 0, old = 0;

        OK(tmb_fetch_add_u64(w.win, 0, 0, 1, NULL));
        OK(tmb_fetch_add_f64(w.win, 0, 8, 0.5, NULL));
        OK(tmb_fetch_add_i32(w.win, 0, 16, -1, NULL));
        OK(tmb_fetch_u64(w.win, 0, 24, &seen));
        do {
            old = seen;
            OK(tmb_cas_u64(w.win, 0, 24, old, old + 1, &seen));
        } while (seen != old);
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_fetch_u64(w.win, 0, 0, &sum));
    OK(tmb_fetch_f64(w.win, 0, 8, &real));
    OK(tmb_fetch_i32(w.win, 0, 16, &small));
    CHECK(sum == (uint64_t)rounds * (uint64_t)ranks);
    CHECK(real == rounds * ranks / 2.0 && small == -rounds * ranks);
    OK(tmb_fetch_u64(w.win, 0, 24, &sum));
    CHECK(sum == (uint64_t)rounds * (uint64_t)ranks);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

static void case_hammer_alloc(void)
{
    hammer(MEMORY_ALLOC, 20000);
}

static void case_hammer_create(void)
{
    hammer(MEMORY_HEAP, 300);
}

static void case_hammer_adopted(void)
{
    hammer(MEMORY_ADOPTED_HEAP, 300);
    hammer(MEMORY_BLOCK, 300);
}

static void accumulate_on(enum memory memory)
{
    enum { COUNT = 20000 };
    static int64_t ones[COUNT], result[COUNT];
    struct window w;

    window_open(&w, memory, COUNT * 8);
    for (int i = 0; i < COUNT; i++)
        ones[i] = i;
    OK(tmb_accumulate(w.win, 0, 0, TMB_I64, TMB_OP_ADD, ones, COUNT, NULL));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    OK(tmb_accumulate(w.win, 0, 0, TMB_I64, TMB_OP_FETCH, NULL, COUNT, result));
    for (int i = 0; i < COUNT; i++)
        if (!CHECK(result[i] == (int64_t)i * ranks))
            break;
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    if (me == 0) {
        OK(tmb_accumulate(w.win, 0, 8, TMB_I64, TMB_OP_SWAP, ones, COUNT - 1, result));
        CHECK(result[0] == ranks && result[COUNT - 2] == (int64_t)(COUNT - 1) * ranks);
        OK(tmb_get(w.win, 0, 8, result, 16));
        CHECK(result[0] == 0 && result[1] == 1);
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

static void case_accumulate(void)
{
    for (int memory = 0; memory < MEMORY_KINDS; memory++)
        accumulate_on((enum memory)memory);
}

const struct suite_case atomic_cases[] = {
    {"atomic/operations", 1, case_operations},
    {"atomic/wraps", 1, case_wraps},
    {"atomic/nan", 1, case_nan},
    {"atomic/errors", 1, case_errors},
    {"atomic/hammer_alloc", 1, case_hammer_alloc},
    {"atomic/hammer_create", 1, case_hammer_create},
    {"atomic/hammer_adopted", 1, case_hammer_adopted},
    {"atomic/accumulate", 1, case_accumulate},
    {0}};
