/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPI's predefined operations: one loop for each operation on each C type, and tables of
 * them. Integers of both signs share what doesn't depend on the sign; arithmetic is
 * unsigned, so that it wraps.
 */
#include "operator.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#define PLAIN_ELEMENT(type) [(type)&0xff]

/* By the lowest byte of a handle, which tells MPICH's one-piece types apart. */
const uint8_t tmbm_plain_elements[TMBM_PLAIN_CODES] = {
    PLAIN_ELEMENT(MPI_BYTE) = TMBM_BYTE,
    PLAIN_ELEMENT(MPI_PACKED) = TMBM_BYTE,
    PLAIN_ELEMENT(MPI_CHAR) = CHAR_MIN < 0 ? TMBM_INT8 : TMBM_UINT8,
    PLAIN_ELEMENT(MPI_CHARACTER) = CHAR_MIN < 0 ? TMBM_INT8 : TMBM_UINT8,
    PLAIN_ELEMENT(MPI_SIGNED_CHAR) = TMBM_INT8,
    PLAIN_ELEMENT(MPI_INT8_T) = TMBM_INT8,
    PLAIN_ELEMENT(MPI_INTEGER1) = TMBM_INT8,
    PLAIN_ELEMENT(MPI_UNSIGNED_CHAR) = TMBM_UINT8,
    PLAIN_ELEMENT(MPI_UINT8_T) = TMBM_UINT8,
    PLAIN_ELEMENT(MPI_SHORT) = TMBM_INT16,
    PLAIN_ELEMENT(MPI_INT16_T) = TMBM_INT16,
    PLAIN_ELEMENT(MPI_INTEGER2) = TMBM_INT16,
    PLAIN_ELEMENT(MPI_UNSIGNED_SHORT) = TMBM_UINT16,
    PLAIN_ELEMENT(MPI_UINT16_T) = TMBM_UINT16,
    PLAIN_ELEMENT(MPI_INT) = TMBM_INT32,
    PLAIN_ELEMENT(MPI_INT32_T) = TMBM_INT32,
    PLAIN_ELEMENT(MPI_INTEGER) = TMBM_INT32,
    PLAIN_ELEMENT(MPI_INTEGER4) = TMBM_INT32,
    PLAIN_ELEMENT(MPI_WCHAR) = WCHAR_MIN < 0 ? TMBM_INT32 : TMBM_UINT32,
    PLAIN_ELEMENT(MPI_UNSIGNED) = TMBM_UINT32,
    PLAIN_ELEMENT(MPI_UINT32_T) = TMBM_UINT32,
    PLAIN_ELEMENT(MPI_LONG) = TMBM_INT64,
    PLAIN_ELEMENT(MPI_LONG_LONG_INT) = TMBM_INT64,
    PLAIN_ELEMENT(MPI_INT64_T) = TMBM_INT64,
    PLAIN_ELEMENT(MPI_INTEGER8) = TMBM_INT64,
    PLAIN_ELEMENT(MPI_AINT) = TMBM_INT64,
    PLAIN_ELEMENT(MPI_OFFSET) = TMBM_INT64,
    PLAIN_ELEMENT(MPI_COUNT) = TMBM_INT64,
    PLAIN_ELEMENT(MPI_UNSIGNED_LONG) = TMBM_UINT64,
    PLAIN_ELEMENT(MPI_UNSIGNED_LONG_LONG) = TMBM_UINT64,
    PLAIN_ELEMENT(MPI_UINT64_T) = TMBM_UINT64,
    PLAIN_ELEMENT(MPIX_C_FLOAT16) = TMBM_FLOAT16,
    PLAIN_ELEMENT(MPI_FLOAT) = TMBM_FLOAT,
    PLAIN_ELEMENT(MPI_REAL) = TMBM_FLOAT,
    PLAIN_ELEMENT(MPI_REAL4) = TMBM_FLOAT,
    PLAIN_ELEMENT(MPI_DOUBLE) = TMBM_DOUBLE,
    PLAIN_ELEMENT(MPI_DOUBLE_PRECISION) = TMBM_DOUBLE,
    PLAIN_ELEMENT(MPI_REAL8) = TMBM_DOUBLE,
    PLAIN_ELEMENT(MPI_LONG_DOUBLE) = TMBM_LONG_DOUBLE,
    PLAIN_ELEMENT(MPI_REAL16) = TMBM_FLOAT128,
    PLAIN_ELEMENT(MPI_C_FLOAT_COMPLEX) = TMBM_FLOAT_COMPLEX,
    PLAIN_ELEMENT(MPI_COMPLEX) = TMBM_FLOAT_COMPLEX,
    PLAIN_ELEMENT(MPI_COMPLEX8) = TMBM_FLOAT_COMPLEX,
    PLAIN_ELEMENT(MPI_CXX_FLOAT_COMPLEX) = TMBM_FLOAT_COMPLEX,
    PLAIN_ELEMENT(MPI_C_DOUBLE_COMPLEX) = TMBM_DOUBLE_COMPLEX,
    PLAIN_ELEMENT(MPI_DOUBLE_COMPLEX) = TMBM_DOUBLE_COMPLEX,
    PLAIN_ELEMENT(MPI_COMPLEX16) = TMBM_DOUBLE_COMPLEX,
    PLAIN_ELEMENT(MPI_CXX_DOUBLE_COMPLEX) = TMBM_DOUBLE_COMPLEX,
    PLAIN_ELEMENT(MPI_C_LONG_DOUBLE_COMPLEX) = TMBM_LONG_DOUBLE_COMPLEX,
    PLAIN_ELEMENT(MPI_CXX_LONG_DOUBLE_COMPLEX) = TMBM_LONG_DOUBLE_COMPLEX,
    PLAIN_ELEMENT(MPI_COMPLEX32) = TMBM_FLOAT128_COMPLEX,
    PLAIN_ELEMENT(MPI_C_BOOL) = TMBM_BOOL,
    PLAIN_ELEMENT(MPI_CXX_BOOL) = TMBM_BOOL,
    PLAIN_ELEMENT(MPI_LOGICAL) = TMBM_LOGICAL,
    PLAIN_ELEMENT(MPI_2INT) = TMBM_2INT,
    PLAIN_ELEMENT(MPI_2INTEGER) = TMBM_2INT,
    PLAIN_ELEMENT(MPI_2REAL) = TMBM_2REAL,
    PLAIN_ELEMENT(MPI_2DOUBLE_PRECISION) = TMBM_2DOUBLE,
};

