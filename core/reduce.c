/* SPDX-License-Identifier: BSD-3-Clause */
#include "reduce.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

size_t tmbi_type_size(uint32_t type)
{
    static const uint8_t sizes[] = {[TMB_I32] = 4, [TMB_U32] = 4, [TMB_I64] = 8,
                                    [TMB_U64] = 8, [TMB_F32] = 4, [TMB_F64] = 8};

    return type < sizeof(sizes) ? sizes[type] : 0;
}

bool tmbi_type_takes(uint32_t type, uint32_t op)
{
    bool real = type == TMB_F32 || type == TMB_F64;

    if (!tmbi_type_size(type) || op > TMB_OP_CAS)
        return false;
    return !(real && (op == TMB_OP_AND || op == TMB_OP_OR || op == TMB_OP_XOR));
}

/* Integers add as unsigned, so that they wrap. */
#define INTEGER_COMBINE(name, type, utype)                                               \
    static inline type name##_combine(type old, type value, enum tmb_atomic_op op)       \
    {                                                                                    \
        switch (op) {                                                                    \
        case TMB_OP_ADD:                                                                 \
            return (type)((utype)old + (utype)value);                                    \
        case TMB_OP_AND:                                                                 \
            return old & value;                                                          \
        case TMB_OP_OR:                                                                  \
            return old | value;                                                          \
        case TMB_OP_XOR:                                                                 \
            return old ^ value;                                                          \
        case TMB_OP_MIN:                                                                 \
            return value < old ? value : old;                                            \
        case TMB_OP_MAX:                                                                 \
            return value > old ? value : old;                                            \
        default:                                                                         \
            return value;                                                                \
        }                                                                                \
    }

#define REAL_COMBINE(name, type, min, max)                                               \
    static inline type name##_combine(type old, type value, enum tmb_atomic_op op)       \
    {                                                                                    \
        switch (op) {                                                                    \
        case TMB_OP_ADD:                                                                 \
            return old + value;                                                          \
        case TMB_OP_MIN:                                                                 \
            return min(old, value);                                                      \
        case TMB_OP_MAX:                                                                 \
            return max(old, value);                                                      \
        default:                                                                         \
            return value;                                                                \
        }                                                                                \
    }

/* Buffers may be unaligned: elements are copied in and out. */
#define REDUCE_ARRAY(name, type)                                                         \
    static void name##_reduce(void *into, const void *from, size_t count,                \
                              enum tmb_atomic_op op)                                     \
    {                                                                                    \
        for (size_t i = 0; i < count; i++) {                                             \
            type a, b;                                                                   \
                                                                                         \
            memcpy(&a, (const char *)into + i * sizeof(type), sizeof(type));             \
            memcpy(&b, (const char *)from + i * sizeof(type), sizeof(type));             \
            a = name##_combine(a, b, op);                                                \
            memcpy((char *)into + i * sizeof(type), &a, sizeof(type));                   \
        }                                                                                \
    }

/* What the hardware has no instruction for: compute and compare-and-swap the bits. */
#define WORD_COMBINE(name, type, bits)                                                   \
    static uint64_t name##_word(void *at, enum tmb_atomic_op op, uint64_t operand)       \
    {                                                                                    \
        _Atomic bits *word = at;                                                         \
        bits old = atomic_load_explicit(word, memory_order_relaxed);                     \
        bits raw = (bits)operand;                                                        \
        bits next;                                                                       \
                                                                                         \
        do {                                                                             \
            type a, b;                                                                   \
                                                                                         \
            memcpy(&a, &old, sizeof(a));                                                 \
            memcpy(&b, &raw, sizeof(b));                                                 \
            a = name##_combine(a, b, op);                                                \
            memcpy(&next, &a, sizeof(a));                                                \
        } while (!atomic_compare_exchange_weak_explicit(                                 \
            word, &old, next, memory_order_seq_cst, memory_order_seq_cst));              \
        return old;                                                                      \
    }

/* Operations on bits alone, the same for all types of a size. seq_cst: an atomic may
 * end a tmb_wait(), whose partner it then is. */
