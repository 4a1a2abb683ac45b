/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A launcher's mailbox: how launchers of one job, which share nothing but the region,
 * talk (meeting.h). It lies in the job's pages; the launcher's slot tells its offset.
 * Only its launcher writes it.
 *
 * What is said in a round lies in one of two places, which take turns. Whoever posts
 * round n + 2 has round n + 1 of everybody, who therefore had read all of round n.
 */
#ifndef TMBI_MAILBOX_H
#define TMBI_MAILBOX_H

#include "region.h"

#define TMBI_MAILBOX_MAGIC 0x3158424du /* "MBX1", the version included */
#define TMBI_PLACES_MAX    4096u       /* ranks of a job: slots of a region */
#define TMBI_PART_MAX      (64u << 10) /* bytes of a rank's part of a round */
#define TMBI_BLAME_MAX     128u

struct tmbi_mailbox_place {
    TMBI_SHARED(uint64_t) round; /* of what lies there; release, readers acquire */
    uint64_t block;              /* region offset */
    uint64_t bytes;
};

struct tmbi_mailbox {
    uint32_t magic;
    uint32_t ranks;     /* that the launcher starts; constant, as what stands before */
    int32_t first_rank; /* constant; -1: none was given */
    TMBI_SHARED(uint32_t) ended;   /* 1: all its ranks have; release, readers acquire */
    TMBI_SHARED(uint32_t) signals; /* how many << 8 | the last one; relaxed */
    TMBI_SHARED(uint32_t) fault;   /* errno of the round that failed; release, after: */
    uint32_t blame_bytes;
    uint32_t reserved0;
    struct tmbi_mailbox_place places[2]; /* by the round's last bit */
    char blame[TMBI_BLAME_MAX];          /* which ranks' fault it is */
    uint8_t reserved1[48];
};
_Static_assert(sizeof(struct tmbi_mailbox) == 256, "mailbox layout");

/* What a mailbox says that does not change. */
struct tmbi_mailbox_sender {
    struct tmbi_mailbox *box;
    uint32_t ranks;
    int32_t first_rank;
};

/* The mailbox at an offset that a slot told. -EPROTO: it is none; nothing is logged. */
int tmbi_mailbox_open(const struct tmbi_region *region, uint64_t offset,
                      struct tmbi_mailbox_sender *sender);

/* What was posted there in a round: `bytes`, at *data. -EAGAIN: nothing yet. -EPROTO: it
 * lies outside of the heap, or has another size, or is of a round that can't be yet. */
int tmbi_mailbox_read(const struct tmbi_region *region, struct tmbi_mailbox *box,
                      uint64_t round, uint64_t bytes, const uint8_t **data);

/* 0, or the negative errno of its fault, with *blame as a text. */
int tmbi_mailbox_fault(struct tmbi_mailbox *box, char blame[TMBI_BLAME_MAX + 1]);

#endif