enum tmbm_element tmbm_element_of_pair(MPI_Datatype type)
{
    switch ((unsigned)type) {
    case MPI_FLOAT_INT:
        return TMBM_FLOAT_INT;
    case MPI_DOUBLE_INT:
        return TMBM_DOUBLE_INT;
    case MPI_LONG_INT:
        return TMBM_LONG_INT;
    case MPI_SHORT_INT:
        return TMBM_SHORT_INT;
    case MPI_LONG_DOUBLE_INT:
        return TMBM_LONG_DOUBLE_INT;
    default:
        return TMBM_MIXED;
    }
}

/* C's types as they lie in a user's buffer, aligned or not. */
#define ANYWHERE __attribute__((aligned(1), may_alias))
typedef float quad __attribute__((mode(TF))); /* whatever the compiler calls it */
typedef _Complex float quad_complex __attribute__((mode(TC)));
typedef int8_t i8 ANYWHERE;
typedef uint8_t u8 ANYWHERE;
typedef int16_t i16 ANYWHERE;
typedef uint16_t u16 ANYWHERE;
typedef int32_t i32 ANYWHERE;
typedef uint32_t u32 ANYWHERE;
typedef int64_t i64 ANYWHERE;
typedef uint64_t u64 ANYWHERE;
typedef float f32 ANYWHERE;
typedef double f64 ANYWHERE;
typedef long double fl ANYWHERE;
typedef quad f128 ANYWHERE;
typedef _Complex float c32 ANYWHERE;
typedef _Complex double c64 ANYWHERE;
typedef _Complex long double cl ANYWHERE;
typedef quad_complex c128 ANYWHERE;

/* Pairs of two types, as C lays them out. */
struct float_int {
    float value;
    int place;
};
struct double_int {
    double value;
    int place;
};
struct long_int {
    long value;
    int place;
};
struct short_int {
    short value;
    int place;
};
struct long_double_int {
    long double value;
    int place;
};

