/* SPDX-License-Identifier: BSD-3-Clause */
/* Derived types made at random, on both sides: what arrives is what packing and unpacking
 * them would give. */
#include "suite.h"

#define AREA   65536 /* of each rank's memory, with the types' data around its middle */
#define MIDDLE 32768
#define ROUNDS 25

static int below(uint64_t *state, int limit)
{
    return (int)(suite_random(state) % (unsigned)limit);
}

/* Replace a type by another made of it. */
static void replace(MPI_Datatype *type, MPI_Datatype made)
{
    MPI_Type_free(type);
    *type = made;
}

static MPI_Datatype indexed(uint64_t *state, MPI_Datatype type, bool bytes)
{
    int lengths[3], places[3], at_place = below(state, 3);
    MPI_Aint displacements[3], low, extent;
    MPI_Datatype made;

    MPI_Type_get_extent(type, &low, &extent);
    for (int i = 0; i < 3; i++) { /* ascending or not, with empty blocks */
        lengths[i] = below(state, 3);
        places[i] = at_place;
        at_place += lengths[i] + below(state, 3);
        displacements[i] = places[i] * extent + (bytes ? i : 0);
    }
    lengths[1]++;
    for (int i = 2; i < 3; i++) {
        places[i]++;
        displacements[i] += extent;
    }
    if (bytes)
        MPI_Type_create_hindexed(3, lengths, displacements, type, &made);
    else
        MPI_Type_indexed(3, lengths, places, type, &made);
    return made;
}

static MPI_Datatype subarray(uint64_t *state, MPI_Datatype type)
{
    int all[2] = {2 + below(state, 3), 2 + below(state, 3)}, part[2], begin[2];
    MPI_Datatype made;

    for (int i = 0; i < 2; i++) {
        part[i] = 1 + below(state, all[i]);
        begin[i] = below(state, all[i] - part[i] + 1);
    }
    MPI_Type_create_subarray(2, all, part, begin,
                             below(state, 2) ? MPI_ORDER_C : MPI_ORDER_FORTRAN, type,
                             &made);
    return made;
}

static MPI_Datatype structure(uint64_t *state, MPI_Datatype type)
{
    MPI_Aint low, extent, places[3];
    const int lengths[3] = {1, below(state, 2), 1 + below(state, 2)};
    const MPI_Datatype types[3] = {type, MPI_INT, type};
    MPI_Datatype made;

    MPI_Type_get_extent(type, &low, &extent);
    places[0] = 0;
    places[1] = low + extent + 4;
    places[2] = extent + 8 + 4 * below(state, 4);
    MPI_Type_create_struct(3, lengths, places, types, &made);
    return made;
}

/* Made of ints, not overlapping itself, within some kilobytes. */
static MPI_Datatype random_type(uint64_t *state)
{
    MPI_Aint low, extent, true_low, true_extent;
    MPI_Datatype type, made;

    MPI_Type_dup(MPI_INT, &type);
    for (int depth = 1 + below(state, 3); depth > 0; depth--) {
        MPI_Type_get_extent(type, &low, &extent);
        MPI_Type_get_true_extent(type, &true_low, &true_extent);
        if (extent > 600)
            break;
        switch (below(state, 7)) {
        case 0:
            MPI_Type_contiguous(1 + below(state, 3), type, &made);
            break;
        case 1:
            MPI_Type_vector(1 + below(state, 4), 1, 1 + below(state, 3), type, &made);
            break;
        case 2:
            MPI_Type_create_hvector(1 + below(state, 4), 1,
                                    -(extent + 4 * below(state, 4)), type, &made);
            break;
        case 3:
            made = indexed(state, type, below(state, 2));
            break;
        case 4:
            made = subarray(state, type);
            break;
        case 5:
            made = structure(state, type);
            break;
        default:
            MPI_Type_create_resized(type, true_low - 4 * below(state, 3),
                                    true_extent + 4 * below(state, 5), &made);
        }
        replace(&type, made);
    }
    MPI_Type_commit(&type);
    return type;
}

static int type_ints(MPI_Datatype type)
{
    int size;

    MPI_Type_size(type, &size);
    return size / (int)sizeof(int);
}

/* How the data of one typed buffer gets into another. */
static void copy_by_packing(const void *source, int source_count,
                            MPI_Datatype source_type, void *target, int target_count,
                            MPI_Datatype target_type)
{
    static uint8_t packed[AREA];
    int position = 0, again = 0;

    MPI_Pack(source, source_count, source_type, packed, sizeof(packed), &position,
             MPI_COMM_WORLD);
    MPI_Unpack(packed, position, &again, target, target_count, target_type,
               MPI_COMM_WORLD);
}

/* Types with the same number of ints in all; false: they'd be too large. */
static bool counts_choose(MPI_Datatype one, MPI_Datatype other, int *one_count,
                          int *other_count)
{
    int a = type_ints(one), b = type_ints(other), x = a, y = b;
    MPI_Aint low, extent, other_extent;

    while (y) {
        int rest = x % y;

        x = y;
        y = rest;
    }
    *one_count = b / x;
    *other_count = a / x;
    MPI_Type_get_extent(one, &low, &extent);
    MPI_Type_get_extent(other, &low, &other_extent);
    return extent * *one_count < 12000 && other_extent * *other_count < 12000;
}

