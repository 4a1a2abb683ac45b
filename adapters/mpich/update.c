/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Accumulates on memory that is mapped here: by blocks, each under its stripe.
 *
 * Replacing and reading of aligned words take no stripe: a word is stored and loaded
 * whole, and whatever else changes a single word does it by a compare-and-swap, so that
 * no word is lost. Only where an array is computed with does a word that somebody
 * replaces meanwhile get lost, and that is what MPI excludes (accumulate_ops,
 * same_op_no_op).
 */
#include <stdatomic.h>
#include <string.h>

#include "adapter.h"

/* ---- words ---- */

#define COPY_BLOCK ((size_t)128)

/* Also in a long copy each word is stored once and whole: a memcpy() of unknown length
 * may store some twice, between which another's word would get lost. */
static void blocks_copy(uint8_t **to, const uint8_t **from, uint64_t *bytes)
{
    for (; *bytes >= COPY_BLOCK; *bytes -= COPY_BLOCK) {
        memcpy(*to, *from, COPY_BLOCK);
        atomic_signal_fence(memory_order_seq_cst); /* or they are one memcpy() again */
        *to += COPY_BLOCK;
        *from += COPY_BLOCK;
    }
}

/* Functions on a word of the window's memory; the caller's may be unaligned. Relaxed:
 * flushes and synchronization order accumulates. */
#define DEFINE_WORD(word)                                                                \
    static void word##_store(uint8_t *at, const uint8_t *from, uint64_t bytes)           \
    {                                                                                    \
        word value;                                                                      \
                                                                                         \
        for (blocks_copy(&at, &from, &bytes); bytes >= sizeof(word);                     \
             bytes -= sizeof(word)) {                                                    \
            memcpy(&value, from, sizeof(word));                                          \
            __atomic_store_n((word *)at, value, __ATOMIC_RELAXED);                       \
            at += sizeof(word);                                                          \
            from += sizeof(word);                                                        \
        }                                                                                \
    }                                                                                    \
    static void word##_load(const uint8_t *at, uint8_t *to, uint64_t bytes)              \
    {                                                                                    \
        word value;                                                                      \
                                                                                         \
        for (blocks_copy(&to, &at, &bytes); bytes >= sizeof(word);                       \
             bytes -= sizeof(word)) {                                                    \
            value = __atomic_load_n((const word *)at, __ATOMIC_RELAXED);                 \
            memcpy(to, &value, sizeof(word));                                            \
            at += sizeof(word);                                                          \
            to += sizeof(word);                                                          \
        }                                                                                \
    }                                                                                    \
    static void word##_exchange(uint8_t *at, const uint8_t *from, uint8_t *old,          \
                                uint64_t bytes)                                          \
    {                                                                                    \
        word value;                                                                      \
                                                                                         \
        for (uint64_t i = 0; i + sizeof(word) <= bytes; i += sizeof(word)) {             \
            memcpy(&value, from + i, sizeof(word));                                      \
            value = __atomic_exchange_n((word *)(at + i), value, __ATOMIC_RELAXED);      \
            memcpy(old + i, &value, sizeof(word));                                       \
        }                                                                                \
    }                                                                                    \
    static void word##_apply(const struct tmbm_update *update, uint8_t *at,              \
                             const uint8_t *operand, uint8_t *result)                    \
    {                                                                                    \
        word old = __atomic_load_n((word *)at, __ATOMIC_RELAXED), next;                  \
                                                                                         \
        do {                                                                             \
            next = old;                                                                  \
            tmbm_op_apply(update->op, update->element, &next, operand, NULL, 1);         \
        } while (!__atomic_compare_exchange_n((word *)at, &old, next, false,             \
                                              __ATOMIC_RELAXED, __ATOMIC_RELAXED));      \
        if (result)                                                                      \
            memcpy(result, &old, sizeof(word));                                          \
    }                                                                                    \
    static void word##_swap(uint8_t *at, const void *next, void *old)                    \
    {                                                                                    \
        word expected, value;                                                            \
                                                                                         \
        memcpy(&expected, old, sizeof(word));                                            \
        memcpy(&value, next, sizeof(word));                                              \
        __atomic_compare_exchange_n((word *)at, &expected, value, false,                 \
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED);                 \
        memcpy(old, &expected, sizeof(word));                                            \
    }

typedef uint8_t word1 __attribute__((may_alias));
typedef uint16_t word2 __attribute__((may_alias));
typedef uint32_t word4 __attribute__((may_alias));
typedef uint64_t word8 __attribute__((may_alias));
DEFINE_WORD(word1)
DEFINE_WORD(word2)
DEFINE_WORD(word4)
DEFINE_WORD(word8)

