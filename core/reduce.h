/* SPDX-License-Identifier: BSD-3-Clause */
/* Element types and operations: sizes, which fit which, and their arithmetic. */
#ifndef TMBI_REDUCE_H
#define TMBI_REDUCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/tombolo.h"

/* 4 or 8; 0: no such type. */
size_t tmbi_type_size(uint32_t type);
bool tmbi_type_takes(uint32_t type, uint32_t op);

/* into[i] = into[i] op from[i]: TMB_OP_ADD .. TMB_OP_MAX. Checked by the caller. */
void tmbi_reduce(void *into, const void *from, size_t count, enum tmb_type type,
                 enum tmb_atomic_op op);

/*
 * One atomic on an aligned word of this process's address space, seq_cst. `operand`,
 * `compare` and the result hold the word's bits in their low bytes. Checked by the
 * caller.
 */
uint64_t tmbi_word_atomic(void *word, enum tmb_type type, enum tmb_atomic_op op,
                          uint64_t operand, uint64_t compare);

/* The same on an array; `src` NULL for TMB_OP_FETCH, `result` NULL if not wanted. */
void tmbi_words_accumulate(void *words, enum tmb_type type, enum tmb_atomic_op op,
                           const void *src, size_t count, void *result);

#endif