#define WHOLE(type)                                                                      \
    {                                                                                    \
        sizeof(type), sizeof(type), sizeof(type)                                         \
    }
#define WITH_PLACE(pair)                                                                 \
    {                                                                                    \
        sizeof(((struct pair *)0)->value) + sizeof(int),                                 \
            offsetof(struct pair, place) + sizeof(int), sizeof(struct pair)              \
    }

const struct tmbm_sizes tmbm_sizes[TMBM_ELEMENTS] = {
    [TMBM_BYTE] = WHOLE(u8),
    [TMBM_INT8] = WHOLE(i8),
    [TMBM_UINT8] = WHOLE(u8),
    [TMBM_INT16] = WHOLE(i16),
    [TMBM_UINT16] = WHOLE(u16),
    [TMBM_INT32] = WHOLE(i32),
    [TMBM_UINT32] = WHOLE(u32),
    [TMBM_INT64] = WHOLE(i64),
    [TMBM_UINT64] = WHOLE(u64),
    [TMBM_FLOAT16] = WHOLE(u16),
    [TMBM_FLOAT] = WHOLE(f32),
    [TMBM_DOUBLE] = WHOLE(f64),
    [TMBM_LONG_DOUBLE] = WHOLE(fl),
    [TMBM_FLOAT128] = WHOLE(f128),
    [TMBM_FLOAT_COMPLEX] = WHOLE(c32),
    [TMBM_DOUBLE_COMPLEX] = WHOLE(c64),
    [TMBM_LONG_DOUBLE_COMPLEX] = WHOLE(cl),
    [TMBM_FLOAT128_COMPLEX] = WHOLE(c128),
    [TMBM_BOOL] = WHOLE(u8),
    [TMBM_LOGICAL] = WHOLE(MPI_Fint),
    [TMBM_FLOAT_INT] = WITH_PLACE(float_int),
    [TMBM_DOUBLE_INT] = WITH_PLACE(double_int),
    [TMBM_LONG_INT] = WITH_PLACE(long_int),
    [TMBM_SHORT_INT] = WITH_PLACE(short_int),
    [TMBM_LONG_DOUBLE_INT] = WITH_PLACE(long_double_int),
    [TMBM_2INT] = WHOLE(i32[2]),
    [TMBM_2REAL] = WHOLE(f32[2]),
    [TMBM_2DOUBLE] = WHOLE(f64[2]),
};
_Static_assert(sizeof(MPI_Fint) == 4 && sizeof(MPI_Aint) == 8, "as the loops take them");
_Static_assert(sizeof(quad) == 16 && sizeof(quad_complex) == 32, "what MPI_REAL16 is");

/* target[i] = target[i] OP operand[i] */
typedef void op_loop(void *target, const void *operand, size_t count);

/* A loop for x, which was there, and y, which comes. By blocks: compilers make vectors of
 * a loop of known length, if its memory is known not to overlap. */
#define BLOCK ((size_t)32)
#define LOOP(type, name, result)                                                         \
    static inline void type##_##name##_each(type *restrict to,                           \
                                            const type *restrict from, size_t count)     \
    {                                                                                    \
        for (size_t i = 0; i < count; i++) {                                             \
            const type x = to[i], y = from[i];                                           \
            to[i] = (type)(result);                                                      \
        }                                                                                \
    }                                                                                    \
    static void type##_##name(void *target, const void *operand, size_t count)           \
    {                                                                                    \
        type *to = target;                                                               \
        const type *from = operand;                                                      \
                                                                                         \
        for (; count >= BLOCK; count -= BLOCK, to += BLOCK, from += BLOCK)               \
            type##_##name##_each(to, from, BLOCK);                                       \
        type##_##name##_each(to, from, count);                                           \
    }

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

#define ORDER(type)      [TMBM_MAX] = type##_max, [TMBM_MIN] = type##_min
#define ARITHMETIC(type) [TMBM_SUM] = type##_sum, [TMBM_PROD] = type##_prod
#define LOGICAL(type)                                                                    \
    [TMBM_LAND] = type##_land, [TMBM_LOR] = type##_lor, [TMBM_LXOR] = type##_lxor
#define BITWISE(type)                                                                    \
    [TMBM_BAND] = type##_band, [TMBM_BOR] = type##_bor, [TMBM_BXOR] = type##_bxor
