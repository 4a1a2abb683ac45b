/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Post, start, complete, wait. An origin counts, for each target, the exposure epochs
 * that it opened to it, and a target, for each origin, the access epochs that it
 * completed: a pair of counters per two ranks, changed by signals, so that whoever waits
 * sleeps.
 */
#include <errno.h>
#include <stdlib.h>

#include "adapter.h"

static uint64_t posted_offset(int rank)
{
    return offsetof(struct tmbm_control, pairs) +
           (uint64_t)rank * sizeof(struct tmbm_pair) + offsetof(struct tmbm_pair, posted);
}

static uint64_t completed_offset(int rank)
{
    return offsetof(struct tmbm_control, pairs) +
           (uint64_t)rank * sizeof(struct tmbm_pair) +
           offsetof(struct tmbm_pair, completed);
}

static int signal_pair(struct tmbm_win *win, int rank, uint64_t offset)
{
    return tmbm_class(
        tmb_put_signal(win->control, rank, 0, NULL, 0, offset, TMB_SIGNAL_ADD, 1));
}

/* The group's ranks in the window, the caller's; NULL for an empty group. */
static int group_ranks(const struct tmbm_win *win, MPI_Group group, int **ranks,
                       int *count)
{
    int rc = PMPI_Group_size(group, count), *from;
    MPI_Group all;

    *ranks = NULL;
    if (rc != MPI_SUCCESS)
        return MPI_ERR_GROUP;
    if (*count == 0)
        return MPI_SUCCESS;
    *ranks = malloc(2 * (size_t)*count * sizeof **ranks);
    if (!*ranks)
        return MPI_ERR_NO_MEM;
    from = *ranks + *count;
    for (int i = 0; i < *count; i++)
        from[i] = i;
    PMPI_Win_get_group(win->handle, &all);
    PMPI_Group_translate_ranks(group, *count, from, all, *ranks);
    PMPI_Group_free(&all);
    for (int i = 0; i < *count; i++)
        if ((*ranks)[i] == MPI_UNDEFINED) {
            free(*ranks);
            *ranks = NULL;
            return MPI_ERR_GROUP;
        }
    return MPI_SUCCESS;
}

/* ---- targets ---- */

static int post(struct tmbm_win *win, MPI_Group group, int assert)
{
    struct tmbm_epochs *epochs = &win->epochs;
    int rc, count;

    if (assert & ~(MPI_MODE_NOCHECK | MPI_MODE_NOSTORE | MPI_MODE_NOPUT))
        return MPI_ERR_ARG;
    if (epochs->posted_count >= 0 || tmbm_freed(win))
        return MPI_ERR_RMA_SYNC;
    rc = group_ranks(win, group, &epochs->posted, &count);
    if (rc != MPI_SUCCESS)
        return rc;
    epochs->posted_count = count;
    /* NOCHECK: the origins say it, too, and don't look. */
    for (int i = 0; i < count && rc == MPI_SUCCESS; i++) {
        epochs->completed[epochs->posted[i]]++;
        if (!(assert &MPI_MODE_NOCHECK))
            rc = signal_pair(win, epochs->posted[i], posted_offset(win->rank));
    }
    return rc;
}

static void exposure_end(struct tmbm_win *win)
{
    free(win->epochs.posted);
    win->epochs.posted = NULL;
    win->epochs.posted_count = -1;
}

static int wait(struct tmbm_win *win, int64_t timeout_ns, bool *over)
{
    struct tmbm_epochs *epochs = &win->epochs;
    int rc = 0;

    *over = false;
    if (epochs->posted_count < 0)
        return MPI_ERR_RMA_SYNC;
    for (int i = 0; i < epochs->posted_count && rc == 0; i++)
        rc = tmb_wait(win->control, completed_offset(epochs->posted[i]), TMB_GE,
                      epochs->completed[epochs->posted[i]], timeout_ns, NULL);
    if (rc == -ETIMEDOUT && timeout_ns == 0)
        return MPI_SUCCESS;
    if (rc == 0) {
        *over = true;
        exposure_end(win);
    }
    return tmbm_class(rc);
}

/* ---- origins ---- */

