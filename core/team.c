/* SPDX-License-Identifier: BSD-3-Clause */
#include "team.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"
#include "log.h"

static struct tmbi_pool pool = TMBI_POOL(TMBI_TEAM_MAGIC, struct tmb_team);

int tmbi_team_check(tmb_team *handle, const char *call, struct tmb_team **team)
{
    if (!tmbi_running()) {
        tmbi_error("%s: not initialized: call tmb_init first, tmb_finalize last", call);
        return -ENOTCONN;
    }
    if (handle == TMB_TEAM_WORLD)
        handle = tmbi_context.world;
    if (!handle || handle->handle.magic != TMBI_TEAM_MAGIC) {
        tmbi_error("%s: team %p: no such team, or already freed", call, (void *)handle);
        return -EBADF;
    }
    *team = handle;
    return 0;
}

static enum tmbi_mortality scan(const struct tmb_team *team)
{
    enum tmbi_mortality found = TMBI_ALL_ALIVE;

    for (int i = 0; i < team->size; i++) {
        int rank = team->ranks[i];

        if (tmbi_rank_state(rank) != TMB_PEER_DEAD)
            continue;
        /* Who is itself dead to the others has no rest to go on with. */
        if (rank == tmbi_context.bootstrap.job.rank ||
            !atomic_load_explicit(&tmbi_context.routes[rank].known_dead,
                                  memory_order_relaxed))
            return TMBI_DEATHS_NEWS;
        found = TMBI_DEATHS_KNOWN;
    }
    return found;
}

enum tmbi_mortality tmbi_team_mortality(struct tmb_team *team)
{
    uint64_t key = tmbi_mortality_key();
    uint64_t seen = atomic_load_explicit(&team->mortality, memory_order_relaxed);
    enum tmbi_mortality now;

    if (seen >> 2 == key)
        return (enum tmbi_mortality)(seen & 3);
    now = scan(team);
    /* relaxed: a cache; whoever misses it scans again */
    atomic_store_explicit(&team->mortality, key << 2 | now, memory_order_relaxed);
    return now;
}

/* All teams in use, the newest first and hence the world last. */
static struct {
    pthread_mutex_t mutex;
    struct tmb_team *first;
} teams = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void teams_add(struct tmb_team *team)
{
    pthread_mutex_lock(&teams.mutex);
    team->next = teams.first;
    teams.first = team;
    pthread_mutex_unlock(&teams.mutex);
}

static void teams_remove(const struct tmb_team *team)
{
    struct tmb_team **at = &teams.first;

    pthread_mutex_lock(&teams.mutex);
    while (*at != team)
        at = &(*at)->next;
    *at = team->next;
    pthread_mutex_unlock(&teams.mutex);
}

static int team_new(int size, int rank, struct tmb_win *sync, struct tmb_team **result)
{
    struct tmb_team *team = tmbi_handle_new(&pool);

    if (!team)
        return -ENOMEM;
    team->ranks = malloc((size_t)size * sizeof(*team->ranks));
    if (!team->ranks) {
        tmbi_handle_free(&pool, team);
        return -ENOMEM;
    }
    team->size = size;
    team->rank = rank;
    team->sync = sync;
    sync->size = size;
    sync->team = team;
    teams_add(team);
    *result = team;
    return 0;
}

/* keep_sync: someone may still look at our sync memory; it goes with the job. */
void tmbi_team_release(struct tmb_team *team, bool keep_sync)
{
    teams_remove(team);
    if (!keep_sync)
        tmbi_window_release(team->sync);
    free(team->ranks);
    tmbi_handle_free(&pool, team);
}

void tmbi_teams_release_all(void)
{
    while (teams.first) {
        if (teams.first != tmbi_context.world && !teams.first->adapters)
            tmbi_warn("tmb_finalize: team %p of %d ranks was not freed",
                      (void *)teams.first, teams.first->size);
        tmbi_team_release(teams.first, false);
    }
}

/* From the descriptors that all members have exchanged. */
static int team_attach(int size, int rank, const int *ranks, struct tmb_win *sync,
                       const struct tmbi_window_desc *descs, size_t stride,
                       struct tmb_team **result)
{
    struct tmb_team *team;
    int rc = team_new(size, rank, sync, &team);

    if (rc)
        return rc;
    for (int i = 0; i < size; i++)
        team->ranks[i] = ranks ? ranks[i] : i;
    rc = tmbi_window_attach(sync, rank, team->ranks, descs, stride);
    if (rc) {
        tmbi_team_release(team, true);
        return rc;
    }
    *result = team;
    return 0;
}

int tmbi_team_world(int size, int rank, struct tmb_win *sync,
                    const struct tmbi_window_desc *descs, size_t stride,
                    struct tmb_team **result)
{
    return team_attach(size, rank, NULL, sync, descs, stride, result);
}