/* CALL for the word of that many bytes: word8_CALL, and so on. */
#define BY_WORD(bytes, call, ...)                                                        \
    do {                                                                                 \
        switch (bytes) {                                                                 \
        case 8:                                                                          \
            word8_##call(__VA_ARGS__);                                                   \
            break;                                                                       \
        case 4:                                                                          \
            word4_##call(__VA_ARGS__);                                                   \
            break;                                                                       \
        case 2:                                                                          \
            word2_##call(__VA_ARGS__);                                                   \
            break;                                                                       \
        default:                                                                         \
            word1_##call(__VA_ARGS__);                                                   \
        }                                                                                \
    } while (0)

/* REPLACE and NO_OP. */
static void words_move(const struct tmbm_update *update, uint8_t *at,
                       const uint8_t *operand, uint8_t *result, uint64_t bytes)
{
    size_t word = tmbm_element_bytes(update->element);

    if (update->op == TMBM_NO_OP)
        BY_WORD(word, load, at, result, bytes);
    else if (result)
        BY_WORD(word, exchange, at, operand, result, bytes);
    else
        BY_WORD(word, store, at, operand, bytes);
}

static bool aligned(const uint8_t *at, size_t bytes)
{
    return ((uintptr_t)at & (bytes - 1)) == 0; /* of a word: a power of two */
}

/* ---- blocks ---- */

/* How much of a piece to work on at once: to the end of its block, in whole elements, and
 * one element at least. */
static uint64_t step_bytes(uint64_t offset, uint64_t bytes, size_t element)
{
    uint64_t room = TMBM_STRIPE_BYTES - offset % TMBM_STRIPE_BYTES;

    if (bytes <= room)
        return bytes;
    return room < element ? element : room - room % element;
}

/* In pieces elements lie span by span, and in arrays, which operators work on, extent by
 * extent: they differ for pairs with a gap, which are taken one by one. */
static void pairs_apply(const struct tmbm_update *update, uint8_t *at,
                        const uint8_t *operand, uint8_t *result, uint64_t bytes,
                        size_t span)
{
    for (uint64_t done = 0; done < bytes; done += span)
        tmbm_op_apply(update->op, update->element, at + done,
                      operand ? operand + done : NULL, result ? result + done : NULL, 1);
}

static void step_apply(const struct tmbm_update *update, uint8_t *at,
                       const uint8_t *operand, uint8_t *result, uint64_t bytes,
                       size_t span)
{
    if (bytes == span && tmbm_element_word(update->element) && aligned(at, span))
        BY_WORD(span, apply, update, at, operand, result);
    else if (span != tmbm_element_extent(update->element))
        pairs_apply(update, at, operand, result, bytes, span);
    else
        tmbm_op_apply(update->op, update->element, at, operand, result, bytes / span);
}

static void steps_apply(struct tmbm_control *control, uint8_t *base,
                        const struct tmbm_update *update, uint64_t offset,
                        const uint8_t *operand, uint8_t *result, uint64_t bytes)
{
    size_t span = tmbm_element_span(update->element);
    uint64_t step;

    for (uint64_t done = 0; done < bytes; done += step) {
        step = step_bytes(offset + done, bytes - done, span);
        if (!update->sole)
            tmbm_stripes_take(control, offset + done, step);
        step_apply(update, base + offset + done, operand ? operand + done : NULL,
                   result ? result + done : NULL, step, span);
        if (!update->sole)
            tmbm_stripes_give(control, offset + done, step);
    }
}

void tmbm_update_piece(struct tmbm_control *control, uint8_t *base,
                       const struct tmbm_update *update, uint64_t offset,
                       const uint8_t *operand, uint8_t *result, uint64_t bytes)
{
    if ((update->op == TMBM_REPLACE || update->op == TMBM_NO_OP) &&
        tmbm_element_word(update->element) &&
        aligned(base + offset, tmbm_element_bytes(update->element)))
        words_move(update, base + offset, operand, result, bytes);
    else
        steps_apply(control, base, update, offset, operand, result, bytes);
}

void tmbm_swap(struct tmbm_control *control, uint8_t *base, bool sole, uint64_t offset,
               const void *operand, const void *compare, void *result, size_t bytes)
{
    uint8_t *at = base + offset, old[8], next[8];

    /* Copied first: the caller's buffers may be the same memory. */
    memcpy(next, operand, bytes);
    memcpy(old, compare, bytes);
    if (!sole)
        tmbm_stripes_take(control, offset, bytes);
    if (aligned(at, bytes)) {
        BY_WORD(bytes, swap, at, next, old);
    } else {
        bool equal = memcmp(at, compare, bytes) == 0;
        memcpy(old, at, bytes);
        if (equal)
            memcpy(at, next, bytes);
    }
    if (!sole)
        tmbm_stripes_give(control, offset, bytes);
    memcpy(result, old, bytes);
}
