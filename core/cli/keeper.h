/* SPDX-License-Identifier: BSD-3-Clause */
/* The service manager as the keeper of a server's descriptors (sd_notify(3), systemd's
 * file descriptor store). */
#ifndef TMBI_KEEPER_H
#define TMBI_KEEPER_H

#include "../../providers/ivshmem/server/server.h"

/* NULL: no service manager has started us, or this build has no libsystemd. */
const struct tmbi_keeper *tmbi_keeper_open(void);
void tmbi_keeper_close(void);

#endif
