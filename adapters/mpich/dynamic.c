/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that is attached to dynamic windows: who has it knows what is, and its agent
 * looks it up for the others. */
#include <stdlib.h>

#include "adapter.h"

struct range {
    uint64_t address, bytes;
};

struct tmbm_attachments {
    pthread_mutex_t mutex; /* protects the ranges, which are in no order */
    struct range *ranges;
    size_t count, capacity;
};

int tmbm_attachments_open(struct tmbm_win *win)
{
    win->attachments = calloc(1, sizeof *win->attachments);
    if (!win->attachments)
        return MPI_ERR_NO_MEM;
    pthread_mutex_init(&win->attachments->mutex, NULL);
    return 0;
}

void tmbm_attachments_close(struct tmbm_win *win)
{
    if (!win->attachments)
        return;
    pthread_mutex_destroy(&win->attachments->mutex);
    free(win->attachments->ranges);
    free(win->attachments);
}

/* Ranges may touch each other, and then be used as one. */
static bool attached(const struct tmbm_attachments *a, uint64_t address, uint64_t bytes)
{
    while (bytes) {
        uint64_t covered = 0;

        for (size_t i = 0; i < a->count && !covered; i++)
            if (address >= a->ranges[i].address &&
                address - a->ranges[i].address < a->ranges[i].bytes)
                covered = a->ranges[i].bytes - (address - a->ranges[i].address);
        if (!covered)
            return false;
        if (covered >= bytes)
            return true;
        address += covered;
        bytes -= covered;
    }
    return true;
}

bool tmbm_attached(struct tmbm_win *win, uint64_t address, uint64_t bytes)
{
    bool is;

    pthread_mutex_lock(&win->attachments->mutex);
    is = attached(win->attachments, address, bytes);
    pthread_mutex_unlock(&win->attachments->mutex);
    return is;
}

static int range_add(struct tmbm_attachments *a, struct range range)
{
    if (a->count == a->capacity) {
        size_t capacity = a->capacity ? 2 * a->capacity : 8;
        struct range *larger = realloc(a->ranges, capacity * sizeof *larger);

        if (!larger)
            return MPI_ERR_NO_MEM;
        a->ranges = larger;
        a->capacity = capacity;
    }
    a->ranges[a->count++] = range;
    return MPI_SUCCESS;
}

static int attach(struct tmbm_win *win, void *base, MPI_Aint bytes)
{
    struct range range = {(uintptr_t)base, (uint64_t)bytes};
    int rc = MPI_SUCCESS;

    if (!win->attachments)
        return MPI_ERR_RMA_FLAVOR;
    if (bytes < 0)
        return MPI_ERR_SIZE;
    if (bytes == 0)
        return MPI_SUCCESS;
    if (!base)
        return MPI_ERR_ARG;
    pthread_mutex_lock(&win->attachments->mutex);
    rc = range_add(win->attachments, range);
    pthread_mutex_unlock(&win->attachments->mutex);
    return rc;
}

/* MPICH takes what is not attached, too. */
static int detach(struct tmbm_win *win, const void *base)
{
    struct tmbm_attachments *a = win->attachments;
    size_t i = 0;

    if (!a)
        return MPI_ERR_RMA_FLAVOR;
    pthread_mutex_lock(&a->mutex);
    while (i < a->count && a->ranges[i].address != (uintptr_t)base)
        i++;
    if (i < a->count)
        a->ranges[i] = a->ranges[--a->count];
    pthread_mutex_unlock(&a->mutex);
    return MPI_SUCCESS;
}

TMBM_API int MPI_Win_attach(MPI_Win handle, void *base, MPI_Aint bytes)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (!win) {
        tmbm_note(TMBM_Win_attach, TMBM_MPICH, (uint64_t)bytes);
        return PMPI_Win_attach(handle, base, bytes);
    }
    tmbm_note(TMBM_Win_attach, TMBM_MAPPED, (uint64_t)bytes);
    return tmbm_end(win, attach(win, base, bytes));
}

TMBM_API int MPI_Win_detach(MPI_Win handle, const void *base)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (!win) {
        tmbm_note(TMBM_Win_detach, TMBM_MPICH, 0);
        return PMPI_Win_detach(handle, base);
    }
    tmbm_note(TMBM_Win_detach, TMBM_MAPPED, 0);
    return tmbm_end(win, detach(win, base));
}
