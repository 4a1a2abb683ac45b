/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Operations on elements, against MPI_Reduce_local of MPICH wherever MPICH has them, and
 * against written-out results where it has not, or has them wrong. Data lies at odd
 * addresses.
 */
#include <stdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../adapters/mpich/operator.h"
#include "mpi_start.h"

#define COUNT 61
#define MOST  (COUNT * 32) /* bytes */

static const MPI_Op ops[] = {MPI_MAX,    MPI_MIN,    MPI_SUM,     MPI_PROD, MPI_LAND,
                             MPI_BAND,   MPI_LOR,    MPI_BOR,     MPI_LXOR, MPI_BXOR,
                             MPI_MINLOC, MPI_MAXLOC, MPI_REPLACE, MPI_NO_OP};

/* What the standard's table says for each class, as bits 1 << op. */
#define ORDERED    (1u << TMBM_MAX | 1u << TMBM_MIN)
#define ARITHMETIC (1u << TMBM_SUM | 1u << TMBM_PROD)
#define LOGICAL    (1u << TMBM_LAND | 1u << TMBM_LOR | 1u << TMBM_LXOR)
#define BITWISE    (1u << TMBM_BAND | 1u << TMBM_BOR | 1u << TMBM_BXOR)
#define INTEGER    (ORDERED | ARITHMETIC | LOGICAL | BITWISE)
#define REAL       (ORDERED | ARITHMETIC)
#define PLACE      (1u << TMBM_MINLOC | 1u << TMBM_MAXLOC)

