/* SPDX-License-Identifier: BSD-3-Clause */
/* How a datatype was built, followed down to runs of bytes. */
#ifndef TMBM_FLATTEN_H
#define TMBM_FLATTEN_H

#include "datatype.h"

/* Runs that grow. */
struct tmbm_map {
    struct tmbm_run *run;
    size_t runs, capacity;
    /* The last block, which what follows may continue; not yet among the runs. */
    struct tmbm_run last;
    enum tmbm_element element;
    bool empty; /* no data yet, so `element` says nothing */
};

/* Make the map of a type that exists; on success map->run is the caller's to free.
 * Returns an MPI error class. */
int tmbm_flatten(MPI_Datatype type, struct tmbm_map *map);

/* ---- making maps (map.c) ---- */

/* Add `count` copies of a map to another, `stride` apart. False: out of memory. */
bool tmbm_map_add(struct tmbm_map *map, const struct tmbm_map *part, int64_t offset,
                  uint64_t count, int64_t stride);
/* Add bytes of one element. */
bool tmbm_map_add_bytes(struct tmbm_map *map, int64_t offset, uint64_t bytes,
                        enum tmbm_element element);
/* No more will be added. */
bool tmbm_map_finish(struct tmbm_map *map);

#endif
