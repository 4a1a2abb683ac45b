/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the meeting share: meeting.c, gather.c and talk.c. */
#ifndef TMBI_MEETING_PRIVATE_H
#define TMBI_MEETING_PRIVATE_H

#include "arena.h"
#include "mailbox.h"
#include "meeting.h"
#include "way.h"

/* A mate, and where it is found. */
struct tmbi_mate_entry {
    struct tmbi_mate mate;
    struct tmbi_mailbox *box;
    uint32_t slot, epoch;
    uint32_t doorbell;
    int32_t given;    /* its first rank, if it was given one; or -1 */
    uint32_t signals; /* of its, that we know of */
    bool met;         /* can be rung */
};

struct tmbi_meeting {
    struct tmbi_meeting_plan plan;
    char name[TMBI_MEETING_NAME_MAX + 1];
    struct tmbi_way *way;
    struct tmbi_region *region; /* of `way` */
    uint64_t host;
    bool joined; /* has places and a mailbox */
    uint32_t job;
    struct tmbi_arena arena;
    struct tmbi_mailbox *box;
    bool waited; /* for an earlier job of the name; it was said */

    bool found;                    /* all mates */
    bool gathered;                 /* and they can be rung */
    struct tmbi_mate_entry *mates; /* in the order of their ranks, once gathered */
    int count, own;

    uint64_t round;
    uint32_t part_bytes; /* in this round */
    void *block[2];
    uint64_t block_bytes[2];
    char blame[TMBI_BLAME_MAX + 1];
    bool lost; /* nobody reports deaths any more */
};

/* gather.c: find all launchers, by their mailboxes, and number their ranks. -EAGAIN: they
 * have not all come. */
int tmbi_meeting_find(struct tmbi_meeting *meeting);

/* tmbi_meeting_open() by a way that is open: the meeting's from then on. */
int tmbi_meeting_start(const struct tmbi_meeting_plan *plan, struct tmbi_way *way,
                       struct tmbi_meeting **meeting);

/* Ring all mates. */
void tmbi_meeting_ring(struct tmbi_meeting *meeting);

#endif