/* `taken`: by the standard or by MPICH, whose results are then ours. */
static const struct {
    MPI_Datatype type;
    unsigned taken;
} cases[] = {
    {MPI_BYTE, BITWISE},
    {MPI_CHAR, INTEGER},
    {MPI_CHARACTER, INTEGER},
    {MPI_SIGNED_CHAR, INTEGER},
    {MPI_UNSIGNED_CHAR, INTEGER},
    {MPI_INT8_T, INTEGER},
    {MPI_UINT8_T, INTEGER},
    {MPI_INTEGER1, INTEGER},
    {MPI_SHORT, INTEGER},
    {MPI_UNSIGNED_SHORT, INTEGER},
    {MPI_INT16_T, INTEGER},
    {MPI_UINT16_T, INTEGER},
    {MPI_INTEGER2, INTEGER},
    {MPI_INT, INTEGER},
    {MPI_UNSIGNED, INTEGER},
    {MPI_INT32_T, INTEGER},
    {MPI_UINT32_T, INTEGER},
    {MPI_INTEGER, INTEGER},
    {MPI_INTEGER4, INTEGER},
    {MPI_LONG, INTEGER},
    {MPI_UNSIGNED_LONG, INTEGER},
    {MPI_LONG_LONG_INT, INTEGER},
    {MPI_UNSIGNED_LONG_LONG, INTEGER},
    {MPI_INT64_T, INTEGER},
    {MPI_UINT64_T, INTEGER},
    {MPI_INTEGER8, INTEGER},
    {MPI_AINT, INTEGER},
    {MPI_OFFSET, INTEGER},
    {MPI_COUNT, INTEGER},
    {MPI_FLOAT, REAL},
    {MPI_REAL, REAL},
    {MPI_REAL4, REAL},
    {MPI_DOUBLE, REAL},
    {MPI_DOUBLE_PRECISION, REAL},
    {MPI_REAL8, REAL},
    {MPI_LONG_DOUBLE, REAL},
    {MPI_C_FLOAT_COMPLEX, ARITHMETIC},
    {MPI_COMPLEX, ARITHMETIC},
    {MPI_COMPLEX8, ARITHMETIC},
    {MPI_CXX_FLOAT_COMPLEX, ARITHMETIC},
    {MPI_C_DOUBLE_COMPLEX, ARITHMETIC},
    {MPI_DOUBLE_COMPLEX, ARITHMETIC},
    {MPI_COMPLEX16, ARITHMETIC},
    {MPI_CXX_DOUBLE_COMPLEX, ARITHMETIC},
    {MPI_C_LONG_DOUBLE_COMPLEX, ARITHMETIC},
    {MPI_CXX_LONG_DOUBLE_COMPLEX, ARITHMETIC},
    {MPI_C_BOOL, LOGICAL},
    {MPI_CXX_BOOL, LOGICAL},
    {MPI_LOGICAL, LOGICAL},
    {MPI_FLOAT_INT, PLACE},
    {MPI_DOUBLE_INT, PLACE},
    {MPI_LONG_INT, PLACE},
    {MPI_SHORT_INT, PLACE},
    {MPI_LONG_DOUBLE_INT, PLACE},
    {MPI_2INT, PLACE},
    {MPI_2INTEGER, PLACE},
    {MPI_2REAL, PLACE},
    {MPI_2DOUBLE_PRECISION, PLACE},
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

/* ---- values: small ones, often equal, so that ties and zeros come up ---- */

static int value(unsigned i, unsigned seed)
{
    return (int)((i * 2654435761u + seed * 40503u) >> 13 & 7) - 3;
}

#define FILL(type, per_element)                                                          \
    for (unsigned i = 0; i < COUNT * (per_element); i++)                                 \
    ((type *)data)[i] = (type)value(i, seed)
#define FILL_PAIRS(type)                                                                 \
    for (unsigned i = 0; i < COUNT; i++) {                                               \
        ((struct {                                                                       \
            type value;                                                                  \
            int place;                                                                   \
        } *)data)[i]                                                                     \
            .value = (type)value(i, seed);                                               \
        ((struct {                                                                       \
            type value;                                                                  \
            int place;                                                                   \
        } *)data)[i]                                                                     \
            .place = value(i, seed + 2);                                                 \
    }

static void fill_numbers(enum tmbm_element element, void *data, unsigned seed)
{
    switch (element) {
    case TMBM_FLOAT:
        FILL(float, 1);
        break;
    case TMBM_2REAL:
    case TMBM_FLOAT_COMPLEX:
        FILL(float, 2);
        break;
    case TMBM_DOUBLE:
        FILL(double, 1);
        break;
    case TMBM_2DOUBLE:
    case TMBM_DOUBLE_COMPLEX:
        FILL(double, 2);
        break;
    case TMBM_LONG_DOUBLE:
        FILL(long double, 1);
        break;
    case TMBM_LONG_DOUBLE_COMPLEX:
        FILL(long double, 2);
        break;
    case TMBM_LOGICAL:
        for (unsigned i = 0; i < COUNT; i++)
            ((int *)data)[i] = value(i, seed) > 0;
        break;
    case TMBM_BOOL:
        for (unsigned i = 0; i < COUNT; i++)
            ((uint8_t *)data)[i] = value(i, seed) > 0;
        break;
    default: /* integers of any width: all their bits */
        for (unsigned i = 0; i < COUNT * tmbm_element_bytes(element); i++)
            ((uint8_t *)data)[i] = (uint8_t)(value(i, seed) * 37);
    }
}

static void fill(enum tmbm_element element, void *data, unsigned seed)
{
    memset(data, 0x5a, MOST); /* gaps, too */
    switch (element) {
    case TMBM_FLOAT_INT:
        FILL_PAIRS(float)
        break;
    case TMBM_DOUBLE_INT:
        FILL_PAIRS(double)
        break;
    case TMBM_LONG_INT:
        FILL_PAIRS(long)
        break;
    case TMBM_SHORT_INT:
        FILL_PAIRS(short)
        break;
    case TMBM_LONG_DOUBLE_INT:
        FILL_PAIRS(long double)
        break;
    case TMBM_2INT:
        FILL(int, 2);
        break;
    default:
        fill_numbers(element, data, seed);
    }
}

/* ---- against MPICH ---- */

/* MPICH 4.0.2 orders unsigned integers as if they were signed. */
static bool order_is_wrong(enum tmbm_element element, enum tmbm_op op)
{
    return (op == TMBM_MAX || op == TMBM_MIN) &&
           (element == TMBM_UINT8 || element == TMBM_UINT16 || element == TMBM_UINT32 ||
            element == TMBM_UINT64);
}

static void operation_agrees(MPI_Datatype type, MPI_Op mpi_op)
{
    static _Alignas(32) uint8_t x[MOST], y[MOST], odd_x[MOST + 1], odd_y[MOST + 1],
        old[MOST + 1], before[MOST];
    enum tmbm_element element = tmbm_element_of(type);
    enum tmbm_op op = tmbm_op_of(mpi_op);

    for (unsigned seed = 0; seed < 4; seed++) {
        fill(element, x, seed);
        fill(element, y, seed + 10);
        for (size_t i = 0; i < MOST && order_is_wrong(element, op); i++) {
            x[i] &= 0x7f;
            y[i] &= 0x7f;
        }
        memcpy(odd_x + 1, x, MOST);
        memcpy(odd_y + 1, y, MOST);
        memcpy(before, x, MOST);
        memset(old, 0x5a, sizeof(old));
        assert_int_equal(MPI_Reduce_local(y, x, COUNT, type, mpi_op), MPI_SUCCESS);
        tmbm_op_apply(op, element, odd_x + 1, odd_y + 1, seed % 2 ? old + 1 : NULL,
                      COUNT);
        assert_memory_equal(odd_x + 1, x, MOST);
        assert_memory_equal(odd_y + 1, y, MOST);
        if (seed % 2)
            assert_memory_equal(old + 1, before, COUNT * tmbm_element_extent(element));
    }
}

static void all_that_mpich_has(void **state)
{
    unsigned compared = 0;

    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        enum tmbm_element element = tmbm_element_of(cases[i].type);

        assert_int_not_equal(element, TMBM_MIXED);
        for (int j = 0; j < TMBM_REPLACE - 1; j++) {
            if (!(cases[i].taken & 1u << tmbm_op_of(ops[j])))
                continue;
            assert_true(tmbm_op_takes(tmbm_op_of(ops[j]), element));
            operation_agrees(cases[i].type, ops[j]);
            compared++;
        }
    }
    assert_int_equal(compared, 3 + 28 * 10 + 7 * 4 + 10 * 2 + 3 * 3 + 9 * 2);
}

