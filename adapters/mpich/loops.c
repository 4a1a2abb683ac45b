/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPI's predefined operations: one loop for each operation on each C type, and tables of
 * them. Integers of both signs share what doesn't depend on the sign; arithmetic is
 * unsigned, so that it wraps.
 */
#include "loops.h"

#include <stdbool.h>

/* The processor's longer vectors, where it turns out to have them: a third more elements
 * of arrays that lie in its caches. Without fused operations, so results are the same. */
#ifdef __x86_64__
#define WIDE       __attribute__((target("avx2")))
#define HAS_WIDE() __builtin_cpu_supports("avx2")
#else
#define WIDE
#define HAS_WIDE() 0
#endif

/* A loop for x, which was there, and y, which comes. By blocks: compilers make vectors of
 * a loop of known length, if its memory is known not to overlap. */
#define BLOCK ((size_t)32)
#define LOOP_OVER(type, name, width, attribute)                                          \
    attribute static void type##_##name##width(void *target, const void *operand,        \
                                               size_t count)                             \
    {                                                                                    \
        type *to = target;                                                               \
        const type *from = operand;                                                      \
                                                                                         \
        for (; count >= BLOCK; count -= BLOCK, to += BLOCK, from += BLOCK)               \
            type##_##name##_each(to, from, BLOCK);                                       \
        type##_##name##_each(to, from, count);                                           \
    }
#define LOOP(type, name, result)                                                         \
    __attribute__((always_inline)) static inline void type##_##name##_each(              \
        type *restrict to, const type *restrict from, size_t count)                      \
    {                                                                                    \
        for (size_t i = 0; i < count; i++) {                                             \
            const type x = to[i], y = from[i];                                           \
            to[i] = (type)(result);                                                      \
        }                                                                                \
    }                                                                                    \
    LOOP_OVER(type, name, , )                                                            \
    LOOP_OVER(type, name, _wide, WIDE)

#define ORDER_LOOPS(type)                                                                \
    LOOP(type, max, x > y ? x : y)                                                       \
    LOOP(type, min, x < y ? x : y)
#define LOGICAL_LOOPS(type)                                                              \
    LOOP(type, land, (x != 0) & (y != 0))                                                \
    LOOP(type, lor, (x != 0) | (y != 0))                                                 \
    LOOP(type, lxor, (x != 0) ^ (y != 0))
#define ARITHMETIC_LOOPS(type)                                                           \
    LOOP(type, sum, x + y)                                                               \
    LOOP(type, prod, x *y)
/* 1u: a product of short ones is not to be a signed int. */
#define UNSIGNED_LOOPS(type)                                                             \
    LOOP(type, sum, x + y)                                                               \
    LOOP(type, prod, 1u * x * y)                                                         \
    LOOP(type, band, x &y)                                                               \
    LOOP(type, bor, x | y)                                                               \
    LOOP(type, bxor, x ^ y)                                                              \
    LOGICAL_LOOPS(type)
#define FLOATING_LOOPS(type)                                                             \
    ORDER_LOOPS(type)                                                                    \
    ARITHMETIC_LOOPS(type)                                                               \
    LOGICAL_LOOPS(type)

UNSIGNED_LOOPS(u8)
UNSIGNED_LOOPS(u16)
UNSIGNED_LOOPS(u32)
UNSIGNED_LOOPS(u64)
ORDER_LOOPS(i8)
ORDER_LOOPS(u8)
ORDER_LOOPS(i16)
ORDER_LOOPS(u16)
ORDER_LOOPS(i32)
ORDER_LOOPS(u32)
ORDER_LOOPS(i64)
ORDER_LOOPS(u64)
FLOATING_LOOPS(f32)
FLOATING_LOOPS(f64)
FLOATING_LOOPS(fl)
FLOATING_LOOPS(f128)
ARITHMETIC_LOOPS(c32)
ARITHMETIC_LOOPS(c64)
ARITHMETIC_LOOPS(cl)
ARITHMETIC_LOOPS(c128)

/* The better value and its place; of equal values, the lower place. */
#define PAIR_LOOP(pair, name, value_type, place_type, place_offset, extent, better)      \
    static void pair##_##name(void *target, const void *operand, size_t count)           \
    {                                                                                    \
        for (size_t i = 0; i < count; i++) {                                             \
            value_type *value = (void *)((uint8_t *)target + i * (extent));              \
            place_type *place = (void *)((uint8_t *)value + (place_offset));             \
            const value_type *y =                                                        \
                (const void *)((const uint8_t *)operand + i * (extent));                 \
            const place_type *at = (const void *)((const uint8_t *)y + (place_offset));  \
            bool take = *y better * value || (*y == *value && *at < *place);             \
                                                                                         \
            *value = take ? *y : *value;                                                 \
            *place = take ? *at : *place;                                                \
        }                                                                                \
    }
