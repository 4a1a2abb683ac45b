/* SPDX-License-Identifier: BSD-3-Clause */
#include "adapter.h"

struct tmbm_walk tmbm_walk_make(const struct tmbm_data *data, const void *buffer,
                                enum tmbm_element element)
{
    struct tmbm_walk walk = {.typed = data->type != NULL};

    if (tmbm_element_bytes(element) != tmbm_element_span(element)) {
        walk.data = tmbm_element_bytes(element);
        walk.span = tmbm_element_span(element);
    }
    if (walk.typed) {
        walk.cursor = tmbm_cursor_make(data->type, buffer, data->count);
    } else {
        walk.at = (uint8_t *)(uintptr_t)buffer;
        walk.left = data->bytes;
    }
    return walk;
}

/* An element with a gap inside comes in several pieces, of which the first is where it
 * is. */
static void element_gather(struct tmbm_walk *walk)
{
    uint8_t *piece;

    walk->left = tmbm_cursor_next(&walk->cursor, walk->data, &walk->at);
    for (uint64_t got = walk->left, more = got; more && got < walk->data; got += more)
        more = tmbm_cursor_next(&walk->cursor, walk->data - got, &piece);
    if (walk->left)
        walk->left = walk->span;
}

bool tmbm_walk_more(struct tmbm_walk *walk)
{
    if (walk->left || !walk->typed)
        return walk->left > 0;
    if (walk->span)
        element_gather(walk);
    else
        walk->left = tmbm_cursor_next(&walk->cursor, UINT64_MAX, &walk->at);
    return walk->left > 0;
}

void tmbm_walk_skip(struct tmbm_walk *walk, uint64_t bytes)
{
    walk->at += bytes;
    walk->left -= bytes;
}
