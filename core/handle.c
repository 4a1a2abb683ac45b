/* SPDX-License-Identifier: BSD-3-Clause */
#include "handle.h"

#include <stdlib.h>
#include <string.h>

/* So many frees lie at least between a handle's end and its next life. */
#define REST 256

static struct tmbi_handle *pool_take(struct tmbi_pool *pool)
{
    struct tmbi_handle *handle = NULL;

    pthread_mutex_lock(&pool->mutex);
    if (pool->count > REST) {
        handle = pool->first;
        pool->first = handle->next_free;
        pool->count--;
    }
    pthread_mutex_unlock(&pool->mutex);
    return handle;
}

void *tmbi_handle_new(struct tmbi_pool *pool)
{
    struct tmbi_handle *handle = pool_take(pool);

    if (!handle)
        handle = aligned_alloc(64, (pool->bytes + 63) / 64 * 64);
    if (!handle)
        return NULL;
    memset(handle, 0, pool->bytes);
    handle->magic = pool->magic;
    return handle;
}

void tmbi_handle_free(struct tmbi_pool *pool, void *at)
{
    struct tmbi_handle *handle = at;

    handle->magic = 0;
    handle->next_free = NULL;
    pthread_mutex_lock(&pool->mutex);
    if (pool->count++ == 0)
        pool->first = handle;
    else
        pool->last->next_free = handle;
    pool->last = handle;
    pthread_mutex_unlock(&pool->mutex);
}
