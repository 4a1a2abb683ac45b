/* SPDX-License-Identifier: BSD-3-Clause */
/* Making and freeing windows. */
#include <errno.h>
#include <stdlib.h>

#include "adapter.h"

/* What a window is made of. */
struct making {
    int flavor;
    void *base;
    MPI_Aint bytes;
    int unit;
    MPI_Info info;
};

/* ---- the two windows of Tombolo's ---- */

static int control_make(struct tmbm_win *win)
{
    size_t bytes =
        sizeof(struct tmbm_control) + (size_t)win->size * sizeof(struct tmbm_pair);
    void *own;
    int rc = tmb_win_alloc(win->group->team, bytes, 0, &win->control);

    if (rc)
        return rc;
    rc = tmb_win_ptr(win->control, win->rank, &own);
    win->own = own;
    return rc;
}

static int memory_make(struct tmbm_win *win, struct making *making)
{
    size_t bytes = (size_t)making->bytes;
    int rc;

    switch (making->flavor) {
    case MPI_WIN_FLAVOR_CREATE:
        return tmb_win_create(win->group->team, making->base, bytes, TMBM_CREATE_FLAGS,
                              &win->memory);
    case MPI_WIN_FLAVOR_DYNAMIC:
        return 0;
    default:
        rc = tmb_win_alloc(win->group->team, bytes, TMB_WIN_UNINIT, &win->memory);
        return rc ? rc : tmb_win_ptr(win->memory, win->rank, &making->base);
    }
}

static void parts_free(struct tmbm_win *win)
{
    if (win->memory)
        tmb_win_free(win->memory);
    if (win->control)
        tmb_win_free(win->control);
}

/* ---- reaching the members ---- */

static void target_set(struct tmbm_win *win, int rank, int unit)
{
    struct tmbm_target *target = &win->targets[rank];
    void *at = NULL;
    size_t bytes = 0;

    *target = (struct tmbm_target){.unit = (uint64_t)unit, .part = rank};
    if (tmb_win_ptr(win->control, rank, &at) == 0)
        target->control = at;
    if (!win->memory)
        return;
    tmb_win_size(win->memory, rank, &bytes);
    target->bytes = bytes;
    at = NULL;
    if (tmb_win_ptr(win->memory, rank, &at) == 0)
        target->base = at;
}

static int targets_set(struct tmbm_win *win)
{
    int32_t *units = malloc((size_t)win->size * sizeof *units), mine = win->unit;
    int rc;

    if (!units)
        return -ENOMEM;
    rc = tmb_allgather(win->group->team, &mine, units, sizeof mine, TMB_FOREVER);
    for (int i = 0; i < win->size && rc == 0; i++)
        target_set(win, i, units[i]);
    free(units);
    return rc;
}

/* ---- the window ---- */

static void win_release(struct tmbm_win *win)
{
    if (!win)
        return;
    tmbm_attachments_close(win);
    free(win->targets);
    free(win->epochs.opened);
    free(win->epochs.completed);
    free(win);
}

static struct tmbm_win *win_new(struct tmbm_group *group, const struct making *making)
{
    struct tmbm_win *win = calloc(1, sizeof *win);
    size_t size = (size_t)group->size;

    if (!win)
        return NULL;
    win->group = group;
    win->size = group->size;
    win->rank = group->rank;
    win->bytes = making->bytes;
    win->unit = making->unit;
    win->flavor = making->flavor;
    win->model = MPI_WIN_UNIFIED;
    win->epochs.posted_count = -1;
    win->targets = calloc(size, sizeof *win->targets);
    win->epochs.opened = calloc(size, sizeof *win->epochs.opened);
    win->epochs.completed = calloc(size, sizeof *win->epochs.completed);
    if (win->targets && win->epochs.opened && win->epochs.completed &&
        (making->flavor != MPI_WIN_FLAVOR_DYNAMIC || tmbm_attachments_open(win) == 0))
        return win;
    win_release(win);
    return NULL;
}

/* A member that has no memory left is one more that fails to make the first window. */
static int parts_make(struct tmbm_win *win, struct making *making)
{
    int rc = control_make(win);

    if (rc == 0)
        rc = memory_make(win, making);
    if (rc == 0)
        rc = targets_set(win);
    if (rc)
        parts_free(win);
    win->base = making->base;
    return tmbm_class(rc);
}

static int shell_take(struct tmbm_win *win, MPI_Comm comm, MPI_Info info)
{
    int rc = tmbm_shell_get(win->group, comm, &win->handle);

    if (rc != MPI_SUCCESS || info == MPI_INFO_NULL)
        return rc;
    win->marked = true;
    return PMPI_Win_set_info(win->handle, info);
}

static int win_make(struct tmbm_group *group, MPI_Comm comm, struct making *making,
                    MPI_Win *handle)
{
    struct tmbm_win *win = win_new(group, making);
    int rc;

    if (!win)
        return MPI_ERR_NO_MEM;
    rc = parts_make(win, making);
    if (rc != MPI_SUCCESS)
        goto release;
    rc = shell_take(win, comm, making->info);
    if (rc == MPI_SUCCESS)
        rc = tmbm_table_add(win);
    if (rc != MPI_SUCCESS)
        goto free_parts;
    tmbi_adapter_data_set(win->control, win); /* from now on our agent serves it */
    *handle = win->handle;
    return MPI_SUCCESS;

free_parts:
    parts_free(win);
release:
    win_release(win);
    return rc;
}

