/* SPDX-License-Identifier: BSD-3-Clause */
#include "exchange.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "clock.h"
#include "wake.h"

struct tmbi_sync *tmbi_own_sync(struct tmb_team *team)
{
    return (struct tmbi_sync *)team->sync->mem->base;
}

/* How often who waits for a member looks whether it has. */
#define LOOK_NS INT64_C(1000000000)

struct flag_wait {
    struct tmb_team *team;
    _Atomic uint64_t *flag;
    uint64_t value;
    int from; /* the rank that signals it */
};

static bool flag_reached(const struct flag_wait *wait)
{
    /* seq_cst: partner is the signal in tmbi_peer_signal(); also publishes the data */
    return atomic_load_explicit(wait->flag, memory_order_seq_cst) >= wait->value;
}

static bool flag_ready(void *arg)
{
    struct flag_wait *wait = arg;

    return flag_reached(wait) || tmbi_team_mortality(wait->team) != TMBI_ALL_ALIVE ||
           tmbi_rank_state(wait->from) != TMB_PEER_ALIVE;
}

int tmbi_meet_of(const struct tmb_team *team, int member, uint64_t *meet)
{
    struct tmbi_peer *peer = &team->sync->peers[member];

    if (!peer->base)
        return tmbi_peer_get(peer, offsetof(struct tmbi_sync, meet), meet, sizeof(*meet));
    *meet = atomic_load_explicit(&((struct tmbi_sync *)peer->base)->meet,
                                 memory_order_seq_cst);
    return 0;
}

static bool gave_up(const struct tmb_team *team, int member)
{
    uint64_t meet;

    return tmbi_meet_of(team, member, &meet) == 0 && meet & TMBI_BROKEN;
}

/* Who has left, or given up the team's collectives, and not signalled won't: it has seen
 * a death that we have not, as where the network is cut between two others only. */
static int flag_await(struct tmb_team *team, int round, uint64_t value, int64_t deadline)
{
    int from = (team->rank + team->size - (1 << round)) % team->size;
    struct flag_wait wait = {team, &tmbi_own_sync(team)->flags[round], value,
                             team->ranks[from]};
    int64_t until;
    int rc;

    do {
        until = tmbi_clock_ns() + LOOK_NS;
        if (until > deadline)
            until = deadline;
        rc = tmbi_wait_until(TMBI_LINE_WAIT, flag_ready, &wait, until);
    } while (rc == -ETIMEDOUT && until < deadline && !gave_up(team, from));
    if (flag_reached(&wait))
        return 0;
    return rc == -ETIMEDOUT && until == deadline ? rc : -EHOSTDOWN;
}

/* Where this exchange's data lie: that of the member i before us in rank order, around
 * the team's end, is the i-th chunk. */
static uint64_t buffer_offset(const struct tmb_team *team)
{
    return sizeof(struct tmbi_sync) + team->exchanges % 2 * tmbi_buffer_bytes(team->size);
}

static uint8_t *buffer(struct tmb_team *team)
{
    return (uint8_t *)tmbi_own_sync(team) + buffer_offset(team);
}

/* What goes to the member `far` behind us: how much of our buffer, and where to in its.
 * Of all, it lacks just what we have, or a part of that; of one, who is less than `far`
 * behind the root has it, and nobody else gives it to that member. */
static size_t round_bytes(const struct tmb_team *team, size_t far,
                          const struct tmbi_load *load, size_t *to)
{
    size_t size = (size_t)team->size, lack = size - far, behind;

    *to = far * load->chunk;
    if (load->root == TMBI_ALL_MEMBERS)
        return (far < lack ? far : lack) * load->chunk;
    *to = 0;
    behind = (size_t)(team->rank + team->size - load->root) % size;
    return behind < far && behind < lack ? load->chunk : 0;
}

static int round_send(struct tmb_team *team, int round, const struct tmbi_load *load)
{
    size_t far = (size_t)1 << round, to;
    size_t bytes = round_bytes(team, far, load, &to);
    struct tmbi_peer *peer =
        &team->sync->peers[((size_t)team->rank + far) % (size_t)team->size];
    int rc = 0;

    if (!peer->base)
        tmbi_look_begin();
    if (bytes)
        rc = tmbi_peer_put(peer, buffer_offset(team) + to, buffer(team), bytes);
    return rc ? rc
              : tmbi_peer_signal(peer,
                                 offsetof(struct tmbi_sync, flags) +
                                     (size_t)round * sizeof(uint64_t),
                                 TMB_SIGNAL_SET, team->exchanges + 1);
}

static int rounds(struct tmb_team *team, const struct tmbi_load *load, int64_t deadline)
{
    struct tmbi_collective *under_way = &team->collective;

    for (; 1 << under_way->round < team->size; under_way->round++) {
        int rc = 0;

        if (!under_way->signalled)
            rc = round_send(team, under_way->round, load);
        under_way->signalled = rc == 0;
        if (rc == 0)
            rc = flag_await(team, under_way->round, team->exchanges + 1, deadline);
        if (rc)
            return rc;
        under_way->signalled = false;
    }
    under_way->round = 0;
    return 0;
}

int tmbi_exchange(struct tmb_team *team, const void *data, const struct tmbi_load *load,
                  int64_t deadline)
{
    struct tmbi_collective *under_way = &team->collective;
    int rc;

    if (!under_way->published && load->chunk &&
        (load->root == TMBI_ALL_MEMBERS || load->root == team->rank))
        memcpy(buffer(team), data, load->chunk);
    under_way->published = true;
    rc = team->broken ? -EHOSTDOWN : rounds(team, load, deadline);
    tmbi_look_end();
    return rc;
}

const uint8_t *tmbi_exchange_of(struct tmb_team *team, int rank,
                                const struct tmbi_load *load)
{
    int behind = load->root == TMBI_ALL_MEMBERS
                     ? (team->rank + team->size - rank) % team->size
                     : 0;

    return buffer(team) + (size_t)behind * load->chunk;
}

void tmbi_exchange_end(struct tmb_team *team, const struct tmbi_load *load)
{
    team->exchanges++;
    team->collective.done += load->chunk;
    team->collective.published = false;
}
