/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Collectives: a dissemination barrier (Hensgen, Finkel and Manber, International Journal
 * of Parallel Programming 17, 1988) whose rounds are signals, and for data: publish a
 * chunk in one's own memory, barrier, read the others'. Chunks alternate between two
 * places, so that a chunk is overwritten only after the next barrier, when all have read
 * it. What a time-out interrupts stands in struct tmbi_collective and is taken up again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "reduce.h"
#include "team.h"
#include "wake.h"

static struct tmbi_sync *own_sync(struct tmb_team *team)
{
    return (struct tmbi_sync *)team->sync->mem->base;
}

/* In a member's count of meetings: it has given up the team's collectives. */
#define BROKEN (UINT64_C(1) << 63)

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

/* A member's count of meetings, with BROKEN. */
static int meet_of(const struct tmb_team *team, int member, uint64_t *meet)
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

    return meet_of(team, member, &meet) == 0 && meet & BROKEN;
}

/* Who has left, or given up the team's collectives, and not signalled won't: it has seen
 * a death that we have not, as where the network is cut between two others only. */
static int flag_await(struct tmb_team *team, int round, uint64_t value, int64_t deadline)
{
    int from = (team->rank + team->size - (1 << round)) % team->size;
    struct flag_wait wait = {team, &own_sync(team)->flags[round], value,
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

static int barrier_rounds(struct tmb_team *team, int64_t deadline)
{
    struct tmbi_collective *under_way = &team->collective;

    for (; 1 << under_way->round < team->size; under_way->round++) {
        int round = under_way->round;
        int to = (team->rank + (1 << round)) % team->size;
        int rc = 0;

        if (!team->sync->peers[to].base)
            tmbi_look_begin();
        if (!under_way->signalled)
            rc = tmbi_peer_signal(&team->sync->peers[to],
                                  offsetof(struct tmbi_sync, flags) +
                                      (size_t)round * sizeof(uint64_t),
                                  TMB_SIGNAL_SET, team->barriers + 1);
        under_way->signalled = rc == 0;
        if (rc == 0)
            rc = flag_await(team, round, team->barriers + 1, deadline);
        if (rc)
            return rc;
        under_way->signalled = false;
    }
    under_way->round = 0;
    team->barriers++;
    return 0;
}

static int barrier(struct tmb_team *team, int64_t deadline)
{
    int rc = team->broken ? -EHOSTDOWN : barrier_rounds(team, deadline);

    tmbi_look_end();
    return rc;
}

/* Begin, or go on with, the collective that this call is. */
static int enter(struct tmb_team *team, const char *name, size_t bytes)
{
    struct tmbi_collective *under_way = &team->collective;

    if (!under_way->name) {
        *under_way = (struct tmbi_collective){.name = name, .bytes = bytes};
        return 0;
    }
    if (!strcmp(under_way->name, name) && under_way->bytes == bytes)
        return 0;
    tmbi_error(
        "%s: team %p: a %s of %zu bytes that timed out is still under way: call it "
        "again until it ends",
        name, (void *)team, under_way->name, under_way->bytes);
    return -EBUSY;
}

static int leave(struct tmb_team *team, int rc)
{
    if (rc != -ETIMEDOUT)
        team->collective = (struct tmbi_collective){0};
    if (rc == -EHOSTDOWN) {
        /* A member that had this barrier counts one more than we do: signals that were
         * under way would be taken for those of the next. */
        team->broken = true;
        /* seq_cst: partner is the load in meet_of() */
        atomic_fetch_or_explicit(&own_sync(team)->meet, BROKEN, memory_order_seq_cst);
        tmbi_info("collective: team %p: a member is dead", (void *)team);
    }
    return rc;
}

static uint64_t chunk_offset(const struct tmb_team *team)
{
    return offsetof(struct tmbi_sync, chunk) + team->chunks % 2 * TMBI_CHUNK_BYTES;
}

/* Publish `bytes` (0: this member gives nothing) and wait until all have. */
static int publish(struct tmb_team *team, const void *data, size_t bytes,
                   int64_t deadline)
{
    struct tmbi_collective *under_way = &team->collective;

    if (!under_way->published && bytes)
        memcpy((uint8_t *)own_sync(team) + chunk_offset(team), data, bytes);
    under_way->published = true;
    return barrier(team, deadline);
}

static int read_chunk(struct tmb_team *team, int rank, void *data, size_t bytes)
{
    return tmbi_peer_get(&team->sync->peers[rank], chunk_offset(team), data, bytes);
}

static void next_chunk(struct tmb_team *team, size_t bytes)
{
    team->chunks++;
    team->collective.done += bytes;
    team->collective.published = false;
}

static size_t chunk_bytes(const struct tmb_team *team, size_t bytes)
{
    size_t left = bytes - team->collective.done;

    return left < TMBI_CHUNK_BYTES ? left : TMBI_CHUNK_BYTES;
}

int tmb_barrier(tmb_team *handle, int64_t timeout_ns)
{
    struct tmb_team *team;
    int rc = tmbi_team_check(handle, "tmb_barrier", &team);

    if (rc == 0)
        rc = enter(team, "tmb_barrier", 0);
    if (rc)
        return rc;
    return leave(team, barrier(team, tmbi_deadline(timeout_ns)));
}

static int check(tmb_team *handle, const char *call, const void *a, const void *b,
                 size_t bytes, struct tmb_team **team)
{
    int rc = tmbi_team_check(handle, call, team);

    if (rc == 0 && bytes && (!a || !b))
        rc = tmbi_null_bad(call, bytes);
    return rc ? rc : enter(*team, call, bytes);
}

int tmb_bcast(tmb_team *handle, int root, void *data, size_t bytes, int64_t timeout_ns)
{
    int64_t deadline = tmbi_deadline(timeout_ns);
    struct tmb_team *team;
    int rc = tmbi_team_check(handle, "tmb_bcast", &team);

    if (rc)
        return rc;
    if (root < 0 || root >= team->size)
        return tmbi_rank_bad(team->sync, "tmb_bcast", root);
    rc = check(handle, "tmb_bcast", data, data, bytes, &team);
    if (rc)
        return rc;
    do {
        size_t chunk = chunk_bytes(team, bytes);
        uint8_t *at = (uint8_t *)data + team->collective.done;

        rc = publish(team, at, team->rank == root ? chunk : 0, deadline);
        if (rc == 0 && team->rank != root && chunk)
            rc = read_chunk(team, root, at, chunk);
        if (rc == 0)
            next_chunk(team, chunk);
    } while (rc == 0 && team->collective.done < bytes);
    return leave(team, rc);
}

static int gather_chunk(struct tmb_team *team, uint8_t *all, size_t bytes, size_t chunk)
{
    int rc = 0;

    for (int i = 0; i < team->size && rc == 0 && chunk; i++)
        rc = read_chunk(team, i, all + (size_t)i * bytes + team->collective.done, chunk);
    return rc;
}

int tmb_allgather(tmb_team *handle, const void *mine, void *all, size_t bytes,
                  int64_t timeout_ns)
{
    int64_t deadline = tmbi_deadline(timeout_ns);
    struct tmb_team *team;
    int rc = check(handle, "tmb_allgather", mine, all, bytes, &team);

    if (rc)
        return rc;
    do {
        size_t chunk = chunk_bytes(team, bytes);

        rc =
            publish(team, (const uint8_t *)mine + team->collective.done, chunk, deadline);
        if (rc == 0)
            rc = gather_chunk(team, all, bytes, chunk);
        if (rc == 0)
            next_chunk(team, chunk);
    } while (rc == 0 && team->collective.done < bytes);
    return leave(team, rc);
}

/* In rank order from rank 0 on, so that all members get the same bits. */
static int reduce_chunk(struct tmb_team *team, uint8_t *result, size_t chunk,
                        enum tmb_type type, enum tmb_atomic_op op)
{
    uint8_t from[TMBI_CHUNK_BYTES];
    int rc = chunk ? read_chunk(team, 0, result, chunk) : 0;

    for (int i = 1; i < team->size && rc == 0 && chunk; i++) {
        rc = read_chunk(team, i, from, chunk);
        if (rc == 0)
            tmbi_reduce(result, from, chunk / tmbi_type_size(type), type, op);
    }
    return rc;
}

static int reduction_check(enum tmb_type type, enum tmb_atomic_op op, size_t count)
{
    bool reduces = op >= TMB_OP_ADD && op <= TMB_OP_MAX;

    if (reduces && tmbi_type_takes(type, op) && count <= SIZE_MAX / 8)
        return 0;
    tmbi_error("tmb_allreduce: type %u, operation %u, %zu elements: no such reduction",
               type, op, count);
    return -EINVAL;
}

int tmb_allreduce(tmb_team *handle, const void *mine, void *result, size_t count,
                  enum tmb_type type, enum tmb_atomic_op op, int64_t timeout_ns)
{
    int64_t deadline = tmbi_deadline(timeout_ns);
    struct tmb_team *team;
    size_t bytes = count * tmbi_type_size(type);
    int rc = tmbi_team_check(handle, "tmb_allreduce", &team);

    if (rc == 0)
        rc = reduction_check(type, op, count);
    if (rc == 0)
        rc = check(handle, "tmb_allreduce", mine, result, bytes, &team);
    if (rc)
        return rc;
    do {
        size_t chunk = chunk_bytes(team, bytes);
        size_t done = team->collective.done;

        rc = publish(team, (const uint8_t *)mine + done, chunk, deadline);
        if (rc == 0)
            rc = reduce_chunk(team, (uint8_t *)result + done, chunk, type, op);
        if (rc == 0)
            next_chunk(team, chunk);
    } while (rc == 0 && team->collective.done < bytes);
    return leave(team, rc);
}

/* ---- survivors ---- */

struct meeting {
    struct tmb_team *team;
    int missing; /* the first member that has neither come nor ended */
};

static bool member_met(struct tmb_team *team, int i)
{
    uint64_t meet = 0;

    if (tmbi_rank_state(team->ranks[i]) != TMB_PEER_ALIVE)
        return true;
    if (meet_of(team, i, &meet))
        return true; /* unreachable is as good as gone */
    return (meet & ~BROKEN) >= team->meets;
}

static bool survivors_met(void *arg)
{
    struct meeting *meeting = arg;

    while (meeting->missing < meeting->team->size &&
           member_met(meeting->team, meeting->missing))
        meeting->missing++;
    return meeting->missing == meeting->team->size;
}

static void come(struct tmb_team *team)
{
    /* seq_cst: partner is the load in meet_of() */
    atomic_store_explicit(&own_sync(team)->meet,
                          ++team->meets | (team->broken ? BROKEN : 0),
                          memory_order_seq_cst);
}

static void wake_members(const struct tmb_team *team)
{
    for (int i = 0; i < team->size; i++)
        tmbi_wake(team->sync->peers[i].ep, team->sync->peers[i].rank, TMBI_LINE_WAIT);
}

void tmbi_team_excuse(struct tmb_team *team)
{
    come(team);
    wake_members(team);
}

int tmbi_team_meet(struct tmb_team *team)
{
    struct meeting meeting = {.team = team};
    int rc;

    rc = enter(team, "meeting", 0);
    if (rc)
        return rc; /* not come yet: the caller will try again */
    come(team);
    rc = leave(team, barrier(team, TMBI_NEVER));
    if (rc != -EHOSTDOWN)
        return rc;
    wake_members(team);
    tmbi_wait_until(TMBI_LINE_WAIT, survivors_met, &meeting, TMBI_NEVER);
    return -EHOSTDOWN;
}
