/* SPDX-License-Identifier: BSD-3-Clause */
#include "window.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "block.h"
#include "clock.h"
#include "log.h"
#include "stats.h"
#include "team.h"

static struct tmbi_pool pool = TMBI_POOL(TMBI_WINDOW_MAGIC, struct tmb_win);

/* ---- errors ---- */

int tmbi_window_bad(const struct tmb_win *win, const char *call)
{
    if (!tmbi_running()) {
        tmbi_error("%s: not initialized: call tmb_init first, tmb_finalize last", call);
        return -ENOTCONN;
    }
    tmbi_error("%s: window %p: no such window, or already freed", call,
               (const void *)win);
    return -EBADF;
}

int tmbi_rank_bad(const struct tmb_win *win, const char *call, int rank)
{
    tmbi_error("%s: window %p: rank %d is not in its team of %d ranks", call,
               (const void *)win, rank, win->size);
    return -EINVAL;
}

int tmbi_range_bad(const struct tmb_win *win, const char *call, int rank, uint64_t offset,
                   uint64_t bytes)
{
    tmbi_error("%s: window %p: %" PRIu64 " bytes at offset %" PRIu64
               " don't lie in rank %d's part of %" PRIu64 " bytes",
               call, (const void *)win, bytes, offset, rank, win->peers[rank].bytes);
    return -ERANGE;
}

int tmbi_null_bad(const char *call, uint64_t bytes)
{
    tmbi_error("%s: buffer is NULL, but %" PRIu64 " bytes are to be moved", call, bytes);
    return -EFAULT;
}

/* ---- the two halves ---- */

static int memory_make(enum tmbi_window_kind kind, void *base, size_t bytes,
                       unsigned flags, size_t control_bytes, struct tmbi_mem **mem)
{
    struct tmbi_endpoint *ep = tmbi_context.endpoints[0];

    if (kind == TMBI_WINDOW_ALLOC)
        return ep->ops->mem_alloc(ep, bytes, control_bytes, mem);
    if (flags & TMB_WIN_ADOPT && ep->ops->mem_adopt)
        return ep->ops->mem_adopt(ep, base, bytes, control_bytes, mem);
    return ep->ops->mem_create(ep, base, bytes, control_bytes, mem);
}

/* Zeroing is also the first touch, which places fresh pages on the caller's node; pages
 * that had another owner are moved there. */
static void memory_prepare(const struct tmbi_mem *mem, unsigned flags)
{
    tmbi_memory_place(mem->base, mem->bytes);
    if (!(flags & TMB_WIN_UNINIT))
        memset(mem->base, 0, mem->bytes);
}

static void memory_free(struct tmb_win *win)
{
    for (int i = 1; i < TMBI_ENDPOINTS_MAX; i++)
        if (win->shared[i])
            win->shared[i]->ep->ops->mem_free(win->shared[i]);
    win->mem->ep->ops->mem_free(win->mem);
}

/* The first endpoint's memory is the caller's to the others. Its control memory they
 * leave to the agent. */
static int memory_share(struct tmb_win *win)
{
    int rc = 0;

    for (int i = 1; i < tmbi_context.endpoint_count && rc == 0; i++) {
        struct tmbi_endpoint *ep = tmbi_context.endpoints[i];

        rc = ep->ops->mem_create(ep, win->mem->base, win->mem->bytes, 0, &win->shared[i]);
    }
    return rc;
}

static void mem_describe(const struct tmbi_mem *mem, struct tmbi_window_desc *desc)
{
    mem->ep->ops->mem_key(mem, desc->keys[tmbi_provider_index(mem->ep->ops)]);
}

static void describe(const struct tmb_win *win, struct tmbi_window_desc *desc)
{
    desc->misalign = (uintptr_t)win->mem->base & 63;
    desc->bytes = win->mem->bytes;
    desc->number = win->number;
    mem_describe(win->mem, desc);
    for (int i = 1; i < TMBI_ENDPOINTS_MAX; i++)
        if (win->shared[i])
            mem_describe(win->shared[i], desc);
}

int tmbi_window_local(enum tmbi_window_kind kind, void *base, size_t bytes,
                      unsigned flags, int size, struct tmb_win **result,
                      struct tmbi_window_desc *desc)
{
    struct tmb_win *win;
    int rc = -ENOMEM;

    memset(desc, 0, sizeof(*desc));
    win = tmbi_handle_new(&pool);
    if (!win)
        goto fail;
    rc = memory_make(kind, base, bytes, flags, tmbi_lock_bytes(size), &win->mem);
    if (rc)
        goto free_handle;
    rc = memory_share(win);
    if (rc)
        goto free_memory;
    rc = tmbi_window_table_add(win);
    if (rc)
        goto free_memory;
    if (kind == TMBI_WINDOW_ALLOC && bytes)
        memory_prepare(win->mem, flags);
    if (kind == TMBI_WINDOW_CREATE)
        win->block = tmbi_block_hold(base, bytes);
    pthread_mutex_init(&win->mutex, NULL);
    tmbi_cond_init(&win->released);
    describe(win, desc);
    *result = win;
    return 0;

free_memory:
    memory_free(win);
free_handle:
    tmbi_handle_free(&pool, win);
fail:
    desc->status = rc;
    *result = NULL;
    return rc;
}

