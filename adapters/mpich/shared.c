/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared windows: what all members map. */
#include <string.h>

#include "adapter.h"

static bool info_says(MPI_Info info, const char *key)
{
    char value[8] = "";
    int found = 0;

    if (info != MPI_INFO_NULL)
        PMPI_Info_get(info, key, sizeof value - 1, value, &found);
    return found && !strcmp(value, "true");
}

static int allocate_shared(MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm,
                           void *base, MPI_Win *win, bool *served)
{
    struct tmbm_making making = {MPI_WIN_FLAVOR_SHARED,
                                 NULL,
                                 bytes,
                                 unit,
                                 info,
                                 !info_says(info, "alloc_shared_noncontig")};
    int rc = tmbm_window_make(TMBM_Win_allocate_shared, comm, &making, win, served);

    if (*served)
        *(void **)base = making.base;
    return rc;
}

/* Ranks of one node that share no region: MPICH has memory for them. */
TMBM_API int MPI_Win_allocate_shared(MPI_Aint bytes, int unit, MPI_Info info,
                                     MPI_Comm comm, void *base, MPI_Win *win)
{
    bool served;
    int rc = allocate_shared(bytes, unit, info, comm, base, win, &served);

    return served
               ? rc
               : tmbm_passed(PMPI_Win_allocate_shared(bytes, unit, info, comm, base, win),
                             win);
}

TMBM_API int MPI_Win_allocate_shared_c(MPI_Aint bytes, MPI_Aint unit, MPI_Info info,
                                       MPI_Comm comm, void *base, MPI_Win *win)
{
    bool served;
    int rc = allocate_shared(bytes, (int)unit, info, comm, base, win, &served);

    return served
               ? rc
               : tmbm_passed(
                     PMPI_Win_allocate_shared_c(bytes, unit, info, comm, base, win), win);
}

/* MPI_PROC_NULL: the first part that has memory. */
static int shared_query(const struct tmbm_win *win, int rank, MPI_Aint *bytes,
                        MPI_Aint *unit, void *base)
{
    const struct tmbm_target *target;

    if (win->flavor != MPI_WIN_FLAVOR_SHARED)
        return MPI_ERR_RMA_FLAVOR;
    if (rank == MPI_PROC_NULL)
        for (rank = 0; rank < win->size - 1 && !win->targets[rank].bytes; rank++)
            ;
    if ((unsigned)rank >= (unsigned)win->size)
        return MPI_ERR_RANK;
    target = &win->targets[rank];
    *bytes = (MPI_Aint)target->bytes;
    *unit = (MPI_Aint)target->unit;
    *(void **)base = target->base;
    return MPI_SUCCESS;
}

TMBM_API int MPI_Win_shared_query(MPI_Win handle, int rank, MPI_Aint *bytes, int *unit,
                                  void *base)
{
    struct tmbm_win *win = tmbm_win_find(handle);
    MPI_Aint wide = 0;
    int rc;

    if (!win)
        return PMPI_Win_shared_query(handle, rank, bytes, unit, base);
    rc = shared_query(win, rank, bytes, &wide, base);
    *unit = (int)wide;
    return tmbm_end(win, rc);
}

TMBM_API int MPI_Win_shared_query_c(MPI_Win handle, int rank, MPI_Aint *bytes,
                                    MPI_Aint *unit, void *base)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (!win)
        return PMPI_Win_shared_query_c(handle, rank, bytes, unit, base);
    return tmbm_end(win, shared_query(win, rank, bytes, unit, base));
}
