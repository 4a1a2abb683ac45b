/* SPDX-License-Identifier: BSD-3-Clause */
#include "arena.h"

#include <errno.h>
#include <stdlib.h>

#define LARGE           TMBI_ARENA_CLASSES /* class of a chunk that is one block */
#define CHUNK_PAGES_MAX 256u
#define SCARCE_PAGES    512u /* a heap up to this is searched fast, and soon full */

/* Blocks of a class, and the least number of pages that they fill without a rest worth
 * mentioning. Steps of at most a half, so that at most a third of a block is wasted. */
static const struct {
    uint32_t bytes, pages;
} classes[TMBI_ARENA_CLASSES] = {
    {64, 1},   {128, 1},  {192, 1},   {256, 1},   {384, 1},   {512, 1},
    {768, 1},  {1024, 1}, {1536, 1},  {2048, 1},  {3072, 1},  {4096, 1},
    {6144, 3}, {8192, 1}, {12288, 3}, {16384, 1}, {24576, 3}, {32768, 2},
};

/* Adjacent pages cut into blocks of one class. */
struct tmbi_chunk {
    struct tmbi_chunk *next, *prev; /* in arena->open */
    uint32_t first_page, pages;
    uint32_t class;
    uint32_t blocks, free_count;
    uint32_t free[]; /* a stack of block numbers */
};

static int class_of(uint64_t bytes, uint32_t *class)
{
    for (*class = 0; *class < TMBI_ARENA_CLASSES; (*class)++)
        if (bytes <= classes[*class].bytes)
            return 0;
    return -ERANGE;
}

static void open_push(struct tmbi_arena *arena, struct tmbi_chunk *chunk)
{
    struct tmbi_chunk **head = &arena->open[chunk->class];

    chunk->prev = NULL;
    chunk->next = *head;
    if (*head)
        (*head)->prev = chunk;
    *head = chunk;
}

static void open_remove(struct tmbi_arena *arena, struct tmbi_chunk *chunk)
{
    if (chunk->prev)
        chunk->prev->next = chunk->next;
    else
        arena->open[chunk->class] = chunk->next;
    if (chunk->next)
        chunk->next->prev = chunk->prev;
}

/* Claim pages and cut them into `blocks`, all free; the chunk is on no list yet. */
static int chunk_make(struct tmbi_arena *arena, uint32_t class, uint32_t pages,
                      uint32_t blocks, struct tmbi_chunk **result)
{
    struct tmbi_chunk *chunk = malloc(sizeof *chunk + blocks * sizeof chunk->free[0]);

    if (!chunk)
        return -ENOMEM;
    int status = tmbi_heap_alloc(arena->region, arena->job, pages, &chunk->first_page);
    if (status) {
        free(chunk);
        return status;
    }
    chunk->pages = pages;
    chunk->class = class;
    chunk->blocks = chunk->free_count = blocks;
    for (uint32_t i = 0; i < blocks; i++)
        chunk->free[i] = blocks - 1 - i;
    for (uint32_t i = 0; i < pages; i++)
        arena->chunk_of[chunk->first_page + i] = chunk;
    *result = chunk;
    return 0;
}

static void chunk_drop(struct tmbi_arena *arena, struct tmbi_chunk *chunk)
{
    for (uint32_t i = 0; i < chunk->pages; i++)
        arena->chunk_of[chunk->first_page + i] = NULL;
    tmbi_heap_free(arena->region, arena->job, chunk->first_page, chunk->pages);
    free(chunk);
}

/* Give back the chunks that are kept for reuse; true if there were any. */
static bool arena_trim(struct tmbi_arena *arena)
{
    bool trimmed = false;

    for (uint32_t class = 0; class < TMBI_ARENA_CLASSES; class ++) {
        struct tmbi_chunk *next;
        for (struct tmbi_chunk *chunk = arena->open[class]; chunk; chunk = next) {
            next = chunk->next;
            if (chunk->free_count != chunk->blocks)
                continue;
            open_remove(arena, chunk);
            arena->pages[class] -= chunk->pages;
            chunk_drop(arena, chunk);
            trimmed = true;
        }
    }
    return trimmed;
}

static int class_claim(struct tmbi_arena *arena, uint32_t class, uint32_t pages)
{
    uint32_t blocks = (uint32_t)(pages * TMBI_PAGE_BYTES / classes[class].bytes);
    struct tmbi_chunk *chunk;

    int status = chunk_make(arena, class, pages, blocks, &chunk);
    if (status)
        return status;
    arena->pages[class] += pages;
    open_push(arena, chunk);
    return 0;
}

