/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all collectives of a team are: the dissemination barrier (Hensgen, Finkel and
 * Manber, International Journal of Parallel Programming 17, 1988), whose rounds are
 * signals. With a round goes what the sender has of the members' data, so that all have
 * all in the end, in as many rounds (Bruck and others, IEEE Transactions on Parallel and
 * Distributed Systems 8, 1997). Exchanges alternate between two buffers: nobody begins
 * one before all have begun the last, and so have read what the one before it left. What
 * a time-out interrupts stands in struct tmbi_collective, and is taken up by the next
 * call.
 */
#ifndef TMBI_EXCHANGE_H
#define TMBI_EXCHANGE_H

#include "team.h"

/* What an exchange carries: of each member, or of one. */
struct tmbi_load {
    size_t chunk; /* bytes, as the buffer has room for; 0: nothing, it is a barrier */
    int root;     /* whose; TMBI_ALL_MEMBERS */
};
enum { TMBI_ALL_MEMBERS = -1 };

/* Wait until all have come, with data of `load->chunk` bytes. -ETIMEDOUT: call it again.
 * -EHOSTDOWN: a member is dead, or gave up. */
int tmbi_exchange(struct tmb_team *team, const void *data, const struct tmbi_load *load,
                  int64_t deadline);

/* What member `rank`, or the root, gave, until tmbi_exchange_end(). */
const uint8_t *tmbi_exchange_of(struct tmb_team *team, int rank,
                                const struct tmbi_load *load);
void tmbi_exchange_end(struct tmb_team *team, const struct tmbi_load *load);

/* In a member's count of meetings: it has given up the team's collectives. */
#define TMBI_BROKEN (UINT64_C(1) << 63)

struct tmbi_sync *tmbi_own_sync(struct tmb_team *team);

/* A member's count of meetings, with TMBI_BROKEN. */
int tmbi_meet_of(const struct tmb_team *team, int member, uint64_t *meet);

#endif
