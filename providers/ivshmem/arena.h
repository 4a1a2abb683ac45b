/* SPDX-License-Identifier: BSD-3-Clause */
/* Small and large blocks out of the job's heap pages, for this process. All book-keeping
 * is in private memory: nothing that a peer writes can lead an allocation astray. */
#ifndef TMBI_ARENA_H
#define TMBI_ARENA_H

#include <pthread.h>

#include "region.h"

#define TMBI_ARENA_CLASSES 18

struct tmbi_chunk;

struct tmbi_arena {
    struct tmbi_region *region;
    uint32_t job;
    pthread_mutex_t mutex;                       /* over all that follows */
    struct tmbi_chunk **chunk_of;                /* by heap page; NULL: not ours */
    struct tmbi_chunk *open[TMBI_ARENA_CLASSES]; /* chunks with a free block */
    uint32_t pages[TMBI_ARENA_CLASSES];          /* that a class holds */
};

int tmbi_arena_init(struct tmbi_arena *arena, struct tmbi_region *region, uint32_t job);

/* Forget the book-keeping. Blocks that were not freed stay the job's, which frees them
 * when it is over: peers may still look at them. */
void tmbi_arena_fini(struct tmbi_arena *arena);

/* A block of at least `bytes` (> 0), 64-aligned, content undefined. O(1) for what fits a
 * class, however many blocks there are. -ENOMEM: nothing is logged. */
int tmbi_arena_alloc(struct tmbi_arena *arena, uint64_t bytes, void **block);

/* Give back what tmbi_arena_alloc() gave; NULL is nothing. */
void tmbi_arena_free(struct tmbi_arena *arena, void *block);

#endif
