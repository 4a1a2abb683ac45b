/* SPDX-License-Identifier: BSD-3-Clause */
/* Collectives: exchanges, as many as the data needs; and meetings of survivors. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "exchange.h"
#include "log.h"
#include "reduce.h"
#include "wake.h"

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
        /* seq_cst: partner is the load in tmbi_meet_of() */
        atomic_fetch_or_explicit(&tmbi_own_sync(team)->meet, TMBI_BROKEN,
                                 memory_order_seq_cst);
        tmbi_info("collective: team %p: a member is dead", (void *)team);
    }
    return rc;
}

static int barrier(struct tmb_team *team, int64_t deadline)
{
    const struct tmbi_load nothing = {0, TMBI_ALL_MEMBERS};
    int rc = tmbi_exchange(team, NULL, &nothing, deadline);

    if (rc == 0)
        tmbi_exchange_end(team, &nothing);
    return rc;
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

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Of each member; whole elements of any type. */
static size_t chunk_bytes(const struct tmb_team *team, size_t bytes)
{
    size_t room = tmbi_buffer_bytes(team->size) / (size_t)team->size & ~(size_t)7;

    return least(bytes - team->collective.done, room);
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
        uint8_t *at = (uint8_t *)data + team->collective.done;
        struct tmbi_load load = {
            least(bytes - team->collective.done, tmbi_buffer_bytes(team->size)), root};

        rc = tmbi_exchange(team, at, &load, deadline);
        if (rc == 0 && load.chunk)
            memcpy(at, tmbi_exchange_of(team, root, &load), load.chunk);
        if (rc == 0)
            tmbi_exchange_end(team, &load);
    } while (rc == 0 && team->collective.done < bytes);
    return leave(team, rc);
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
        size_t done = team->collective.done;
        struct tmbi_load load = {chunk_bytes(team, bytes), TMBI_ALL_MEMBERS};

        rc = tmbi_exchange(team, (const uint8_t *)mine + done, &load, deadline);
        for (int i = 0; rc == 0 && load.chunk && i < team->size; i++)
            memcpy((uint8_t *)all + (size_t)i * bytes + done,
                   tmbi_exchange_of(team, i, &load), load.chunk);
        if (rc == 0)
            tmbi_exchange_end(team, &load);
    } while (rc == 0 && team->collective.done < bytes);
    return leave(team, rc);
}

/* In rank order from rank 0 on, so that all members get the same bits. */
static void reduce(struct tmb_team *team, uint8_t *result, const struct tmbi_load *load,
                   enum tmb_type type, enum tmb_atomic_op op)
{
    size_t count = load->chunk / tmbi_type_size(type);

    memcpy(result, tmbi_exchange_of(team, 0, load), load->chunk);
    for (int i = 1; i < team->size; i++)
        tmbi_reduce(result, tmbi_exchange_of(team, i, load), count, type, op);
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
        size_t done = team->collective.done;
        struct tmbi_load load = {chunk_bytes(team, bytes), TMBI_ALL_MEMBERS};

        rc = tmbi_exchange(team, (const uint8_t *)mine + done, &load, deadline);
        if (rc == 0 && load.chunk)
            reduce(team, (uint8_t *)result + done, &load, type, op);
        if (rc == 0)
            tmbi_exchange_end(team, &load);
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
    if (tmbi_meet_of(team, i, &meet))
        return true; /* unreachable is as good as gone */
    return (meet & ~TMBI_BROKEN) >= team->meets;
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
    /* seq_cst: partner is the load in tmbi_meet_of() */
    atomic_store_explicit(&tmbi_own_sync(team)->meet,
                          ++team->meets | (team->broken ? TMBI_BROKEN : 0),
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
