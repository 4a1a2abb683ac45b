/* SPDX-License-Identifier: BSD-3-Clause */
/* What a call to a target's agent says. It carries pieces of the target's memory, and
 * their data: so targets need not know the origin's types. */
#ifndef TMBM_REMOTE_H
#define TMBM_REMOTE_H

#include "adapter.h"

enum { KIND_PUT = 1, KIND_GET, KIND_UPDATE, KIND_SWAP };

/* args[0] of a call; data, which is padded, comes before the pieces. Fixed width. */
struct head {
    uint8_t kind;
    uint8_t op;
    uint8_t element;
    uint8_t sole;
    uint32_t pieces;
};
_Static_assert(sizeof(struct head) == 8, "a head is one argument of a call");

/* Blocks at equal distances. */
struct piece {
    uint64_t offset;
    uint64_t bytes; /* of each; not 0 */
    int64_t stride;
    uint64_t count;
};
_Static_assert(sizeof(struct piece) == 32, "pieces lie in a call one behind the other");

#endif
