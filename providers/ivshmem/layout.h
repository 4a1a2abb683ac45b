/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The region: what its bytes mean. Shared between processes, guests, the server and
 * the kernel module, so: fixed widths, offsets from the region's start instead of
 * pointers, little-endian, a version, and every reader validates what it reads.
 *
 *   0           header          4 KiB
 *   slots       slot_count * 256 B   one per process, and one per machine
 *   jobs        job_count * 64 B
 *   page map    page_count * 4 B     who owns each page of the heap
 *   heap        page_count * 16 KiB, page-aligned
 *
 * The server formats the region and writes the header once, or where there is none
 * whoever comes first; `deaths`, slots, jobs and page map change by atomics. A job owns
 * heap pages; a process carves small blocks out of its job's pages by itself (arena.h),
 * keeping the book-keeping in its own memory.
 */
#ifndef TMBI_LAYOUT_H
#define TMBI_LAYOUT_H

#include "../../core/shared.h"

#define TMBI_REGION_MAGIC   UINT64_C(0x004f4c4f424d4f54) /* "TOMBOLO" */
#define TMBI_REGION_VERSION 2u
#define TMBI_REGION_MIN     (UINT64_C(1) << 20)
#define TMBI_REGION_MAX     (UINT64_C(1) << 40)
#define TMBI_PAGE_SHIFT     14
#define TMBI_PAGE_BYTES     (UINT64_C(1) << TMBI_PAGE_SHIFT)
#define TMBI_SLOTS_MAX      4096u
#define TMBI_JOBS_MAX       1024u

struct tmbi_region_header {
    uint64_t magic; /* written last when formatting */
    uint32_t version;
    uint32_t header_bytes;
    uint64_t size; /* of the region: a power of two */
    uint8_t uuid[16];
    uint64_t slots_offset;
    uint64_t jobs_offset;
    uint64_t map_offset;
    uint64_t heap_offset;
    uint32_t slot_count;
    uint32_t job_count;
    uint32_t page_count;
    uint32_t page_shift;
    uint32_t vectors;    /* doorbells per peer; 0: it was made without a server */
    uint32_t server_pid; /* or 0 */
    /* The server's notes for its successor: the next ID to give out, and the first of
     * which it is not sure that all its clients know. */
    uint32_t next_id;
    uint32_t settled_id;
    uint8_t reserved0[4096 - 104];
    /* On lines of their own: waits poll `deaths`. */
    TMBI_SHARED(uint32_t) deaths; /* slots that became DEAD; partner: endpoint.deaths */
    TMBI_SHARED(uint32_t) job_maker; /* slot + 1 of who makes a job entry now, or 0 */
    uint8_t reserved1[56];
};
_Static_assert(sizeof(struct tmbi_region_header) == 4096 + 64, "header layout");
_Static_assert(_Alignof(struct tmbi_region_header) == 8, "header alignment");
#define TMBI_HEADER_BYTES 8192u /* what the header occupies */

enum tmbi_slot_state {
    TMBI_SLOT_FREE = 0,
    TMBI_SLOT_CLAIMED = 1, /* being filled in by whoever claimed it */
    TMBI_SLOT_LIVE = 2,
    TMBI_SLOT_LEFT = 3, /* ended in good order */
    TMBI_SLOT_DEAD = 4  /* ended otherwise */
};

/*
 * A slot's word has the state in its low byte and a tag above it: while CLAIMED, who
 * claimed (a machine's peer ID, or TMBI_CLAIMER_SERVER), and from then on the low bits of
 * the epoch, so that who is late can't end the slot's next life.
 */
#define TMBI_SLOT_STATE_MASK 0xffu
#define TMBI_SLOT_TAG_SHIFT  8
#define TMBI_SLOT_TAG_MASK   0xffffffu
#define TMBI_CLAIMER_SERVER  0x10000u
#define TMBI_SLOT_WORD(s, tag)                                                           \
    ((uint32_t)(s) | ((tag)&TMBI_SLOT_TAG_MASK) << TMBI_SLOT_TAG_SHIFT)

