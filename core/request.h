/* SPDX-License-Identifier: BSD-3-Clause */
/* What an origin asks of a target's agent. Written by one process and read by
 * another, in the region or on the wire: fixed width, little-endian, versioned by
 * the layout that carries it, validated by tmbi_request_execute(). */
#ifndef TMBI_REQUEST_H
#define TMBI_REQUEST_H

#include <stdint.h>

enum tmbi_request_kind {
    TMBI_REQUEST_PUT = 1,        /* in: the bytes */
    TMBI_REQUEST_GET = 2,        /* out: the bytes */
    TMBI_REQUEST_ATOMIC = 3,     /* operand, compare; result: the old value */
    TMBI_REQUEST_ACCUMULATE = 4, /* in: count operands; out: old values, if wanted */
    TMBI_REQUEST_LOCK =
        5,                   /* op: enum tmbi_lock_action, count: the origin's rank in the
                                window's team, operand: its `announced`; result: see there */
    TMBI_REQUEST_ADAPTER = 6 /* op: the origin's rank in the window's team; offset, count,
                                operand, compare: the handler's arguments */
};

struct tmbi_request {
    uint32_t kind;
    uint32_t type;   /* enum tmb_type */
    uint32_t op;     /* enum tmb_atomic_op */
    uint32_t origin; /* rank of the job */
    uint64_t window; /* the target's number of the window */
    uint64_t offset; /* in the target's part */
    uint64_t count;  /* elements, or bytes of a put or get */
    uint64_t operand;
    uint64_t compare;
    uint64_t result;
};
_Static_assert(sizeof(struct tmbi_request) == 64, "a request is one cache line");

#endif
