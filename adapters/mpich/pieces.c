/* SPDX-License-Identifier: BSD-3-Clause */
#include "adapter.h"

struct tmbm_walk tmbm_walk_make(const struct tmbm_data *data, const void *buffer,
                                enum tmbm_element element)
{
    size_t bytes = tmbm_element_bytes(element);
    struct tmbm_walk walk = {.typed = data->type != NULL};

    if (element != TMBM_MIXED && bytes != tmbm_element_extent(element))
        walk.whole = bytes;
    if (walk.typed) {
        walk.cursor = tmbm_cursor_make(data->type, buffer, data->count);
    } else {
        walk.at = (uint8_t *)(uintptr_t)buffer;
        walk.left = data->bytes;
    }
    return walk;
}

/* An element with a gap inside comes in several pieces: where the first one is, it is. */
bool tmbm_walk_more(struct tmbm_walk *walk)
{
    uint8_t *piece;

    if (walk->left || !walk->typed)
        return walk->left > 0;
    walk->left = tmbm_cursor_next(&walk->cursor, walk->whole ? walk->whole : UINT64_MAX,
                                  &walk->at);
    while (walk->left && walk->left < walk->whole)
        walk->left += tmbm_cursor_next(&walk->cursor, walk->whole - walk->left, &piece);
    return walk->left > 0;
}

void tmbm_walk_skip(struct tmbm_walk *walk, uint64_t bytes)
{
    walk->at += bytes;
    walk->left -= bytes;
}
