/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Puts, and their completion. By the link they are requests, which the target's agent
 * executes; by libfabric a write, complete when it was delivered. Who changes from one
 * way to the other waits for what is under way there, so that puts stay in order.
 */
#include "transfer.h"

#include <errno.h>
#include <string.h>

#include "../../core/clock.h"
#include "../../core/log.h"

/* Puts by a link without an answer, and bytes that its socket has not taken. */
#define UNANSWERED_MAX 1024
#define KEPT_MAX       ((size_t)1 << 18)

/* What is left of a large write for memory of ours, whose delivery tells of the rest's:
 * long enough to be no message of its own to the target, and short to copy. */
#define TAIL_BYTES ((size_t)4096)

/* ---- completion ---- */

struct awaited {
    struct tmbi_tcp *tcp;
    struct tmbi_tcp_peer *peer;
    uint64_t posted, sent, gets; /* what there was when the wait began */
};

static struct awaited awaited_now(const struct tmbi_remote *remote)
{
    struct tmbi_tcp_peer *peer = remote->provider_data;

    return (struct awaited){
        .tcp = tmbi_tcp(remote->ep),
        .peer = peer,
        .posted = atomic_load_explicit(&peer->posted, memory_order_seq_cst),
        .sent = atomic_load_explicit(&peer->sent, memory_order_seq_cst),
        .gets = atomic_load_explicit(&peer->gets_asked, memory_order_seq_cst)};
}

static bool writes_completed(const struct awaited *awaited)
{
    return atomic_load_explicit(&awaited->peer->completed, memory_order_seq_cst) >=
           awaited->posted;
}

static bool sent_completed(const struct awaited *awaited)
{
    return atomic_load_explicit(&awaited->peer->answered, memory_order_seq_cst) >=
               awaited->sent &&
           atomic_load_explicit(&awaited->peer->gets_done, memory_order_seq_cst) >=
               awaited->gets;
}

static bool writes_over(void *arg)
{
    const struct awaited *awaited = arg;

    if (writes_completed(awaited))
        return true;
    tmbi_tcp_transfers_look(awaited->tcp);
    return writes_completed(awaited) || !tmbi_tcp_alive(awaited->peer);
}

static bool sent_over(void *arg)
{
    const struct awaited *awaited = arg;

    if (sent_completed(awaited))
        return true;
    tmbi_tcp_link_serve(awaited->tcp, awaited->peer);
    return sent_completed(awaited) || !tmbi_tcp_alive(awaited->peer);
}

/* Why a put failed since this was last asked. */
static int failure_take(struct tmbi_tcp_peer *peer)
{
    /* acquire: partner is the store of who notes it */
    return atomic_load_explicit(&peer->put_status, memory_order_relaxed)
               ? atomic_exchange_explicit(&peer->put_status, 0, memory_order_acquire)
               : 0;
}

static int awaited_end(struct awaited *awaited)
{
    int rc = failure_take(awaited->peer);

    if (writes_completed(awaited) && sent_completed(awaited))
        return rc;
    tmbi_tcp_gets_give_up(awaited->peer);
    if (rc)
        return rc;
    return tmbi_tcp_alive(awaited->peer) ? tmbi_tcp_late(awaited->peer, "flush")
                                         : -EHOSTDOWN;
}

/* flush() meets what fails here again. */
void tmbi_tcp_flush_begin(const struct tmbi_remote *remote)
{
    struct awaited awaited = awaited_now(remote);

    if (!sent_completed(&awaited))
        tmbi_tcp_link_ask(awaited.tcp, awaited.peer);
}

int tmbi_tcp_flush(const struct tmbi_remote *remote)
{
    struct awaited awaited = awaited_now(remote);
    int64_t deadline;
    int rc;

    if (writes_completed(&awaited) && sent_completed(&awaited))
        return failure_take(awaited.peer);
    deadline = tmbi_op_deadline();
    rc = tmbi_tcp_link_ask(awaited.tcp, awaited.peer);
    if (rc) {
        tmbi_tcp_gets_give_up(awaited.peer);
        return rc;
    }
    tmbi_tcp_wait(awaited.tcp, awaited.peer, TMBI_TCP_LINK, sent_over, &awaited,
                  deadline);
    tmbi_tcp_wait(awaited.tcp, awaited.peer, TMBI_TCP_FABRIC, writes_over, &awaited,
                  deadline);
    return awaited_end(&awaited);
}