#define INTEGER(type, bits)                                                              \
    {                                                                                    \
        ORDER(type), ARITHMETIC(bits), LOGICAL(bits), BITWISE(bits)                      \
    }
#define FLOATING(type)                                                                   \
    {                                                                                    \
        ORDER(type), ARITHMETIC(type), LOGICAL(type)                                     \
    }
#define PAIR(type)                                                                       \
    {                                                                                    \
        [TMBM_MINLOC] = type##_minloc, [TMBM_MAXLOC] = type##_maxloc                     \
    }

static op_loop *const loops[TMBM_ELEMENTS][TMBM_OPS] = {
    [TMBM_BYTE] = {BITWISE(u8)},
    [TMBM_INT8] = INTEGER(i8, u8),
    [TMBM_UINT8] = INTEGER(u8, u8),
    [TMBM_INT16] = INTEGER(i16, u16),
    [TMBM_UINT16] = INTEGER(u16, u16),
    [TMBM_INT32] = INTEGER(i32, u32),
    [TMBM_UINT32] = INTEGER(u32, u32),
    [TMBM_INT64] = INTEGER(i64, u64),
    [TMBM_UINT64] = INTEGER(u64, u64),
    [TMBM_FLOAT] = FLOATING(f32),
    [TMBM_DOUBLE] = FLOATING(f64),
    [TMBM_LONG_DOUBLE] = FLOATING(fl),
    [TMBM_FLOAT128] = FLOATING(f128),
    [TMBM_FLOAT_COMPLEX] = {ARITHMETIC(c32)},
    [TMBM_DOUBLE_COMPLEX] = {ARITHMETIC(c64)},
    [TMBM_LONG_DOUBLE_COMPLEX] = {ARITHMETIC(cl)},
    [TMBM_FLOAT128_COMPLEX] = {ARITHMETIC(c128)},
    [TMBM_BOOL] = {LOGICAL(u8)},
    [TMBM_LOGICAL] = {LOGICAL(u32)},
    [TMBM_FLOAT_INT] = PAIR(float_int),
    [TMBM_DOUBLE_INT] = PAIR(double_int),
    [TMBM_LONG_INT] = PAIR(long_int),
    [TMBM_SHORT_INT] = PAIR(short_int),
    [TMBM_LONG_DOUBLE_INT] = PAIR(long_double_int),
    [TMBM_2INT] = PAIR(two_int),
    [TMBM_2REAL] = PAIR(two_real),
    [TMBM_2DOUBLE] = PAIR(two_double),
};

bool tmbm_op_takes(enum tmbm_op op, enum tmbm_element element)
{
    if (tmbm_element_bytes(element) == 0 || (unsigned)op >= TMBM_OPS)
        return false;
    return op == TMBM_REPLACE || op == TMBM_NO_OP || loops[element][op];
}

static void pairs_copy(struct tmbm_sizes pair, uint8_t *to, const uint8_t *from,
                       size_t count)
{
    const size_t place = pair.span - sizeof(int);

    for (; count; count--, to += pair.extent, from += pair.extent) {
        memcpy(to, from, pair.bytes - sizeof(int));
        memcpy(to + place, from + place, sizeof(int));
    }
}

/* Single words are one load and one store: who reads them outside of accumulates gets the
 * old or the new value. */
static void elements_copy(enum tmbm_element element, void *to, const void *from,
                          size_t count)
{
    const struct tmbm_sizes size = tmbm_sizes_of(element);
    size_t bytes = count * size.bytes;

    if (size.bytes != size.extent)
        pairs_copy(size, to, from, count);
    else if (bytes == 8)
        memcpy(to, from, 8);
    else if (bytes == 4)
        memcpy(to, from, 4);
    else if (bytes > 0)
        memcpy(to, from, bytes);
}

void tmbm_op_apply(enum tmbm_op op, enum tmbm_element element, void *target,
                   const void *operand, void *old, size_t count)
{
    assert(tmbm_op_takes(op, element));
    if (old)
        elements_copy(element, old, target, count);
    if (op == TMBM_REPLACE)
        elements_copy(element, target, operand, count);
    else if (op != TMBM_NO_OP)
        loops[element][op](target, operand, count);
}
