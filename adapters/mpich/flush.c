/* SPDX-License-Identifier: BSD-3-Clause */
/* Completion. A store is complete for all once a full fence follows it; with nothing
 * pending there is nothing to do. */
#include "adapter.h"

_Thread_local bool tmbm_stored;

static void stores_complete(void)
{
    if (!tmbm_stored)
        return;
    tmbm_stored = false;
    /* seq_cst: whatever we do next comes after our stores, for everybody */
    atomic_thread_fence(memory_order_seq_cst);
}

/* How many have begun, if some of them have not ended; or 0. */
static uint64_t pending(const struct tmbm_pending *pending)
{
    /* acquire: partners are the releases of who began them, and of who flushed */
    uint64_t begun = atomic_load_explicit(&pending->begun, memory_order_acquire);

    return begun == atomic_load_explicit(&pending->completed, memory_order_acquire)
               ? 0
               : begun;
}

static void completed(struct tmbm_pending *pending, uint64_t begun)
{
    uint64_t before = atomic_load_explicit(&pending->completed, memory_order_relaxed);

    while (before < begun && !atomic_compare_exchange_weak_explicit(
                                 &pending->completed, &before, begun,
                                 memory_order_release, memory_order_relaxed))
        ;
}

static int target_complete(struct tmbm_win *win, int rank)
{
    struct tmbm_target *target = &win->targets[rank];
    uint64_t begun = pending(&target->pending);
    int rc;

    if (tmbm_likely(!begun))
        return MPI_SUCCESS;
    rc = win->memory ? tmb_flush(win->memory, target->part)
                     : tmb_flush(win->control, rank);
    completed(&target->pending, begun);
    return tmbm_class(rc);
}

int tmbm_flush(struct tmbm_win *win, int rank)
{
    stores_complete();
    return target_complete(win, rank);
}

int tmbm_flush_all(struct tmbm_win *win)
{
    uint64_t begun = pending(&win->pending);
    int rc = MPI_SUCCESS;

    stores_complete();
    if (tmbm_likely(!begun))
        return MPI_SUCCESS;
    if (win->size > 2) /* all answer at the same time */
        rc = tmbm_class(tmb_flush_all(win->memory ? win->memory : win->control));
    for (int i = 0; i < win->size; i++) {
        int target_rc = target_complete(win, i);

        rc = rc == MPI_SUCCESS ? target_rc : rc;
    }
    completed(&win->pending, begun);
    return rc;
}

/* Sources are reusable when an operation returns, and gets of memory that is mapped have
 * their data then. */
int tmbm_flush_local(struct tmbm_win *win, int rank)
{
    struct tmbm_target *target = &win->targets[rank];

    stores_complete();
    if (!pending(&target->pending) || !win->memory)
        return MPI_SUCCESS;
    return tmbm_class(tmb_flush_local(win->memory, target->part));
}

int tmbm_flush_local_all(struct tmbm_win *win)
{
    int rc = MPI_SUCCESS;

    stores_complete();
    if (tmbm_likely(!pending(&win->pending)))
        return MPI_SUCCESS;
    for (int i = 0; i < win->size; i++) {
        int target_rc = tmbm_flush_local(win, i);

        rc = rc == MPI_SUCCESS ? target_rc : rc;
    }
    return rc;
}

/* ---- what applications call ---- */

/* MPI allows a flush within a passive epoch only. */
static bool passive(const struct tmbm_win *win, const struct tmbm_target *target)
{
    int access = atomic_load_explicit(&win->epochs.access, memory_order_relaxed);

    if (access == TMBM_ACCESS_LOCK_ALL)
        return true;
    return access == TMBM_ACCESS_LOCK &&
           (!target ||
            atomic_load_explicit(&target->hold, memory_order_relaxed) != TMBM_UNHELD);
}

static int flush(enum tmbm_call call, struct tmbm_win *win, int rank, bool remotely)
{
    struct tmbm_target *target;
    int rc;

    if (rank == MPI_PROC_NULL)
        return MPI_SUCCESS;
    if (tmbm_unlikely((unsigned)rank >= (unsigned)win->size))
        return tmbm_raise(win->handle, MPI_ERR_RANK);
    target = &win->targets[rank];
    if (tmbm_unlikely(!passive(win, target)))
        return tmbm_raise(win->handle, MPI_ERR_RMA_SYNC);
    tmbm_note(call, target->base ? TMBM_MAPPED : TMBM_REMOTE, 0);
    rc = remotely ? tmbm_flush(win, rank) : tmbm_flush_local(win, rank);
    return tmbm_end(win, rc);
}

static int flush_all(enum tmbm_call call, struct tmbm_win *win, bool remotely)
{
    int rc;

    if (tmbm_unlikely(!passive(win, NULL)))
        return tmbm_raise(win->handle, MPI_ERR_RMA_SYNC);
    tmbm_note(call, TMBM_MAPPED, 0);
    rc = remotely ? tmbm_flush_all(win) : tmbm_flush_local_all(win);
    return tmbm_end(win, rc);
}

TMBM_API int MPI_Win_flush(int rank, MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (tmbm_unlikely(!win)) {
        tmbm_note(TMBM_Win_flush, TMBM_MPICH, 0);
        return PMPI_Win_flush(rank, handle);
    }
    return flush(TMBM_Win_flush, win, rank, true);
}

TMBM_API int MPI_Win_flush_local(int rank, MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (tmbm_unlikely(!win)) {
        tmbm_note(TMBM_Win_flush_local, TMBM_MPICH, 0);
        return PMPI_Win_flush_local(rank, handle);
    }
    return flush(TMBM_Win_flush_local, win, rank, false);
}

TMBM_API int MPI_Win_flush_all(MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (tmbm_unlikely(!win)) {
        tmbm_note(TMBM_Win_flush_all, TMBM_MPICH, 0);
        return PMPI_Win_flush_all(handle);
    }
    return flush_all(TMBM_Win_flush_all, win, true);
}

TMBM_API int MPI_Win_flush_local_all(MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (tmbm_unlikely(!win)) {
        tmbm_note(TMBM_Win_flush_local_all, TMBM_MPICH, 0);
        return PMPI_Win_flush_local_all(handle);
    }
    return flush_all(TMBM_Win_flush_local_all, win, false);
}

/* Public and private copies are one; a fence orders them for this thread. */
TMBM_API int MPI_Win_sync(MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (tmbm_unlikely(!win)) {
        tmbm_note(TMBM_Win_sync, TMBM_MPICH, 0);
        return PMPI_Win_sync(handle);
    }
    if (tmbm_unlikely(tmbm_freed(win)))
        return tmbm_raise(handle, MPI_ERR_WIN);
    tmbm_note(TMBM_Win_sync, TMBM_MAPPED, 0);
    /* seq_cst: with the application's own loads and stores, on any rank */
    atomic_thread_fence(memory_order_seq_cst);
    return MPI_SUCCESS;
}
