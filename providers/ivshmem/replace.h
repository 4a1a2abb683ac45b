/* SPDX-License-Identifier: BSD-3-Clause */
/* Replacing pages of this process in place, with the same content. */
#ifndef TMBI_REPLACE_H
#define TMBI_REPLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guard.h"
#include "way.h"

/* Pages of the process: those from inner_start to inner_end nobody accesses meanwhile,
 * the others belong to whomever. */
struct tmbi_stretch {
    uintptr_t start, end;
    uintptr_t inner_start, inner_end;
};

/*
 * Private pages by those of the region that are at `at` in our mapping of it. -EPERM:
 * by these means nobody can be kept from writing meanwhile. Others are logged. On failure
 * nothing has changed.
 */
int tmbi_stretch_share(struct tmbi_way *way, const struct tmbi_stretch *stretch,
                       uint8_t *at, enum tmbi_guard_means means);

/* What the region is to the kernel: how its mappings are recognized. */
struct tmbi_backing {
    uint32_t major, minor;
    uint64_t inode;
    uint64_t start; /* where the region begins in it */
};
int tmbi_backing_find(const struct tmbi_region *region, struct tmbi_backing *backing);

/* The other way round, by the best means there are. What the application has mapped there
 * in the meantime is left alone. False: some are the region's still (logged). */
bool tmbi_stretch_unshare(const struct tmbi_region *region,
                          const struct tmbi_backing *backing,
                          const struct tmbi_stretch *stretch, const uint8_t *at);

#endif
