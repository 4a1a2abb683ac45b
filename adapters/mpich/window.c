/* SPDX-License-Identifier: BSD-3-Clause */
/* Making and freeing windows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"

/* What a member says of its part. Exchanged, hence fixed-width. */
struct saying {
    int64_t bytes;
    int32_t unit;
    int32_t reserved;
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

/* The parts of a shared window lie one behind the other, in rank 0's. */
static size_t part_bytes(const struct tmbm_win *win, const struct tmbm_making *making,
                         const struct saying *sayings)
{
    int64_t all = 0;

    if (!making->adjacent)
        return (size_t)making->bytes;
    for (int i = 0; win->rank == 0 && i < win->size; i++)
        all += sayings[i].bytes;
    return (size_t)all;
}

/* Where the region has no room for all members' parts, they have memory of their own, as
 * with MPICH. */
static int private_make(struct tmbm_win *win, size_t bytes)
{
    if (posix_memalign(&win->private, 64, bytes ? bytes : 64))
        win->private = NULL;
    return tmb_win_create(win->group->team, win->private, win->private ? bytes : 0, 0,
                          &win->memory);
}

static int memory_make(struct tmbm_win *win, const struct tmbm_making *making,
                       const struct saying *sayings)
{
    tmb_team *team = win->group->team;
    size_t bytes;
    int rc;

    switch (making->flavor) {
    case MPI_WIN_FLAVOR_DYNAMIC:
        return 0;
    case MPI_WIN_FLAVOR_CREATE:
        return tmb_win_create(team, making->base, (size_t)making->bytes,
                              TMBM_CREATE_FLAGS, &win->memory);
    default:
        bytes = part_bytes(win, making, sayings);
        rc = tmb_win_alloc(team, bytes, TMB_WIN_UNINIT, &win->memory);
        return rc == -ENOMEM && !making->adjacent ? private_make(win, bytes) : rc;
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

static void *mapping(tmb_win *win, int rank)
{
    void *at = NULL;

    return win && tmb_win_ptr(win, rank, &at) == 0 ? at : NULL;
}

static void targets_set(struct tmbm_win *win, const struct tmbm_making *making,
                        const struct saying *sayings)
{
    uint64_t shift = 0;

    for (int i = 0; i < win->size; i++) {
        struct tmbm_target *target = &win->targets[i];
        uint8_t *base;

        target->unit = (uint64_t)sayings[i].unit;
        target->bytes = (uint64_t)sayings[i].bytes;
        target->part = making->adjacent ? 0 : i;
        target->shift = making->adjacent ? shift : 0;
        target->control = mapping(win->control, i);
        base = mapping(win->memory, target->part);
        target->base = base ? base + target->shift : NULL;
        shift += target->bytes;
    }
    if (making->flavor != MPI_WIN_FLAVOR_CREATE)
        win->base = win->targets[win->rank].base;
}

/* Whether all members have all of a shared window mapped. */
static int shared_check(const struct tmbm_win *win)
{
    int32_t mine = 1, all = 0;
    int rc;

    for (int i = 0; i < win->size; i++)
        mine &= win->targets[i].base || !win->targets[i].bytes;
    rc =
        tmb_allreduce(win->group->team, &mine, &all, 1, TMB_I32, TMB_OP_MIN, TMB_FOREVER);
    return rc ? rc : all ? 0 : -EOPNOTSUPP;
}

/* ---- the window ---- */

static void win_release(struct tmbm_win *win)
{
    if (!win)
        return;
    tmbm_attachments_close(win);
    free(win->private);
    free(win->targets);
    free(win->epochs.opened);
    free(win->epochs.completed);
    free(win);
}

static struct tmbm_win *win_new(struct tmbm_group *group,
                                const struct tmbm_making *making)
{
    struct tmbm_win *win = calloc(1, sizeof *win);
    size_t size = (size_t)group->size;

    if (!win)
        return NULL;
    win->group = group;
    win->size = group->size;
    win->rank = group->rank;
    win->base = making->base;
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

static int parts_make(struct tmbm_win *win, const struct tmbm_making *making,
                      const struct saying *sayings)
{
    int rc = control_make(win);

    if (rc == 0)
        rc = memory_make(win, making, sayings);
    if (rc == 0)
        targets_set(win, making, sayings);
    if (rc == 0 && making->flavor == MPI_WIN_FLAVOR_SHARED)
        rc = shared_check(win);
    if (rc)
        parts_free(win);
    return rc;
}

/* -EOPNOTSUPP: a shared window whose members don't all share a region. */
static int members_ask(struct tmbm_win *win, const struct tmbm_making *making)
{
    struct saying *sayings = malloc((size_t)win->size * sizeof *sayings);
    struct saying mine = {.bytes = making->bytes, .unit = making->unit};
    int rc;

    if (!sayings)
        return -ENOMEM;
    rc = tmb_allgather(win->group->team, &mine, sayings, sizeof mine, TMB_FOREVER);
    if (rc == 0)
        rc = parts_make(win, making, sayings);
    free(sayings);
    return rc;
}

static int shell_take(struct tmbm_win *win, MPI_Comm comm, MPI_Info info)
{
    int rc = tmbm_shell_get(win->group, comm, &win->handle);

    if (rc != MPI_SUCCESS || info == MPI_INFO_NULL)
        return rc;
    win->marked = true;
    return PMPI_Win_set_info(win->handle, info);
}

static int win_make(struct tmbm_group *group, MPI_Comm comm, struct tmbm_making *making,
                    MPI_Win *handle)
{
    struct tmbm_win *win = win_new(group, making);
    int rc;

    if (!win)
        return MPI_ERR_NO_MEM;
    rc = members_ask(win, making);
    if (rc) {
        win_release(win);
        return rc == -EOPNOTSUPP ? MPI_ERR_RMA_SHARED : tmbm_class(rc);
    }
    rc = shell_take(win, comm, making->info);
    if (rc == MPI_SUCCESS)
        rc = tmbm_table_add(win);
    if (rc != MPI_SUCCESS)
        goto free_parts;
    tmbi_adapter_data_set(win->control, win); /* from now on our agent serves it */
    *handle = win->handle;
    making->base = win->base;
    return MPI_SUCCESS;

free_parts:
    parts_free(win);
    win_release(win);
    return rc;
}

/* What MPICH would say of the arguments before it asks the others. */
static int making_check(const struct tmbm_making *making)
{
    if (making->bytes < 0)
        return MPI_ERR_SIZE;
    if (making->unit <= 0)
        return MPI_ERR_DISP;
    if (making->flavor == MPI_WIN_FLAVOR_CREATE && making->bytes && !making->base)
        return MPI_ERR_ARG;
    return MPI_SUCCESS;
}

int tmbm_window_make(enum tmbm_call call, MPI_Comm comm, struct tmbm_making *making,
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
    if (rc == MPI_ERR_RMA_SHARED)
        *served = false;
    else
        PMPI_Comm_call_errhandler(comm, rc);
    return rc;
}

/* ---- what applications call ---- */

TMBM_API int MPI_Win_create(void *base, MPI_Aint bytes, int unit, MPI_Info info,
                            MPI_Comm comm, MPI_Win *win)
{
    struct tmbm_making making = {MPI_WIN_FLAVOR_CREATE, base, bytes, unit, info, false};
    bool served;
    int rc = tmbm_window_make(TMBM_Win_create, comm, &making, win, &served);

    return served ? rc
                  : tmbm_passed(PMPI_Win_create(base, bytes, unit, info, comm, win), win);
}

TMBM_API int MPI_Win_create_c(void *base, MPI_Aint bytes, MPI_Aint unit, MPI_Info info,
                              MPI_Comm comm, MPI_Win *win)
{
    struct tmbm_making making = {
        MPI_WIN_FLAVOR_CREATE, base, bytes, (int)unit, info, false};
    bool served;
    int rc = tmbm_window_make(TMBM_Win_create, comm, &making, win, &served);

    return served
               ? rc
               : tmbm_passed(PMPI_Win_create_c(base, bytes, unit, info, comm, win), win);
}

static void base_give(const struct tmbm_making *making, void *base)
{
    *(void **)base = making->base;
}

TMBM_API int MPI_Win_allocate(MPI_Aint bytes, int unit, MPI_Info info, MPI_Comm comm,
                              void *base, MPI_Win *win)
{
    struct tmbm_making making = {MPI_WIN_FLAVOR_ALLOCATE, NULL, bytes, unit, info, false};
    bool served;
    int rc = tmbm_window_make(TMBM_Win_allocate, comm, &making, win, &served);

    if (!served)
        return tmbm_passed(PMPI_Win_allocate(bytes, unit, info, comm, base, win), win);
    base_give(&making, base);
    return rc;
}

TMBM_API int MPI_Win_allocate_c(MPI_Aint bytes, MPI_Aint unit, MPI_Info info,
                                MPI_Comm comm, void *base, MPI_Win *win)
{
    struct tmbm_making making = {MPI_WIN_FLAVOR_ALLOCATE, NULL, bytes, unit, info, false};
    bool served;
    int rc = tmbm_window_make(TMBM_Win_allocate, comm, &making, win, &served);

    if (!served)
        return tmbm_passed(PMPI_Win_allocate_c(bytes, unit, info, comm, base, win), win);
    base_give(&making, base);
    return rc;
}

TMBM_API int MPI_Win_create_dynamic(MPI_Info info, MPI_Comm comm, MPI_Win *win)
{
    struct tmbm_making making = {MPI_WIN_FLAVOR_DYNAMIC, MPI_BOTTOM, 0, 1, info, false};
    bool served;
    int rc = tmbm_window_make(TMBM_Win_create_dynamic, comm, &making, win, &served);

    return served ? rc : tmbm_passed(PMPI_Win_create_dynamic(info, comm, win), win);
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
