/* SPDX-License-Identifier: BSD-3-Clause */
/* The conformance suite: cases that all ranks run together. A case passes if it fails on
 * no rank. */
#ifndef SUITE_H
#define SUITE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tombolo.h"

struct suite_case {
    const char *name;
    int ranks; /* at least; | MAPPED: that capability between all of them */
    void (*run)(void);
};
#define MAPPED 0x100

extern const struct suite_case library_cases[], team_cases[], collective_cases[],
    window_cases[], block_cases[], adopt_cases[], adopt_thread_cases[], transfer_cases[],
    strided_cases[], bounds_cases[], atomic_cases[], signal_cases[], lock_cases[],
    thread_cases[], adapter_cases[], adapter_call_cases[];

/* Join as an adapter does; ranks meet in a file, which is empty at first. */
int adapter_join(const char *board);

/* The caller's rank and the job's size. */
extern int me, ranks;
#define RANKS_MAX 64

/* Note a failure, and go on. Any thread. */
bool suite_check(bool ok, const char *text, const char *file, int line);
#define CHECK(condition) suite_check((condition), #condition, __FILE__, __LINE__)

/* Expect a return value; the text shows both. */
bool suite_expect(int got, int wanted, const char *text, const char *file, int line);
#define EXPECT(call, wanted) suite_expect((call), (wanted), #call, __FILE__, __LINE__)
#define OK(call)             EXPECT(call, 0)

/* Windows on every kind of memory; of tmb_mem_alloc(), and adopted, at odd places. */
enum memory {
    MEMORY_ALLOC,
    MEMORY_HEAP,
    MEMORY_STATIC,
    MEMORY_BLOCK,
    MEMORY_ADOPTED_HEAP,
    MEMORY_ADOPTED_STATIC,
    MEMORY_KINDS
};
#define STATIC_BYTES (UINT64_C(8) << 20)

struct window {
    tmb_win *win;
    uint8_t *mine; /* the caller's part */
    enum memory memory;
    size_t bytes;
    uint8_t *around; /* what it lies in, with MARGIN before and behind; or NULL */
};

/* Zero-filled; at most STATIC_BYTES. */
void window_open(struct window *window, enum memory memory, size_t bytes);
void window_close(struct window *window);

/* Whether a rank's memory of tmb_win_alloc() is mapped here. */
bool mapped(int rank);

/* Whether a rank's adopted memory must be mapped here: "all" of a window's, or what is
 * "inner", whole pages. Since this can't be told from the API alone, SUITE_ADOPTS says
 * it, for ranks that share a region; without it nothing must be. */
bool must_adopt(int rank, const char *what);

/* Nanoseconds. */
int64_t suite_clock(void);
int64_t suite_cpu_clock(void);
/* Whether a wait of so long cost so little CPU that it was asleep: a twentieth at most,
 * or a fifth where SUITE_GUEST says that this is a guest, which takes for its own what a
 * busy host has taken from it. */
bool suite_slept(int64_t wall, int64_t cpu);
void suite_sleep(int64_t ns);

/* A reproducible sequence. */
uint64_t suite_random(uint64_t *state);

#endif
