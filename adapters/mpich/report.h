/* SPDX-License-Identifier: BSD-3-Clause */
/* Which calls were served, by what, and how many bytes they moved: TMB_MPICH_REPORT. */
#ifndef TMBM_REPORT_H
#define TMBM_REPORT_H

#include <stdbool.h>
#include <stdint.h>

/* The calls that are counted, in the order of the report; large-count forms with the
 * others. */
#define TMBM_CALLS(X)                                                                    \
    X(Win_create)                                                                        \
    X(Win_allocate)                                                                      \
    X(Win_allocate_shared)                                                               \
    X(Win_create_dynamic)                                                                \
    X(Win_free)                                                                          \
    X(Win_attach)                                                                        \
    X(Win_detach)                                                                        \
    X(Put)                                                                               \
    X(Get)                                                                               \
    X(Accumulate)                                                                        \
    X(Get_accumulate)                                                                    \
    X(Fetch_and_op)                                                                      \
    X(Compare_and_swap)                                                                  \
    X(Rput)                                                                              \
    X(Rget)                                                                              \
    X(Raccumulate)                                                                       \
    X(Rget_accumulate)                                                                   \
    X(Win_fence)                                                                         \
    X(Win_start)                                                                         \
    X(Win_complete)                                                                      \
    X(Win_post)                                                                          \
    X(Win_wait)                                                                          \
    X(Win_test)                                                                          \
    X(Win_lock)                                                                          \
    X(Win_unlock)                                                                        \
    X(Win_lock_all)                                                                      \
    X(Win_unlock_all)                                                                    \
    X(Win_flush)                                                                         \
    X(Win_flush_all)                                                                     \
    X(Win_flush_local)                                                                   \
    X(Win_flush_local_all)                                                               \
    X(Win_sync)

enum tmbm_call {
#define TMBM_CALL(name) TMBM_##name,
    TMBM_CALLS(TMBM_CALL)
#undef TMBM_CALL
        TMBM_CALL_COUNT
};

enum tmbm_route {
    TMBM_MAPPED, /* by load and store, or with nothing to move */
    TMBM_REMOTE, /* by a provider's transfers, or by the target's agent */
    TMBM_MPICH,  /* handed on */
    TMBM_ROUTES
};

extern bool tmbm_reporting;
void tmbm_report_add(enum tmbm_call call, enum tmbm_route route, uint64_t bytes);

static inline void tmbm_note(enum tmbm_call call, enum tmbm_route route, uint64_t bytes)
{
    if (__builtin_expect(tmbm_reporting, 0))
        tmbm_report_add(call, route, bytes);
}

/* Collective over the world: take TMB_MPICH_REPORT's value (NULL: unset), of which rank
 * 0's counts; and print what it asks for, sums over the ranks. */
void tmbm_report_open(const char *wanted);
void tmbm_report_print(void);

#endif