static uint8_t mine[AREA], expected[AREA];

static void put_random(const struct window *w, MPI_Datatype origin, int origin_count,
                       MPI_Datatype target, int target_count)
{
    /* What `from` sends is the same pattern, by the same types. */
    memset(expected, 0x77, AREA);
    pattern_fill(mine, AREA, 9);
    copy_by_packing(mine + MIDDLE, origin_count, origin, expected + MIDDLE, target_count,
                    target);
    memset(w->base, 0x77, AREA);
    window_meet(w->win);
    OK(MPI_Win_lock(MPI_LOCK_SHARED, to, 0, w->win));
    OK(MPI_Put(mine + MIDDLE, origin_count, origin, to, at(w, to, MIDDLE), target_count,
               target, w->win));
    OK(MPI_Win_unlock(to, w->win));
    window_meet(w->win);
    CHECK(!memcmp(w->base, expected, AREA));
}

static void get_random(const struct window *w, MPI_Datatype origin, int origin_count,
                       MPI_Datatype target, int target_count)
{
    memset(expected, 0x33, AREA);
    pattern_fill(w->base, AREA, 21);
    copy_by_packing(w->base + MIDDLE, target_count, target, expected + MIDDLE,
                    origin_count, origin);
    memset(mine, 0x33, AREA);
    window_meet(w->win);
    OK(MPI_Win_lock(MPI_LOCK_SHARED, to, 0, w->win));
    OK(MPI_Get(mine + MIDDLE, origin_count, origin, to, at(w, to, MIDDLE), target_count,
               target, w->win));
    OK(MPI_Win_unlock(to, w->win));
    CHECK(!memcmp(mine, expected, AREA));
    MPI_Barrier(MPI_COMM_WORLD);
}

/* Sums of zero-filled memory are what a put would have left. */
static void accumulate_random(const struct window *w, MPI_Datatype origin,
                              int origin_count, MPI_Datatype target, int target_count)
{
    memset(expected, 0, AREA);
    pattern_fill(mine, AREA, 33);
    copy_by_packing(mine + MIDDLE, origin_count, origin, expected + MIDDLE, target_count,
                    target);
    memset(w->base, 0, AREA);
    window_meet(w->win);
    OK(MPI_Win_lock(MPI_LOCK_SHARED, to, 0, w->win));
    OK(MPI_Accumulate(mine + MIDDLE, origin_count, origin, to, at(w, to, MIDDLE),
                      target_count, target, MPI_SUM, w->win));
    OK(MPI_Win_unlock(to, w->win));
    window_meet(w->win);
    CHECK(!memcmp(w->base, expected, AREA));
}

static void get_accumulate_random(const struct window *w, MPI_Datatype origin,
                                  int origin_count, MPI_Datatype target, int target_count)
{
    static uint8_t old[AREA];

    memset(expected, 0x44, AREA);
    pattern_fill(w->base, AREA, 45);
    copy_by_packing(w->base + MIDDLE, target_count, target, expected + MIDDLE,
                    origin_count, origin);
    memset(old, 0x44, AREA);
    memset(mine, 0, AREA);
    window_meet(w->win);
    OK(MPI_Win_lock(MPI_LOCK_SHARED, to, 0, w->win));
    OK(MPI_Get_accumulate(mine + MIDDLE, origin_count, origin, old + MIDDLE, origin_count,
                          origin, to, at(w, to, MIDDLE), target_count, target,
                          MPI_REPLACE, w->win));
    OK(MPI_Win_unlock(to, w->win));
    CHECK(!memcmp(old, expected, AREA)); /* what was there before zeros replaced it */
    window_meet(w->win);
}

static void random_types(void (*body)(const struct window *w, MPI_Datatype origin,
                                      int origin_count, MPI_Datatype target,
                                      int target_count))
{
    uint64_t state = 20240229; /* the same types on all ranks */
    MPI_Datatype origin, target;
    struct window w;
    int n, m;

    for (enum memory memory = 0; memory < MEMORIES; memory++) {
        if (!window_open(&w, memory, AREA))
            continue;
        for (int round = 0; round < rounds(ROUNDS); round++) {
            suite_note("memory %d, round %d", (int)memory, round);
            origin = random_type(&state);
            target = random_type(&state);
            if (counts_choose(origin, target, &n, &m))
                body(&w, origin, n, target, m);
            MPI_Type_free(&origin);
            MPI_Type_free(&target);
        }
        window_close(&w);
    }
}

static void case_put(void)
{
    random_types(put_random);
}

static void case_get(void)
{
    random_types(get_random);
}

static void case_accumulate(void)
{
    random_types(accumulate_random);
}

static void case_get_accumulate(void)
{
    random_types(get_accumulate_random);
}

const struct suite_case layout_cases[] = {
    {"layout: put between random types", 1, case_put, ALWAYS},
    {"layout: get between random types", 1, case_get, ALWAYS},
    {"layout: accumulate between random types", 1, case_accumulate, ALWAYS},
    {"layout: get_accumulate between random types", 1, case_get_accumulate, ALWAYS},
    {0}};
