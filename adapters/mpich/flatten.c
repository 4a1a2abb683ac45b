/* SPDX-License-Identifier: BSD-3-Clause */
#include "flatten.h"

#include <stdlib.h>
#include <string.h>

/* What a type was built with: all numbers in the order int, address, large count, in
 * which the two forms of a constructor differ for arrays alone. */
struct contents {
    int combiner;
    MPI_Count ints, addresses, large, types;
    int64_t *number;
    MPI_Datatype *type;
};

static int contents_read(MPI_Datatype type, struct contents *contents)
{
    int *ints = (int *)(contents->type + contents->types);
    MPI_Aint *addresses = contents->number + contents->ints;
    MPI_Count *large = addresses + contents->addresses;
    int rc;

    rc = PMPI_Type_get_contents_c(type, contents->ints, contents->addresses,
                                  contents->large, contents->types, ints, addresses,
                                  large, contents->type);
    if (rc != MPI_SUCCESS)
        return MPI_ERR_TYPE;
    for (MPI_Count i = 0; i < contents->ints; i++)
        contents->number[i] = ints[i];
    return MPI_SUCCESS;
}

static void contents_free(struct contents *contents)
{
    free(contents->number);
    free(contents->type);
}

static int contents_get(MPI_Datatype type, struct contents *contents)
{
    size_t numbers;
    int rc;

    memset(contents, 0, sizeof(*contents));
    rc =
        PMPI_Type_get_envelope_c(type, &contents->ints, &contents->addresses,
                                 &contents->large, &contents->types, &contents->combiner);
    if (rc != MPI_SUCCESS)
        return MPI_ERR_TYPE;
    if (contents->combiner == MPI_COMBINER_NAMED)
        return MPI_SUCCESS;
    numbers = (size_t)(contents->ints + contents->addresses + contents->large);
    contents->number = calloc(numbers + 1, sizeof(*contents->number));
    /* The ints' place is behind the types: of the same size. */
    contents->type =
        calloc((size_t)(contents->types + contents->ints) + 1, sizeof(*contents->type));
    rc = contents->number && contents->type ? contents_read(type, contents)
                                            : MPI_ERR_NO_MEM;
    if (rc != MPI_SUCCESS)
        contents_free(contents);
    return rc;
}
_Static_assert(sizeof(MPI_Datatype) == sizeof(int), "handles and ints share an array");
_Static_assert(sizeof(MPI_Aint) == 8 && sizeof(MPI_Count) == 8, "numbers of all kinds");

/* The handles that were handed out: predefined ones can't be freed. */
static void types_free(struct contents *contents)
{
    MPI_Count numbers[4];
    int combiner;

    for (MPI_Count i = 0; i < contents->types; i++) {
        if (PMPI_Type_get_envelope_c(contents->type[i], &numbers[0], &numbers[1],
                                     &numbers[2], &numbers[3],
                                     &combiner) == MPI_SUCCESS &&
            combiner != MPI_COMBINER_NAMED && combiner != MPI_COMBINER_F90_REAL &&
            combiner != MPI_COMBINER_F90_COMPLEX && combiner != MPI_COMBINER_F90_INTEGER)
            PMPI_Type_free(&contents->type[i]);
    }
}

static bool named(MPI_Datatype type, struct tmbm_map *map)
{
    enum tmbm_element element = tmbm_element_of(type);

    if (tmbm_type_plain(type))
        return tmbm_map_add_bytes(map, 0, tmbm_type_plain_bytes(type), element);
    if (element != TMBM_SHORT_INT)
        return tmbm_map_add_bytes(map, 0, tmbm_element_span(element), element);
    return tmbm_map_add_bytes(map, 0, sizeof(short), element) &&
           tmbm_map_add_bytes(map, (int64_t)(tmbm_element_span(element) - sizeof(int)),
                              sizeof(int), element);
}

/* Types of a precision are told by it and their width. */
static bool of_precision(MPI_Datatype type, int combiner, struct tmbm_map *map)
{
    static const struct {
        int combiner;
        MPI_Count bytes;
        enum tmbm_element element;
    } known[] = {
        {MPI_COMBINER_F90_INTEGER, 1, TMBM_INT8},
        {MPI_COMBINER_F90_INTEGER, 2, TMBM_INT16},
        {MPI_COMBINER_F90_INTEGER, 4, TMBM_INT32},
        {MPI_COMBINER_F90_INTEGER, 8, TMBM_INT64},
        {MPI_COMBINER_F90_REAL, 4, TMBM_FLOAT},
        {MPI_COMBINER_F90_REAL, 8, TMBM_DOUBLE},
        {MPI_COMBINER_F90_COMPLEX, 8, TMBM_FLOAT_COMPLEX},
        {MPI_COMBINER_F90_COMPLEX, 16, TMBM_DOUBLE_COMPLEX},
    };
    enum tmbm_element element = TMBM_MIXED;
    MPI_Count bytes;

    if (PMPI_Type_size_c(type, &bytes) != MPI_SUCCESS)
        return false;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].combiner == combiner && known[i].bytes == bytes)
            element = known[i].element;
    return tmbm_map_add_bytes(map, 0, (uint64_t)bytes, element);
}