/* ---- making teams ---- */

/* What each member of the parent says in a split. */
struct vote {
    int32_t color; /* TMB_COLOR_NONE: joins nothing */
    int32_t key;
    int32_t parent_rank;
    int32_t expected; /* members, or 0: as many as come */
    struct tmbi_window_desc sync;
};

static int vote_order(const void *a, const void *b)
{
    const struct vote *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->parent_rank < y->parent_rank ? -1 : 1;
}

/* Keep the votes of one colour, in order; returns how many. */
static int votes_select(struct vote *votes, int count, int color)
{
    int kept = 0;

    for (int i = 0; i < count; i++)
        if (votes[i].color == color)
            votes[kept++] = votes[i];
    qsort(votes, (size_t)kept, sizeof(*votes), vote_order);
    return kept;
}

/* Every member fails if one does, for they all will wait for it. */
static int votes_check(const struct vote *votes, int count)
{
    for (int i = 0; i < count; i++) {
        if (votes[i].sync.status)
            return votes[i].sync.status;
        if (votes[i].expected && votes[i].expected != count)
            return -EINVAL;
        if (votes[i].expected && votes[i].key != i)
            return -EINVAL;
    }
    return 0;
}

static int team_from_votes(const struct tmb_team *parent, const struct vote *votes,
                           int count, struct tmb_win *sync, struct tmb_team **result)
{
    int *ranks = malloc((size_t)count * sizeof(*ranks));
    int me = 0;
    int rc;

    if (!ranks)
        return -ENOMEM;
    while (votes[me].parent_rank != parent->rank)
        me++;
    for (int i = 0; i < count; i++)
        ranks[i] = parent->ranks[votes[i].parent_rank];
    rc = team_attach(count, me, ranks, sync, &votes[0].sync, sizeof(*votes), result);
    free(ranks);
    return rc;
}

static int votes_count(struct tmb_team *parent, struct vote *mine, struct tmb_win *sync,
                       struct tmb_team **team)
{
    struct vote *votes = calloc((size_t)parent->size, sizeof(*votes));
    int count;
    int rc;

    if (!votes)
        return -ENOMEM;
    rc = tmb_allgather(parent, mine, votes, sizeof(*mine), TMB_FOREVER);
    if (rc || mine->color == TMB_COLOR_NONE)
        goto free_votes;
    count = votes_select(votes, parent->size, mine->color);
    rc = votes_check(votes, count);
    if (rc == -EINVAL)
        tmbi_error("tmb_team_create: the members don't agree on the list of ranks");
    if (rc == 0)
        rc = team_from_votes(parent, votes, count, sync, team);

free_votes:
    free(votes);
    return rc;
}

/* `rc`: an error of the caller's arguments, which it must tell the others. */
static int split(struct tmb_team *parent, struct vote *mine, int rc, tmb_team **team)
{
    struct tmb_win *sync = NULL;
    int vote_rc;

    mine->parent_rank = parent->rank;
    /* Sized for the parent: how many will join is not known yet. */
    if (rc == 0 && mine->color != TMB_COLOR_NONE)
        tmbi_window_local(TMBI_WINDOW_ALLOC, NULL, tmbi_sync_bytes(parent->size), 0,
                          parent->size, &sync, &mine->sync);
    else
        memset(&mine->sync, 0, sizeof(mine->sync));
    if (rc)
        mine->sync.status = rc;
    *team = TMB_TEAM_NONE;
    vote_rc = votes_count(parent, mine, sync, team);
    if (sync && vote_rc)
        tmbi_window_give_up(sync, vote_rc);
    return rc ? rc : vote_rc;
}

/* Every member fails if one does. */
static int adapter_team_attach(int size, int rank, const int *ranks, struct tmb_win *sync,
                               const struct tmbi_window_desc *descs,
                               struct tmb_team **team)
{
    int rc;

    for (int i = 0; i < size; i++)
        if (descs[i].status)
            return descs[i].status;
    rc = team_attach(size, rank, ranks, sync, descs, sizeof(*descs), team);
    if (rc == 0)
        (*team)->adapters = true;
    return rc;
}

int tmbi_adapter_team(int size, int rank, const int *ranks,
                      int (*exchange)(void *arg, const void *mine, size_t bytes,
                                      void *all),
                      void *arg, tmb_team **team)
{
    struct tmbi_window_desc mine, *descs = calloc((size_t)size, sizeof(*descs));
    struct tmb_win *sync = NULL;
    int rc;

    *team = TMB_TEAM_NONE;
    memset(&mine, 0, sizeof(mine));
    if (!descs)
        return -ENOMEM;
    tmbi_window_local(TMBI_WINDOW_ALLOC, NULL, tmbi_sync_bytes(size), 0, size, &sync,
                      &mine);
    rc = exchange(arg, &mine, sizeof(mine), descs);
    if (rc == 0)
        rc = adapter_team_attach(size, rank, ranks, sync, descs, team);
    if (rc && sync)
        tmbi_window_give_up(sync, rc);
    free(descs);
    return rc;
}

