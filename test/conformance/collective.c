/* SPDX-License-Identifier: BSD-3-Clause */
/* Barrier, bcast, allgather, allreduce. */
#include <math.h>
#include <stdio.h>

#include "suite.h"

static void case_barrier_orders(void)
{
    struct window w;
    uint64_t value, round;

    window_open(&w, MEMORY_ALLOC, 64);
    for (round = 1; round <= 200; round++) {
        OK(tmb_put(w.win, (me + 1) % ranks, 0, &round, sizeof(round)));
        OK(tmb_flush(w.win, (me + 1) % ranks));
        OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
        memcpy(&value, w.mine, sizeof(value));
        CHECK(value == round);
        OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    }
    window_close(&w);
}

static void case_bcast(void)
{
    static const size_t sizes[] = {0, 1, 7, 511, 512, 513, 4096, 100001};

    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
        for (int root = 0; root<ranks; root += ranks> 3 ? ranks - 1 : 1) {
            uint8_t *data = malloc(sizes[s] + 1);

            memset(data, me == root ? root + 1 : 0, sizes[s] + 1);
            data[sizes[s]] = 0xee;
            OK(tmb_bcast(TMB_TEAM_WORLD, root, data, sizes[s], TMB_FOREVER));
            for (size_t i = 0; i < sizes[s]; i++)
                if (!CHECK(data[i] == root + 1))
                    break;
            CHECK(data[sizes[s]] == 0xee);
            free(data);
        }
    EXPECT(tmb_bcast(TMB_TEAM_WORLD, ranks, NULL, 0, TMB_FOREVER), -EINVAL);
    EXPECT(tmb_bcast(TMB_TEAM_WORLD, 0, NULL, 5, TMB_FOREVER), -EFAULT);
}

static void case_allgather(void)
{
    static const size_t sizes[] = {0, 1, 24, 512, 1300, 70000};

    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        uint8_t *mine = malloc(sizes[s] + 1), *all = malloc(sizes[s] * (size_t)ranks + 1);

        for (size_t i = 0; i < sizes[s]; i++)
            mine[i] = (uint8_t)(i * 31 + (size_t)me);
        OK(tmb_allgather(TMB_TEAM_WORLD, mine, all, sizes[s], TMB_FOREVER));
        for (size_t i = 0; i < sizes[s] * (size_t)ranks; i++)
            if (!CHECK(all[i] == (uint8_t)(i % sizes[s] * 31 + i / sizes[s])))
                break;
        free(mine);
        free(all);
    }
}

/* Every type and operation, against what the ranks' values give when combined in order.
 */
#define REDUCE_CASE(suffix, type, TYPE, value_of, combine_min, combine_max)              \
    static void reduce_##suffix(void)                                                    \
    {                                                                                    \
        type mine[700], sum[700], low[700], high[700];                                   \
                                                                                         \
        for (int i = 0; i < 700; i++)                                                    \
            mine[i] = value_of(me, i);                                                   \
        OK(tmb_allreduce(TMB_TEAM_WORLD, mine, sum, 700, TYPE, TMB_OP_ADD,               \
                         TMB_FOREVER));                                                  \
        OK(tmb_allreduce(TMB_TEAM_WORLD, mine, low, 700, TYPE, TMB_OP_MIN,               \
                         TMB_FOREVER));                                                  \
        OK(tmb_allreduce(TMB_TEAM_WORLD, mine, high, 700, TYPE, TMB_OP_MAX,              \
                         TMB_FOREVER));                                                  \
        for (int i = 0; i < 700; i++) {                                                  \
            type s = value_of(0, i), l = s, h = s;                                       \
                                                                                         \
            for (int r = 1; r < ranks; r++) {                                            \
                type v = value_of(r, i);                                                 \
                s = (type)(s + v);                                                       \
                l = combine_min(l, v);                                                   \
                h = combine_max(h, v);                                                   \
            }                                                                            \
            if (!CHECK(sum[i] == s && low[i] == l && high[i] == h))                      \
                break;                                                                   \
        }                                                                                \
    }

#define LESS(a, b)           ((a) < (b) ? (a) : (b))
#define MORE(a, b)           ((a) > (b) ? (a) : (b))
#define SIGNED_VALUE(r, i)   ((i)*3 - 1000 + (r) * ((i) % 2 ? 7 : -9))
#define UNSIGNED_VALUE(r, i) ((unsigned)(i)*5u + (unsigned)(r)*77u)
#define REAL_VALUE(r, i)     ((float)(i) / 3.0f - (float)(r)*1.25f)
#define DOUBLE_VALUE(r, i)   ((double)(i) / 3.0 - (double)(r)*1.1)

