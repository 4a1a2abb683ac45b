/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TMBI_FENCE_H
#define TMBI_FENCE_H

#include <stdatomic.h>

/* A full fence. ThreadSanitizer does not know fences; a read-modify-write orders what
 * it sees. */
static inline void tmbi_fence_full(void)
{
#if defined(__SANITIZE_THREAD__)
    static _Atomic int order;

    atomic_fetch_add_explicit(&order, 1, memory_order_seq_cst);
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* Earlier loads and stores before later stores. */
static inline void tmbi_fence_release(void)
{
#if defined(__SANITIZE_THREAD__)
    tmbi_fence_full();
#else
    atomic_thread_fence(memory_order_release);
#endif
}

static inline void tmbi_cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
