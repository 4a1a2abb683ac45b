/* SPDX-License-Identifier: BSD-3-Clause */
/* Passive targets: Tombolo's locks, which are fair, and whose waiters sleep. */
#include "adapter.h"

static int access_of(const struct tmbm_win *win)
{
    return atomic_load_explicit(&win->epochs.access, memory_order_relaxed);
}

static void access_set(struct tmbm_win *win, enum tmbm_access access)
{
    atomic_store_explicit(&win->epochs.access, access, memory_order_relaxed);
}

static int hold_of(const struct tmbm_target *target)
{
    return atomic_load_explicit(&target->hold, memory_order_relaxed);
}

static void hold_set(struct tmbm_target *target, enum tmbm_hold hold)
{
    atomic_store_explicit(&target->hold, hold, memory_order_relaxed);
}

static int lock_check(const struct tmbm_win *win, int type, int rank, int assert)
{
    int access = access_of(win);

    if (type != MPI_LOCK_SHARED && type != MPI_LOCK_EXCLUSIVE)
        return MPI_ERR_ARG;
    if (assert & ~MPI_MODE_NOCHECK)
        return MPI_ERR_ARG;
    if ((unsigned)rank >= (unsigned)win->size)
        return MPI_ERR_RANK;
    if (access == TMBM_ACCESS_START || access == TMBM_ACCESS_FREED ||
        access == TMBM_ACCESS_LOCK_ALL || hold_of(&win->targets[rank]) != TMBM_UNHELD)
        return MPI_ERR_RMA_SYNC;
    return MPI_SUCCESS;
}

static int lock(struct tmbm_win *win, int type, int rank, int assert)
{
    bool exclusive = type == MPI_LOCK_EXCLUSIVE;
    int rc = lock_check(win, type, rank, assert);

    if (tmbm_unlikely(rc != MPI_SUCCESS))
        return rc;
    if (assert & MPI_MODE_NOCHECK) {
        hold_set(&win->targets[rank], TMBM_HELD_NOCHECK);
    } else {
        rc = tmbm_class(tmbi_adapter_lock(
            win->control, rank, exclusive ? TMB_LOCK_EXCLUSIVE : TMB_LOCK_SHARED,
            TMB_FOREVER));
        if (rc != MPI_SUCCESS)
            return rc;
        hold_set(&win->targets[rank], exclusive ? TMBM_HELD_EXCLUSIVE : TMBM_HELD_SHARED);
    }
    if (atomic_fetch_add_explicit(&win->epochs.held, 1, memory_order_relaxed) == 0)
        access_set(win, TMBM_ACCESS_LOCK);
    return MPI_SUCCESS;
}

/* A lock that is given back says to the next holder that all is complete. */
static int release(struct tmbm_win *win, int rank, int hold)
{
    if (hold == TMBM_HELD_NOCHECK)
        return MPI_SUCCESS;
    return tmbm_class(tmbi_adapter_unlock(win->control, rank,
                                          hold == TMBM_HELD_EXCLUSIVE ? TMB_LOCK_EXCLUSIVE
                                                                      : TMB_LOCK_SHARED));
}

static int unlock(struct tmbm_win *win, int rank)
{
    struct tmbm_target *target;
    int hold, rc, release_rc;

    if ((unsigned)rank >= (unsigned)win->size)
        return MPI_ERR_RANK;
    target = &win->targets[rank];
    hold = hold_of(target);
    if (access_of(win) != TMBM_ACCESS_LOCK || hold == TMBM_UNHELD)
        return MPI_ERR_RMA_SYNC;
    rc = tmbm_flush(win, rank);
    hold_set(target, TMBM_UNHELD);
    if (atomic_fetch_sub_explicit(&win->epochs.held, 1, memory_order_relaxed) == 1)
        access_set(win, TMBM_ACCESS_NONE);
    release_rc = release(win, rank, hold);
    return rc == MPI_SUCCESS ? release_rc : rc;
}

static int lock_all(struct tmbm_win *win, int assert)
{
    int access = access_of(win), rc = MPI_SUCCESS;

    if (assert & ~MPI_MODE_NOCHECK)
        return MPI_ERR_ARG;
    if (access != TMBM_ACCESS_NONE && access != TMBM_ACCESS_FENCE)
        return MPI_ERR_RMA_SYNC;
    win->epochs.lock_all_nocheck = assert &MPI_MODE_NOCHECK;
    for (int i = 0; !win->epochs.lock_all_nocheck && i < win->size && rc == MPI_SUCCESS;
         i++)
        rc = tmbm_class(tmbi_adapter_lock(win->control, i, TMB_LOCK_SHARED, TMB_FOREVER));
    if (rc == MPI_SUCCESS)
        access_set(win, TMBM_ACCESS_LOCK_ALL);
    return rc;
}

static int unlock_all(struct tmbm_win *win)
{
    int rc;

    if (access_of(win) != TMBM_ACCESS_LOCK_ALL)
        return MPI_ERR_RMA_SYNC;
    rc = tmbm_flush_all(win);
    access_set(win, TMBM_ACCESS_NONE);
    for (int i = 0; !win->epochs.lock_all_nocheck && i < win->size; i++) {
        int release_rc = release(win, i, TMBM_HELD_SHARED);

        rc = rc == MPI_SUCCESS ? release_rc : rc;
    }
    return rc;
}

/* ---- what applications call ---- */

TMBM_API int MPI_Win_lock(int type, int rank, int assert, MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (tmbm_unlikely(!win)) {
        tmbm_note(TMBM_Win_lock, TMBM_MPICH, 0);
        return PMPI_Win_lock(type, rank, assert, handle);
    }
    if (tmbm_unlikely(rank == MPI_PROC_NULL))
        return MPI_SUCCESS;
    tmbm_note(TMBM_Win_lock, TMBM_MAPPED, 0);
    return tmbm_end(win, lock(win, type, rank, assert));
}

TMBM_API int MPI_Win_unlock(int rank, MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (tmbm_unlikely(!win)) {
        tmbm_note(TMBM_Win_unlock, TMBM_MPICH, 0);
        return PMPI_Win_unlock(rank, handle);
    }
    if (tmbm_unlikely(rank == MPI_PROC_NULL))
        return MPI_SUCCESS;
    tmbm_note(TMBM_Win_unlock, TMBM_MAPPED, 0);
    return tmbm_end(win, unlock(win, rank));
}

TMBM_API int MPI_Win_lock_all(int assert, MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (!win) {
        tmbm_note(TMBM_Win_lock_all, TMBM_MPICH, 0);
        return PMPI_Win_lock_all(assert, handle);
    }
    tmbm_note(TMBM_Win_lock_all, TMBM_MAPPED, 0);
    return tmbm_end(win, lock_all(win, assert));
}

TMBM_API int MPI_Win_unlock_all(MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (!win) {
        tmbm_note(TMBM_Win_unlock_all, TMBM_MPICH, 0);
        return PMPI_Win_unlock_all(handle);
    }
    tmbm_note(TMBM_Win_unlock_all, TMBM_MAPPED, 0);
    return tmbm_end(win, unlock_all(win));
}
