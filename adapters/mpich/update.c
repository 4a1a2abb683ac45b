/* SPDX-License-Identifier: BSD-3-Clause */
/* Accumulates on memory that is mapped here: by blocks, each under its stripe. */
#include <string.h>

#include "adapter.h"

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
static void pairs_apply(struct tmbm_update update, uint8_t *at, const uint8_t *operand,
                        uint8_t *result, uint64_t bytes, size_t span)
{
    for (uint64_t done = 0; done < bytes; done += span)
        tmbm_op_apply(update.op, update.element, at + done,
                      operand ? operand + done : NULL, result ? result + done : NULL, 1);
}

static void step_apply(struct tmbm_update update, uint8_t *at, const uint8_t *operand,
                       uint8_t *result, uint64_t bytes, size_t span)
{
    if (span != tmbm_element_extent(update.element))
        pairs_apply(update, at, operand, result, bytes, span);
    else if (update.op == TMBM_REPLACE && !result &&
             span == tmbm_element_bytes(update.element))
        memcpy(at, operand, bytes);
    else
        tmbm_op_apply(update.op, update.element, at, operand, result, bytes / span);
}

void tmbm_update_piece(struct tmbm_control *control, uint8_t *base,
                       struct tmbm_update update, uint64_t offset, const uint8_t *operand,
                       uint8_t *result, uint64_t bytes)
{
    size_t span = tmbm_element_span(update.element);
    uint64_t step;

    for (uint64_t done = 0; done < bytes; done += step) {
        step = step_bytes(offset + done, bytes - done, span);
        if (!update.sole)
            tmbm_stripes_take(control, offset + done, step);
        step_apply(update, base + offset + done, operand ? operand + done : NULL,
                   result ? result + done : NULL, step, span);
        if (!update.sole)
            tmbm_stripes_give(control, offset + done, step);
    }
}

void tmbm_swap(struct tmbm_control *control, uint8_t *base, bool sole, uint64_t offset,
               const void *operand, const void *compare, void *result, size_t bytes)
{
    uint8_t *at = base + offset, old[32], next[32];

    /* Copied first: the caller's buffers may be the same memory. */
    memcpy(next, operand, bytes);
    if (!sole)
        tmbm_stripes_take(control, offset, bytes);
    memcpy(old, at, bytes);
    if (memcmp(old, compare, bytes) == 0)
        memcpy(at, next, bytes);
    if (!sole)
        tmbm_stripes_give(control, offset, bytes);
    memcpy(result, old, bytes);
}
