/* SPDX-License-Identifier: BSD-3-Clause */
/* Sets of ranks as people write them: "3, 5-7". */
#ifndef TMBI_RANKS_H
#define TMBI_RANKS_H

#include <stdbool.h>
#include <stddef.h>

#include "export.h"

typedef bool tmbi_ranks_chosen(const void *arg, int rank);

/* Write those of `size` ranks that are chosen; a text that is too short ends in " ...".
 * Returns the first of them, or -1. */
TMBI_TOOL int tmbi_ranks_list(int size, tmbi_ranks_chosen *chosen, const void *arg,
                              char *text, size_t bytes);

#endif
