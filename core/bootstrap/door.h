/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rank 0's part of greeting.h: who comes to the port, and who of them is let in. Whoever
 * is not is no harm: of those that have not proved anything few are kept, each for a
 * short time, the oldest of them let go for the newest; none is waited for.
 */
#ifndef TMBI_DOOR_H
#define TMBI_DOOR_H

#include "greeting.h"
#include "hub.h"

struct tmbi_door;

/* `listener` is the door's from then on; -1: none. Keeps the pointers. */
int tmbi_door_open(struct tmbi_door **door, struct tmbi_loop *loop, struct tmbi_hub *hub,
                   int listener, const struct tmbi_ticket *ticket, const char *name);
void tmbi_door_close(struct tmbi_door *door);

/* Somebody has connected. The socket is the door's. */
void tmbi_door_admit(struct tmbi_door *door, int fd);

/* Let go of who has been silent for too long; returns when to look again. */
int64_t tmbi_door_expire(struct tmbi_door *door);

#endif
