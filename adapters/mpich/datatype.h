/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPI datatypes taken apart, and copying between buffers that they describe. A type is
 * taken apart once and kept with it; what is returned stays valid until the type is
 * freed, so it is used within the call that got it, and nowhere else.
 */
#ifndef TMBM_DATATYPE_H
#define TMBM_DATATYPE_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "operator.h"

/* `count` blocks of `bytes`, `stride` apart, the first at `offset` from the buffer's
 * address. Elements with a gap inside are two blocks, or parts of such. */
struct tmbm_run {
    int64_t offset;
    int64_t stride;
    uint64_t bytes;
    uint64_t count;
};
_Static_assert(sizeof(struct tmbm_run) == 32, "a run travels to targets as it is");

struct tmbm_type {
    uint64_t size;   /* bytes of data */
    int64_t extent;  /* from one to the next */
    int64_t low;     /* true lower bound: of the data, relative to the buffer */
    int64_t high;    /* true upper bound: behind the last byte; both 0 for no data */
    bool contiguous; /* data is [0, size), and extent == size */
    _Atomic bool committed;    /* for good, and seen by all that use the type */
    enum tmbm_element element; /* what all of it is made of, or TMBM_MIXED */
    size_t runs;
    const struct tmbm_run *run; /* in the type map's order */
    const uint64_t *before;     /* bytes of data before each run */
};

/* MPICH's handles of predefined types that are one piece hold their size. */
#define TMBM_PLAIN_MASK 0xff000000u
#define TMBM_PLAIN      0x4c000000u

static inline uint64_t tmbm_least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline bool tmbm_type_plain(MPI_Datatype type)
{
    return ((unsigned)type & TMBM_PLAIN_MASK) == TMBM_PLAIN;
}

static inline uint64_t tmbm_type_plain_bytes(MPI_Datatype type)
{
    return ((unsigned)type >> 8) & 0xff;
}

/* Before all else. comm: any communicator that returns errors, and stays until the close:
 * MPICH says only by an error whether a type exists and is committed. Returns an MPI
 * error class. */
int tmbm_types_open(MPI_Comm comm);
/* Free what is kept, at MPI_Finalize. */
void tmbm_types_close(void);

/* Take a type apart. Returns an MPI error class: MPI_SUCCESS, MPI_ERR_TYPE (no such type,
 * or MPI_DATATYPE_NULL, or one that no address space holds), MPI_ERR_NO_MEM. An
 * uncommitted type is taken apart, too. Thread-safe. */
int tmbm_type_get(MPI_Datatype type, const struct tmbm_type **result);

/* Where the data of `count` of a type lies: [*low, *high) relative to the buffer. False
 * if that overflows. Nothing for no data: both 0. */
bool tmbm_type_bounds(const struct tmbm_type *type, uint64_t count, int64_t *low,
                      int64_t *high);

/* A typed buffer that is walked in pieces. */
struct tmbm_cursor {
    const struct tmbm_type *type;
    uintptr_t buffer;    /* of the current repetition of the type */
    uint64_t left;       /* repetitions, the current one included; 0: at the end */
    size_t index;        /* of the current run */
    struct tmbm_run run; /* the current one, repetitions joined where they can be */
    uint64_t block;      /* in the run */
    uint64_t within;     /* bytes in the block */
};

struct tmbm_cursor tmbm_cursor_make(const struct tmbm_type *type, const void *buffer,
                                    uint64_t count);
/* Pass over `bytes` of data, to the end at most. */
void tmbm_cursor_skip(struct tmbm_cursor *cursor, uint64_t bytes);
/* The next contiguous piece, of at most `most` bytes; *piece is where. 0: no more. */
uint64_t tmbm_cursor_next(struct tmbm_cursor *cursor, uint64_t most, uint8_t **piece);
/* The next blocks at equal distances, of at most `most` bytes together; blocks->offset is
 * where the first is. Returns the bytes; 0: no more. */
uint64_t tmbm_cursor_strip(struct tmbm_cursor *cursor, uint64_t most,
                           struct tmbm_run *blocks);
/* A cursor on plain memory. */
struct tmbm_cursor tmbm_cursor_memory(const void *at, uint64_t bytes);
/* Copy `count` blocks of `bytes`, as fast as tmbm_cursor_copy() does. */
void tmbm_blocks_copy(void *to, int64_t to_stride, const void *from, int64_t from_stride,
                      uint64_t bytes, uint64_t count);
/* Copy data from where one stands to where the other does, until one ends or `most` bytes
 * are copied; returns how many were. Blocks of 1, 2, 4, 8 and 16 bytes are copied as fast
 * as a loop in C does. */
uint64_t tmbm_cursor_copy(struct tmbm_cursor *to, struct tmbm_cursor *from,
                          uint64_t most);

/* Copy all data of one buffer to another whose data is as large, each of its own type. */
void tmbm_type_copy(void *to, const struct tmbm_type *to_type, uint64_t to_count,
                    const void *from, const struct tmbm_type *from_type,
                    uint64_t from_count);
/* To and from contiguous memory; `bytes` data from `skip` bytes of data on. */
void tmbm_type_pack(void *to, const void *from, const struct tmbm_type *type,
                    uint64_t count, uint64_t skip, uint64_t bytes);
void tmbm_type_unpack(void *to, const struct tmbm_type *type, uint64_t count,
                      uint64_t skip, const void *from, uint64_t bytes);

#endif
