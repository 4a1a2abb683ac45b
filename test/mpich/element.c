/* SPDX-License-Identifier: BSD-3-Clause */
#include "element.h"

#include <complex.h>

/* What MPI's types for pairs are laid out like. */
#define PAIR_OF(name, first)                                                             \
    struct name {                                                                        \
        first a;                                                                         \
        int b;                                                                           \
    };                                                                                   \
    PAIR_STORE_LOAD(name, first, int)
#define PAIR_STORE_LOAD(name, first, second)                                             \
    static void store_##name(void *at, struct value value)                               \
    {                                                                                    \
        struct name *pair = at;                                                          \
                                                                                         \
        pair->a = (first)value.a;                                                        \
        pair->b = (second)value.b;                                                       \
    }                                                                                    \
    static struct value load_##name(const void *at)                                      \
    {                                                                                    \
        const struct name *pair = at;                                                    \
                                                                                         \
        return (struct value){(int64_t)pair->a, (int64_t)pair->b};                       \
    }
PAIR_OF(float_int, float)
PAIR_OF(double_int, double)
PAIR_OF(long_int, long)
PAIR_OF(short_int, short)
PAIR_OF(long_double_int, long double)
PAIR_OF(two_int, int)
struct two_real {
    float a, b;
};
PAIR_STORE_LOAD(two_real, float, float)
struct two_double {
    double a, b;
};
PAIR_STORE_LOAD(two_double, double, double)

#define SCALAR(name, c_type)                                                             \
    static void store_##name(void *at, struct value value)                               \
    {                                                                                    \
        *(c_type *)at = (c_type)value.a;                                                 \
    }                                                                                    \
    static struct value load_##name(const void *at)                                      \
    {                                                                                    \
        return (struct value){(int64_t) * (const c_type *)at, 0};                        \
    }
SCALAR(char, char)
SCALAR(schar, signed char)
SCALAR(uchar, unsigned char)
SCALAR(short, short)
SCALAR(ushort, unsigned short)
SCALAR(int, int)
SCALAR(unsigned, unsigned)
SCALAR(long, long)
SCALAR(ulong, unsigned long)
SCALAR(llong, long long)
SCALAR(ullong, unsigned long long)
SCALAR(wchar, wchar_t)
SCALAR(float, float)
SCALAR(double, double)
SCALAR(ldouble, long double)
SCALAR(bool, bool)

#define COMPLEX_OF(name, c_type)                                                         \
    static void store_##name(void *at, struct value value)                               \
    {                                                                                    \
        ((c_type *)at)[0] = (c_type)value.a;                                             \
        ((c_type *)at)[1] = (c_type)value.b;                                             \
    }                                                                                    \
    static struct value load_##name(const void *at)                                      \
    {                                                                                    \
        return (struct value){(int64_t)((const c_type *)at)[0],                          \
                              (int64_t)((const c_type *)at)[1]};                         \
    }
COMPLEX_OF(fcomplex, float)
COMPLEX_OF(dcomplex, double)
COMPLEX_OF(lcomplex, long double)

#define IS(type, class, name, c_type)                                                    \
    {                                                                                    \
#type, type, class, sizeof(c_type), store_##name, load_##name                    \
    }
