/* SPDX-License-Identifier: BSD-3-Clause */
/* Steps of joining, which all ranks take together. */
#ifndef TMBI_MEET_H
#define TMBI_MEET_H

#include <stdint.h>

#include "context.h"

int tmbi_meet_exchange(const void *mine, size_t bytes, void *all, int64_t deadline);

/* Every rank says whether it succeeded, so that all join or none; positive: how many
 * ranks it still misses, and the result is what anyone does. `all` has room for a number
 * of each rank. */
int tmbi_meet_agree(int rc, int32_t *all, int64_t deadline);

/* Whether ranks of any host want a place of the provider's (provider.h) that one of them
 * makes; hosts + i * stride is rank i's place_host(). (place.c) */
bool tmbi_places_wanted(const uint64_t *hosts, size_t stride);

/* Make them. `place`: ours, empty: there is none. *hold: to be closed when all ranks have
 * opened, or -1. Fails only as exchanges do. (place.c) */
int tmbi_places_make(const struct tmbi_provider *provider, const uint64_t *hosts,
                     size_t stride, char place[TMBI_PLACE_BYTES], int *hold,
                     int64_t deadline);

/* Make the world, all ranks or none. `rc`: an error so far. (world.c) */
int tmbi_world_meet(int rc, int64_t deadline);

#endif
