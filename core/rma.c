/* SPDX-License-Identifier: BSD-3-Clause */
/* Put, get and their completion. A mapped put is a bounds check and a copy. */
#include <errno.h>

#include "fence.h"
#include "log.h"
#include "window.h"

/* What lies before, in and behind that which is mapped ends at these. */
struct cuts {
    uint64_t at[4];
};

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

static struct cuts cuts_make(const struct tmbi_remote *remote, uint64_t offset,
                             size_t bytes)
{
    uint64_t end = offset + bytes;

    return (struct cuts){
        {offset, clamp(remote->from, offset, end), clamp(remote->to, offset, end), end}};
}

/* In ascending order, each piece before the next, as one put. */
int tmbi_peer_put_pieces(struct tmbi_peer *peer, uint64_t offset, const void *src,
                         size_t bytes)
{
    const struct cuts cuts = cuts_make(&peer->remote, offset, bytes);
    int rc = 0;

    for (int i = 0; i < 3 && rc == 0; i++) {
        uint64_t at = cuts.at[i];
        size_t piece = cuts.at[i + 1] - at;
        const uint8_t *from = (const uint8_t *)src + (at - offset);

        if (piece && i == 1)
            tmbi_copy(peer->remote.inner + (at - peer->remote.from), from, piece);
        else if (piece)
            rc = peer->ep->ops->put(&peer->remote, at, from, piece);
    }
    return rc;
}

int tmbi_peer_get_pieces(struct tmbi_peer *peer, uint64_t offset, void *dst, size_t bytes)
{
    const struct cuts cuts = cuts_make(&peer->remote, offset, bytes);
    int rc = 0;

    for (int i = 0; i < 3 && rc == 0; i++) {
        uint64_t at = cuts.at[i];
        size_t piece = cuts.at[i + 1] - at;
        uint8_t *to = (uint8_t *)dst + (at - offset);

        if (piece && i == 1)
            tmbi_copy(to, peer->remote.inner + (at - peer->remote.from), piece);
        else if (piece)
            rc = peer->ep->ops->get(&peer->remote, at, to, piece);
    }
    return rc;
}

int tmbi_peer_get_begin(struct tmbi_peer *peer, uint64_t offset, void *dst, size_t bytes)
{
    if (bytes == 0 || peer->base || peer->remote.inner || !peer->ep->ops->get_begin)
        return tmbi_peer_get(peer, offset, dst, bytes);
    return peer->ep->ops->get_begin(&peer->remote, offset, dst, bytes);
}

int tmbi_peer_get_end(struct tmbi_peer *peer, int rc)
{
    int end_rc = 0;

    if (!peer->base && peer->bytes && peer->ep->ops->get_end)
        end_rc = peer->ep->ops->get_end(&peer->remote);
    return rc ? rc : end_rc;
}

int tmb_put(tmb_win *win, int rank, uint64_t offset, const void *src, size_t bytes)
{
    struct tmbi_peer *peer;
    int rc = tmbi_window_target(win, "tmb_put", rank, offset, bytes, &peer);

    if (tmbi_unlikely(rc))
        return rc;
    if (tmbi_unlikely(!src && bytes))
        return tmbi_null_bad("tmb_put", bytes);
    return tmbi_peer_put(peer, offset, src, bytes);
}

int tmb_get(tmb_win *win, int rank, uint64_t offset, void *dst, size_t bytes)
{
    struct tmbi_peer *peer;
    int rc = tmbi_window_target(win, "tmb_get", rank, offset, bytes, &peer);

    if (tmbi_unlikely(rc))
        return rc;
    if (tmbi_unlikely(!dst && bytes))
        return tmbi_null_bad("tmb_get", bytes);
    return tmbi_peer_get(peer, offset, dst, bytes);
}

/*
 * What has a handle has ended on return, and its handle is the one that has: NULL. On
 * every route that exists a put's buffer can be used again then: loads and stores, the
 * kernel's copy, the agent's answer, and a copy that is on its way. Gets that a flush
 * ends are begun together where that makes fewer messages of them.
 */
int tmb_put_nb(tmb_win *win, int rank, uint64_t offset, const void *src, size_t bytes,
               tmb_op **op)
{
    int rc = tmb_put(win, rank, offset, src, bytes);

    if (rc == 0 && op)
        *op = NULL;
    return rc;
}

