/* SPDX-License-Identifier: BSD-3-Clause */
/* Transfers: their memory, handing them to libfabric, and how they end. */
#include "transfer.h"

#include <errno.h>
#include <rdma/fi_rma.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../core/clock.h"
#include "../../core/include/tombolo.h"
#include "../../core/log.h"

/* How often to ask libfabric at once again. */
#define YIELDS_MAX 100

/* ---- their memory; with the fabric's mutex ---- */

static void transfer_free(struct tmbi_tcp_fabric *f, struct tmbi_tcp_transfer *t)
{
    t->behind = f->free;
    f->free = t;
}

static struct tmbi_tcp_transfer *transfer_new(struct tmbi_tcp *tcp)
{
    struct tmbi_tcp_fabric *f = &tcp->fabric;
    struct tmbi_tcp_transfer *t = aligned_alloc(64, (sizeof *t + 63) / 64 * 64);

    if (!t)
        return NULL;
    memset(t, 0, offsetof(struct tmbi_tcp_transfer, bytes));
    if (f->info->domain_attr->mr_mode & FI_MR_LOCAL &&
        fi_mr_reg(f->domain, t->bytes, TMBI_TCP_TRANSFER_BYTES, FI_READ | FI_WRITE, 0,
                  ++f->next_key, 0, &t->mr, NULL)) {
        free(t);
        return NULL;
    }
    t->next = f->all;
    f->all = t;
    f->transfers++;
    return t;
}

void tmbi_tcp_transfers_free(struct tmbi_tcp *tcp)
{
    while (tcp->fabric.all) {
        struct tmbi_tcp_transfer *t = tcp->fabric.all;

        tcp->fabric.all = t->next;
        if (t->mr)
            fi_close(&t->mr->fid);
        free(t);
    }
}

/* ---- completion ---- */

static void writes_add(struct tmbi_tcp_peer *peer, struct tmbi_tcp_transfer *t)
{
    t->behind = NULL;
    if (peer->oldest)
        peer->newest->behind = t;
    else
        peer->oldest = t;
    peer->newest = t;
    atomic_fetch_add_explicit(&peer->posted, 1, memory_order_seq_cst);
}

static void writes_take_ended(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    while (peer->oldest &&
           atomic_load_explicit(&peer->oldest->status, memory_order_relaxed) !=
               TMBI_TCP_UNDER_WAY) {
        struct tmbi_tcp_transfer *t = peer->oldest;

        peer->oldest = t->behind;
        transfer_free(&tcp->fabric, t);
        /* seq_cst: partner is the load in puts_completed(), and a wake follows */
        atomic_fetch_add_explicit(&peer->completed, 1, memory_order_seq_cst);
    }
}

static void transfer_end(struct tmbi_tcp *tcp, struct tmbi_tcp_transfer *t, int status)
{
    tcp->fabric.under_way--;
    if (t->kind != TMBI_TCP_READ && status)
        atomic_store_explicit(&t->peer->put_status, status, memory_order_release);
    /* seq_cst: partner is the load in ended(), and a wake follows */
    atomic_store_explicit(&t->status, status, memory_order_seq_cst);
    if (t->kind == TMBI_TCP_WRITE)
        writes_take_ended(tcp, t->peer);
    else if (t->abandoned)
        transfer_free(&tcp->fabric, t);
}

static const char *name(const struct tmbi_tcp_transfer *t)
{
    return t->kind == TMBI_TCP_READ ? "get" : "put";
}

static void error_take(struct tmbi_tcp *tcp)
{
    struct fi_cq_err_entry error = {0};
    struct tmbi_tcp_transfer *t;

    if (fi_cq_readerr(tcp->fabric.cq, &error, 0) != 1 || !error.op_context)
        return;
    t = error.op_context;
    tmbi_info("rank %d: a %s failed: %s", t->peer->rank, name(t), fi_strerror(error.err));
    transfer_end(tcp, t, -EHOSTDOWN);
    tmbi_tcp_peer_end(tcp, t->peer, TMB_PEER_DEAD, "libfabric's connection broke");
}

void tmbi_tcp_complete(struct tmbi_tcp *tcp)
{
    struct fi_cq_entry entries[16];
    bool any = false;
    ssize_t count;

    tcp->fabric.settled = false;
    do {
        count = fi_cq_read(tcp->fabric.cq, entries, 16);
        for (ssize_t i = 0; i < count; i++)
            if (entries[i].op_context)
                transfer_end(tcp, entries[i].op_context, 0);
        if (count == -FI_EAVAIL)
            error_take(tcp);
        any |= count > 0 || count == -FI_EAVAIL;
    } while (count == 16 || count == -FI_EAVAIL);
    if (any)
        tmbi_wake_self(TMBI_LINE_WAIT);
}