const struct element elements[] = {
    IS(MPI_CHAR, CHARACTER, char, char),
    IS(MPI_WCHAR, CHARACTER, wchar, wchar_t),
    IS(MPI_CHARACTER, CHARACTER, char, char),
    IS(MPI_SIGNED_CHAR, INTEGER, schar, char),
    IS(MPI_UNSIGNED_CHAR, INTEGER, uchar, char),
    IS(MPI_BYTE, BYTE, uchar, char),
    IS(MPI_SHORT, INTEGER, short, short),
    IS(MPI_UNSIGNED_SHORT, INTEGER, ushort, short),
    IS(MPI_INT, INTEGER, int, int),
    IS(MPI_UNSIGNED, INTEGER, unsigned, unsigned),
    IS(MPI_LONG, INTEGER, long, long),
    IS(MPI_UNSIGNED_LONG, INTEGER, ulong, long),
    IS(MPI_LONG_LONG, INTEGER, llong, long long),
    IS(MPI_UNSIGNED_LONG_LONG, INTEGER, ullong, long long),
    IS(MPI_INT8_T, INTEGER, schar, int8_t),
    IS(MPI_INT16_T, INTEGER, short, int16_t),
    IS(MPI_INT32_T, INTEGER, int, int32_t),
    IS(MPI_INT64_T, INTEGER, long, int64_t),
    IS(MPI_UINT8_T, INTEGER, uchar, uint8_t),
    IS(MPI_UINT16_T, INTEGER, ushort, uint16_t),
    IS(MPI_UINT32_T, INTEGER, unsigned, uint32_t),
    IS(MPI_UINT64_T, INTEGER, ulong, uint64_t),
    IS(MPI_AINT, ADDRESS, long, MPI_Aint),
    IS(MPI_OFFSET, ADDRESS, long, MPI_Offset),
    IS(MPI_COUNT, ADDRESS, long, MPI_Count),
    IS(MPI_FLOAT, FLOATING, float, float),
    IS(MPI_DOUBLE, FLOATING, double, double),
    IS(MPI_LONG_DOUBLE, FLOATING, ldouble, long double),
    IS(MPI_C_BOOL, LOGICAL, bool, bool),
    IS(MPI_C_FLOAT_COMPLEX, COMPLEX, fcomplex, float complex),
    IS(MPI_C_DOUBLE_COMPLEX, COMPLEX, dcomplex, double complex),
    IS(MPI_C_LONG_DOUBLE_COMPLEX, COMPLEX, lcomplex, long double complex),
    IS(MPI_CXX_BOOL, LOGICAL, bool, bool),
    IS(MPI_CXX_FLOAT_COMPLEX, COMPLEX, fcomplex, float complex),
    IS(MPI_CXX_DOUBLE_COMPLEX, COMPLEX, dcomplex, double complex),
    IS(MPI_CXX_LONG_DOUBLE_COMPLEX, COMPLEX, lcomplex, long double complex),
    IS(MPI_INTEGER, INTEGER, int, int),
    IS(MPI_INTEGER1, INTEGER, schar, int8_t),
    IS(MPI_INTEGER2, INTEGER, short, int16_t),
    IS(MPI_INTEGER4, INTEGER, int, int32_t),
    IS(MPI_INTEGER8, INTEGER, long, int64_t),
    IS(MPI_REAL, FLOATING, float, float),
    IS(MPI_REAL4, FLOATING, float, float),
    IS(MPI_REAL8, FLOATING, double, double),
    IS(MPI_DOUBLE_PRECISION, FLOATING, double, double),
    IS(MPI_LOGICAL, LOGICAL, int, int),
    IS(MPI_COMPLEX, COMPLEX, fcomplex, float complex),
    IS(MPI_COMPLEX8, COMPLEX, fcomplex, float complex),
    IS(MPI_COMPLEX16, COMPLEX, dcomplex, double complex),
    IS(MPI_DOUBLE_COMPLEX, COMPLEX, dcomplex, double complex),
    IS(MPI_FLOAT_INT, PAIR, float_int, struct float_int),
    IS(MPI_DOUBLE_INT, PAIR, double_int, struct double_int),
    IS(MPI_LONG_INT, PAIR, long_int, struct long_int),
    IS(MPI_SHORT_INT, PAIR, short_int, struct short_int),
    IS(MPI_LONG_DOUBLE_INT, PAIR, long_double_int, struct long_double_int),
    IS(MPI_2INT, PAIR, two_int, struct two_int),
    IS(MPI_2INTEGER, PAIR, two_int, struct two_int),
    IS(MPI_2REAL, PAIR, two_real, struct two_real),
    IS(MPI_2DOUBLE_PRECISION, PAIR, two_double, struct two_double),
    {0}};

static struct value op_max(enum type_class class, struct value t, struct value o)
{
    (void)class;
    return o.a > t.a ? o : t;
}

static struct value op_min(enum type_class class, struct value t, struct value o)
{
    (void)class;
    return o.a < t.a ? o : t;
}

static struct value op_sum(enum type_class class, struct value t, struct value o)
{
    (void)class;
    return (struct value){t.a + o.a, t.b + o.b};
}