/* What is mapped is what the key says; a description that claims more is not believed. */
static int sizes_check(const struct tmbi_remote *remote, int team_size,
                       const struct tmbi_window_desc *desc)
{
    if (desc->bytes == remote->bytes &&
        (!remote->control || remote->control_bytes >= tmbi_lock_bytes(team_size)))
        return 0;
    tmbi_error("rank %d describes its part of %zu bytes (control %zu) as %" PRIu64,
               remote->rank, remote->bytes, remote->control_bytes, desc->bytes);
    return -EPROTO;
}

static int peer_attach(struct tmb_win *win, struct tmbi_peer *peer, int rank,
                       const struct tmbi_window_desc *desc)
{
    struct tmbi_endpoint *ep = tmbi_context.routes[rank].ep;
    int rc = ep->ops->mem_attach(ep, rank, desc->keys[tmbi_provider_index(ep->ops)],
                                 &peer->remote);

    if (rc)
        return rc;
    rc = sizes_check(&peer->remote, win->size, desc);
    if (rc) {
        ep->ops->mem_detach(&peer->remote);
        return rc;
    }
    peer->remote.window = desc->number;
    peer->base = peer->remote.base;
    peer->bytes = desc->bytes;
    peer->misalign = desc->misalign;
    peer->lock = peer->remote.control;
    peer->wake = ep->ops->wake_slot(ep, rank, TMBI_LINE_WAIT);
    peer->ep = ep;
    peer->rank = rank;
    if (!peer->base && peer->bytes)
        win->unmapped++;
    return 0;
}

/* Our own part is always mapped, whatever memory it is. */
static void self_attach(struct tmb_win *win)
{
    struct tmbi_peer *self = &win->peers[win->rank];

    if (!self->base && self->bytes)
        win->unmapped--;
    self->base = win->mem->base;
    self->lock = win->mem->control;
}

int tmbi_window_attach(struct tmb_win *win, int rank, const int *ranks,
                       const struct tmbi_window_desc *descs, size_t stride)
{
    const uint8_t *desc = (const uint8_t *)descs;

    win->peers =
        aligned_alloc(64, ((size_t)win->size * sizeof(*win->peers) + 63) & ~63ul);
    if (!win->peers)
        return -ENOMEM;
    memset(win->peers, 0, (size_t)win->size * sizeof(*win->peers));
    win->rank = rank;
    for (int i = 0; i < win->size; i++, desc += stride) {
        int rc = peer_attach(win, &win->peers[i], ranks[i],
                             (const struct tmbi_window_desc *)desc);

        if (rc)
            return rc;
    }
    self_attach(win);
    /* release: partner is the acquire in tmbi_lock_request_execute() */
    atomic_store_explicit(&win->attached, true, memory_order_release);
    return 0;
}

static void peers_detach(struct tmb_win *win)
{
    for (int i = 0; win->peers && i < win->size; i++)
        if (win->peers[i].ep)
            win->peers[i].ep->ops->mem_detach(&win->peers[i].remote);
    free(win->peers);
}

void tmbi_window_release(struct tmb_win *win)
{
    tmbi_window_table_remove(win);
    peers_detach(win);
    memory_free(win);
    tmbi_block_release(win->block);
    pthread_cond_destroy(&win->released);
    pthread_mutex_destroy(&win->mutex);
    tmbi_handle_free(&pool, win);
}

void tmbi_window_give_up(struct tmb_win *win, int rc)
{
    if (rc == -EHOSTDOWN)
        tmbi_window_abandon(win);
    else
        tmbi_window_release(win);
}

/* ---- collective making and freeing ---- */

/* The first member that failed decides for all. */
static int agree(const struct tmbi_window_desc *descs, int size, const char *call)
{
    for (int i = 0; i < size; i++)
        if (descs[i].status) {
            tmbi_info("%s: failed on rank %d: %s", call, i,
                      tmb_strerror(descs[i].status));
            return descs[i].status;
        }
    return 0;
}

static int join(struct tmb_team *team, const char *call, struct tmb_win *win,
                struct tmbi_window_desc *mine)
{
    struct tmbi_window_desc *descs = calloc((size_t)team->size, sizeof(*descs));
    int rc;

    if (!descs)
        return -ENOMEM;
    rc = tmb_allgather(team, mine, descs, sizeof(*mine), TMB_FOREVER);
    if (rc == 0)
        rc = agree(descs, team->size, call);
    if (rc == 0)
        rc = tmbi_window_attach(win, team->rank, team->ranks, descs, sizeof(*descs));
    free(descs);
    return rc;
}