static void replaced_or_left(void **state)
{
    static uint8_t x[MOST + 1], y[MOST + 1], old[MOST + 1], x_before[MOST + 1];

    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        enum tmbm_element element = tmbm_element_of(cases[i].type);
        size_t bytes = COUNT * tmbm_element_extent(element);

        fill(element, x_before, 1);
        memcpy(x + 1, x_before, MOST);
        fill(element, y, 2);
        memset(old, 0x5a, sizeof(old));
        tmbm_op_apply(TMBM_NO_OP, element, x + 1, NULL, old + 1, COUNT);
        assert_memory_equal(x + 1, x_before, MOST);
        assert_memory_equal(old + 1, x_before, bytes);
        tmbm_op_apply(TMBM_REPLACE, element, x + 1, y, NULL, COUNT);
        assert_memory_equal(x + 1, y, bytes);
    }
}

/* ---- what is written out ---- */

static void gaps_are_left_alone(void **state)
{
    static const struct {
        enum tmbm_element element;
        size_t gap, bytes;
    } gaps[] = {{TMBM_SHORT_INT, 2, 2}, {TMBM_DOUBLE_INT, 12, 4}, {TMBM_LONG_INT, 12, 4}};
    static const enum tmbm_op all[] = {TMBM_MINLOC, TMBM_MAXLOC, TMBM_REPLACE};
    static const uint8_t kept[4] = {0x11, 0x11, 0x11, 0x11};
    uint8_t x[32], y[32], old[32];

    (void)state;
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++) {
            memset(x, 0x11, sizeof(x));
            memset(y, 0x22, sizeof(y));
            memset(old, 0x11, sizeof(old));
            x[0] = 0x33;
            tmbm_op_apply(all[j], gaps[i].element, x, y, old, 2);
            assert_memory_equal(x + gaps[i].gap, kept, gaps[i].bytes);
            assert_memory_equal(old + gaps[i].gap, kept, gaps[i].bytes);
            assert_int_equal(old[0], 0x33);
        }
    }
}

static void order_of_unsigned(void **state)
{
    static const enum tmbm_element elements[] = {TMBM_UINT8, TMBM_UINT16, TMBM_UINT32,
                                                 TMBM_UINT64};
    const uint64_t high = UINT64_MAX, low = 1;
    uint64_t x;

    (void)state;
    for (int i = 0; i < 4; i++) {
        x = low;
        tmbm_op_apply(TMBM_MAX, elements[i], &x, &high, NULL, 1);
        assert_memory_equal(&x, &high, tmbm_element_bytes(elements[i]));
        tmbm_op_apply(TMBM_MIN, elements[i], &x, &low, NULL, 1);
        assert_memory_equal(&x, &low, tmbm_element_bytes(elements[i]));
    }
}

