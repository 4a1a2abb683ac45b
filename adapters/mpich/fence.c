/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPI_Win_fence: a barrier of the window's own, so that threads may fence several windows
 * of one communicator at once. It is the dissemination barrier (Hensgen, Finkel and
 * Manber 1988) with counters.
 */
#include "adapter.h"

static uint64_t round_offset(int round)
{
    return offsetof(struct tmbm_control, rounds) + (uint64_t)round * sizeof(uint64_t);
}

/* Of two members each learns from the other's signal, which comes after what that one has
 * put, that it is there. */
static int access_complete(struct tmbm_win *win)
{
    return win->size == 2 ? tmbm_flush_local_all(win) : tmbm_flush_all(win);
}

static int rounds(struct tmbm_win *win)
{
    int rc = MPI_SUCCESS;

    win->epochs.fences++;
    for (int round = 0, distance = 1; rc == MPI_SUCCESS && distance < win->size;
         round++, distance *= 2) {
        int peer = (win->rank + distance) % win->size;

        rc = tmbm_class(tmb_put_signal(win->control, peer, 0, NULL, 0,
                                       round_offset(round), TMB_SIGNAL_ADD, 1));
        if (rc == MPI_SUCCESS)
            rc = tmbm_class(tmb_wait(win->control, round_offset(round), TMB_GE,
                                     win->epochs.fences, TMB_FOREVER, NULL));
    }
    return rc;
}

int tmbm_barrier(struct tmbm_win *win)
{
    int rc = access_complete(win);

    if (rc != MPI_SUCCESS)
        return rc;
    tmbi_adapter_look_begin();
    rc = rounds(win);
    tmbi_adapter_look_end();
    return rc;
}

#define ASSERTS                                                                          \
    (MPI_MODE_NOSTORE | MPI_MODE_NOPUT | MPI_MODE_NOPRECEDE | MPI_MODE_NOSUCCEED)

static int fence(struct tmbm_win *win, int assert)
{
    int access = atomic_load_explicit(&win->epochs.access, memory_order_relaxed);
    int rc;

    if (assert & ~ASSERTS)
        return MPI_ERR_ARG;
    if ((access != TMBM_ACCESS_NONE && access != TMBM_ACCESS_FENCE) ||
        win->epochs.posted_count >= 0)
        return MPI_ERR_RMA_SYNC;
    rc = tmbm_barrier(win);
    atomic_store_explicit(&win->epochs.access,
                          assert &MPI_MODE_NOSUCCEED ? TMBM_ACCESS_NONE
                                                     : TMBM_ACCESS_FENCE,
                          memory_order_relaxed);
    return rc;
}

TMBM_API int MPI_Win_fence(int assert, MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (!win) {
        tmbm_note(TMBM_Win_fence, TMBM_MPICH, 0);
        return PMPI_Win_fence(assert, handle);
    }
    tmbm_note(TMBM_Win_fence, TMBM_MAPPED, 0);
    return tmbm_end(win, fence(win, assert));
}
