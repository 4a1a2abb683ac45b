/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeping others from writing to pages while these are copied and replaced: signal
 * handlers of this thread, and other threads, which the kernel has wait (userfaultfd).
 */
#ifndef TMBI_GUARD_H
#define TMBI_GUARD_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/* Of functions that look at whole pages, in which there may be what sanitizers keep
 * everybody off, or what other threads write. */
#define TMBI_ALL_SEEING __attribute__((no_sanitize("address", "thread")))

enum tmbi_guard_means {
    TMBI_GUARD_SURE,  /* there are no others, or all that they do waits */
    TMBI_GUARD_USERS, /* also: instructions wait, and system calls fail with EFAULT */
    TMBI_GUARD_MUST   /* also: others may write on */
};

struct tmbi_guard {
    sigset_t signals; /* as they were blocked before */
    int fault;        /* the userfaultfd, or -1 */
    bool alone;       /* nobody else writes: pages may be gone for a moment */
};

/*
 * Guard `count` ranges of whole pages, until tmbi_guard_end(). Meanwhile the caller must
 * not write to them either. With -EPERM, by these means it can't be done, and nothing is
 * guarded. shared: they are of the region.
 */
struct tmbi_pages {
    char *start;
    size_t bytes;
};
int tmbi_guard_begin(struct tmbi_guard *guard, enum tmbi_guard_means means, bool shared,
                     const struct tmbi_pages *pages, int count);
/* Whoever waits goes on, with the pages that are there now. */
void tmbi_guard_end(struct tmbi_guard *guard);

#endif