/* What kind of slot it is; `kind` is written before LIVE. */
#define TMBI_SLOT_OWN 1u /* claimed by its process, in a machine shared with others */

/* A machine without a peer ID, for there is no server: this and what tells it from other
 * machines in 23 bits. Its processes hear no doorbell, but look whether they were rung.
 */
#define TMBI_PEER_POLLS    0x800000u
#define TMBI_DOORBELL_NONE 0xffffffffu

/* How often a slot's heartbeat grows, if it ever does. */
#define TMBI_BEAT_MS 250

/*
 * A process. The server claims one for each connection: a process on the host, or a
 * machine, whose processes then claim more by themselves (TMBI_SLOT_OWN). Life: FREE ->
 * CLAIMED -> LIVE -> LEFT or DEAD -> CLAIMED. A slot that belongs to a job (job != 0) is
 * not claimed before the job is over, so that its peers can still read its end.
 *   word: written by server, process and module; release, readers acquire
 *   peer_id, epoch, kind, pid, host: by whoever claimed, before LIVE; constant then
 *   job, rank: by the process, when it joins; job cleared when the job is over
 *   heartbeat: by the module or the process, one writer; relaxed, only its change counts
 *   mailbox: by the process; release, readers acquire
 */
struct tmbi_slot {
    TMBI_SHARED(uint32_t) word; /* TMBI_SLOT_WORD() */
    uint32_t peer_id; /* whose doorbell: the server's number for the connection */
    uint32_t epoch;   /* grows each time that the slot is claimed */
    TMBI_SHARED(uint32_t) job; /* its number + 1, or 0 */
    int32_t rank;
    uint32_t kind; /* TMBI_SLOT_OWN, or 0 */
    int64_t pid;
    uint64_t host; /* equal for processes under one kernel and pid namespace */
    TMBI_SHARED(uint64_t) heartbeat; /* 0: it has none */
    TMBI_SHARED(uint64_t) mailbox;   /* a launcher's, by its offset; or 0 */
    uint64_t reserved1;
    struct tmbi_wake_slot wake[TMBI_LINES]; /* doorbell: peer_id << 16 | vector, or
                                               TMBI_DOORBELL_NONE */
    uint8_t reserved2[64];
};
_Static_assert(sizeof(struct tmbi_slot) == 256, "slot layout");

enum tmbi_job_state {
    TMBI_JOB_FREE = 0,
    TMBI_JOB_CLAIMED = 1, /* name being written */
    TMBI_JOB_ACTIVE = 2,
    TMBI_JOB_CHECKING = 3, /* is it over? joiners wait */
    TMBI_JOB_OVER = 4      /* for good: pages and slots are being freed */
};

/*
 * A job's number: the index of its entry in the low 10 bits, and the entry's generation,
 * so that a late reclaimer of a job does not touch its successor. Slots and pages name
 * their job by number + 1.
 */
#define TMBI_JOB_INDEX_BITS 10
_Static_assert(TMBI_JOBS_MAX <= 1u << TMBI_JOB_INDEX_BITS, "job numbers");

/*
 * A job. Found by name; over when no LIVE slot names it. The word holds the state in its
 * low 4 bits, the generation above, and in its upper half a count of the word's changes:
 * who decides by what was seen since a change can tell that there was no other.
 */
struct tmbi_job_entry {
    TMBI_SHARED(uint64_t) word;
    uint32_t size; /* ranks of the whole job; 0: its processes are launchers */
    /* Launchers' alone (meeting.h); 0 when the entry is made. */
    TMBI_SHARED(uint32_t) places; /* ranks there shall be << 16 | that launchers have */
    char name[40];
    TMBI_SHARED(uint64_t) failure; /* the first one */
};
_Static_assert(sizeof(struct tmbi_job_entry) == 64, "job layout");

/* A page map word: 0 free, otherwise the owning job's number + 1. Claimed by
 * compare-and-swap, so that no crash can leave the heap in between. */
typedef TMBI_SHARED(uint32_t) tmbi_page_owner;

#endif
