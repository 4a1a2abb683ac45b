/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of the caller's that windows are on, and its pages of which pages of the region
 * have taken the place, so that peers map them. Such pages are adopted while any window
 * is on them, whatever its flags; then private ones with their content take their place.
 */
#ifndef TMBI_ADOPT_H
#define TMBI_ADOPT_H

#include "arena.h"
#include "replace.h"
#include "way.h"

enum tmbi_adopt_choice {
    TMBI_ADOPT_SAFE = 0, /* pages shared with other data: if nobody else can notice */
    TMBI_ADOPT_EAGER,    /* also if system calls of other threads could */
    TMBI_ADOPT_INNER,    /* none of these */
    TMBI_ADOPT_OFF
};

/* A window's memory. */
struct tmbi_span {
    uint8_t *base;
    size_t bytes;
    /* Bytes [from, to) of it are in the region, at `mapped` of our own mapping. */
    uint8_t *mapped;
    size_t from, to;
    struct tmbi_span *next, *prev;
};

struct tmbi_extent;

struct tmbi_adoption {
    struct tmbi_arena *arena;
    struct tmbi_way *way;
    enum tmbi_adopt_choice choice;
    struct tmbi_backing backing; /* of the region */
    pthread_mutex_t mutex;       /* over what follows, and over replacing */
    struct tmbi_span *spans;
    struct tmbi_extent *extents; /* disjoint */
};

void tmbi_adoption_init(struct tmbi_adoption *adoption, struct tmbi_arena *arena,
                        struct tmbi_way *way, enum tmbi_adopt_choice choice);
/* All spans have left. */
void tmbi_adoption_fini(struct tmbi_adoption *adoption);

/* A window comes (base and bytes are set, the rest is filled in), and goes. adopt: have
 * pages replaced where that can be done. Any thread. */
void tmbi_span_enter(struct tmbi_adoption *adoption, struct tmbi_span *span, bool adopt);
void tmbi_span_leave(struct tmbi_adoption *adoption, struct tmbi_span *span);

#endif