void tmbi_tcp_transfers_look(struct tmbi_tcp *tcp)
{
    if (pthread_mutex_trylock(&tcp->fabric.mutex))
        return; /* another thread looks */
    tmbi_tcp_complete(tcp);
    pthread_mutex_unlock(&tcp->fabric.mutex);
}

/* ---- beginning ---- */

struct wanted {
    struct tmbi_tcp *tcp;
    struct tmbi_tcp_peer *peer;
    struct tmbi_tcp_transfer *transfer;
};

/* Takes one that is free, if there is. */
static bool transfer_got(void *arg)
{
    struct wanted *wanted = arg;
    struct tmbi_tcp_fabric *f = &wanted->tcp->fabric;

    pthread_mutex_lock(&f->mutex);
    if (!f->free)
        tmbi_tcp_complete(wanted->tcp);
    if (f->free) {
        wanted->transfer = f->free;
        f->free = f->free->behind;
    } else if (f->transfers < f->transfers_max) {
        wanted->transfer = transfer_new(wanted->tcp);
    }
    pthread_mutex_unlock(&f->mutex);
    return wanted->transfer || !tmbi_tcp_alive(wanted->peer);
}

static void transfer_init(struct tmbi_tcp_transfer *t, struct tmbi_tcp_peer *peer,
                          enum tmbi_tcp_transfer_kind kind)
{
    t->peer = peer;
    t->kind = kind;
    t->abandoned = false;
    atomic_store_explicit(&t->status, 0, memory_order_relaxed);
}

int tmbi_tcp_transfer_begin(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                            enum tmbi_tcp_transfer_kind kind, int64_t deadline,
                            struct tmbi_tcp_transfer **result)
{
    struct wanted wanted = {.tcp = tcp, .peer = peer};

    if (!tmbi_tcp_alive(peer) || !tmbi_tcp_alive(&tcp->peers[tcp->head.job->rank]))
        return -EHOSTDOWN;
    tmbi_tcp_wait(tcp, peer, TMBI_TCP_FABRIC, transfer_got, &wanted, deadline);
    if (!wanted.transfer && !tmbi_tcp_alive(peer))
        return -EHOSTDOWN;
    if (!wanted.transfer)
        return tmbi_tcp_late(peer, kind == TMBI_TCP_READ ? "get" : "put");
    transfer_init(wanted.transfer, peer, kind);
    *result = wanted.transfer;
    return 0;
}

/* ---- posting ---- */

static ssize_t post_try(struct tmbi_tcp *tcp, struct tmbi_tcp_transfer *t,
                        const void *local, uint64_t address, uint64_t key, size_t bytes)
{
    struct iovec here = {(void *)(uintptr_t)local, bytes};
    struct fi_rma_iov there = {address, bytes, key};
    void *desc = t->mr ? fi_mr_desc(t->mr) : NULL;
    struct fi_msg_rma message = {.msg_iov = &here,
                                 .desc = &desc,
                                 .iov_count = 1,
                                 .addr = t->peer->fabric,
                                 .rma_iov = &there,
                                 .rma_iov_count = 1,
                                 .context = t};
    uint64_t until = t->kind == TMBI_TCP_LENT ? FI_INJECT_COMPLETE : FI_DELIVERY_COMPLETE;
    ssize_t rc = t->kind == TMBI_TCP_READ
                     ? fi_readmsg(tcp->fabric.ep, &message, FI_COMPLETION)
                     : fi_writemsg(tcp->fabric.ep, &message, until | FI_COMPLETION);

    tcp->fabric.settled = false;
    if (rc == 0)
        tcp->fabric.under_way++;
    if (rc == 0 && t->kind == TMBI_TCP_WRITE)
        writes_add(t->peer, t);
    if (rc == -FI_EAGAIN)
        tmbi_tcp_complete(tcp); /* makes room, or connects */
    return rc;
}

