/* SPDX-License-Identifier: BSD-3-Clause */
/* A team for each communicator that has windows, kept with it. */
#include <errno.h>
#include <stdlib.h>

#include "adapter.h"

static struct {
    pthread_mutex_t mutex; /* protects the list and the counts of users */
    struct tmbm_group *first;
    int keyval; /* of communicators */
} groups = {.mutex = PTHREAD_MUTEX_INITIALIZER, .keyval = MPI_KEYVAL_INVALID};

static void group_add(struct tmbm_group *group)
{
    struct tmbm_group **at = &groups.first;

    pthread_mutex_lock(&groups.mutex);
    while (*at)
        at = &(*at)->next;
    *at = group;
    pthread_mutex_unlock(&groups.mutex);
}

static bool group_unused(struct tmbm_group *group)
{
    struct tmbm_group **at = &groups.first;
    bool unused;

    pthread_mutex_lock(&groups.mutex);
    unused = --group->users == 0;
    while (unused && *at != group)
        at = &(*at)->next;
    if (unused)
        *at = group->next;
    pthread_mutex_unlock(&groups.mutex);
    return unused;
}

static MPI_Win shell_take(struct tmbm_group *group)
{
    struct tmbm_shell *shell = group->shells;
    MPI_Win handle = shell->handle;

    group->shells = shell->next;
    free(shell);
    return handle;
}

static void shells_free(struct tmbm_group *group)
{
    while (group->shells) {
        MPI_Win handle = shell_take(group);

        PMPI_Win_free(&handle);
    }
}

void tmbm_group_put(struct tmbm_group *group)
{
    if (!group_unused(group))
        return;
    shells_free(group);
    if (tmbm_enabled)
        tmb_team_free(group->team);
    free(group);
}

/* All ranks made those that they share in the same order, so they end in one. */
void tmbm_groups_close(void)
{
    for (struct tmbm_group *group = groups.first; group; group = group->next) {
        shells_free(group);
        tmb_team_free(group->team);
    }
}

/* ---- with a communicator ---- */

static int attribute_delete(MPI_Comm comm, int keyval, void *value, void *extra)
{
    (void)comm;
    (void)keyval;
    (void)extra;
    tmbm_group_put(value);
    return MPI_SUCCESS;
}

static int keyval_make(void)
{
    int rc = MPI_SUCCESS;

    pthread_mutex_lock(&groups.mutex);
    if (groups.keyval == MPI_KEYVAL_INVALID)
        rc = PMPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, attribute_delete,
                                     &groups.keyval, NULL);
    pthread_mutex_unlock(&groups.mutex);
    return rc;
}

static int exchange(void *arg, const void *mine, size_t bytes, void *all)
{
    MPI_Comm comm = *(MPI_Comm *)arg;
    int rc = PMPI_Allgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, comm);

    return rc == MPI_SUCCESS ? 0 : -EIO;
}

/* -ENOENT: a member is not one of the job's ranks. */
static int team_make(MPI_Comm comm, struct tmbm_group *group)
{
    int *ranks = malloc((size_t)group->size * sizeof *ranks);
    MPI_Group members;
    int rc;

    if (!ranks)
        return -ENOMEM;
    PMPI_Comm_group(comm, &members);
    rc = tmbm_world_ranks(members, group->size, ranks);
    PMPI_Group_free(&members);
    if (rc == 0)
        rc = tmbi_adapter_team(group->size, group->rank, ranks, exchange, &comm,
                               &group->team);
    free(ranks);
    return rc;
}

static int group_make(MPI_Comm comm, struct tmbm_group **result)
{
    struct tmbm_group *group = calloc(1, sizeof *group);
    int rc;

    if (!group)
        return MPI_ERR_NO_MEM;
    PMPI_Comm_size(comm, &group->size);
    PMPI_Comm_rank(comm, &group->rank);
    rc = team_make(comm, group);
    if (rc) {
        free(group);
        return rc == -ENOENT ? MPI_SUCCESS : tmbm_class(rc);
    }
    group->users = 1;
    group_add(group);
    *result = group;
    return MPI_SUCCESS;
}

/* Threads may make and free windows of one communicator at the same time, and a team has
 * one collective at a time: then each window has a team of its own. */
static int group_keep(MPI_Comm comm, struct tmbm_group *group)
{
    int rc;

    if (tmbm_threads)
        return MPI_SUCCESS;
    rc = PMPI_Comm_set_attr(comm, groups.keyval, group);
    group->users += rc == MPI_SUCCESS;
    return rc;
}

int tmbm_group_get(MPI_Comm comm, struct tmbm_group **group)
{
    int inter = 0, found = 0;
    int rc = PMPI_Comm_test_inter(comm, &inter);

    *group = NULL;
    if (rc != MPI_SUCCESS)
        return MPI_SUCCESS; /* MPICH says what is wrong */
    if (inter)
        return MPI_ERR_COMM;
    rc = keyval_make();
    if (rc == MPI_SUCCESS && !tmbm_threads)
        rc = PMPI_Comm_get_attr(comm, groups.keyval, group, &found);
    if (rc == MPI_SUCCESS && found) {
        (*group)->users++;
        return MPI_SUCCESS;
    }
    *group = NULL;
    if (rc == MPI_SUCCESS)
        rc = group_make(comm, group);
    return rc == MPI_SUCCESS && *group ? group_keep(comm, *group) : rc;
}

/* ---- MPICH's windows ---- */

int tmbm_shell_get(struct tmbm_group *group, MPI_Comm comm, MPI_Win *handle)
{
    if (!group->shells)
        return PMPI_Win_create_dynamic(MPI_INFO_NULL, comm, handle);
    *handle = shell_take(group);
    return MPI_SUCCESS;
}

/* MPICH crashes by a handle that it has freed, and one that waits is valid to it: so both
 * are found, as a window that was freed. */
static void freed_keep(MPI_Win handle)
{
    struct tmbm_win *freed = calloc(1, sizeof *freed);

    if (!freed)
        return;
    freed->handle = handle;
    freed->epochs.access = TMBM_ACCESS_FREED;
    freed->epochs.posted_count = -1;
    if (tmbm_table_add(freed) != MPI_SUCCESS)
        free(freed);
}

/* Making one takes milliseconds, so they are kept as long as they are as new. */
void tmbm_shell_put(struct tmbm_group *group, MPI_Win handle, bool marked)
{
    struct tmbm_shell *shell = marked ? NULL : malloc(sizeof *shell);

    freed_keep(handle);
    if (!shell) {
        PMPI_Win_free(&handle);
        return;
    }
    *shell = (struct tmbm_shell){group->shells, handle};
    group->shells = shell;
}
