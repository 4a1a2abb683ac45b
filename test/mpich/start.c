/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Jobs that begin and end in one way or another; each prints "right" once, or says what
 * is wrong and ends with code 1. MODE: none      no one-sided call ring      a window,
 * and a put to the right neighbour late      a window that a library frees inside
 * MPI_Finalize die       rank 1 is killed while the others wait for it spawn     two more
 * processes, with a window of their own and one with their parents threads
 * MPI_Init_thread, and ring
 */
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* MPICH 4.0.2 is wrong about windows that are not aligned. */
#define WINDOW_BYTES 4096

struct ring {
    MPI_Win win;
    int *base;
    int rank, size;
};

static void fail(const char *what)
{
    fprintf(stderr, "start: %s\n", what);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static void ring_open(struct ring *ring, MPI_Comm comm)
{
    MPI_Comm_rank(comm, &ring->rank);
    MPI_Comm_size(comm, &ring->size);
    MPI_Win_allocate(WINDOW_BYTES, sizeof(int), MPI_INFO_NULL, comm, &ring->base,
                     &ring->win);
    *ring->base = -1;
}

static void ring_go(struct ring *ring)
{
    MPI_Win_fence(0, ring->win);
    MPI_Put(&ring->rank, 1, MPI_INT, (ring->rank + 1) % ring->size, 0, 1, MPI_INT,
            ring->win);
    MPI_Win_fence(0, ring->win);
    if (*ring->base != (ring->rank + ring->size - 1) % ring->size)
        fail("the left neighbour's number has not come");
}

static void ring(MPI_Comm comm)
{
    struct ring it;

    ring_open(&it, comm);
    ring_go(&it);
    MPI_Win_free(&it.win);
}

/* ---- late ---- */

static int ring_close(MPI_Comm comm, int keyval, void *value, void *extra)
{
    struct ring *it = value;

    (void)comm;
    (void)keyval;
    (void)extra;
    ring_go(it);
    MPI_Win_free(&it->win);
    return MPI_SUCCESS;
}

static void late(void)
{
    static struct ring it;
    int keyval;

    ring_open(&it, MPI_COMM_WORLD);
    MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, ring_close, &keyval, NULL);
    MPI_Comm_set_attr(MPI_COMM_SELF, keyval, &it);
}

/* ---- die ---- */

static void die(void)
{
    struct ring it;

    ring_open(&it, MPI_COMM_WORLD);
    ring_go(&it);
    if (it.rank == 1)
        raise(SIGKILL);
    MPI_Win_fence(0, it.win);
    fail("a fence without rank 1");
}

/* ---- spawn ---- */

static void spawn(char *program)
{
    char *arguments[] = {"spawn", NULL};
    MPI_Comm others, all;

    MPI_Comm_get_parent(&others);
    if (others == MPI_COMM_NULL)
        MPI_Comm_spawn(program, arguments, 2, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &others,
                       MPI_ERRCODES_IGNORE);
    ring(MPI_COMM_WORLD);
    MPI_Intercomm_merge(others, 0, &all);
    ring(all);
    MPI_Comm_free(&all);
    MPI_Comm_disconnect(&others);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "ring";
    MPI_Comm parent;
    int rank, level;

    if (!strcmp(mode, "threads"))
        MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
    else
        MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_get_parent(&parent);
    if (!strcmp(mode, "late"))
        late();
    else if (!strcmp(mode, "die"))
        die();
    else if (!strcmp(mode, "spawn"))
        spawn(argv[0]);
    else if (strcmp(mode, "none") != 0)
        ring(MPI_COMM_WORLD);
    MPI_Finalize();
    if (rank == 0 && parent == MPI_COMM_NULL)
        puts("right");
    return 0;
}