/* What MPICH would say of the arguments before it asks the others. */
static int making_check(const struct making *making)
{
    if (making->bytes < 0)
        return MPI_ERR_SIZE;
    if (making->unit <= 0)
        return MPI_ERR_DISP;
    if (making->flavor == MPI_WIN_FLAVOR_CREATE && making->bytes && !making->base)
        return MPI_ERR_ARG;
    return MPI_SUCCESS;
}

/* *served false: the communicator's windows are MPICH's. */
static int make(enum tmbm_call call, MPI_Comm comm, struct making *making,
                MPI_Win *handle, bool *served)
{
    struct tmbm_group *group = NULL;
    int rc = MPI_SUCCESS;

    *served = false;
    if (tmbm_enabled && comm != MPI_COMM_NULL)
        rc = tmbm_group_get(comm, &group);
    *served = group || rc != MPI_SUCCESS;
    tmbm_note(call, *served ? TMBM_MAPPED : TMBM_MPICH, (uint64_t)making->bytes);
    if (!*served)
        return MPI_SUCCESS;
    if (rc == MPI_SUCCESS)
        rc = making_check(making);
    if (rc == MPI_SUCCESS)
        rc = win_make(group, comm, making, handle);
    if (rc == MPI_SUCCESS)
        return rc;
    if (group)
        tmbm_group_put(group);
    PMPI_Comm_call_errhandler(comm, rc);
    return rc;
}

/* ---- what applications call ---- */

TMBM_API int MPI_Win_create(void *base, MPI_Aint bytes, int unit, MPI_Info info,
                            MPI_Comm comm, MPI_Win *win)
{
    struct making making = {MPI_WIN_FLAVOR_CREATE, base, bytes, unit, info};
    bool served;
    int rc = make(TMBM_Win_create, comm, &making, win, &served);

    return served ? rc : PMPI_Win_create(base, bytes, unit, info, comm, win);
}

TMBM_API int MPI_Win_create_c(void *base, MPI_Aint bytes, MPI_Aint unit, MPI_Info info,
                              MPI_Comm comm, MPI_Win *win)
{
    struct making making = {MPI_WIN_FLAVOR_CREATE, base, bytes, unit, info};
    bool served;
    int rc = make(TMBM_Win_create, comm, &making, win, &served);

    return served ? rc : PMPI_Win_create_c(base, bytes, unit, info, comm, win);
}

static void base_give(const struct making *making, void *base)
{
    *(void **)base = making->base;
}

TMBM_API int MPI_Win_allocate(MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm,
                              void *base, MPI_Win *win)
{
    struct making making = {MPI_WIN_FLAVOR_ALLOCATE, NULL, bytes, unit, info};
    bool served;
    int rc = make(TMBM_Win_allocate, comm, &making, win, &served);

    if (!served)
        return PMPI_Win_allocate(bytes, unit, info, comm, base, win);
    base_give(&making, base);
    return rc;
}

TMBM_API int MPI_Win_allocate_c(MPI_Aint bytes, MPI_Aint unit, MPI_Info info,
                                MPI_Comm comm, void *base, MPI_Win *win)
{
    struct making making = {MPI_WIN_FLAVOR_ALLOCATE, NULL, bytes, unit, info};
    bool served;
    int rc = make(TMBM_Win_allocate, comm, &making, win, &served);

    if (!served)
        return PMPI_Win_allocate_c(bytes, unit, info, comm, base, win);
    base_give(&making, base);
    return rc;
}

TMBM_API int MPI_Win_create_dynamic(MPI_Info info, MPI_Comm comm, MPI_Win *win)
{
    struct making making = {MPI_WIN_FLAVOR_DYNAMIC, MPI_BOTTOM, 0, 1, info};
    bool served;
    int rc = make(TMBM_Win_create_dynamic, comm, &making, win, &served);

    return served ? rc : PMPI_Win_create_dynamic(info, comm, win);
}

/* Windows in memory that one node's ranks share are MPICH's: they are mapped anyway. */
TMBM_API int MPI_Win_allocate_shared(MPI_Aint bytes, int unit, MPI_Info info,
                                     MPI_Comm comm, void *base, MPI_Win *win)
{
    tmbm_note(TMBM_Win_allocate_shared, TMBM_MPICH, (uint64_t)bytes);
    return PMPI_Win_allocate_shared(bytes, unit, info, comm, base, win);
}

static int win_free(struct tmbm_win *win)
{
    struct tmbm_epochs *epochs = &win->epochs;
    int access = atomic_load_explicit(&epochs->access, memory_order_relaxed);
    MPI_Win handle = win->handle;
    struct tmbm_group *group = win->group;
    int rc;

    if ((access != TMBM_ACCESS_NONE && access != TMBM_ACCESS_FENCE) ||
        epochs->posted_count >= 0)
        return MPI_ERR_RMA_SYNC;
    rc = tmbm_barrier(win);
    if (rc != MPI_SUCCESS)
        return rc;
    tmbm_table_remove(win);
    parts_free(win);
    tmbm_shell_put(group, handle, win->marked);
    win_release(win);
    tmbm_group_put(group);
    return MPI_SUCCESS;
}

TMBM_API int MPI_Win_free(MPI_Win *handle)
{
    struct tmbm_win *win = handle ? tmbm_win_find(*handle) : NULL;
    int rc;

    if (!win) {
        tmbm_note(TMBM_Win_free, TMBM_MPICH, 0);
        return PMPI_Win_free(handle);
    }
    tmbm_note(TMBM_Win_free, TMBM_MAPPED, 0);
    rc = win_free(win);
    if (rc != MPI_SUCCESS)
        return tmbm_raise(*handle, rc);
    *handle = MPI_WIN_NULL;
    return MPI_SUCCESS;
}