int tmbi_tcp_writes_await(const struct tmbi_remote *remote)
{
    struct awaited awaited = awaited_now(remote);

    return writes_completed(&awaited) ? 0 : tmbi_tcp_flush(remote);
}

int tmbi_tcp_sent_await(const struct tmbi_remote *remote)
{
    struct awaited awaited = awaited_now(remote);

    return sent_completed(&awaited) ? 0 : tmbi_tcp_flush(remote);
}

/* ---- by the link ---- */

bool tmbi_tcp_puts_answered(struct tmbi_tcp_peer *peer, uint64_t count, int status)
{
    uint64_t sent = atomic_load_explicit(&peer->sent, memory_order_seq_cst);
    uint64_t answered = atomic_load_explicit(&peer->answered, memory_order_seq_cst);

    if (count > sent - answered)
        return false;
    if (status)
        atomic_store_explicit(&peer->put_status, status, memory_order_release);
    /* seq_cst: partner is the load in sent_completed(), and a wake follows */
    atomic_fetch_add_explicit(&peer->answered, count, memory_order_seq_cst);
    return true;
}

static bool room(void *arg)
{
    struct awaited *awaited = arg;
    struct tmbi_tcp_peer *peer = awaited->peer;

    awaited->sent = atomic_load_explicit(&peer->sent, memory_order_seq_cst);
    awaited->sent -= awaited->sent < UNANSWERED_MAX ? awaited->sent : UNANSWERED_MAX - 1;
    if (tmbi_tcp_link_push(awaited->tcp, peer) > KEPT_MAX)
        tmbi_tcp_link_pull(awaited->tcp, peer); /* it may be full of answers to us */
    else if (sent_over(awaited))
        return true;
    return !tmbi_tcp_alive(peer);
}

int tmbi_tcp_link_ready(const struct tmbi_remote *remote, tmbi_ready *has_room, void *arg,
                        int64_t deadline)
{
    struct tmbi_tcp *tcp = tmbi_tcp(remote->ep);
    struct tmbi_tcp_peer *peer = remote->provider_data;
    int rc = tmbi_tcp_writes_await(remote);

    if (rc)
        return rc;
    rc = tmbi_tcp_wait(tcp, peer, TMBI_TCP_LINK, has_room, arg, deadline);
    if (rc)
        return tmbi_tcp_late(peer, "put or get");
    return tmbi_tcp_alive(peer) && tmbi_tcp_alive(&tcp->peers[tcp->head.job->rank])
               ? 0
               : -EHOSTDOWN;
}

static int put_ready(const struct tmbi_remote *remote, int64_t deadline)
{
    struct awaited awaited = {.tcp = tmbi_tcp(remote->ep), .peer = remote->provider_data};

    return tmbi_tcp_link_ready(remote, room, &awaited, deadline);
}

static int link_put(const struct tmbi_remote *remote, uint64_t offset, const uint8_t *src,
                    size_t bytes)
{
    int64_t deadline = tmbi_op_deadline();
    int rc = 0;

    for (size_t done = 0, piece; done < bytes && rc == 0; done += piece) {
        piece = bytes - done < TMBI_TCP_PUT_BYTES ? bytes - done : TMBI_TCP_PUT_BYTES;
        rc = put_ready(remote, deadline);
        if (rc == 0)
            rc = tmbi_tcp_put_send(remote, offset + done, src + done, piece, deadline);
    }
    return rc;
}

int tmbi_tcp_post(const struct tmbi_remote *remote, const struct tmbi_request *request,
                  const void *in, size_t in_bytes, bool urgent)
{
    struct tmbi_tcp_header header = {.kind = TMBI_TCP_REQUEST, .id = TMBI_TCP_PUTS};
    struct tmbi_request sent = *request;
    int rc = put_ready(remote, tmbi_op_deadline());

    if (rc)
        return rc;
    sent.window = remote->window;
    return tmbi_tcp_link_post(tmbi_tcp(remote->ep), remote->provider_data, &header, &sent,
                              sizeof sent, in, in_bytes, urgent);
}

