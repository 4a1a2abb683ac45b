/* SPDX-License-Identifier: BSD-3-Clause */
/* Attributes that tell of a window's memory. All others are with MPICH's window; what the
 * application changes there is remembered, so that the window is not used again. */
#include "adapter.h"

TMBM_API int MPI_Win_get_attr(MPI_Win handle, int keyval, void *value, int *flag)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (!win)
        return PMPI_Win_get_attr(handle, keyval, value, flag);
    if (tmbm_freed(win))
        return tmbm_raise(handle, MPI_ERR_WIN);
    switch (keyval) {
    case MPI_WIN_BASE:
        *(void **)value = win->base;
        break;
    case MPI_WIN_SIZE:
        *(MPI_Aint **)value = &win->bytes;
        break;
    case MPI_WIN_DISP_UNIT:
        *(int **)value = &win->unit;
        break;
    case MPI_WIN_CREATE_FLAVOR:
        *(int **)value = &win->flavor;
        break;
    case MPI_WIN_MODEL:
        *(int **)value = &win->model;
        break;
    default:
        return PMPI_Win_get_attr(handle, keyval, value, flag);
    }
    *flag = 1;
    return MPI_SUCCESS;
}

void tmbm_win_mark(MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (win)
        win->marked = true;
}

TMBM_API int MPI_Win_set_attr(MPI_Win handle, int keyval, void *value)
{
    tmbm_win_mark(handle);
    return PMPI_Win_set_attr(handle, keyval, value);
}

TMBM_API int MPI_Win_set_name(MPI_Win handle, const char *name)
{
    tmbm_win_mark(handle);
    return PMPI_Win_set_name(handle, name);
}

TMBM_API int MPI_Win_set_errhandler(MPI_Win handle, MPI_Errhandler errhandler)
{
    tmbm_win_mark(handle);
    return PMPI_Win_set_errhandler(handle, errhandler);
}

TMBM_API int MPI_Win_set_info(MPI_Win handle, MPI_Info info)
{
    tmbm_win_mark(handle);
    return PMPI_Win_set_info(handle, info);
}