static int list_check(const struct tmb_team *parent, int count, const int *ranks, int *me)
{
    *me = -1;
    if (count < 0 || count > parent->size || (count && !ranks))
        return -EINVAL;
    for (int i = 0; i < count; i++) {
        if (ranks[i] < 0 || ranks[i] >= parent->size)
            return -EINVAL;
        for (int j = 0; j < i; j++)
            if (ranks[j] == ranks[i])
                return -EINVAL;
        if (ranks[i] == parent->rank)
            *me = i;
    }
    return count && *me < 0 ? -EINVAL : 0;
}

int tmb_team_create(tmb_team *handle, int count, const int *ranks, tmb_team **team)
{
    struct tmb_team *parent;
    struct vote mine = {.color = TMB_COLOR_NONE};
    int me;
    int rc = tmbi_team_check(handle, "tmb_team_create", &parent);

    if (rc)
        return rc;
    if (!team)
        return tmbi_null_bad("tmb_team_create", sizeof(*team));
    rc = list_check(parent, count, ranks, &me);
    if (rc)
        tmbi_error(
            "tmb_team_create: list of %d ranks: each must be one of the parent's %d "
            "ranks, once, and the caller's own among them",
            count, parent->size);
    if (rc == 0 && count) {
        mine.color = ranks[0];
        mine.key = me;
        mine.expected = count;
    }
    return split(parent, &mine, rc, team);
}

int tmb_team_split(tmb_team *handle, int color, int key, tmb_team **team)
{
    struct tmb_team *parent;
    struct vote mine = {.color = color, .key = key};
    int rc = tmbi_team_check(handle, "tmb_team_split", &parent);

    if (rc)
        return rc;
    if (!team)
        return tmbi_null_bad("tmb_team_split", sizeof(*team));
    if (color < 0 && color != TMB_COLOR_NONE) {
        tmbi_error("tmb_team_split: colour %d: must be 0 or more, or TMB_COLOR_NONE",
                   color);
        mine.color = TMB_COLOR_NONE;
        rc = -EINVAL;
    }
    return split(parent, &mine, rc, team);
}

int tmb_team_free(tmb_team *handle)
{
    struct tmb_team *team;
    int windows;
    int rc = tmbi_team_check(handle, "tmb_team_free", &team);

    if (rc)
        return rc;
    if (team == tmbi_context.world) {
        tmbi_error("tmb_team_free: TMB_TEAM_WORLD can't be freed");
        return -EINVAL;
    }
    windows = atomic_load_explicit(&team->windows, memory_order_relaxed);
    if (windows) {
        tmbi_error("tmb_team_free: team %p: %d of its windows are not freed",
                   (void *)team, windows);
        return -EBUSY;
    }
    rc = tmbi_team_meet(team);
    if (rc && rc != -EHOSTDOWN)
        return rc;
    if (rc == -EHOSTDOWN)
        tmbi_window_abandon(team->sync);
    tmbi_team_release(team, rc == -EHOSTDOWN);
    return 0;
}

/* ---- questions ---- */

static int answer(tmb_team *handle, const char *call, int *out, struct tmb_team **team)
{
    int rc = tmbi_team_check(handle, call, team);

    if (rc == 0 && !out)
        rc = tmbi_null_bad(call, sizeof(*out));
    return rc;
}

int tmb_team_rank(tmb_team *handle, int *rank)
{
    struct tmb_team *team;
    int rc = answer(handle, "tmb_team_rank", rank, &team);

    if (rc == 0)
        *rank = team->rank;
    return rc;
}

int tmb_team_size(tmb_team *handle, int *size)
{
    struct tmb_team *team;
    int rc = answer(handle, "tmb_team_size", size, &team);

    if (rc == 0)
        *size = team->size;
    return rc;
}

int tmb_team_translate(tmb_team *from_handle, int rank, tmb_team *to_handle, int *to_rank)
{
    struct tmb_team *from, *to;
    int rc = answer(from_handle, "tmb_team_translate", to_rank, &from);

    if (rc == 0)
        rc = tmbi_team_check(to_handle, "tmb_team_translate", &to);
    if (rc)
        return rc;
    if (rank < 0 || rank >= from->size) {
        tmbi_error("tmb_team_translate: rank %d is not in the team of %d ranks", rank,
                   from->size);
        return -EINVAL;
    }
    for (int i = 0; i < to->size; i++)
        if (to->ranks[i] == from->ranks[rank]) {
            *to_rank = i;
            return 0;
        }
    return -ENOENT; /* not logged: this is how to ask */
}
