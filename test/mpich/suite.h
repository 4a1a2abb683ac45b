/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The MPI conformance suite: cases that all ranks run together, each after the text of
 * MPI-3.1, chapter 11. A case passes if it fails on no rank. Nothing in here knows of
 * Tombolo: the programs are plain MPI, and run on MPICH alone as well.
 */
#ifndef SUITE_H
#define SUITE_H

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct suite_case {
    const char *name;
    int ranks; /* at least */
    void (*run)(void);
    enum {
        ALWAYS,
        ADAPTER, /* what MPI allows and plain MPICH does not: run with the adapter only */
        MPICH_WRONG /* what MPI demands and plain MPICH gets wrong: may fail there */
    } only;
};

extern const struct suite_case window_cases[], communicator_cases[], attribute_cases[],
    info_cases[], communication_cases[], request_cases[], accumulate_cases[],
    element_cases[], fence_cases[], pscw_cases[], lock_cases[], datatype_cases[],
    layout_cases[], dynamic_cases[], shared_cases[], large_cases[], error_cases[],
    thread_cases[], progress_cases[];

/* The caller's rank in MPI_COMM_WORLD, and how many there are. */
extern int me, ranks;
/* Neighbours in a ring: whom the caller accesses, and who accesses it. */
extern int to, from;
#define RANKS_MAX 64

/* Whether the one-sided calls are another library's than MPICH. */
bool suite_adapter(void);

/* What is tried just now, for messages about failures; no text: nothing special. */
__attribute__((format(printf, 1, 2))) void suite_note(const char *format, ...);

/* Note a failure, and go on. Any thread. */
bool suite_check(bool ok, const char *text, const char *file, int line);
#define CHECK(condition) suite_check((condition), #condition, __FILE__, __LINE__)

/* Expect a number; the text shows both. */
bool suite_number(long long got, long long wanted, const char *text, const char *file,
                  int line);
#define EQUAL(got, wanted)                                                               \
    suite_number((long long)(got), (long long)(wanted), #got, __FILE__, __LINE__)

/* Expect an error class; the text shows both. */
bool suite_class(int code, int wanted, const char *text, const char *file, int line);
#define EXPECT(call, class) suite_class((call), (class), #call, __FILE__, __LINE__)
#define OK(call)            EXPECT(call, MPI_SUCCESS)

/* Windows on every kind of memory. */
enum memory { ALLOCATE, HEAP, STATIC, ALLOC_MEM, SHARED, DYNAMIC, MEMORIES };
#define STATIC_BYTES ((MPI_Aint)4 << 20)

struct window {
    MPI_Win win;
    uint8_t *base; /* the caller's part */
    enum memory memory;
    MPI_Aint origin[RANKS_MAX]; /* each rank's displacement of its first byte */
};

/* Zero-filled, of displacement unit 1, over MPI_COMM_WORLD, with errors returned; at most
 * STATIC_BYTES. False, and no window: these ranks can't have such memory. */
bool window_open(struct window *window, enum memory memory, MPI_Aint bytes);
void window_close(struct window *window);
/* A byte's displacement. */
MPI_Aint at(const struct window *window, int rank, MPI_Aint offset);
/* What all ranks have stored to their parts is what all accesses afterwards find, and the
 * other way round: what was accessed before, loads find. */
void window_meet(MPI_Win win);

/* A case's body on each kind of memory. */
void each_memory(MPI_Aint bytes, void (*body)(struct window *window));

/* Epochs of every kind: access to rank `to`, and exposure to rank `from`. */
enum synchronization { FENCE, PSCW, LOCK, LOCK_ALL, SYNCHRONIZATIONS };
void epoch_open(const struct window *window, enum synchronization synchronization);
/* The access is complete here and there. */
void epoch_close(const struct window *window, enum synchronization synchronization);
/* A case's body in each combination, with zero-filled memory. */
void each_epoch(MPI_Aint bytes, void (*body)(struct window *window,
                                             enum synchronization synchronization));

/* A pattern that depends on who wrote it. */
void pattern_fill(void *buffer, size_t bytes, unsigned seed);
bool pattern_is(const void *buffer, size_t bytes, unsigned seed);
bool all_are(const void *buffer, size_t bytes, uint8_t value);

/* Do without MPI for so long. */
void compute(double seconds);
void *memory_get(size_t bytes); /* zero-filled, aligned to 64 */

/* How often to do what waits for other ranks: a tenth of that where MPICH's waits spin on
 * cores that ranks share, each for a time slice; and on MPICH alone, which is not tested.
 */
int rounds(int number);

/* A reproducible sequence. */
uint64_t suite_random(uint64_t *state);

#endif
