/* SPDX-License-Identifier: BSD-3-Clause */
/* The copy under every mapped put and get. */
#ifndef TMBI_COPY_H
#define TMBI_COPY_H

#include <stddef.h>
#include <string.h>

/* From this size on a copy streams past the caches; set by tmbi_copy_start(). */
extern size_t tmbi_copy_stream_bytes;

/* Choose it for this machine. */
void tmbi_copy_start(void);

/* Copy with stores that don't fetch the target's cache lines first. */
void tmbi_copy_stream(void *to, const void *from, size_t bytes);

/* Word-sized copies are one load and one store, so that an aligned word is not torn. */
static inline void tmbi_copy(void *to, const void *from, size_t bytes)
{
    switch (bytes) {
    case 8:
        memcpy(to, from, 8);
        break;
    case 4:
        memcpy(to, from, 4);
        break;
    case 2:
        memcpy(to, from, 2);
        break;
    case 1:
        memcpy(to, from, 1);
        break;
    case 0: /* the pointers may be NULL, which memcpy must not see */
        break;
    default:
        if (bytes < tmbi_copy_stream_bytes)
            memcpy(to, from, bytes);
        else
            tmbi_copy_stream(to, from, bytes);
    }
}

#endif