static struct value op_prod(enum type_class class, struct value t, struct value o)
{
    if (class != COMPLEX)
        return (struct value){t.a * o.a, 0};
    return (struct value){t.a * o.a - t.b * o.b, t.a * o.b + t.b * o.a};
}

static struct value op_land(enum type_class class, struct value t, struct value o)
{
    (void)class;
    return (struct value){t.a && o.a, 0};
}

static struct value op_lor(enum type_class class, struct value t, struct value o)
{
    (void)class;
    return (struct value){t.a || o.a, 0};
}

static struct value op_lxor(enum type_class class, struct value t, struct value o)
{
    (void)class;
    return (struct value){!t.a != !o.a, 0};
}

static struct value op_band(enum type_class class, struct value t, struct value o)
{
    (void)class;
    return (struct value){t.a & o.a, 0};
}

static struct value op_bor(enum type_class class, struct value t, struct value o)
{
    (void)class;
    return (struct value){t.a | o.a, 0};
}

static struct value op_bxor(enum type_class class, struct value t, struct value o)
{
    (void)class;
    return (struct value){t.a ^ o.a, 0};
}

/* Of equal values, the lower index. */
static struct value op_maxloc(enum type_class class, struct value t, struct value o)
{
    (void)class;
    return o.a > t.a || (o.a == t.a && o.b < t.b) ? o : t;
}

static struct value op_minloc(enum type_class class, struct value t, struct value o)
{
    (void)class;
    return o.a < t.a || (o.a == t.a && o.b < t.b) ? o : t;
}

static struct value op_replace(enum type_class class, struct value t, struct value o)
{
    (void)class;
    (void)t;
    return o;
}

static struct value op_no_op(enum type_class class, struct value t, struct value o)
{
    (void)class;
    (void)o;
    return t;
}

#define ORDERED   (1u << INTEGER | 1u << FLOATING | 1u << ADDRESS)
#define NUMBER    (ORDERED | 1u << COMPLEX)
#define BOOLEAN   (1u << INTEGER | 1u << LOGICAL)
#define BITS      (1u << INTEGER | 1u << BYTE | 1u << ADDRESS)
#define EACH_TYPE (NUMBER | BOOLEAN | BITS | 1u << PAIR | 1u << CHARACTER)
const struct operation operations[] = {
    {"MPI_MAX", MPI_MAX, ORDERED, op_max},
    {"MPI_MIN", MPI_MIN, ORDERED, op_min},
    {"MPI_SUM", MPI_SUM, NUMBER, op_sum},
    {"MPI_PROD", MPI_PROD, NUMBER, op_prod},
    {"MPI_LAND", MPI_LAND, BOOLEAN, op_land},
    {"MPI_LOR", MPI_LOR, BOOLEAN, op_lor},
    {"MPI_LXOR", MPI_LXOR, BOOLEAN, op_lxor},
    {"MPI_BAND", MPI_BAND, BITS, op_band},
    {"MPI_BOR", MPI_BOR, BITS, op_bor},
    {"MPI_BXOR", MPI_BXOR, BITS, op_bxor},
    {"MPI_MAXLOC", MPI_MAXLOC, 1u << PAIR, op_maxloc},
    {"MPI_MINLOC", MPI_MINLOC, 1u << PAIR, op_minloc},
    {"MPI_REPLACE", MPI_REPLACE, EACH_TYPE, op_replace},
    {"MPI_NO_OP", MPI_NO_OP, EACH_TYPE, op_no_op},
    {0}};

struct value value_of(const struct element *element, const struct operation *operation,
                      int rank, int n)
{
    int64_t small = (rank * 5 + n * 3) % 7;

    if (element->class == LOGICAL)
        return (struct value){(rank + n) % 2, 0};
    if (operation->op == MPI_PROD)
        return (struct value){(rank + n) % 2 + 1, element->class == COMPLEX ? n % 2 : 0};
    if (element->class == PAIR)
        return (struct value){small % 3, rank + 1};
    return (struct value){small, element->class == COMPLEX ? small + 1 : 0};
}

bool value_same(struct value one, struct value other)
{
    return one.a == other.a && one.b == other.b;
}

bool operation_takes(const struct operation *operation, const struct element *element)
{
    return operation->classes >> element->class & 1;
}
