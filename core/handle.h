/* SPDX-License-Identifier: BSD-3-Clause */
/* Handles that may be used after they were freed: their memory stays a handle of its
 * kind for ever, so that a stale one is recognized instead of followed. */
#ifndef TMBI_HANDLE_H
#define TMBI_HANDLE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* First member of every handle. */
struct tmbi_handle {
    uint64_t magic; /* the pool's while in use, otherwise 0 */
    struct tmbi_handle *next_free;
};

struct tmbi_pool {
    uint64_t magic;
    size_t bytes;
    pthread_mutex_t mutex;
    struct tmbi_handle *first, *last; /* freed; reused oldest first */
    unsigned count;
};

#define TMBI_POOL(magic_, type)                                                          \
    {                                                                                    \
        .magic = (magic_), .bytes = sizeof(type), .mutex = PTHREAD_MUTEX_INITIALIZER     \
    }

/* A zero-filled handle in use, or NULL. */
void *tmbi_handle_new(struct tmbi_pool *pool);
void tmbi_handle_free(struct tmbi_pool *pool, void *handle);

#endif