#define PAIR_LOOPS(pair, value_type, place_type, place_offset, extent)                   \
    PAIR_LOOP(pair, minloc, value_type, place_type, place_offset, extent, <)             \
    PAIR_LOOP(pair, maxloc, value_type, place_type, place_offset, extent, >)
#define WITH_PLACE_LOOPS(pair, value_type)                                               \
    PAIR_LOOPS(pair, value_type, i32, offsetof(struct pair, place), sizeof(struct pair))
#define TWO_LOOPS(pair, type) PAIR_LOOPS(pair, type, type, sizeof(type), 2 * sizeof(type))

WITH_PLACE_LOOPS(float_int, f32)
WITH_PLACE_LOOPS(double_int, f64)
WITH_PLACE_LOOPS(long_int, i64)
WITH_PLACE_LOOPS(short_int, i16)
WITH_PLACE_LOOPS(long_double_int, fl)
TWO_LOOPS(two_int, i32)
TWO_LOOPS(two_real, f32)
TWO_LOOPS(two_double, f64)

#define ORDER(type, w)      [TMBM_MAX] = type##_max##w, [TMBM_MIN] = type##_min##w
#define ARITHMETIC(type, w) [TMBM_SUM] = type##_sum##w, [TMBM_PROD] = type##_prod##w
#define LOGICAL(type, w)                                                                 \
    [TMBM_LAND] = type##_land##w, [TMBM_LOR] = type##_lor##w, [TMBM_LXOR] = type##_lxor##w
#define BITWISE(type, w)                                                                 \
    [TMBM_BAND] = type##_band##w, [TMBM_BOR] = type##_bor##w, [TMBM_BXOR] = type##_bxor##w
#define INTEGER(type, bits, w)                                                           \
    {                                                                                    \
        ORDER(type, w), ARITHMETIC(bits, w), LOGICAL(bits, w), BITWISE(bits, w)          \
    }
#define FLOATING(type, w)                                                                \
    {                                                                                    \
        ORDER(type, w), ARITHMETIC(type, w), LOGICAL(type, w)                            \
    }
#define PAIR(type)                                                                       \
    {                                                                                    \
        [TMBM_MINLOC] = type##_minloc, [TMBM_MAXLOC] = type##_maxloc                     \
    }

#define TABLE(w)                                                                         \
    {                                                                                    \
        [TMBM_BYTE] = {BITWISE(u8, w)}, [TMBM_INT8] = INTEGER(i8, u8, w),                \
        [TMBM_UINT8] = INTEGER(u8, u8, w), [TMBM_INT16] = INTEGER(i16, u16, w),          \
        [TMBM_UINT16] = INTEGER(u16, u16, w), [TMBM_INT32] = INTEGER(i32, u32, w),       \
        [TMBM_UINT32] = INTEGER(u32, u32, w), [TMBM_INT64] = INTEGER(i64, u64, w),       \
        [TMBM_UINT64] = INTEGER(u64, u64, w), [TMBM_FLOAT] = FLOATING(f32, w),           \
        [TMBM_DOUBLE] = FLOATING(f64, w), [TMBM_LONG_DOUBLE] = FLOATING(fl, w),          \
        [TMBM_FLOAT128] = FLOATING(f128, w),                                             \
        [TMBM_FLOAT_COMPLEX] = {ARITHMETIC(c32, w)},                                     \
        [TMBM_DOUBLE_COMPLEX] = {ARITHMETIC(c64, w)},                                    \
        [TMBM_LONG_DOUBLE_COMPLEX] = {ARITHMETIC(cl, w)},                                \
        [TMBM_FLOAT128_COMPLEX] = {ARITHMETIC(c128, w)}, [TMBM_BOOL] = {LOGICAL(u8, w)}, \
        [TMBM_LOGICAL] = {LOGICAL(u32, w)}, [TMBM_FLOAT_INT] = PAIR(float_int),          \
        [TMBM_DOUBLE_INT] = PAIR(double_int), [TMBM_LONG_INT] = PAIR(long_int),          \
        [TMBM_SHORT_INT] = PAIR(short_int),                                              \
        [TMBM_LONG_DOUBLE_INT] = PAIR(long_double_int), [TMBM_2INT] = PAIR(two_int),     \
        [TMBM_2REAL] = PAIR(two_real), [TMBM_2DOUBLE] = PAIR(two_double),                \
    }

static tmbm_op_loop *const loops[TMBM_ELEMENTS][TMBM_OPS] = TABLE();
static tmbm_op_loop *const loops_wide[TMBM_ELEMENTS][TMBM_OPS] = TABLE(_wide);

tmbm_op_loop *tmbm_loop(enum tmbm_op op, enum tmbm_element element, size_t count)
{
    return count >= BLOCK && HAS_WIDE() ? loops_wide[element][op] : loops[element][op];
}
