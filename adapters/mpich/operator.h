/* SPDX-License-Identifier: BSD-3-Clause */
/* MPI's predefined operations on MPI's predefined types, as one-sided communication uses
 * them. Atomicity is the caller's: see accumulate.c. */
#ifndef TMBM_OPERATOR_H
#define TMBM_OPERATOR_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What predefined types are made of; equal for types that C can't tell apart. Travels to
 * targets: numbers are fixed. */
enum tmbm_element {
    TMBM_MIXED = 0, /* more than one of those below, or nothing */
    TMBM_BYTE,      /* MPI_BYTE, MPI_PACKED: bitwise operations only */
    TMBM_INT8,      /* also what MPI_CHAR and MPI_CHARACTER are in C */
    TMBM_UINT8,
    TMBM_INT16,
    TMBM_UINT16,
    TMBM_INT32,
    TMBM_UINT32,
    TMBM_INT64,
    TMBM_UINT64,
    TMBM_FLOAT16, /* moved only: MPICH computes nothing with it */
    TMBM_FLOAT,
    TMBM_DOUBLE,
    TMBM_LONG_DOUBLE,
    TMBM_FLOAT128, /* MPI_REAL16: not C's long double */
    TMBM_FLOAT_COMPLEX,
    TMBM_DOUBLE_COMPLEX,
    TMBM_LONG_DOUBLE_COMPLEX,
    TMBM_FLOAT128_COMPLEX,
    TMBM_BOOL,      /* MPI_C_BOOL, MPI_CXX_BOOL */
    TMBM_LOGICAL,   /* MPI_LOGICAL, with gfortran's values: 0, and 1 or anything else */
    TMBM_FLOAT_INT, /* pairs, as C lays the structures out */
    TMBM_DOUBLE_INT,
    TMBM_LONG_INT,
    TMBM_SHORT_INT,
    TMBM_LONG_DOUBLE_INT,
    TMBM_2INT, /* also MPI_2INTEGER */
    TMBM_2REAL,
    TMBM_2DOUBLE,
    TMBM_ELEMENTS
};

/* MPICH's numbers. */
enum tmbm_op {
    TMBM_MAX = 1,
    TMBM_MIN,
    TMBM_SUM,
    TMBM_PROD,
    TMBM_LAND,
    TMBM_BAND,
    TMBM_LOR,
    TMBM_BOR,
    TMBM_LXOR,
    TMBM_BXOR,
    TMBM_MINLOC,
    TMBM_MAXLOC,
    TMBM_REPLACE,
    TMBM_NO_OP,
    TMBM_OPS
};

/* By the code in the handle of a predefined type that is no structure. */
#define TMBM_PLAIN_CODES 0x80u
extern const uint8_t tmbm_plain_elements[TMBM_PLAIN_CODES];
enum tmbm_element tmbm_element_of_pair(MPI_Datatype type);

/* The element that a predefined type (pairs included) is; TMBM_MIXED if it is not one. */
static inline enum tmbm_element tmbm_element_of(MPI_Datatype predefined)
{
    unsigned handle = (unsigned)predefined;

    if ((handle & 0xffff0000u) == 0x4c000000u && (handle & 0xff) < TMBM_PLAIN_CODES)
        return (enum tmbm_element)tmbm_plain_elements[handle & 0xff];
    return tmbm_element_of_pair(predefined);
}

/* Bytes of data of an element; from its first to behind its last; and from one to the
 * next in an array. They differ for pairs with a gap, inside or behind. 0 for TMBM_MIXED
 * and numbers that are no element. */
struct tmbm_sizes {
    uint8_t bytes, span, extent;
};
extern const struct tmbm_sizes tmbm_sizes[TMBM_ELEMENTS];

static inline struct tmbm_sizes tmbm_sizes_of(enum tmbm_element element)
{
    return tmbm_sizes[(unsigned)element < TMBM_ELEMENTS ? element : TMBM_MIXED];
}

static inline size_t tmbm_element_bytes(enum tmbm_element element)
{
    return tmbm_sizes_of(element).bytes;
}

static inline size_t tmbm_element_span(enum tmbm_element element)
{
    return tmbm_sizes_of(element).span;
}

static inline size_t tmbm_element_extent(enum tmbm_element element)
{
    return tmbm_sizes_of(element).extent;
}

/* One value that one load or store moves whole, where it is aligned. */
static inline bool tmbm_element_word(enum tmbm_element element)
{
    return (element >= TMBM_BYTE && element <= TMBM_DOUBLE) || element == TMBM_BOOL ||
           element == TMBM_LOGICAL;
}

/* Which operation; 0: none of MPI's predefined ones. */
static inline enum tmbm_op tmbm_op_of(MPI_Op op)
{
    unsigned number = (unsigned)op - ((unsigned)MPI_MAX - TMBM_MAX);

    return number < TMBM_OPS ? (enum tmbm_op)number : (enum tmbm_op)0;
}

/* Whether MPI defines it for that element, or MPICH takes it nevertheless. Takes any
 * numbers. */
bool tmbm_op_takes(enum tmbm_op op, enum tmbm_element element);

/*
 * target[i] = target[i] OP operand[i], old[i] = what was there (old may be NULL), for
 * `count` elements that are tmbm_element_extent() apart, and naturally aligned or not.
 * NO_OP: operand may be NULL. Gaps in pairs are left alone. For what tmbm_op_takes()
 * only; the three don't overlap.
 */
void tmbm_op_apply(enum tmbm_op op, enum tmbm_element element, void *target,
                   const void *operand, void *old, size_t count);

#endif
