/* SPDX-License-Identifier: BSD-3-Clause */
#include "random_type.h"

#include <stdbool.h>
#include <stddef.h>

#define PARTS      4
#define DIMENSIONS 3
#define MOST       30000 /* bytes of data, and how far it reaches */

unsigned random_type_combiners[MPI_COMBINER_HINDEXED_BLOCK + 1];

int64_t random_between(struct random *random, int64_t low, int64_t high)
{
    random->state = random->state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return low + (int64_t)((random->state >> 33) % (uint64_t)(high - low + 1));
}

static MPI_Datatype of_precision(struct random *random)
{
    MPI_Datatype type;

    switch (random_between(random, 0, 2)) {
    case 0:
        MPI_Type_create_f90_real(random->state >> 40 & 1 ? 6 : 12, MPI_UNDEFINED, &type);
        random_type_combiners[MPI_COMBINER_F90_REAL]++;
        break;
    case 1:
        MPI_Type_create_f90_complex(6, MPI_UNDEFINED, &type);
        random_type_combiners[MPI_COMBINER_F90_COMPLEX]++;
        break;
    default:
        MPI_Type_create_f90_integer((int)random_between(random, 1, 12), &type);
        random_type_combiners[MPI_COMBINER_F90_INTEGER]++;
    }
    return type;
}

static MPI_Datatype predefined(struct random *random)
{
    /* Not long double: MPICH moves ten of its bytes, and the others are no data. */
    static const MPI_Datatype types[] = {
        MPI_BYTE,   MPI_CHAR,      MPI_SHORT,      MPI_INT,       MPI_DOUBLE,
        MPI_LONG,   MPI_FLOAT_INT, MPI_DOUBLE_INT, MPI_SHORT_INT, MPI_LONG_INT,
        MPI_C_BOOL, MPI_2INT,      MPI_COMPLEX,    MPI_WCHAR,     MPI_C_DOUBLE_COMPLEX};
    int64_t i = random_between(random, 0, sizeof(types) / sizeof(types[0]) + 1);

    random_type_combiners[MPI_COMBINER_NAMED]++;
    return i < (int64_t)(sizeof(types) / sizeof(types[0])) ? types[i]
                                                           : of_precision(random);
}

/* What constructors are given: numbers in each of their forms. */
struct arguments {
    int count, ints[PARTS], places[PARTS];
    MPI_Count large[PARTS], far[PARTS];
    MPI_Aint addresses[PARTS];
    MPI_Datatype parts[PARTS];
    bool c; /* the large-count form */
};

static void arguments_make(struct random *random, MPI_Datatype part,
                           struct arguments *arguments)
{
    arguments->count = (int)random_between(random, 0, PARTS);
    arguments->c = random_between(random, 0, 1);
    for (int i = 0; i < PARTS; i++) {
        arguments->large[i] = arguments->ints[i] = (int)random_between(random, 0, 3);
        arguments->places[i] = (int)random_between(random, -5, 12);
        arguments->far[i] = arguments->addresses[i] = random_between(random, -300, 900);
        arguments->parts[i] = part;
    }
}

static void strided(const struct arguments *a, int combiner, MPI_Datatype part,
                    MPI_Datatype *type)
{
    int length = a->ints[0];
    MPI_Count stride = a->places[0];

    if (combiner == MPI_COMBINER_CONTIGUOUS)
        a->c ? MPI_Type_contiguous_c(a->count, part, type)
             : MPI_Type_contiguous(a->count, part, type);
    else if (combiner == MPI_COMBINER_VECTOR)
        a->c ? MPI_Type_vector_c(a->count, length, stride, part, type)
             : MPI_Type_vector(a->count, length, (int)stride, part, type);
    else
        a->c ? MPI_Type_create_hvector_c(a->count, length, a->far[0], part, type)
             : MPI_Type_create_hvector(a->count, length, a->addresses[0], part, type);
}

static void indexed(const struct arguments *a, int combiner, MPI_Datatype part,
                    MPI_Datatype *type)
{
    MPI_Count places[PARTS];
    int n = a->count, length = a->ints[0];

    for (int i = 0; i < PARTS; i++)
        places[i] = a->places[i];
    if (combiner == MPI_COMBINER_INDEXED)
        a->c ? MPI_Type_indexed_c(n, a->large, places, part, type)
             : MPI_Type_indexed(n, a->ints, a->places, part, type);
    else if (combiner == MPI_COMBINER_HINDEXED)
        a->c ? MPI_Type_create_hindexed_c(n, a->large, a->far, part, type)
             : MPI_Type_create_hindexed(n, a->ints, a->addresses, part, type);
    else if (combiner == MPI_COMBINER_INDEXED_BLOCK)
        a->c ? MPI_Type_create_indexed_block_c(n, length, places, part, type)
             : MPI_Type_create_indexed_block(n, length, a->places, part, type);
    else
        a->c ? MPI_Type_create_hindexed_block_c(n, length, a->far, part, type)
             : MPI_Type_create_hindexed_block(n, length, a->addresses, part, type);
}

static void structure(struct random *random, struct arguments *a, int depth,
                      MPI_Datatype *type)
{
    for (int i = 1; i < a->count; i++)
        a->parts[i] = random_type(random, depth - 1);
    a->c ? MPI_Type_create_struct_c(a->count, a->large, a->far, a->parts, type)
         : MPI_Type_create_struct(a->count, a->ints, a->addresses, a->parts, type);
    for (int i = 1; i < a->count; i++)
        random_type_free(&a->parts[i]);
}

