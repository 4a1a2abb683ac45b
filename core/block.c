/* SPDX-License-Identifier: BSD-3-Clause */
#include "block.h"

#include <errno.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"
#include "window.h"

#define ALIGN      ((size_t)64)
#define HUGE_BYTES ((size_t)2 << 20)

struct tmbi_block {
    uint8_t *base;
    size_t bytes;
    struct tmbi_endpoint *ep; /* whose it is, or NULL: ordinary memory */
    unsigned windows;         /* that hold it */
};

/* Blocks by address. */
static struct {
    pthread_mutex_t mutex;
    void *tree;
} blocks = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* They never overlap: what overlaps one is found as equal to it. */
static int order(const void *left, const void *right)
{
    const struct tmbi_block *a = left, *b = right;

    if (a->base + a->bytes <= b->base)
        return -1;
    return b->base + b->bytes <= a->base ? 1 : 0;
}

static struct tmbi_block *block_at(void *base)
{
    const struct tmbi_block probe = {.base = base, .bytes = 1};
    struct tmbi_block **node = tfind(&probe, &blocks.tree, order);

    return node ? *node : NULL;
}

/* ---- the memory ---- */

static int ordinary_alloc(size_t bytes, void **memory)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t align = bytes >= HUGE_BYTES ? HUGE_BYTES : bytes >= page ? page : ALIGN;
    int error = posix_memalign(memory, align, bytes);

    if (error)
        tmbi_error("tmb_mem_alloc: no memory for %zu bytes", bytes);
    return -error;
}

static int memory_alloc(struct tmbi_block *block)
{
    struct tmbi_endpoint *ep = tmbi_context.endpoints[0];
    void *memory;
    int rc;

    if (ep->ops->block_alloc) {
        block->ep = ep;
        rc = ep->ops->block_alloc(ep, block->bytes, &memory);
    } else {
        rc = ordinary_alloc(block->bytes, &memory);
    }
    if (rc)
        return rc;
    block->base = memory;
    tmbi_memory_place(memory, block->bytes);
    return 0;
}

static void block_free(struct tmbi_block *block)
{
    if (block->ep)
        block->ep->ops->block_free(block->ep, block->base);
    else
        free(block->base);
    free(block);
}

static int block_make(size_t bytes, struct tmbi_block **result)
{
    struct tmbi_block *block = calloc(1, sizeof(*block));
    int rc;

    if (!block)
        return -ENOMEM;
    block->bytes = bytes;
    rc = memory_alloc(block);
    if (rc) {
        free(block);
        return rc;
    }
    *result = block;
    return 0;
}

/* ---- calls ---- */

static int running_check(const char *call)
{
    if (tmbi_running())
        return 0;
    tmbi_error("%s: not initialized: call tmb_init first, tmb_finalize last", call);
    return -ENOTCONN;
}

int tmb_mem_alloc(size_t bytes, void **ptr)
{
    struct tmbi_block *block = NULL;
    int rc = running_check("tmb_mem_alloc");

    if (rc == 0 && !ptr)
        rc = tmbi_null_bad("tmb_mem_alloc", sizeof(*ptr));
    if (rc == 0 && bytes)
        rc = block_make(bytes, &block);
    if (rc)
        return rc;
    *ptr = block ? block->base : NULL;
    if (!block)
        return 0;
    pthread_mutex_lock(&blocks.mutex);
    if (!tsearch(block, &blocks.tree, order))
        rc = -ENOMEM;
    pthread_mutex_unlock(&blocks.mutex);
    if (rc)
        block_free(block);
    return rc;
}

/* Take a block out of the tree; it is the caller's then. */
static int block_take(void *ptr, struct tmbi_block **result)
{
    struct tmbi_block *block = block_at(ptr);

    if (!block || block->base != ptr) {
        tmbi_error("tmb_mem_free: %p: tmb_mem_alloc gave no such pointer, or it was "
                   "freed before",
                   ptr);
        return -EINVAL;
    }
    if (block->windows) {
        tmbi_error("tmb_mem_free: %p: %u windows are on these %zu bytes: free them first",
                   ptr, block->windows, block->bytes);
        return -EBUSY;
    }
    tdelete(block, &blocks.tree, order);
    *result = block;
    return 0;
}

int tmb_mem_free(void *ptr)
{
    struct tmbi_block *block;
    int rc = running_check("tmb_mem_free");

    if (rc || !ptr)
        return rc;
    pthread_mutex_lock(&blocks.mutex);
    rc = block_take(ptr, &block);
    pthread_mutex_unlock(&blocks.mutex);
    if (rc == 0)
        block_free(block);
    return rc;
}

/* ---- windows ---- */

struct tmbi_block *tmbi_block_hold(void *base, size_t bytes)
{
    struct tmbi_block *block;

    pthread_mutex_lock(&blocks.mutex);
    block = bytes ? block_at(base) : NULL;
    if (block && bytes > block->bytes - (size_t)((uint8_t *)base - block->base))
        block = NULL;
    if (block)
        block->windows++;
    pthread_mutex_unlock(&blocks.mutex);
    return block;
}

void tmbi_block_release(struct tmbi_block *block)
{
    if (!block)
        return;
    pthread_mutex_lock(&blocks.mutex);
    block->windows--;
    pthread_mutex_unlock(&blocks.mutex);
}

void tmbi_blocks_release_all(void)
{
    while (blocks.tree) {
        struct tmbi_block *block = *(struct tmbi_block **)blocks.tree;

        tmbi_warn("tmb_finalize: memory %p (%zu bytes) of tmb_mem_alloc was not freed",
                  (void *)block->base, block->bytes);
        tdelete(block, &blocks.tree, order);
        block_free(block);
    }
}
