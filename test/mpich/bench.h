/* SPDX-License-Identifier: BSD-3-Clause */
/* The bench: what one rank does to another, by MPI's one-sided calls. */
#ifndef BENCH_H
#define BENCH_H

#include <mpi.h>
#include <stdint.h>

/* Rank 0 is the origin, rank 1 the target, which is in an MPI call unless it takes part.
 */
enum { ORIGIN, TARGET };

#define LARGEST (1 << 20)
#define STREAM  16 /* operations in flight, for bandwidth */

/* What rows are about: the window now, and the row's size. */
struct bench {
    int rank;
    MPI_Win win;
    MPI_Group other;
    uint8_t *memory; /* of the window */
    uint8_t *buffer; /* the origin's own */
    int bytes;
    double apart;         /* seconds that don't count */
    MPI_Datatype strided; /* 64 KiB in blocks of 8 bytes */
};
extern struct bench bench;

struct row {
    const char *name;
    void (*origin)(int rounds);
    void (*target)(int rounds); /* or NULL: is in a barrier meanwhile */
    enum {
        LOCKED = 1,   /* in a lock_all epoch */
        SIZES = 2,    /* of all sizes; otherwise of 8 bytes */
        STREAMED = 4, /* a round is STREAM operations: its bandwidth is told */
        FENCED = 32,  /* after a fence */
        STRIDES = 64, /* 64 KiB */
        ONCE = 8,     /* no matter how the window was made */
        SLOW = 16     /* few rounds: MPICH alone waits for the target */
    } kind;
};
extern const struct row rows[];

double bench_now(void); /* seconds */
/* Without MPI. */
void bench_compute(double seconds);

#endif
