/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef MPI_START_H
#define MPI_START_H

#include <mpi.h>
#include <stdbool.h>

/* LeakSanitizer's, where it is linked. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

static inline bool mpi_watched_threads(void)
{
#if defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
    return __has_feature(thread_sanitizer);
#else
    return false;
#endif
}

/* MPI_Init_thread(); what MPICH's transport never frees is not looked at, since it is in
 * libraries that are unloaded, which no suppression can name. */
static inline int mpi_start(int level)
{
    int rc, given;

    if (__lsan_disable)
        __lsan_disable();
    rc = MPI_Init_thread(NULL, NULL, level, &given);
    if (__lsan_enable)
        __lsan_enable();
    return rc == MPI_SUCCESS && given >= level ? 0 : -1;
}

#endif