/* The map of one of the types that a type was built from. */
struct part {
    struct tmbm_map map;
    int64_t extent;
};

static int part_get(MPI_Datatype type, struct part *part)
{
    MPI_Count low, extent;

    memset(part, 0, sizeof(*part));
    if (PMPI_Type_get_extent_c(type, &low, &extent) != MPI_SUCCESS)
        return MPI_ERR_TYPE;
    part->extent = extent;
    return tmbm_flatten(type, &part->map);
}

/* Replace a part by copies of it. */
static bool part_repeat(struct part *part, uint64_t count, int64_t stride)
{
    struct tmbm_map copies = {.empty = true};
    bool ok =
        tmbm_map_add(&copies, &part->map, 0, count, stride) && tmbm_map_finish(&copies);

    free(part->map.run);
    part->map = copies;
    return ok;
}

/* `number`: count, length of a block, stride or displacements, by `unit`. */
static bool vector(struct part *part, const int64_t *number, int64_t unit,
                   struct tmbm_map *map)
{
    return part_repeat(part, (uint64_t)number[1], part->extent) &&
           tmbm_map_add(map, &part->map, 0, (uint64_t)number[0], number[2] * unit);
}

static bool indexed_block(struct part *part, const int64_t *number, int64_t unit,
                          struct tmbm_map *map)
{
    bool ok = part_repeat(part, (uint64_t)number[1], part->extent);

    for (int64_t i = 0; i < number[0] && ok; i++)
        ok = tmbm_map_add(map, &part->map, number[2 + i] * unit, 1, 0);
    return ok;
}

static bool indexed(struct part *part, const int64_t *number, int64_t unit,
                    struct tmbm_map *map)
{
    const int64_t *length = number + 1, *offset = length + number[0];

    for (int64_t i = 0; i < number[0]; i++)
        if (!tmbm_map_add(map, &part->map, offset[i] * unit, (uint64_t)length[i],
                          part->extent))
            return false;
    return true;
}

/* One dimension of an array: what of it is in the type. */
struct dimension {
    int64_t size, start, length; /* blocks of `length` from `start` on, */
    int64_t period;              /* so far apart */
};

static bool dimension_spread(struct part *part, const struct dimension *dimension)
{
    struct tmbm_map map = {.empty = true};
    bool ok = true;
    int64_t start = dimension->start, length;

    for (; ok && start < dimension->size; start += dimension->period) {
        length = dimension->size - start;
        if (length > dimension->length)
            length = dimension->length;
        ok = tmbm_map_add(&map, &part->map, start * part->extent, (uint64_t)length,
                          part->extent);
    }
    ok = ok && tmbm_map_finish(&map);
    free(part->map.run);
    part->map = map;
    part->extent *= dimension->size;
    return ok;
}

/* From the dimension that varies fastest to the one that varies slowest. */
static bool array_spread(struct part *part, const struct dimension *dimensions, int64_t n,
                         int order, struct tmbm_map *map)
{
    for (int64_t i = 0; i < n; i++)
        if (!dimension_spread(part, &dimensions[order == MPI_ORDER_C ? n - 1 - i : i]))
            return false;
    return tmbm_map_add(map, &part->map, 0, 1, 0);
}

static bool subarray(struct part *part, const struct contents *contents,
                     struct tmbm_map *map)
{
    int64_t n = contents->number[0];
    bool large = contents->large > 0;
    const int64_t *size = contents->number + (large ? contents->ints : 1);
    const int64_t *length = size + n, *start = length + n;
    int order = (int)(large ? contents->number[1] : start[n]);
    struct dimension *dimensions = calloc((size_t)n + 1, sizeof(*dimensions));
    bool ok;

    if (!dimensions)
        return false;
    for (int64_t i = 0; i < n; i++)
        dimensions[i] = (struct dimension){size[i], start[i], length[i], size[i]};
    ok = array_spread(part, dimensions, n, order, map);
    free(dimensions);
    return ok;
}

/* What the process at `place` of `places` has of a distributed dimension. */
static struct dimension distributed(int64_t size, int64_t distribution, int64_t argument,
                                    int64_t places, int64_t place)
{
    int64_t length = argument;

    if (distribution == MPI_DISTRIBUTE_NONE)
        return (struct dimension){size, 0, size, size};
    if (argument == MPI_DISTRIBUTE_DFLT_DARG)
        length = distribution == MPI_DISTRIBUTE_BLOCK ? (size + places - 1) / places : 1;
    return (struct dimension){size, place * length, length, places * length};
}

