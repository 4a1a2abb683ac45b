/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bootstrap: how ranks that know nothing of each other meet. A back end answers who
 * we are and exchanges blocks of bytes between all ranks; everything else is built
 * on providers. Used by one thread, in tmb_init and tmb_finalize only, except abort.
 */
#ifndef TMBI_BOOTSTRAP_H
#define TMBI_BOOTSTRAP_H

#include <stddef.h>
#include <stdint.h>

#include "../env.h"
#include "../provider.h"

struct tmbi_bootstrap;

struct tmbi_bootstrap_ops {
    const char *name;
    const char *meaning; /* for users: who brings ranks together, by what */
    const char *needs;   /* what is amiss where it was asked for and is not detected;
                            NULL: it needs nothing */
    /* Whether the environment calls for this back end: 1 or 0. */
    int (*detect)(const struct tmbi_core_config *config);
    /* Join; fills in b->job. -EINVAL: the launcher's variables are wrong or partial. */
    int (*open)(struct tmbi_bootstrap *b, const struct tmbi_core_config *config);
    /* Give `bytes` (the same number on all ranks, 0: a barrier) and get everybody's, by
     * rank. -ETIMEDOUT at the deadline, naming missing ranks; -EHOSTDOWN: a rank ended
     * before it came. */
    int (*exchange)(struct tmbi_bootstrap *b, const void *mine, size_t bytes, void *all,
                    int64_t deadline);
    /* Ask for the end of the whole job. Async-signal-unsafe; any thread. */
    void (*abort)(struct tmbi_bootstrap *b, int exit_code);
    void (*close)(struct tmbi_bootstrap *b);
};

struct tmbi_bootstrap {
    const struct tmbi_bootstrap_ops *ops;
    struct tmbi_job job;
    /* the back end's own: */
    int fd;
    const char *server; /* who is at the other end of fd, for messages */
    void *state;
};

/* All that are built, by preference. */
TMBI_TOOL const struct tmbi_bootstrap_ops *const *tmbi_bootstraps(size_t *count);

/* The one that TMB_BOOTSTRAP names, or else the first that the environment calls for;
 * NULL: none. */
TMBI_TOOL const struct tmbi_bootstrap_ops *
tmbi_bootstrap_find(const struct tmbi_core_config *config);

/* Make a name that no other job has, nor will have. -EIO, logged. */
#define TMBI_JOB_NAME_BYTES sizeof((struct tmbi_job *)0)->name
int tmbi_bootstrap_name(char name[TMBI_JOB_NAME_BYTES]);

/* Take the first back end that the environment calls for. */
int tmbi_bootstrap_open(struct tmbi_bootstrap *b, const struct tmbi_core_config *config);

/* Take callbacks, which are copied, whatever the environment calls for. */
struct tmbi_adapter_callbacks;
int tmbi_bootstrap_open_callbacks(struct tmbi_bootstrap *b,
                                  const struct tmbi_adapter_callbacks *callbacks);

#endif
