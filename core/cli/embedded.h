/* SPDX-License-Identifier: BSD-3-Clause */
/* The private server of a job that names none, in a directory of its own. */
#ifndef TMBI_EMBEDDED_H
#define TMBI_EMBEDDED_H

#include <stdint.h>

#include "process.h"

struct tmbi_embedded {
    char directory[80]; /* empty: none */
    char socket[96];
    pid_t pid; /* 0: none, or reaped */
};

/* Start it and wait until it listens. What goes wrong is said on stderr. */
int tmbi_embedded_start(struct tmbi_embedded *server,
                        const struct tmbi_process_origin *origin, uint64_t region_bytes,
                        uint32_t vectors, uint32_t clients);

/* End it and remove its directory. */
void tmbi_embedded_stop(struct tmbi_embedded *server);

/* Remove the directory and the socket in it. */
void tmbi_embedded_remove(const struct tmbi_embedded *server);

#endif
