/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asking a peer's agent to do something on its memory, through the region.
 *
 * Every rank has an endpoint block in the region: call slots, which it fills in as an
 * origin, and a bitmap, in which others set their rank's bit to say "look at my slots".
 * Nothing is queued, so an origin that dies at any point leaves nothing half-linked: its
 * slot is complete or not POSTED.
 */
#ifndef TMBI_CALL_H
#define TMBI_CALL_H

#include <pthread.h>

#include "../../core/provider.h"
#include "layout.h"

#define TMBI_CALL_SLOTS 8 /* threads of an origin that call at the same time */
#define TMBI_CALL_BYTES 65536

enum tmbi_call_phase {
    TMBI_CALL_IDLE = 0,   /* the origin's */
    TMBI_CALL_POSTED = 1, /* the target's: it reads the slot and the bounce buffer */
    TMBI_CALL_DONE = 2    /* the origin's again */
};

/*
 * A request under way. The word says whose the rest is, and in one piece, so that an
 * agent that looks late can't take the next request's parts for this one's.
 *   word: phase | target's rank << 8 | sequence << 32. POSTED: stored by the origin with
 *         release, loaded by the target with acquire; DONE: the other way round.
 */
struct tmbi_call_slot {
    _Atomic uint64_t word;
    uint64_t bounce; /* region offset of the payload, in place for both directions */
    uint32_t in_bytes;
    uint32_t out_bytes;
    int32_t status; /* by the target */
    uint32_t reserved[9];
    struct tmbi_request request; /* result by the target */
};
_Static_assert(sizeof(struct tmbi_call_slot) == 128, "call slot layout");

struct tmbi_call_block {
    struct tmbi_call_slot slots[TMBI_CALL_SLOTS];
    /* One bit for each rank of the job. Set with release after POSTED, by the origin;
     * exchanged with acquire by our agent. */
    _Atomic uint64_t pending[];
};

/* The origin's private side of a call slot; under tmbi_calls.mutex. */
struct tmbi_call {
    enum {
        TMBI_CALL_FREE = 0,
        TMBI_CALL_BUSY,
        TMBI_CALL_STUCK /* timed out, but still the target's */
    } use;
    int target;
    uint32_t sequence;
    uint8_t *bounce; /* TMBI_CALL_BYTES, or NULL: not needed yet */
};

struct tmbi_calls {
    struct tmbi_call_block *block; /* ours, in the region */
    pthread_mutex_t mutex;
    pthread_cond_t released; /* CLOCK_MONOTONIC */
    struct tmbi_call calls[TMBI_CALL_SLOTS];
};

struct tmbi_ivshmem;

/* Size of a job's endpoint blocks. */
static inline uint64_t tmbi_call_block_bytes(int ranks)
{
    return sizeof(struct tmbi_call_block) + ((uint64_t)ranks + 63) / 64 * 8;
}

int tmbi_calls_open(struct tmbi_ivshmem *iv);
void tmbi_calls_close(struct tmbi_ivshmem *iv);

/* Make sure that calls with a payload can be made: -ENOMEM. */
int tmbi_calls_prepare(struct tmbi_ivshmem *iv);

int tmbi_ivshmem_call(const struct tmbi_remote *remote, struct tmbi_request *request,
                      const void *in, size_t in_bytes, void *out, size_t out_bytes);
int tmbi_ivshmem_serve(struct tmbi_endpoint *ep);
bool tmbi_ivshmem_serve_pending(struct tmbi_endpoint *ep);

#endif