/* If a member died, others may have got the window, and use and free it. */
static void make_failed(struct tmb_team *team, struct tmb_win *win, int rc)
{
    if (rc == -EHOSTDOWN)
        tmbi_team_excuse(team);
    if (win)
        tmbi_window_give_up(win, rc);
}

/* `rc`: what is wrong with the caller's arguments, which the others must hear of. */
static int make(struct tmb_team *team, const char *call, enum tmbi_window_kind kind,
                void *base, size_t bytes, unsigned flags, int rc, tmb_win **result)
{
    struct tmbi_window_desc mine = {.status = rc};
    struct tmb_win *win = NULL;

    if (rc == 0)
        tmbi_window_local(kind, base, bytes, flags, team->size, &win, &mine);
    if (win) {
        win->size = team->size;
        win->team = team;
    }
    rc = join(team, call, win, &mine);
    if (rc) {
        make_failed(team, win, rc);
        return mine.status ? mine.status : rc;
    }
    atomic_fetch_add_explicit(&team->windows, 1, memory_order_relaxed);
    tmbi_count(windows_made);
    *result = win;
    return 0;
}

static int arguments_check(const char *call, unsigned flags, unsigned allowed,
                           tmb_win *const *win)
{
    if (!win)
        return tmbi_null_bad(call, sizeof(*win));
    if (flags & ~allowed) {
        tmbi_error("%s: unknown flags 0x%x", call, flags & ~allowed);
        return -EINVAL;
    }
    return 0;
}

int tmb_win_alloc(tmb_team *handle, size_t bytes, unsigned flags, tmb_win **win)
{
    struct tmb_team *team;
    int rc = tmbi_team_check(handle, "tmb_win_alloc", &team);

    if (rc)
        return rc;
    rc = arguments_check("tmb_win_alloc", flags, TMB_WIN_UNINIT, win);
    return make(team, "tmb_win_alloc", TMBI_WINDOW_ALLOC, NULL, bytes, flags, rc, win);
}

int tmb_win_create(tmb_team *handle, void *base, size_t bytes, unsigned flags,
                   tmb_win **win)
{
    struct tmb_team *team;
    int rc = tmbi_team_check(handle, "tmb_win_create", &team);

    if (rc)
        return rc;
    rc = arguments_check("tmb_win_create", flags, TMB_WIN_ADOPT, win);
    if (rc == 0 && !base && bytes)
        rc = tmbi_null_bad("tmb_win_create", bytes);
    if (rc == 0)
        rc = tmbi_agent_start();
    return make(team, "tmb_win_create", TMBI_WINDOW_CREATE, base, bytes, flags, rc, win);
}

int tmb_win_free(tmb_win *win)
{
    int rc = tmbi_window_check(win, "tmb_win_free");

    if (rc)
        return rc;
    if (win->held) {
        tmbi_error("tmb_win_free: window %p: %d locks are held: unlock them first",
                   (void *)win, win->held);
        return -EBUSY;
    }
    rc = tmb_flush_all(win);
    if (rc && rc != -EHOSTDOWN)
        return rc;
    rc = tmbi_team_meet(win->team);
    if (rc && rc != -EHOSTDOWN)
        return rc;
    atomic_fetch_sub_explicit(&win->team->windows, 1, memory_order_relaxed);
    tmbi_window_release(win);
    return 0;
}

/* ---- questions ---- */

int tmb_win_ptr(tmb_win *win, int rank, void **ptr)
{
    struct tmbi_peer *peer;
    int rc = tmbi_window_peer(win, "tmb_win_ptr", rank, &peer);

    if (rc)
        return rc;
    if (!ptr)
        return tmbi_null_bad("tmb_win_ptr", sizeof(*ptr));
    if (!peer->base && peer->bytes)
        return -EOPNOTSUPP; /* not logged: this is how to ask */
    *ptr = peer->bytes ? peer->base : NULL;
    return 0;
}

int tmb_win_size(tmb_win *win, int rank, size_t *bytes)
{
    struct tmbi_peer *peer;
    int rc = tmbi_window_peer(win, "tmb_win_size", rank, &peer);

    if (rc)
        return rc;
    if (!bytes)
        return tmbi_null_bad("tmb_win_size", sizeof(*bytes));
    *bytes = peer->bytes;
    return 0;
}

int tmb_win_team(tmb_win *win, tmb_team **team)
{
    int rc = tmbi_window_check(win, "tmb_win_team");

    if (rc)
        return rc;
    if (!team)
        return tmbi_null_bad("tmb_win_team", sizeof(*team));
    *team = win->team == tmbi_context.world ? TMB_TEAM_WORLD : win->team;
    return 0;
}
