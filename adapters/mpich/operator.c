/* SPDX-License-Identifier: BSD-3-Clause */
/* MPI's predefined types and operations, and elements that are copied. */
#include "loops.h"
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

bool tmbm_op_takes(enum tmbm_op op, enum tmbm_element element)
{
    if (tmbm_element_bytes(element) == 0 || (unsigned)op >= TMBM_OPS)
        return false;
    return op == TMBM_REPLACE || op == TMBM_NO_OP || tmbm_loop(op, element, 1);
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
        tmbm_loop(op, element, count)(target, operand, count);
}