/* libfabric may say "again" for ever when a peer has gone. */
static int post(struct tmbi_tcp *tcp, struct tmbi_tcp_transfer *t, const void *local,
                uint64_t address, uint64_t key, size_t bytes, int64_t deadline)
{
    const struct timespec pause = {.tv_nsec = 50000};
    ssize_t rc;

    atomic_store_explicit(&t->status, TMBI_TCP_UNDER_WAY, memory_order_relaxed);
    for (int tries = 0;; tries++) {
        pthread_mutex_lock(&tcp->fabric.mutex);
        rc = post_try(tcp, t, local, address, key, bytes);
        pthread_mutex_unlock(&tcp->fabric.mutex);
        if (rc != -FI_EAGAIN)
            break;
        if (!tmbi_tcp_alive(t->peer))
            return -EHOSTDOWN;
        if (tmbi_clock_ns() >= deadline)
            return tmbi_tcp_late(t->peer, name(t));
        /* Not for long: the progress thread needs the mutex, too. */
        if (tries < YIELDS_MAX)
            sched_yield();
        else
            nanosleep(&pause, NULL);
    }
    if (rc == 0)
        return 0;
    tmbi_error("rank %d: libfabric refuses a %s of %zu bytes: %s", t->peer->rank, name(t),
               bytes, fi_strerror((int)-rc));
    return -EIO;
}

int tmbi_tcp_transfer_post(struct tmbi_tcp *tcp, struct tmbi_tcp_transfer *t,
                           const void *local, uint64_t address, uint64_t key,
                           size_t bytes, int64_t deadline)
{
    int rc = post(tcp, t, local, address, key, bytes, deadline);

    if (rc) {
        atomic_store_explicit(&t->status, rc, memory_order_relaxed);
        tmbi_tcp_transfer_return(tcp, t);
    }
    return rc;
}

/* ---- ending ---- */

static bool ended(const struct tmbi_tcp_transfer *t)
{
    /* seq_cst: partner is the store in transfer_end() */
    return atomic_load_explicit(&t->status, memory_order_seq_cst) != TMBI_TCP_UNDER_WAY;
}

struct ending {
    struct tmbi_tcp *tcp;
    const struct tmbi_tcp_transfer *transfer;
};

static bool transfer_over(void *arg)
{
    const struct ending *ending = arg;

    if (ended(ending->transfer))
        return true;
    tmbi_tcp_transfers_look(ending->tcp);
    return ended(ending->transfer) || !tmbi_tcp_alive(ending->transfer->peer);
}

int tmbi_tcp_transfer_wait(struct tmbi_tcp *tcp, struct tmbi_tcp_transfer *t,
                           int64_t deadline)
{
    struct ending ending = {tcp, t};

    tmbi_tcp_wait(tcp, t->peer, TMBI_TCP_FABRIC, transfer_over, &ending, deadline);
    if (ended(t))
        return atomic_load_explicit(&t->status, memory_order_seq_cst);
    return tmbi_tcp_alive(t->peer) ? tmbi_tcp_late(t->peer, name(t)) : -EHOSTDOWN;
}

void tmbi_tcp_transfer_return(struct tmbi_tcp *tcp, struct tmbi_tcp_transfer *t)
{
    pthread_mutex_lock(&tcp->fabric.mutex);
    if (atomic_load_explicit(&t->status, memory_order_relaxed) == TMBI_TCP_UNDER_WAY) {
        t->abandoned = true; /* libfabric has it still, and perhaps for good */
        tcp->fabric.transfers_max++;
    } else {
        transfer_free(&tcp->fabric, t);
    }
    pthread_mutex_unlock(&tcp->fabric.mutex);
}

/* ---- the anchor; before waits can sleep ---- */

int tmbi_tcp_anchor_read(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                         int64_t deadline)
{
    const struct timespec pause = {.tv_nsec = 100000};
    struct wanted wanted = {.tcp = tcp, .peer = peer};
    struct ending ending = {.tcp = tcp};
    uint64_t cookie;
    int rc;

    if (!transfer_got(&wanted) || !wanted.transfer)
        return -ENOMEM;
    transfer_init(wanted.transfer, peer, TMBI_TCP_READ);
    ending.transfer = wanted.transfer;
    rc = tmbi_tcp_transfer_post(tcp, wanted.transfer, wanted.transfer->bytes,
                                peer->anchor, peer->anchor_key, sizeof cookie, deadline);
    if (rc)
        return rc;
    while (!transfer_over(&ending) && tmbi_clock_ns() < deadline)
        nanosleep(&pause, NULL);
    rc = atomic_load_explicit(&wanted.transfer->status, memory_order_seq_cst);
    memcpy(&cookie, wanted.transfer->bytes, sizeof cookie);
    tmbi_tcp_transfer_return(tcp, wanted.transfer);
    if (rc == TMBI_TCP_UNDER_WAY)
        return -ETIMEDOUT;
    return rc || cookie == peer->cookie ? rc : -EPROTO;
}
