/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Type maps in the making. Blocks are joined with what they continue, and equal blocks at
 * equal distances become one run, in the order in which they are added. The last block
 * waits outside of the runs, since the next may continue it.
 */
#include "flatten.h"

#include <stdlib.h>

/* Offsets wrap as MPICH's do; what wraps is refused when the bounds are taken. */
static int64_t place(int64_t offset, int64_t stride, uint64_t count)
{
    return (int64_t)((uint64_t)offset + (uint64_t)stride * count);
}

static int64_t distance(int64_t from, int64_t to)
{
    return (int64_t)((uint64_t)to - (uint64_t)from);
}

static bool run_continue(struct tmbm_run *run, const struct tmbm_run *next)
{
    int64_t last = place(run->offset, run->stride, run->count - 1);
    int64_t stride = distance(last, next->offset);

    if (run->bytes != next->bytes || (run->count > 1 && run->stride != stride) ||
        (next->count > 1 && next->stride != stride))
        return false;
    run->stride = stride;
    run->count += next->count;
    return true;
}

static bool append(struct tmbm_map *map, const struct tmbm_run *run)
{
    struct tmbm_run *larger;
    size_t capacity;

    if (run->count == 0 || (map->runs && run_continue(&map->run[map->runs - 1], run)))
        return true;
    if (map->runs == map->capacity) {
        capacity = map->capacity ? 2 * map->capacity : 4;
        larger = reallocarray(map->run, capacity, sizeof(*larger));
        if (!larger)
            return false;
        map->run = larger;
        map->capacity = capacity;
    }
    map->run[map->runs++] = *run;
    return true;
}

static bool add_block(struct tmbm_map *map, int64_t offset, uint64_t bytes)
{
    struct tmbm_run *last = &map->last;

    if (last->count && place(last->offset, 1, last->bytes) == offset) {
        last->bytes += bytes;
        return true;
    }
    if (!append(map, last))
        return false;
    *last = (struct tmbm_run){.offset = offset, .bytes = bytes, .count = 1};
    return true;
}

/* The first block may continue what is there, the last what comes. */
static bool add_run(struct tmbm_map *map, struct tmbm_run run)
{
    if (run.count > 1 && run.stride == (int64_t)run.bytes) {
        if (__builtin_mul_overflow(run.bytes, run.count, &run.bytes))
            return false;
        run.count = 1;
    }
    if (!add_block(map, run.offset, run.bytes))
        return false;
    if (run.count == 1)
        return true;
    if (!append(map, &map->last))
        return false;
    map->last = (struct tmbm_run){.offset = place(run.offset, run.stride, run.count - 1),
                                  .bytes = run.bytes,
                                  .count = 1};
    run.offset = place(run.offset, run.stride, 1);
    run.count -= 2;
    return append(map, &run);
}

static void note_element(struct tmbm_map *map, enum tmbm_element element)
{
    if (map->empty)
        map->element = element;
    else if (map->element != element)
        map->element = TMBM_MIXED;
    map->empty = false;
}

bool tmbm_map_add_bytes(struct tmbm_map *map, int64_t offset, uint64_t bytes,
                        enum tmbm_element element)
{
    if (bytes == 0)
        return true;
    note_element(map, element);
    return add_block(map, offset, bytes);
}

bool tmbm_map_add(struct tmbm_map *map, const struct tmbm_map *part, int64_t offset,
                  uint64_t count, int64_t stride)
{
    struct tmbm_run run;

    if (part->runs == 0 || count == 0)
        return true;
    note_element(map, part->element);
    run = part->run[0];
    if (part->runs == 1 &&
        (run.count == 1 || stride == place(0, run.stride, run.count))) {
        run.offset = place(run.offset, offset, 1);
        run.stride = run.count == 1 ? stride : run.stride;
        return !__builtin_mul_overflow(run.count, count, &run.count) && add_run(map, run);
    }
    for (uint64_t i = 0; i < count; i++, offset = place(offset, stride, 1)) {
        for (size_t j = 0; j < part->runs; j++) {
            run = part->run[j];
            run.offset = place(run.offset, offset, 1);
            if (!add_run(map, run))
                return false;
        }
    }
    return true;
}

bool tmbm_map_finish(struct tmbm_map *map)
{
    struct tmbm_run last = map->last;

    map->last.count = 0;
    return append(map, &last);
}