static int start(struct tmbm_win *win, MPI_Group group, int assert)
{
    struct tmbm_epochs *epochs = &win->epochs;
    int access = atomic_load_explicit(&epochs->access, memory_order_relaxed);
    int rc;

    if (assert & ~MPI_MODE_NOCHECK)
        return MPI_ERR_ARG;
    if (access != TMBM_ACCESS_NONE && access != TMBM_ACCESS_FENCE)
        return MPI_ERR_RMA_SYNC;
    rc = group_ranks(win, group, &epochs->started, &epochs->started_count);
    for (int i = 0; i < epochs->started_count && rc == MPI_SUCCESS; i++) {
        int rank = epochs->started[i];

        if (!(assert &MPI_MODE_NOCHECK))
            rc = tmbm_class(tmb_wait(win->control, posted_offset(rank), TMB_GE,
                                     ++epochs->opened[rank], TMB_FOREVER, NULL));
        atomic_store_explicit(&win->targets[rank].hold, TMBM_STARTED,
                              memory_order_relaxed);
    }
    if (rc == MPI_SUCCESS)
        atomic_store_explicit(&epochs->access, TMBM_ACCESS_START, memory_order_relaxed);
    return rc;
}

static int complete(struct tmbm_win *win)
{
    struct tmbm_epochs *epochs = &win->epochs;
    int rc = MPI_SUCCESS;

    if (atomic_load_explicit(&epochs->access, memory_order_relaxed) != TMBM_ACCESS_START)
        return MPI_ERR_RMA_SYNC;
    atomic_store_explicit(&epochs->access, TMBM_ACCESS_NONE, memory_order_relaxed);
    for (int i = 0; i < epochs->started_count; i++) {
        /* The signal comes after what was put, and the target waits for that. */
        int rank = epochs->started[i], target_rc = tmbm_flush_local(win, rank);

        atomic_store_explicit(&win->targets[rank].hold, TMBM_UNHELD,
                              memory_order_relaxed);
        if (target_rc == MPI_SUCCESS)
            target_rc = signal_pair(win, rank, completed_offset(win->rank));
        rc = rc == MPI_SUCCESS ? target_rc : rc;
    }
    free(epochs->started);
    epochs->started = NULL;
    return rc;
}

/* ---- what applications call ---- */

TMBM_API int MPI_Win_post(MPI_Group group, int assert, MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (!win) {
        tmbm_note(TMBM_Win_post, TMBM_MPICH, 0);
        return PMPI_Win_post(group, assert, handle);
    }
    tmbm_note(TMBM_Win_post, TMBM_MAPPED, 0);
    return tmbm_end(win, post(win, group, assert));
}

TMBM_API int MPI_Win_start(MPI_Group group, int assert, MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (!win) {
        tmbm_note(TMBM_Win_start, TMBM_MPICH, 0);
        return PMPI_Win_start(group, assert, handle);
    }
    tmbm_note(TMBM_Win_start, TMBM_MAPPED, 0);
    return tmbm_end(win, start(win, group, assert));
}

TMBM_API int MPI_Win_complete(MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (!win) {
        tmbm_note(TMBM_Win_complete, TMBM_MPICH, 0);
        return PMPI_Win_complete(handle);
    }
    tmbm_note(TMBM_Win_complete, TMBM_MAPPED, 0);
    return tmbm_end(win, complete(win));
}

TMBM_API int MPI_Win_wait(MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);
    bool over;

    if (!win) {
        tmbm_note(TMBM_Win_wait, TMBM_MPICH, 0);
        return PMPI_Win_wait(handle);
    }
    tmbm_note(TMBM_Win_wait, TMBM_MAPPED, 0);
    return tmbm_end(win, wait(win, TMB_FOREVER, &over));
}

TMBM_API int MPI_Win_test(MPI_Win handle, int *flag)
{
    struct tmbm_win *win = tmbm_win_find(handle);
    bool over = false;
    int rc;

    if (!win) {
        tmbm_note(TMBM_Win_test, TMBM_MPICH, 0);
        return PMPI_Win_test(handle, flag);
    }
    tmbm_note(TMBM_Win_test, TMBM_MAPPED, 0);
    rc = wait(win, 0, &over);
    *flag = over;
    return tmbm_end(win, rc);
}
