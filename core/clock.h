/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TMBI_CLOCK_H
#define TMBI_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define TMBI_NEVER INT64_MAX

/* Monotonic time in ns. */
static inline int64_t tmbi_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The deadline of a time-out: negative is never, and what would overflow, too. */
static inline int64_t tmbi_deadline(int64_t timeout_ns)
{
    int64_t deadline;

    if (timeout_ns < 0 || __builtin_add_overflow(tmbi_clock_ns(), timeout_ns, &deadline))
        return TMBI_NEVER;
    return deadline;
}

/* A condition variable whose time-outs are deadlines. */
static inline void tmbi_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

/* 0, or ETIMEDOUT at the deadline. */
static inline int tmbi_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                 int64_t deadline)
{
    struct timespec at = {.tv_sec = deadline / 1000000000,
                          .tv_nsec = deadline % 1000000000};

    if (deadline == TMBI_NEVER)
        return pthread_cond_wait(cond, mutex);
    return pthread_cond_timedwait(cond, mutex, &at);
}

#endif
