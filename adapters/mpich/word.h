/* SPDX-License-Identifier: BSD-3-Clause */
/* Words as atomic puts and gets. */
#ifndef TMBM_WORD_H
#define TMBM_WORD_H

#include <string.h>

#include "adapter.h"

/* Reached by load and store, and so are its locks. */
static inline bool tmbm_mapped(const struct tmbm_target *target)
{
    return target->base && target->control;
}

typedef uint64_t tmbm_word8 __attribute__((may_alias));

/* Where a mapped word of 8 bytes is; NULL: not at an aligned place that can be used. */
static inline tmbm_word8 *tmbm_word_place(const struct tmbm_win *win, int rank,
                                          MPI_Aint displacement)
{
    const struct tmbm_target *target;
    uint64_t offset;

    if ((unsigned)rank >= (unsigned)win->size)
        return NULL;
    target = &win->targets[rank];
    if (!tmbm_mapped(target) || !tmbm_open_to(win, target) || displacement < 0 ||
        __builtin_mul_overflow((uint64_t)displacement, target->unit, &offset) ||
        offset > target->bytes || target->bytes - offset < 8 ||
        (uintptr_t)(target->base + offset) & 7)
        return NULL;
    return (tmbm_word8 *)(void *)(target->base + offset);
}

/* MPI_REPLACE and MPI_NO_OP of one word of 8 bytes, as most are: in line, for it costs
 * little more than the call. False: all is looked at. */
static inline bool tmbm_word_moved(enum tmbm_call call, struct tmbm_win *win,
                                   enum tmbm_op op, const void *from, void *to,
                                   MPI_Count count, MPI_Datatype type, int rank,
                                   MPI_Aint displacement)
{
    bool word8 = count == 1 && tmbm_type_plain_bytes(type) == 8 &&
                 tmbm_element_word(tmbm_element_of(type));
    tmbm_word8 *at = word8 ? tmbm_word_place(win, rank, displacement) : NULL;
    uint64_t word;

    if (!at)
        return false;
    tmbm_note(call, TMBM_MAPPED, sizeof word);
    if (op == TMBM_REPLACE) {
        tmbm_stored = true;
        memcpy(&word, from, sizeof word);
        __atomic_store_n(at, word, __ATOMIC_RELAXED);
    } else {
        word = __atomic_load_n(at, __ATOMIC_RELAXED);
        memcpy(to, &word, sizeof word);
    }
    return true;
}

#endif
