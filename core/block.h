/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of tmb_mem_alloc(), and which windows are on it. */
#ifndef TMBI_BLOCK_H
#define TMBI_BLOCK_H

#include <stddef.h>

struct tmbi_block;

/* A window is on [base, base + bytes): the block that all of it lies in can't be freed
 * until it is released. NULL: there is none. */
struct tmbi_block *tmbi_block_hold(void *base, size_t bytes);
/* NULL is nothing. */
void tmbi_block_release(struct tmbi_block *block);

/* Free what the application left, with a warning. */
void tmbi_blocks_release_all(void);

#endif
