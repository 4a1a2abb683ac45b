/* SPDX-License-Identifier: BSD-3-Clause */
/* The part of core's shared memory that a kernel reads as well: this header compiles in
 * both. What is TMBI_SHARED changes by atomics of the C library here, and of the kernel
 * there. */
#ifndef TMBI_SHARED_H
#define TMBI_SHARED_H

#ifdef __KERNEL__
#include <linux/types.h>
#define TMBI_SHARED(type) type
#ifndef UINT64_C
#define UINT64_C(number) number##ULL
#endif
#else
#include <stdatomic.h>
#include <stdint.h>
#define TMBI_SHARED(type) _Atomic type
#endif

/* What can be slept on. Waits of the application's threads use one line and the agent
 * the other, so that kicking the agent does not disturb a waiting thread; a provider
 * short of doorbells may put both lines on one. */
enum tmbi_line { TMBI_LINE_WAIT = 0, TMBI_LINE_AGENT = 1, TMBI_LINES = 2 };

/*
 * A process's wake slot for one line, in memory that all its wakers reach.
 * armed: 1 while the process sleeps or is about to. The sleeper stores 1 (seq_cst)
 *        and then reads its condition; the waker changes the condition, fences
 *        (seq_cst) and then reads armed. Whoever exchanges 1 for 0 rings.
 * doorbell: the provider's own: what to ring.
 */
struct tmbi_wake_slot {
    TMBI_SHARED(uint32_t) armed;
    uint32_t doorbell;
    uint32_t reserved[14];
};
_Static_assert(sizeof(struct tmbi_wake_slot) == 64, "a wake slot is one cache line");

#endif
