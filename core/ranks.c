/* SPDX-License-Identifier: BSD-3-Clause */
#include "ranks.h"

#include <stdio.h>

/* The longest piece, a range of two ranks, and what stands for the rest. */
#define PIECE_BYTES 32

int tmbi_ranks_list(int size, tmbi_ranks_chosen *chosen, const void *arg, char *text,
                    size_t bytes)
{
    int first = -1, last;
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; i < size; i = last + 1) {
        last = i;
        if (!chosen(arg, i))
            continue;
        while (last + 1 < size && chosen(arg, last + 1))
            last++;
        if (used + PIECE_BYTES > bytes) {
            snprintf(text + used, bytes - used, " ...");
            return first;
        }
        used += (size_t)snprintf(text + used, bytes - used, "%s%d", used ? ", " : "", i);
        if (last > i)
            used += (size_t)snprintf(text + used, bytes - used, "-%d", last);
        first = first < 0 ? i : first;
    }
    return first;
}
