/* SPDX-License-Identifier: BSD-3-Clause */
/* MPI_Alloc_mem: memory in the region, so that windows on it are mapped. */
#include <search.h>
#include <stdlib.h>

#include "adapter.h"

/* Which memory is Tombolo's; all other is MPICH's to free. */
static struct {
    pthread_mutex_t mutex;
    void *tree; /* of addresses, tsearch(3) */
} blocks = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static int address_order(const void *a, const void *b)
{
    return (a > b) - (a < b);
}

static bool block_add(void *address)
{
    bool added;

    pthread_mutex_lock(&blocks.mutex);
    added = tsearch(address, &blocks.tree, address_order);
    pthread_mutex_unlock(&blocks.mutex);
    return added;
}

static bool block_remove(const void *address)
{
    bool removed;

    pthread_mutex_lock(&blocks.mutex);
    removed = tdelete(address, &blocks.tree, address_order);
    pthread_mutex_unlock(&blocks.mutex);
    return removed;
}

static bool alloc(MPI_Aint bytes, void **address)
{
    if (!tmbm_enabled || bytes <= 0 || tmb_mem_alloc((size_t)bytes, address))
        return false;
    if (block_add(*address))
        return true;
    tmb_mem_free(*address);
    return false;
}

TMBM_API int MPI_Alloc_mem(MPI_Aint bytes, MPI_Info info, void *base)
{
    void *address;

    if (!alloc(bytes, &address))
        return PMPI_Alloc_mem(bytes, info, base);
    *(void **)base = address;
    return MPI_SUCCESS;
}

TMBM_API int MPI_Free_mem(void *base)
{
    if (!block_remove(base))
        return PMPI_Free_mem(base);
    if (tmb_mem_free(base) == 0)
        return MPI_SUCCESS;
    block_add(base); /* a window is on it */
    PMPI_Comm_call_errhandler(MPI_COMM_WORLD, MPI_ERR_ARG);
    return MPI_ERR_ARG;
}

/* What the application has not freed. */
void tmbm_memory_close(void)
{
    while (blocks.tree) {
        void *address = *(void **)blocks.tree;

        block_remove(address);
        tmb_mem_free(address);
    }
}
