/* SPDX-License-Identifier: BSD-3-Clause */
/* Attributes that tell of a window's memory. All others are with MPICH's window, where
 * they are deleted when ours is freed. */
#include <stdlib.h>

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

/* ---- what the application changes at MPICH's window ---- */

static int noted(const struct tmbm_win *win, int keyval)
{
    int i = 0;

    while (i < win->keyval_count && win->keyvals[i] != keyval)
        i++;
    return i;
}

void tmbm_attribute_note(MPI_Win handle, int keyval)
{
    struct tmbm_win *win = tmbm_win_find(handle);
    int *larger;

    if (!win || noted(win, keyval) < win->keyval_count)
        return;
    larger = realloc(win->keyvals, ((size_t)win->keyval_count + 1) * sizeof *larger);
    if (!larger)
        return; /* its callback will not be called: less than a job's end for that */
    win->keyvals = larger;
    win->keyvals[win->keyval_count++] = keyval;
}

/* The last that was set goes first, as when MPICH frees a window. */
int tmbm_attributes_reset(struct tmbm_win *win)
{
    int rc = MPI_SUCCESS;

    while (win->keyval_count && rc == MPI_SUCCESS)
        rc = PMPI_Win_delete_attr(win->handle, win->keyvals[--win->keyval_count]);
    if (rc != MPI_SUCCESS)
        return rc;
    PMPI_Win_set_name(win->handle, "");
    return PMPI_Win_set_errhandler(win->handle, MPI_ERRORS_ARE_FATAL);
}

TMBM_API int MPI_Win_set_attr(MPI_Win handle, int keyval, void *value)
{
    int rc = PMPI_Win_set_attr(handle, keyval, value);

    if (rc == MPI_SUCCESS)
        tmbm_attribute_note(handle, keyval);
    return rc;
}

TMBM_API int MPI_Win_delete_attr(MPI_Win handle, int keyval)
{
    struct tmbm_win *win = tmbm_win_find(handle);
    int at = win ? noted(win, keyval) : 0;
    int rc = PMPI_Win_delete_attr(handle, keyval);

    if (!win || rc != MPI_SUCCESS || at == win->keyval_count)
        return rc;
    win->keyval_count--;
    for (int i = at; i < win->keyval_count; i++)
        win->keyvals[i] = win->keyvals[i + 1];
    return rc;
}

/* Collective. */
TMBM_API int MPI_Win_set_info(MPI_Win handle, MPI_Info info)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (win)
        win->informed = true;
    return PMPI_Win_set_info(handle, info);
}