/* ---- by libfabric ---- */

/* Write from memory of ours. */
static int chunk_put(const struct tmbi_remote *remote, uint64_t offset, const void *src,
                     size_t bytes, int64_t deadline)
{
    struct tmbi_tcp *tcp = tmbi_tcp(remote->ep);
    struct tmbi_tcp_transfer *t;
    int rc =
        tmbi_tcp_transfer_begin(tcp, remote->provider_data, TMBI_TCP_WRITE, deadline, &t);

    if (rc)
        return rc;
    memcpy(t->bytes, src, bytes);
    return tmbi_tcp_transfer_post(tcp, t, t->bytes, remote->address + offset, remote->key,
                                  bytes, deadline);
}

static int chunks_put(const struct tmbi_remote *remote, uint64_t offset, const void *src,
                      size_t bytes, int64_t deadline)
{
    int rc = 0;

    for (size_t done = 0; done < bytes && rc == 0; done += TMBI_TCP_TRANSFER_BYTES) {
        size_t left = bytes - done;

        rc = chunk_put(remote, offset + done, (const uint8_t *)src + done,
                       left < TMBI_TCP_TRANSFER_BYTES ? left : TMBI_TCP_TRANSFER_BYTES,
                       deadline);
    }
    return rc;
}

/* Write from the caller's memory, but for the tail, which goes from ours while libfabric
 * still sends. */
static int lent_put(const struct tmbi_remote *remote, uint64_t offset, const void *src,
                    size_t bytes, int64_t deadline)
{
    struct tmbi_tcp *tcp = tmbi_tcp(remote->ep);
    size_t lent = bytes - TAIL_BYTES;
    struct tmbi_tcp_transfer *t;
    int rc =
        tmbi_tcp_transfer_begin(tcp, remote->provider_data, TMBI_TCP_LENT, deadline, &t);
    int lent_rc;

    if (rc)
        return rc;
    rc = tmbi_tcp_transfer_post(tcp, t, src, remote->address + offset, remote->key, lent,
                                deadline);
    if (rc)
        return rc;
    rc = chunk_put(remote, offset + lent, (const uint8_t *)src + lent, TAIL_BYTES,
                   deadline);
    lent_rc = tmbi_tcp_transfer_wait(tcp, t, deadline);
    tmbi_tcp_transfer_return(tcp, t);
    return rc ? rc : lent_rc;
}

/* Only what is registered can be lent where libfabric says so. */
static int writes_put(const struct tmbi_remote *remote, uint64_t offset,
                      const uint8_t *src, size_t bytes)
{
    const struct fi_info *info = tmbi_tcp(remote->ep)->fabric.info;
    bool lends = !(info->domain_attr->mr_mode & FI_MR_LOCAL);
    size_t most = info->ep_attr->max_msg_size;
    int64_t deadline = tmbi_op_deadline();
    int rc = 0;

    for (size_t done = 0, part; done < bytes && rc == 0; done += part) {
        part = bytes - done < most ? bytes - done : most;
        rc = (lends && part > TAIL_BYTES ? lent_put : chunks_put)(
            remote, offset + done, src + done, part, deadline);
    }
    return rc;
}

static int write_put(const struct tmbi_remote *remote, uint64_t offset,
                     const uint8_t *src, size_t bytes)
{
    int rc = tmbi_tcp_sent_await(remote);

    if (rc)
        return rc;
    tmbi_tcp_fabric_look(tmbi_tcp(remote->ep), true);
    rc = writes_put(remote, offset, src, bytes);
    tmbi_tcp_fabric_look(tmbi_tcp(remote->ep), false);
    return rc;
}

int tmbi_tcp_put(const struct tmbi_remote *remote, uint64_t offset, const void *src,
                 size_t bytes)
{
    bool link = bytes <= tmbi_tcp(remote->ep)->fabric.link_max;

    return (link ? link_put : write_put)(remote, offset, src, bytes);
}