static void fortran_logicals(void **state)
{
    int x[4] = {0, 1, 2, -1}, y[4] = {0, 2, 1, 0};

    (void)state;
    tmbm_op_apply(TMBM_LOR, TMBM_LOGICAL, x, y, NULL, 4);
    assert_true(x[0] == 0 && x[1] == 1 && x[2] == 1 && x[3] == 1);
    x[1] = 2;
    tmbm_op_apply(TMBM_LXOR, TMBM_LOGICAL, x, y, NULL, 4);
    assert_true(x[0] == 0 && x[1] == 0 && x[2] == 0 && x[3] == 1);
}

typedef float quad __attribute__((mode(TF)));
typedef _Complex float quad_complex __attribute__((mode(TC)));

static void quads(void **state)
{
    quad x[2] = {1.5, -2}, y[2] = {2.25, 4}, tiny = 1;
    quad_complex a = 2 + 3.0i, b = 1 - 1.0i;

    (void)state;
    assert_int_equal(tmbm_element_of(MPI_REAL16), TMBM_FLOAT128);
    for (int i = 0; i < 100; i++)
        tiny /= 2;
    y[0] += tiny; /* more digits than long double has */
    tmbm_op_apply(TMBM_SUM, TMBM_FLOAT128, x, y, NULL, 2);
    assert_true(x[0] - 3.75 == tiny && x[1] == 2);
    tmbm_op_apply(TMBM_MAX, TMBM_FLOAT128, x, y, NULL, 2);
    assert_true(x[0] - 3.75 == tiny && x[1] == 4);
    assert_int_equal(tmbm_element_of(MPI_COMPLEX32), TMBM_FLOAT128_COMPLEX);
    tmbm_op_apply(TMBM_PROD, TMBM_FLOAT128_COMPLEX, &a, &b, NULL, 1);
    assert_true(a == 5 + 1.0i);
}

/* MPICH takes them in some types and not in others. */
static void logic_of_reals(void **state)
{
    double x[4] = {0, 0, 0.5, 2}, y[4] = {0, -1, 0, 3};

    (void)state;
    tmbm_op_apply(TMBM_LXOR, TMBM_DOUBLE, x, y, NULL, 4);
    assert_true(x[0] == 0 && x[1] == 1 && x[2] == 1 && x[3] == 0);
}

static void what_is_not_defined(void **state)
{
    (void)state;
    assert_false(tmbm_op_takes(TMBM_SUM, TMBM_BYTE));
    assert_false(tmbm_op_takes(TMBM_BAND, TMBM_DOUBLE));
    assert_false(tmbm_op_takes(TMBM_MAX, TMBM_DOUBLE_COMPLEX));
    assert_false(tmbm_op_takes(TMBM_SUM, TMBM_BOOL));
    assert_false(tmbm_op_takes(TMBM_SUM, TMBM_2INT));
    assert_false(tmbm_op_takes(TMBM_MINLOC, TMBM_INT32));
    assert_false(tmbm_op_takes(TMBM_SUM, TMBM_FLOAT16));
    assert_true(tmbm_op_takes(TMBM_REPLACE, TMBM_FLOAT16));
    assert_false(tmbm_op_takes(TMBM_REPLACE, TMBM_MIXED));
    assert_false(tmbm_op_takes(TMBM_REPLACE, TMBM_ELEMENTS));
    assert_false(tmbm_op_takes(TMBM_OPS, TMBM_INT32));
    assert_false(tmbm_op_takes((enum tmbm_op)0, TMBM_INT32));
    assert_int_equal(tmbm_op_of(MPI_OP_NULL), 0);
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
        assert_int_equal(tmbm_op_of(ops[i]), i + 1);
    assert_int_equal(tmbm_element_of(MPI_DATATYPE_NULL), TMBM_MIXED);
    assert_int_equal(tmbm_element_of(MPI_LB), TMBM_MIXED);
}

/* ---- */

static int start(void **state)
{
    (void)state;
    return mpi_start(MPI_THREAD_SINGLE);
}

static int stop(void **state)
{
    (void)state;
    return MPI_Finalize() == MPI_SUCCESS ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_mpich_has),  cmocka_unit_test(replaced_or_left),
        cmocka_unit_test(gaps_are_left_alone), cmocka_unit_test(order_of_unsigned),
        cmocka_unit_test(fortran_logicals),    cmocka_unit_test(quads),
        cmocka_unit_test(logic_of_reals),      cmocka_unit_test(what_is_not_defined),
    };

    if (mpi_watched_threads()) {
        puts("MPICH and what it is linked with crash under ThreadSanitizer");
        return 77;
    }
    return cmocka_run_group_tests(tests, start, stop);
}
