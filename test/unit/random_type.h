/* SPDX-License-Identifier: BSD-3-Clause */
/* MPI datatypes of any shape, the same for the same seed. */
#ifndef RANDOM_TYPE_H
#define RANDOM_TYPE_H

#include <mpi.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

/* From `low` to `high`, both included. */
int64_t random_between(struct random *random, int64_t low, int64_t high);

/* A type of up to `depth` constructors above predefined types, not committed; its data
 * and its extent are small. The caller's to free, but for depth 0. */
MPI_Datatype random_type(struct random *random, int depth);
void random_type_free(MPI_Datatype *type);

/* How often each combiner was used, by its number. */
extern unsigned random_type_combiners[MPI_COMBINER_HINDEXED_BLOCK + 1];

#endif
