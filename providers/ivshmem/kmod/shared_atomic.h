/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Atomics on memory that other machines change, too. The kernel's own won't do: while it
 * runs on one CPU, Linux patches the lock prefix out of them, and then they are atomic
 * within this machine only. These are full barriers, as the kernel's are.
 */
#ifndef TMBI_KMOD_SHARED_ATOMIC_H
#define TMBI_KMOD_SHARED_ATOMIC_H

#include <linux/atomic.h>
#include <linux/types.h>

#ifdef CONFIG_X86

static inline bool tmbi_shared_cas(u32 *word, u32 from, u32 to)
{
	u32 seen = from;

	asm volatile("lock; cmpxchgl %2, %1"
		     : "+a"(seen), "+m"(*word)
		     : "r"(to)
		     : "memory", "cc");
	return seen == from;
}

static inline void tmbi_shared_increment(u32 *word)
{
	u32 one = 1;

	asm volatile("lock; xaddl %0, %1" : "+r"(one), "+m"(*word) : : "memory", "cc");
}

#else

static inline bool tmbi_shared_cas(u32 *word, u32 from, u32 to)
{
	return cmpxchg(word, from, to) == from;
}

static inline void tmbi_shared_increment(u32 *word)
{
	u32 seen;

	do {
		seen = READ_ONCE(*word);
	} while (!tmbi_shared_cas(word, seen, seen + 1));
}

#endif

#endif
