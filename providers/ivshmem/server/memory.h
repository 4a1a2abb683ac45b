/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TMBI_SERVER_MEMORY_H
#define TMBI_SERVER_MEMORY_H

#include "../region.h"
#include "server.h"

/* Make the region: a sealed memfd, formatted and attached. */
int tmbi_memory_make(const struct tmbi_server_options *options,
                     struct tmbi_region *region, int *fd);

#endif