static void subarray(struct random *random, bool c, MPI_Datatype part, MPI_Datatype *type)
{
    int n = (int)random_between(random, 1, DIMENSIONS);
    int order = random_between(random, 0, 1) ? MPI_ORDER_C : MPI_ORDER_FORTRAN;
    int size[DIMENSIONS], length[DIMENSIONS], start[DIMENSIONS];
    MPI_Count sizes[DIMENSIONS], lengths[DIMENSIONS], starts[DIMENSIONS];

    for (int i = 0; i < n; i++) {
        sizes[i] = size[i] = (int)random_between(random, 1, 5);
        lengths[i] = length[i] = (int)random_between(random, 1, size[i]);
        starts[i] = start[i] = (int)random_between(random, 0, size[i] - length[i]);
    }
    c ? MPI_Type_create_subarray_c(n, sizes, lengths, starts, order, part, type)
      : MPI_Type_create_subarray(n, size, length, start, order, part, type);
}

static void darray(struct random *random, bool c, MPI_Datatype part, MPI_Datatype *type)
{
    static const int distributions[] = {MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_CYCLIC,
                                        MPI_DISTRIBUTE_NONE};
    int n = (int)random_between(random, 1, DIMENSIONS), processes = 1, rank;
    int order = random_between(random, 0, 1) ? MPI_ORDER_C : MPI_ORDER_FORTRAN;
    int size[DIMENSIONS], how[DIMENSIONS], argument[DIMENSIONS], grid[DIMENSIONS];
    MPI_Count sizes[DIMENSIONS];

    for (int i = 0; i < n; i++) {
        sizes[i] = size[i] = (int)random_between(random, 1, 7);
        how[i] = distributions[random_between(random, 0, 2)];
        grid[i] = how[i] == MPI_DISTRIBUTE_NONE ? 1 : (int)random_between(random, 1, 3);
        argument[i] = MPI_DISTRIBUTE_DFLT_DARG;
        if (how[i] == MPI_DISTRIBUTE_CYCLIC && random_between(random, 0, 1))
            argument[i] = (int)random_between(random, 1, 3);
        if (how[i] == MPI_DISTRIBUTE_BLOCK && random_between(random, 0, 1))
            argument[i] = (size[i] + grid[i] - 1) / grid[i] + 1;
        processes *= grid[i];
    }
    rank = (int)random_between(random, 0, processes - 1);
    c ? MPI_Type_create_darray_c(processes, rank, n, sizes, how, argument, grid, order,
                                 part, type)
      : MPI_Type_create_darray(processes, rank, n, size, how, argument, grid, order, part,
                               type);
}

static void build(struct random *random, int combiner, MPI_Datatype part, int depth,
                  MPI_Datatype *type)
{
    struct arguments a;

    arguments_make(random, part, &a);
    switch (combiner) {
    case MPI_COMBINER_DUP:
        MPI_Type_dup(part, type);
        break;
    case MPI_COMBINER_RESIZED:
        a.c ? MPI_Type_create_resized_c(part, a.far[0], a.far[1], type)
            : MPI_Type_create_resized(part, a.addresses[0], a.addresses[1], type);
        break;
    case MPI_COMBINER_CONTIGUOUS:
    case MPI_COMBINER_VECTOR:
    case MPI_COMBINER_HVECTOR:
        strided(&a, combiner, part, type);
        break;
    case MPI_COMBINER_STRUCT:
        structure(random, &a, depth, type);
        break;
    case MPI_COMBINER_SUBARRAY:
        subarray(random, a.c, part, type);
        break;
    case MPI_COMBINER_DARRAY:
        darray(random, a.c, part, type);
        break;
    default:
        indexed(&a, combiner, part, type);
    }
}

static bool small(MPI_Datatype type)
{
    MPI_Count size, low, extent, true_low, true_extent;

    MPI_Type_size_c(type, &size);
    MPI_Type_get_extent_c(type, &low, &extent);
    MPI_Type_get_true_extent_c(type, &true_low, &true_extent);
    return size < MOST && true_extent < MOST && extent > -MOST && extent < MOST &&
           true_low > -MOST && true_low < MOST;
}

MPI_Datatype random_type(struct random *random, int depth)
{
    static const int combiners[] = {
        MPI_COMBINER_DUP,           MPI_COMBINER_CONTIGUOUS,     MPI_COMBINER_VECTOR,
        MPI_COMBINER_HVECTOR,       MPI_COMBINER_INDEXED,        MPI_COMBINER_HINDEXED,
        MPI_COMBINER_INDEXED_BLOCK, MPI_COMBINER_HINDEXED_BLOCK, MPI_COMBINER_STRUCT,
        MPI_COMBINER_SUBARRAY,      MPI_COMBINER_DARRAY,         MPI_COMBINER_RESIZED};
    int64_t i = random_between(random, 0, sizeof(combiners) / sizeof(combiners[0]) - 1);
    MPI_Datatype part, type;

    if (depth == 0)
        return predefined(random);
    part = random_type(random, (int)random_between(random, 0, depth - 1));
    build(random, combiners[i], part, depth, &type);
    if (!small(type)) {
        MPI_Type_free(&type);
        MPI_Type_dup(part, &type);
    }
    random_type_free(&part);
    random_type_combiners[combiners[i]]++;
    return type;
}

void random_type_free(MPI_Datatype *type)
{
    MPI_Count numbers[4];
    int combiner;

    MPI_Type_get_envelope_c(*type, &numbers[0], &numbers[1], &numbers[2], &numbers[3],
                            &combiner);
    if (combiner != MPI_COMBINER_NAMED && combiner != MPI_COMBINER_F90_REAL &&
        combiner != MPI_COMBINER_F90_COMPLEX && combiner != MPI_COMBINER_F90_INTEGER)
        MPI_Type_free(type);
}