/* Claiming pages walks the page map, so a class that grows takes more at a time: a
 * quarter of what it has; where there is no such room, what one block needs. */
static int class_grow(struct tmbi_arena *arena, uint32_t class)
{
    uint32_t unit = classes[class].pages;
    uint32_t least = (classes[class].bytes - 1) / TMBI_PAGE_BYTES + 1;
    uint32_t pages = arena->pages[class] / 4;

    pages = pages > CHUNK_PAGES_MAX ? CHUNK_PAGES_MAX : pages;
    pages -= pages % unit;
    if (pages > unit && !class_claim(arena, class, pages))
        return 0;
    if (unit > least && !class_claim(arena, class, unit))
        return 0;
    return class_claim(arena, class, least);
}

static int class_take(struct tmbi_arena *arena, uint32_t class, void **block)
{
    struct tmbi_chunk *chunk = arena->open[class];

    if (!chunk) {
        int status = class_grow(arena, class);
        if (status == -ENOMEM && arena_trim(arena))
            status = class_grow(arena, class);
        if (status)
            return status;
        chunk = arena->open[class];
    }
    uint64_t index = chunk->free[--chunk->free_count];
    if (!chunk->free_count)
        open_remove(arena, chunk);
    *block = arena->region->heap + chunk->first_page * TMBI_PAGE_BYTES +
             index * classes[class].bytes;
    return 0;
}

static int large_take(struct tmbi_arena *arena, uint64_t bytes, void **block)
{
    uint64_t pages = (bytes - 1) / TMBI_PAGE_BYTES + 1;
    struct tmbi_chunk *chunk;

    if (pages > arena->region->page_count)
        return -ENOMEM;
    int status = chunk_make(arena, LARGE, (uint32_t)pages, 0, &chunk);
    if (status == -ENOMEM && arena_trim(arena))
        status = chunk_make(arena, LARGE, (uint32_t)pages, 0, &chunk);
    if (!status)
        *block = arena->region->heap + chunk->first_page * TMBI_PAGE_BYTES;
    return status;
}

int tmbi_arena_alloc(struct tmbi_arena *arena, uint64_t bytes, void **block)
{
    uint32_t class;

    pthread_mutex_lock(&arena->mutex);
    int status = class_of(bytes, &class) ? large_take(arena, bytes, block)
                                         : class_take(arena, class, block);
    pthread_mutex_unlock(&arena->mutex);
    return status;
}

/* Put a block back. A chunk that is all free goes back to the job, unless it is the only
 * one with room: the next allocation would have to claim it again. Where peers may soon
 * look for that page in vain, that is the lesser evil. */
static void class_give(struct tmbi_arena *arena, struct tmbi_chunk *chunk, uint64_t at)
{
    chunk->free[chunk->free_count++] = (uint32_t)(at / classes[chunk->class].bytes);
    if (chunk->free_count == 1)
        open_push(arena, chunk);
    bool kept = !chunk->next && !chunk->prev && arena->region->page_count > SCARCE_PAGES;
    if (chunk->free_count < chunk->blocks || kept)
        return;
    open_remove(arena, chunk);
    arena->pages[chunk->class] -= chunk->pages;
    chunk_drop(arena, chunk);
}

void tmbi_arena_free(struct tmbi_arena *arena, void *block)
{
    if (!block)
        return;
    uint64_t at = (uint64_t)((uint8_t *)block - arena->region->heap);

    pthread_mutex_lock(&arena->mutex);
    struct tmbi_chunk *chunk = arena->chunk_of[at / TMBI_PAGE_BYTES];
    if (chunk->class == LARGE)
        chunk_drop(arena, chunk);
    else
        class_give(arena, chunk, at - chunk->first_page * TMBI_PAGE_BYTES);
    pthread_mutex_unlock(&arena->mutex);
}

int tmbi_arena_init(struct tmbi_arena *arena, struct tmbi_region *region, uint32_t job)
{
    *arena = (struct tmbi_arena){.region = region, .job = job};
    arena->chunk_of = calloc(region->page_count, sizeof *arena->chunk_of);
    if (!arena->chunk_of)
        return -ENOMEM;
    pthread_mutex_init(&arena->mutex, NULL);
    return 0;
}

void tmbi_arena_fini(struct tmbi_arena *arena)
{
    for (uint32_t page = 0; page < arena->region->page_count;) {
        struct tmbi_chunk *chunk = arena->chunk_of[page];
        page += chunk ? chunk->pages : 1;
        free(chunk);
    }
    free(arena->chunk_of);
    pthread_mutex_destroy(&arena->mutex);
}
