/* SPDX-License-Identifier: BSD-3-Clause */
/* Counters of struct tmb_stats: relaxed, off the hot path only. */
#ifndef TMBI_STATS_H
#define TMBI_STATS_H

#include <stdatomic.h>

#include "include/tombolo.h"

struct tmbi_stats {
    _Atomic uint64_t doorbells_rung, sleeps, doorbells_heard, agent_calls, agent_served,
        cma_calls, lock_waits, locks_recovered, windows_made;
};
extern struct tmbi_stats tmbi_stats;

#define tmbi_count(counter)                                                              \
    ((void)atomic_fetch_add_explicit(&tmbi_stats.counter, 1, memory_order_relaxed))

#endif