static bool darray(struct part *part, const struct contents *contents,
                   struct tmbm_map *map)
{
    const int64_t *number = contents->number;
    int64_t processes = number[0], rank = number[1], n = number[2], places;
    bool large = contents->large > 0;
    const int64_t *size = large ? number + contents->ints : number + 3;
    const int64_t *distribution = number + (large ? 3 : 3 + n);
    const int64_t *argument = distribution + n, *grid = argument + n;
    struct dimension *dimensions = calloc((size_t)n + 1, sizeof(*dimensions));
    bool ok;

    if (!dimensions)
        return false;
    for (int64_t i = 0; i < n; i++) {
        places = grid[i];
        processes /= places;
        dimensions[i] =
            distributed(size[i], distribution[i], argument[i], places, rank / processes);
        rank %= processes;
    }
    ok = array_spread(part, dimensions, n, (int)grid[n], map);
    free(dimensions);
    return ok;
}

static bool from_one(const struct contents *contents, struct part *part,
                     struct tmbm_map *map)
{
    const int64_t *number = contents->number;

    switch (contents->combiner) {
    case MPI_COMBINER_DUP:
    case MPI_COMBINER_RESIZED:
        return tmbm_map_add(map, &part->map, 0, 1, 0);
    case MPI_COMBINER_CONTIGUOUS:
        return tmbm_map_add(map, &part->map, 0, (uint64_t)number[0], part->extent);
    case MPI_COMBINER_VECTOR:
        return vector(part, number, part->extent, map);
    case MPI_COMBINER_HVECTOR:
    case MPI_COMBINER_HVECTOR_INTEGER:
        return vector(part, number, 1, map);
    case MPI_COMBINER_INDEXED:
        return indexed(part, number, part->extent, map);
    case MPI_COMBINER_HINDEXED:
    case MPI_COMBINER_HINDEXED_INTEGER:
        return indexed(part, number, 1, map);
    case MPI_COMBINER_INDEXED_BLOCK:
        return indexed_block(part, number, part->extent, map);
    case MPI_COMBINER_HINDEXED_BLOCK:
        return indexed_block(part, number, 1, map);
    case MPI_COMBINER_SUBARRAY:
        return subarray(part, contents, map);
    case MPI_COMBINER_DARRAY:
        return darray(part, contents, map);
    default:
        return false;
    }
}

static int structure(const struct contents *contents, struct tmbm_map *map)
{
    const int64_t *number = contents->number;
    const int64_t *length = number + 1, *offset = length + number[0];
    struct part part;
    int rc = MPI_SUCCESS;

    for (int64_t i = 0; i < number[0] && rc == MPI_SUCCESS; i++) {
        rc = part_get(contents->type[i], &part);
        if (rc == MPI_SUCCESS &&
            !tmbm_map_add(map, &part.map, offset[i], (uint64_t)length[i], part.extent))
            rc = MPI_ERR_NO_MEM;
        free(part.map.run);
    }
    return rc;
}

static int derived(const struct contents *contents, struct tmbm_map *map)
{
    struct part part;
    int rc;

    if (contents->combiner == MPI_COMBINER_STRUCT ||
        contents->combiner == MPI_COMBINER_STRUCT_INTEGER)
        return structure(contents, map);
    if (contents->types != 1)
        return MPI_ERR_TYPE;
    rc = part_get(contents->type[0], &part);
    if (rc == MPI_SUCCESS && !from_one(contents, &part, map))
        rc = MPI_ERR_NO_MEM;
    free(part.map.run);
    return rc;
}

int tmbm_flatten(MPI_Datatype type, struct tmbm_map *map)
{
    struct contents contents;
    int rc;

    *map = (struct tmbm_map){.empty = true};
    rc = contents_get(type, &contents);
    if (rc != MPI_SUCCESS)
        return rc;
    switch (contents.combiner) {
    case MPI_COMBINER_NAMED:
        rc = named(type, map) ? MPI_SUCCESS : MPI_ERR_NO_MEM;
        break;
    case MPI_COMBINER_F90_REAL:
    case MPI_COMBINER_F90_COMPLEX:
    case MPI_COMBINER_F90_INTEGER:
        rc = of_precision(type, contents.combiner, map) ? MPI_SUCCESS : MPI_ERR_NO_MEM;
        break;
    default:
        rc = derived(&contents, map);
        types_free(&contents);
    }
    contents_free(&contents);
    if (rc == MPI_SUCCESS && !tmbm_map_finish(map))
        rc = MPI_ERR_NO_MEM;
    if (rc != MPI_SUCCESS) {
        free(map->run);
        *map = (struct tmbm_map){.empty = true};
    }
    return rc;
}