#define WORD_BITS(bits, width)                                                           \
    static uint64_t bits##width##_word(void *at, enum tmb_atomic_op op,                  \
                                       uint64_t operand, uint64_t compare, bool *done)   \
    {                                                                                    \
        _Atomic bits##width##_t *word = at;                                              \
        bits##width##_t value = (bits##width##_t)operand;                                \
        bits##width##_t old = (bits##width##_t)compare;                                  \
                                                                                         \
        *done = true;                                                                    \
        switch (op) {                                                                    \
        case TMB_OP_FETCH:                                                               \
            return atomic_load_explicit(word, memory_order_seq_cst);                     \
        case TMB_OP_SET:                                                                 \
        case TMB_OP_SWAP:                                                                \
            return atomic_exchange_explicit(word, value, memory_order_seq_cst);          \
        case TMB_OP_CAS:                                                                 \
            atomic_compare_exchange_strong_explicit(                                     \
                word, &old, value, memory_order_seq_cst, memory_order_seq_cst);          \
            return old;                                                                  \
        case TMB_OP_AND:                                                                 \
            return atomic_fetch_and_explicit(word, value, memory_order_seq_cst);         \
        case TMB_OP_OR:                                                                  \
            return atomic_fetch_or_explicit(word, value, memory_order_seq_cst);          \
        case TMB_OP_XOR:                                                                 \
            return atomic_fetch_xor_explicit(word, value, memory_order_seq_cst);         \
        default:                                                                         \
            *done = false;                                                               \
            return 0;                                                                    \
        }                                                                                \
    }

INTEGER_COMBINE(i32, int32_t, uint32_t)
INTEGER_COMBINE(u32, uint32_t, uint32_t)
INTEGER_COMBINE(i64, int64_t, uint64_t)
INTEGER_COMBINE(u64, uint64_t, uint64_t)
REAL_COMBINE(f32, float, fminf, fmaxf)
REAL_COMBINE(f64, double, fmin, fmax)

REDUCE_ARRAY(i32, int32_t)
REDUCE_ARRAY(u32, uint32_t)
REDUCE_ARRAY(i64, int64_t)
REDUCE_ARRAY(u64, uint64_t)
REDUCE_ARRAY(f32, float)
REDUCE_ARRAY(f64, double)

WORD_COMBINE(i32, int32_t, uint32_t)
WORD_COMBINE(u32, uint32_t, uint32_t)
WORD_COMBINE(i64, int64_t, uint64_t)
WORD_COMBINE(u64, uint64_t, uint64_t)
WORD_COMBINE(f32, float, uint32_t)
WORD_COMBINE(f64, double, uint64_t)

WORD_BITS(uint, 32)
WORD_BITS(uint, 64)

void tmbi_reduce(void *into, const void *from, size_t count, enum tmb_type type,
                 enum tmb_atomic_op op)
{
    static void (*const reduce[])(void *, const void *, size_t, enum tmb_atomic_op) = {
        [TMB_I32] = i32_reduce, [TMB_U32] = u32_reduce, [TMB_I64] = i64_reduce,
        [TMB_U64] = u64_reduce, [TMB_F32] = f32_reduce, [TMB_F64] = f64_reduce};

    reduce[type](into, from, count, op);
}

uint64_t tmbi_word_atomic(void *word, enum tmb_type type, enum tmb_atomic_op op,
                          uint64_t operand, uint64_t compare)
{
    static uint64_t (*const combine[])(void *, enum tmb_atomic_op, uint64_t) = {
        [TMB_I32] = i32_word, [TMB_U32] = u32_word, [TMB_I64] = i64_word,
        [TMB_U64] = u64_word, [TMB_F32] = f32_word, [TMB_F64] = f64_word};
    uint64_t old;
    bool done;

    if (op == TMB_OP_ADD && (type == TMB_I64 || type == TMB_U64))
        return atomic_fetch_add_explicit((_Atomic uint64_t *)word, operand,
                                         memory_order_seq_cst);
    if (op == TMB_OP_ADD && (type == TMB_I32 || type == TMB_U32))
        return atomic_fetch_add_explicit((_Atomic uint32_t *)word, (uint32_t)operand,
                                         memory_order_seq_cst);
    old = tmbi_type_size(type) == 4 ? uint32_word(word, op, operand, compare, &done)
                                    : uint64_word(word, op, operand, compare, &done);
    return done ? old : combine[type](word, op, operand);
}
