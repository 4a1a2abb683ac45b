/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPI_Init and what it brings along: whether the adapter serves this job, joining
 * Tombolo over MPI, and leaving.
 *
 * Leaving is the deletion of an attribute of MPI_COMM_SELF: MPI_Finalize deletes those
 * first, the last that was set before the others. So ours, which is set in MPI_Init, goes
 * when the application's and its libraries' have gone, whose callbacks may use and free
 * windows; and MPI works as ever until then.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../core/log.h"
#include "adapter.h"
#include "env.h"
#include "start.h"

bool tmbm_enabled;
bool tmbm_threads;
MPI_Comm tmbm_world = MPI_COMM_NULL;

static MPI_Group world_group;
static int leave_keyval;

/* ---- Tombolo over MPI ---- */

static int exchange(void *arg, const void *mine, size_t bytes, void *all)
{
    int rc;

    (void)arg;
    if (bytes > INT_MAX)
        return -EMSGSIZE;
    if (bytes)
        rc = PMPI_Allgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE,
                            tmbm_world);
    else
        rc = PMPI_Barrier(tmbm_world);
    return rc == MPI_SUCCESS ? 0 : -EIO;
}

static void abort_job(void *arg, int exit_code)
{
    (void)arg;
    PMPI_Abort(MPI_COMM_WORLD, exit_code);
}

/* Who waits in Tombolo is inside a call of MPI's, so that its thread may make another. */
static void progress(void)
{
    int flag;

    PMPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, tmbm_world, &flag, MPI_STATUS_IGNORE);
}

static int thread_level(void)
{
    int level;

    PMPI_Query_thread(&level);
    tmbm_threads = level == MPI_THREAD_MULTIPLE;
    if (level == MPI_THREAD_MULTIPLE)
        return TMB_THREAD_MULTIPLE;
    return level == MPI_THREAD_SERIALIZED ? TMB_THREAD_SERIALIZED : TMB_THREAD_SINGLE;
}

static bool all_succeeded(int rc)
{
    int least = rc ? 0 : 1;

    PMPI_Allreduce(MPI_IN_PLACE, &least, 1, MPI_INT, MPI_MIN, tmbm_world);
    return least;
}

/* tmb_init() fails on all ranks alike; what comes behind it may not. */
static int join(int rank, int size)
{
    const struct tmbi_adapter_callbacks callbacks = {
        .rank = rank, .size = size, .exchange = exchange, .abort = abort_job};
    int rc;

    tmbi_adapter_poll(progress);
    rc = tmbi_adapter_init(thread_level(), &callbacks);
    if (rc)
        return rc;
    rc = tmbm_types_open(tmbm_world) == MPI_SUCCESS ? 0 : -EIO;
    if (rc == 0)
        rc = tmbi_adapter_handle(tmbm_remote_handle);
    if (all_succeeded(rc))
        return 0;
    tmb_finalize();
    return rc ? rc : -EIO;
}

/* ---- leaving ---- */

static void leave(void)
{
    tmbm_report_print();
    tmbm_groups_close();
    tmbm_memory_close();
    tmbm_types_close();
    if (tmbm_enabled)
        tmb_finalize();
    tmbm_enabled = false;
    PMPI_Group_free(&world_group);
    PMPI_Comm_free(&tmbm_world);
}

static int leave_callback(MPI_Comm comm, int keyval, void *value, void *extra)
{
    (void)comm;
    (void)keyval;
    (void)value;
    (void)extra;
    leave();
    return MPI_SUCCESS;
}

static void leave_at_finalize(void)
{
    PMPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, leave_callback, &leave_keyval, NULL);
    PMPI_Comm_set_attr(MPI_COMM_SELF, leave_keyval, NULL);
    PMPI_Comm_free_keyval(&leave_keyval);
}

/* ---- starting ---- */

/* What is found out before PMPI_Init. */
struct start {
    struct tmbm_config config;
    bool wanted;
    char why_not[256]; /* not wanted: to be said; empty: nothing is */
};

static void prepare(struct start *start)
{
    *start = (struct start){.wanted = false};
    if (tmbi_env_load(&tmbi_mpich_env, &start->config))
        start->config.mode = TMBM_OFF;
    start->wanted = tmbm_library_check(start->why_not, sizeof start->why_not) &&
                    start->config.mode != TMBM_OFF;
    if (start->wanted)
        tmbm_mark_put();
}

static void go_without(const struct start *start, int rank, const char *why)
{
    bool required = start->config.mode == TMBM_REQUIRED;

    if (rank == 0 && required) {
        tmbi_error("TMB_MPICH=required, but %s", why);
        PMPI_Abort(MPI_COMM_WORLD, 1);
    }
    if (required) /* not to return before rank 0 has said so */
        PMPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0)
        tmbi_warn("MPI's one-sided calls go to MPICH: %s", why);
}

static void open_world(void)
{
    PMPI_Comm_dup(MPI_COMM_WORLD, &tmbm_world);
    PMPI_Comm_set_errhandler(tmbm_world, MPI_ERRORS_RETURN);
    PMPI_Comm_group(MPI_COMM_WORLD, &world_group);
    leave_at_finalize();
}

static void start(const struct start *start)
{
    char why[300];
    int rank, size, rc;

    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    PMPI_Comm_size(MPI_COMM_WORLD, &size);
    if (!start->wanted) {
        if (start->why_not[0] && start->config.mode != TMBM_OFF)
            go_without(start, rank, start->why_not);
        return;
    }
    if (!tmbm_marks_agree(rank, size)) {
        if (start->config.mode == TMBM_REQUIRED)
            PMPI_Abort(MPI_COMM_WORLD, 1);
        return;
    }
    open_world();
    tmbm_report_open(start->config.report);
    rc = join(rank, size);
    if (!rc) {
        tmbm_enabled = true;
        return;
    }
    snprintf(why, sizeof why, "Tombolo could not be joined: %s", tmb_strerror(rc));
    go_without(start, rank, why);
}

TMBM_API int MPI_Init(int *argc, char ***argv)
{
    struct start found;
    int rc;

    prepare(&found);
    rc = PMPI_Init(argc, argv);
    if (rc == MPI_SUCCESS)
        start(&found);
    return rc;
}

TMBM_API int MPI_Init_thread(int *argc, char ***argv, int required, int *provided)
{
    struct start found;
    int rc;

    prepare(&found);
    rc = PMPI_Init_thread(argc, argv, required, provided);
    if (rc == MPI_SUCCESS)
        start(&found);
    return rc;
}

int tmbm_world_ranks(MPI_Group group, int size, int *ranks)
{
    int *members = calloc((size_t)size, sizeof *members);
    int rc = members ? MPI_SUCCESS : MPI_ERR_NO_MEM;

    for (int i = 0; members && i < size; i++)
        members[i] = i;
    if (rc == MPI_SUCCESS)
        rc = PMPI_Group_translate_ranks(group, size, members, world_group, ranks);
    for (int i = 0; rc == MPI_SUCCESS && i < size; i++)
        if (ranks[i] == MPI_UNDEFINED)
            rc = MPI_ERR_RANK;
    free(members);
    return rc;
}