int tmb_get_nb(tmb_win *win, int rank, uint64_t offset, void *dst, size_t bytes,
               tmb_op **op)
{
    struct tmbi_peer *peer;
    int rc;

    if (op) {
        *op = NULL;
        return tmb_get(win, rank, offset, dst, bytes);
    }
    rc = tmbi_window_target(win, "tmb_get_nb", rank, offset, bytes, &peer);
    if (tmbi_unlikely(rc))
        return rc;
    if (tmbi_unlikely(!dst && bytes))
        return tmbi_null_bad("tmb_get_nb", bytes);
    return tmbi_peer_get_begin(peer, offset, dst, bytes);
}

static int op_check(const char *call, tmb_op *const *op)
{
    if (!tmbi_running()) {
        tmbi_error("%s: not initialized: call tmb_init first, tmb_finalize last", call);
        return -ENOTCONN;
    }
    if (!op)
        return tmbi_null_bad(call, sizeof(*op));
    if (*op) {
        tmbi_error("%s: operation %p: no such operation is under way", call, (void *)*op);
        return -EBADF;
    }
    return 0;
}

int tmb_op_test(tmb_op **op, int *done)
{
    int rc = op_check("tmb_op_test", op);

    if (rc == 0 && !done)
        rc = tmbi_null_bad("tmb_op_test", sizeof(*done));
    if (rc == 0)
        *done = 1;
    return rc;
}

int tmb_op_wait(tmb_op **op, int64_t timeout_ns)
{
    (void)timeout_ns;
    return op_check("tmb_op_wait", op);
}

static int iov_check(tmb_win *win, const char *call, int rank, const struct tmb_iov *iov,
                     size_t count, struct tmbi_peer **peer)
{
    int rc = tmbi_window_peer(win, call, rank, peer);

    if (rc == 0 && count && !iov)
        rc = tmbi_null_bad(call, count * sizeof(*iov));
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = tmbi_window_target(win, call, rank, iov[i].offset, iov[i].bytes, peer);
        if (rc == 0 && iov[i].bytes && !iov[i].addr)
            rc = tmbi_null_bad(call, iov[i].bytes);
    }
    return rc;
}

int tmb_putv(tmb_win *win, int rank, const struct tmb_iov *iov, size_t count)
{
    struct tmbi_peer *peer;
    int rc = iov_check(win, "tmb_putv", rank, iov, count, &peer);

    for (size_t i = 0; i < count && rc == 0; i++)
        rc = tmbi_peer_put(peer, iov[i].offset, iov[i].addr, iov[i].bytes);
    return rc;
}

int tmb_getv(tmb_win *win, int rank, const struct tmb_iov *iov, size_t count)
{
    struct tmbi_peer *peer;
    int rc = iov_check(win, "tmb_getv", rank, iov, count, &peer);

    for (size_t i = 0; i < count && rc == 0; i++)
        rc = tmbi_peer_get_begin(peer, iov[i].offset, iov[i].addr, iov[i].bytes);
    return count ? tmbi_peer_get_end(peer, rc) : rc;
}

/* ---- completion ---- */

/* The fence makes earlier stores visible before later loads and stores of ours: that is
 * what completion means where memory is coherent. */
static int peer_flush(struct tmbi_peer *peer)
{
    tmbi_fence_full();
    if (peer->base || !peer->bytes)
        return 0;
    return peer->ep->ops->flush(&peer->remote);
}

static void peer_flush_begin(struct tmbi_peer *peer)
{
    if (!peer->base && peer->bytes && peer->ep->ops->flush_begin)
        peer->ep->ops->flush_begin(&peer->remote);
}

int tmb_flush(tmb_win *win, int rank)
{
    struct tmbi_peer *peer;
    int rc = tmbi_window_peer(win, "tmb_flush", rank, &peer);

    return tmbi_unlikely(rc) ? rc : peer_flush(peer);
}

int tmb_flush_all(tmb_win *win)
{
    int rc = tmbi_window_check(win, "tmb_flush_all");

    if (tmbi_unlikely(rc))
        return rc;
    tmbi_fence_full();
    if (win->unmapped == 0)
        return 0;
    for (int i = 0; i < win->size; i++)
        peer_flush_begin(&win->peers[i]);
    for (int i = 0; i < win->size; i++) {
        int peer_rc = peer_flush(&win->peers[i]);

        rc = rc ? rc : peer_rc;
    }
    return rc;
}

int tmb_flush_local(tmb_win *win, int rank)
{
    struct tmbi_peer *peer;
    int rc = tmbi_window_peer(win, "tmb_flush_local", rank, &peer);

    return tmbi_unlikely(rc) ? rc : tmbi_peer_get_end(peer, 0);
}

int tmb_fence(tmb_win *win)
{
    int rc = tmbi_window_check(win, "tmb_fence");

    tmbi_fence_release(); /* unmapped routes keep order by themselves */
    return rc;
}
