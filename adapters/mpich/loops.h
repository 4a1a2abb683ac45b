/* SPDX-License-Identifier: BSD-3-Clause */
/* What operator.c's operations are made of: C's types, and a loop for each. */
#ifndef TMBM_LOOPS_H
#define TMBM_LOOPS_H

#include <stddef.h>
#include <stdint.h>

#include "operator.h"

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

/* target[i] = target[i] OP operand[i] */
typedef void tmbm_op_loop(void *target, const void *operand, size_t count);

/* The loop for arrays of `count` elements; NULL: there is no such operation. */
tmbm_op_loop *tmbm_loop(enum tmbm_op op, enum tmbm_element element, size_t count);

#endif
