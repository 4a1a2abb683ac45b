/* SPDX-License-Identifier: BSD-3-Clause */
/* How a process gets a slot in a machine that it shares with others: it claims one by
 * itself, under a lock that all of them take. */
#ifndef TMBI_CLAIM_H
#define TMBI_CLAIM_H

#include "way.h"

struct tmbi_claim {
    struct tmbi_way *way; /* id, name and region are set; the rest will be */
    int lock;             /* a descriptor of what flock(2) locks for the whole machine */
    uint32_t vectors;     /* doorbells to choose from, or 0 */
    const char *more;     /* what makes a region with more slots, for the message */
    /* Give the LIVE slot into the care of who sees our end. Errors are logged. */
    int (*entrust)(struct tmbi_way *way);
};

/* Claim, introduce us, and entrust. -ENOSPC and others are logged. */
int tmbi_claim_slot(const struct tmbi_claim *claim);

/* A doorbell for each line of the process of `slot`, of which the machine's others make
 * the least use. */
void tmbi_claim_doorbells(const struct tmbi_region *region, uint32_t id, uint32_t slot,
                          uint32_t vectors, uint32_t doorbell[TMBI_LINES]);

/* End slots of the machine `id` whose processes have ended unseen. One at a time does. */
void tmbi_claim_orphans_end(struct tmbi_region *region, uint32_t id);

/* What tells this machine from others where there are no peer IDs. */
uint32_t tmbi_claim_machine(void);

#endif
