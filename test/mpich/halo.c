/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A halo exchange in two dimensions, as solvers do it: each rank has a block of a grid
 * and puts its edges into its neighbours' margins. What comes out is compared, bit by
 * bit, with what one rank computes alone. halo fence|pscw|lock
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK    24 /* cells of a rank in each direction, without margins */
#define WIDTH    (BLOCK + 2)
#define CELLS    (WIDTH * WIDTH)
#define STEPS    20
#define AT(i, j) ((i)*WIDTH + (j))

enum way { FENCE, PSCW, LOCK };
enum side { UP, DOWN, LEFT, RIGHT, SIDES };

struct exchange {
    MPI_Comm grid;
    MPI_Win win;
    MPI_Group neighbours;
    MPI_Datatype column;
    int neighbour[SIDES]; /* or MPI_PROC_NULL at the grid's border */
    enum way way;
};

static double begin_of(int row, int column)
{
    return (row * 37 + column * 101) % 1000 / 7.0;
}

static double next_of(const double *cells, int width, int at)
{
    return 0.2 * (cells[at] + cells[at - 1] + cells[at + 1] + cells[at - width] +
                  cells[at + width]);
}

/* Edges go into the neighbours' margins, in the half of the memory that is read next. */
static void put_edges(const struct exchange *x, const double *cells, MPI_Aint half)
{
    const int *n = x->neighbour;

    MPI_Put(cells + AT(1, 1), BLOCK, MPI_DOUBLE, n[UP], half + AT(WIDTH - 1, 1), BLOCK,
            MPI_DOUBLE, x->win);
    MPI_Put(cells + AT(BLOCK, 1), BLOCK, MPI_DOUBLE, n[DOWN], half + AT(0, 1), BLOCK,
            MPI_DOUBLE, x->win);
    MPI_Put(cells + AT(1, 1), 1, x->column, n[LEFT], half + AT(1, WIDTH - 1), 1,
            x->column, x->win);
    MPI_Put(cells + AT(1, BLOCK), 1, x->column, n[RIGHT], half + AT(1, 0), 1, x->column,
            x->win);
}

static void exchange(const struct exchange *x, const double *cells, MPI_Aint half)
{
    if (x->way == FENCE) {
        MPI_Win_fence(MPI_MODE_NOPRECEDE, x->win);
        put_edges(x, cells, half);
        MPI_Win_fence(MPI_MODE_NOSUCCEED, x->win);
    } else if (x->way == PSCW) {
        MPI_Win_post(x->neighbours, 0, x->win);
        MPI_Win_start(x->neighbours, 0, x->win);
        put_edges(x, cells, half);
        MPI_Win_complete(x->win);
        MPI_Win_wait(x->win);
    } else {
        MPI_Win_lock_all(0, x->win);
        put_edges(x, cells, half);
        MPI_Win_unlock_all(x->win);
        MPI_Barrier(x->grid);
        MPI_Win_lock_all(MPI_MODE_NOCHECK, x->win);
        MPI_Win_sync(x->win);
        MPI_Win_unlock_all(x->win);
    }
}

static void grid_make(struct exchange *x, int place[2], int shape[2])
{
    int size, rank, count = 0, members[SIDES], periodic[2] = {0, 0};
    MPI_Group all;

    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Dims_create(size, 2, shape);
    MPI_Cart_create(MPI_COMM_WORLD, 2, shape, periodic, 1, &x->grid);
    MPI_Comm_rank(x->grid, &rank);
    MPI_Cart_coords(x->grid, rank, 2, place);
    MPI_Cart_shift(x->grid, 0, 1, &x->neighbour[UP], &x->neighbour[DOWN]);
    MPI_Cart_shift(x->grid, 1, 1, &x->neighbour[LEFT], &x->neighbour[RIGHT]);
    for (int i = 0; i < SIDES; i++)
        if (x->neighbour[i] != MPI_PROC_NULL)
            members[count++] = x->neighbour[i];
    MPI_Comm_group(x->grid, &all);
    MPI_Group_incl(all, count, members, &x->neighbours);
    MPI_Group_free(&all);
    MPI_Type_vector(BLOCK, 1, WIDTH, MPI_DOUBLE, &x->column);
    MPI_Type_commit(&x->column);
}

/* The whole grid, by one rank. */
static double *alone(const int shape[2])
{
    int height = shape[0] * BLOCK + 2, width = shape[1] * BLOCK + 2;
    size_t bytes = sizeof(double) * (size_t)(height * width);
    double *old = calloc(1, bytes), *new = calloc(1, bytes), *other;

    for (int i = 1; i < height - 1; i++)
        for (int j = 1; j < width - 1; j++)
            old[i * width + j] = begin_of(i - 1, j - 1);
    for (int step = 0; step < STEPS; step++) {
        for (int i = 1; i < height - 1; i++)
            for (int j = 1; j < width - 1; j++)
                new[i * width + j] = next_of(old, width, i * width + j);
        other = old;
        old = new;
        new = other;
    }
    free(new);
    return old;
}

static int compare(const double *cells, const int place[2], const int shape[2])
{
    int width = shape[1] * BLOCK + 2, wrong = 0, there;
    double *expected = alone(shape);

    for (int i = 1; i <= BLOCK; i++)
        for (int j = 1; j <= BLOCK; j++) {
            there = (place[0] * BLOCK + i) * width + place[1] * BLOCK + j;
            wrong += memcmp(&cells[AT(i, j)], &expected[there], sizeof(double)) != 0;
        }
    free(expected);
    return wrong;
}

static const double *solve(const struct exchange *x, double *memory, const int place[2])
{
    double *old, *new;

    memset(memory, 0, sizeof(double) * 2 * CELLS);
    for (int i = 0; i < BLOCK; i++)
        for (int j = 0; j < BLOCK; j++)
            memory[AT(i + 1, j + 1)] =
                begin_of(place[0] * BLOCK + i, place[1] * BLOCK + j);
    MPI_Barrier(x->grid);
    for (int step = 0; step < STEPS; step++) {
        old = memory + step % 2 * CELLS;
        new = memory + (step + 1) % 2 * CELLS;
        exchange(x, old, step % 2 * CELLS);
        for (int i = 1; i <= BLOCK; i++)
            for (int j = 1; j <= BLOCK; j++)
                new[AT(i, j)] = next_of(old, WIDTH, AT(i, j));
    }
    return memory + STEPS % 2 * CELLS;
}

int main(int argc, char **argv)
{
    const char *const ways[] = {"fence", "pscw", "lock"};
    int place[2], shape[2] = {0, 0}, wrong, all, rank;
    struct exchange x = {.way = FENCE};
    double *memory;

    MPI_Init(&argc, &argv);
    while (argc == 2 && x.way <= LOCK && strcmp(argv[1], ways[x.way]))
        x.way++;
    if (argc != 2 || x.way > LOCK) {
        fprintf(stderr, "halo: which of fence, pscw, lock?\n");
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    grid_make(&x, place, shape);
    MPI_Win_allocate(sizeof(double) * 2 * CELLS, sizeof(double), MPI_INFO_NULL, x.grid,
                     &memory, &x.win);
    wrong = compare(solve(&x, memory, place), place, shape);
    MPI_Reduce(&wrong, &all, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0)
        printf("halo %s: %d x %d blocks, %d cells differ\n", argv[1], shape[0], shape[1],
               all);
    MPI_Win_free(&x.win);
    MPI_Type_free(&x.column);
    MPI_Group_free(&x.neighbours);
    MPI_Comm_free(&x.grid);
    fflush(stdout);
    MPI_Finalize();
    return wrong ? 1 : 0;
}
