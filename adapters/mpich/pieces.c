/* SPDX-License-Identifier: BSD-3-Clause */
#include "adapter.h"

struct tmbm_walk tmbm_walk_make(const struct tmbm_data *data, const void *buffer,
                                bool elements)
{
    struct tmbm_walk walk = {.typed = data->type != NULL};

    if (walk.typed) {
        walk.cursor = tmbm_cursor_make(elements ? data->type->elements : data->type, buffer,
                                       data->count);
    } else {
        walk.at = (uint8_t *)(uintptr_t)buffer;
        walk.left = data->bytes;
    }
    return walk;
}

bool tmbm_walk_more(struct tmbm_walk *walk)
{
    if (!walk->left && walk->typed)
        walk->left = tmbm_cursor_next(&walk->cursor, UINT64_MAX, &walk->at);
    return walk->left > 0;
}

void tmbm_walk_skip(struct tmbm_walk *walk, uint64_t bytes)
{
    walk->at += bytes;
    walk->left -= bytes;
}