REDUCE_CASE(i32, int32_t, TMB_I32, SIGNED_VALUE, LESS, MORE)
REDUCE_CASE(u32, uint32_t, TMB_U32, UNSIGNED_VALUE, LESS, MORE)
REDUCE_CASE(i64, int64_t, TMB_I64, SIGNED_VALUE, LESS, MORE)
REDUCE_CASE(u64, uint64_t, TMB_U64, UNSIGNED_VALUE, LESS, MORE)
REDUCE_CASE(f32, float, TMB_F32, REAL_VALUE, fminf, fmaxf)
REDUCE_CASE(f64, double, TMB_F64, DOUBLE_VALUE, fmin, fmax)

static void case_allreduce(void)
{
    reduce_i32();
    reduce_u32();
    reduce_i64();
    reduce_u64();
    reduce_f32();
    reduce_f64();
}

static void case_allreduce_bits(void)
{
    uint64_t mine = UINT64_C(1) << me | UINT64_C(1) << 63, all, every = 0;
    uint32_t odd = 0xf0u + (uint32_t)me, xored, expected = 0;

    for (int i = 0; i < ranks; i++) {
        every |= UINT64_C(1) << i;
        expected ^= 0xf0u + (uint32_t)i;
    }
    OK(tmb_allreduce(TMB_TEAM_WORLD, &mine, &all, 1, TMB_U64, TMB_OP_OR, TMB_FOREVER));
    CHECK(all == (every | UINT64_C(1) << 63));
    OK(tmb_allreduce(TMB_TEAM_WORLD, &mine, &all, 1, TMB_U64, TMB_OP_AND, TMB_FOREVER));
    CHECK(all == (ranks > 1 ? UINT64_C(1) << 63 : mine));
    OK(tmb_allreduce(TMB_TEAM_WORLD, &odd, &xored, 1, TMB_U32, TMB_OP_XOR, TMB_FOREVER));
    CHECK(xored == expected);
}

static void case_allreduce_in_place(void)
{
    double value[3] = {me, 1, -me};

    OK(tmb_allreduce(TMB_TEAM_WORLD, value, value, 3, TMB_F64, TMB_OP_ADD, TMB_FOREVER));
    CHECK(value[0] == ranks * (ranks - 1) / 2 && value[1] == ranks &&
          value[2] == -value[0]);
}

static void case_allreduce_errors(void)
{
    double a = 0, b;

    EXPECT(tmb_allreduce(TMB_TEAM_WORLD, &a, &b, 1, TMB_F64, TMB_OP_XOR, 0), -EINVAL);
    EXPECT(tmb_allreduce(TMB_TEAM_WORLD, &a, &b, 1, TMB_F64, TMB_OP_SWAP, 0), -EINVAL);
    EXPECT(tmb_allreduce(TMB_TEAM_WORLD, &a, &b, 1, (enum tmb_type)9, TMB_OP_ADD, 0),
           -EINVAL);
    EXPECT(tmb_allreduce(TMB_TEAM_WORLD, NULL, &b, 1, TMB_F64, TMB_OP_ADD, 0), -EFAULT);
    OK(tmb_allreduce(TMB_TEAM_WORLD, NULL, NULL, 0, TMB_F64, TMB_OP_ADD, TMB_FOREVER));
}

/* All but rank 0 come late, so rank 0's collective times out, is resumed and is right. */
static void case_resume(void)
{
    static uint8_t mine[1500], all[1500 * RANKS_MAX];
    int rc, rounds = 0;

    memset(mine, me + 1, sizeof(mine));
    if (me != 0)
        suite_sleep(30000000);
    while ((rc = tmb_allgather(TMB_TEAM_WORLD, mine, all, sizeof(mine),
                               me ? -1 : 1000000)) == -ETIMEDOUT)
        if (rounds++ == 0)
            EXPECT(tmb_barrier(TMB_TEAM_WORLD, 0), -EBUSY);
    CHECK(rc == 0 && (me != 0 || ranks == 1 || rounds > 0));
    for (int i = 0; i < ranks; i++)
        CHECK(all[i * 1500] == i + 1 && all[i * 1500 + 1499] == i + 1);
}

/* A split-phase barrier: nobody is through before the last has come. */
static void case_split_phase(void)
{
    int rc = tmb_barrier(TMB_TEAM_WORLD, 0);

    CHECK(rc == 0 || rc == -ETIMEDOUT);
    while (rc == -ETIMEDOUT) {
        suite_sleep(100000);
        rc = tmb_barrier(TMB_TEAM_WORLD, 0);
    }
    EXPECT(rc, 0);
}

const struct suite_case collective_cases[] = {
    {"collective/barrier", 1, case_barrier_orders},
    {"collective/bcast", 1, case_bcast},
    {"collective/allgather", 1, case_allgather},
    {"collective/allreduce", 1, case_allreduce},
    {"collective/allreduce_bits", 1, case_allreduce_bits},
    {"collective/allreduce_in_place", 1, case_allreduce_in_place},
    {"collective/allreduce_errors", 1, case_allreduce_errors},
    {"collective/resume", 1, case_resume},
    {"collective/split_phase", 1, case_split_phase},
    {0}};
