/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Puts and gets: libfabric's writes, complete when they have been delivered, and reads.
 * They work on memory of ours, from which and to which we copy: so that the source is
 * reusable at once, and that a transfer of which we despaired can't write into what the
 * application uses otherwise by then.
 */
#include "tcp.h"

#include <errno.h>
#include <inttypes.h>
#include <rdma/fi_rma.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../core/clock.h"
#include "../../core/include/tombolo.h"
#include "../../core/log.h"

#define TRANSFER_BYTES ((size_t)65536)

/* Reads of one get that are under way at the same time. */
#define READS_MAX 16

#define UNDER_WAY 1

/* How often to ask libfabric at once again. */
#define YIELDS_MAX 100

/* Puts of words without an answer. */
#define WORDS_MAX 1024

struct tmbi_tcp_transfer {
    struct fi_context2 context;       /* libfabric's, and first: completions name it */
    struct tmbi_tcp_transfer *next;   /* of all */
    struct tmbi_tcp_transfer *behind; /* of the free ones, or of the peer's puts */
    struct tmbi_tcp_peer *peer;
    bool put;
    bool abandoned;     /* nobody waits any more: under the fabric's mutex */
    _Atomic int status; /* UNDER_WAY, or how it ended; release, acquire */
    struct tmbi_tcp_registration registration;
    uint8_t bytes[TRANSFER_BYTES];
};

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
        fi_mr_reg(f->domain, t->bytes, TRANSFER_BYTES, FI_READ | FI_WRITE, 0,
                  ++f->next_key, 0, &t->registration.mr, NULL)) {
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
        if (t->registration.mr)
            fi_close(&t->registration.mr->fid);
        free(t);
    }
}

/* ---- completion ---- */

static void puts_add(struct tmbi_tcp_peer *peer, struct tmbi_tcp_transfer *t)
{
    t->behind = NULL;
    if (peer->oldest)
        peer->newest->behind = t;
    else
        peer->oldest = t;
    peer->newest = t;
    atomic_fetch_add_explicit(&peer->posted, 1, memory_order_seq_cst);
}

static void puts_take_ended(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    while (peer->oldest && atomic_load_explicit(&peer->oldest->status,
                                                memory_order_relaxed) != UNDER_WAY) {
        struct tmbi_tcp_transfer *t = peer->oldest;

        peer->oldest = t->behind;
        transfer_free(&tcp->fabric, t);
        /* seq_cst: partner is the load in puts_done(), and a wake follows */
        atomic_fetch_add_explicit(&peer->completed, 1, memory_order_seq_cst);
    }
}

static void transfer_end(struct tmbi_tcp *tcp, struct tmbi_tcp_transfer *t, int status)
{
    if (t->put && status)
        atomic_store_explicit(&t->peer->put_status, status, memory_order_release);
    /* seq_cst: partner is the load in read_done(), and a wake follows */
    atomic_store_explicit(&t->status, status, memory_order_seq_cst);
    if (t->put)
        puts_take_ended(tcp, t->peer);
    else if (t->abandoned)
        transfer_free(&tcp->fabric, t);
}

static void error_take(struct tmbi_tcp *tcp)
{
    struct fi_cq_err_entry error = {0};
    struct tmbi_tcp_transfer *t;

    if (fi_cq_readerr(tcp->fabric.cq, &error, 0) != 1 || !error.op_context)
        return;
    t = error.op_context;
    tmbi_info("rank %d: a %s failed: %s", t->peer->rank, t->put ? "put" : "get",
              fi_strerror(error.err));
    transfer_end(tcp, t, -EHOSTDOWN);
    tmbi_tcp_peer_end(tcp, t->peer, TMB_PEER_DEAD, "libfabric's connection broke");
}

void tmbi_tcp_complete(struct tmbi_tcp *tcp)
{
    struct fi_cq_entry entries[16];
    bool any = false;
    ssize_t count;

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

/* ---- waiting ---- */

static void look(struct tmbi_tcp *tcp)
{
    if (pthread_mutex_trylock(&tcp->fabric.mutex))
        return; /* another thread looks */
    tmbi_tcp_complete(tcp);
    pthread_mutex_unlock(&tcp->fabric.mutex);
}

struct awaited {
    struct tmbi_tcp *tcp;
    struct tmbi_tcp_peer *peer;
    struct tmbi_tcp_transfer *transfer;
    uint64_t posted, words; /* puts */
};

static bool words_completed(const struct awaited *awaited)
{
    return atomic_load_explicit(&awaited->peer->words_answered, memory_order_seq_cst) >=
           awaited->words;
}

static bool puts_completed(const struct awaited *awaited)
{
    return atomic_load_explicit(&awaited->peer->completed, memory_order_seq_cst) >=
               awaited->posted &&
           words_completed(awaited);
}

static bool puts_done(void *arg)
{
    const struct awaited *awaited = arg;

    if (words_completed(awaited))
        look(awaited->tcp);
    else
        tmbi_tcp_link_pull(awaited->tcp, awaited->peer);
    return puts_completed(awaited) || !tmbi_tcp_alive(awaited->peer);
}

static bool read_done(void *arg)
{
    const struct awaited *awaited = arg;

    look(awaited->tcp);
    return atomic_load_explicit(&awaited->transfer->status, memory_order_seq_cst) !=
               UNDER_WAY ||
           !tmbi_tcp_alive(awaited->peer);
}

/* Takes one that is free, if there is. */
static bool transfer_got(void *arg)
{
    struct awaited *awaited = arg;
    struct tmbi_tcp_fabric *f = &awaited->tcp->fabric;

    pthread_mutex_lock(&f->mutex);
    if (!f->free)
        tmbi_tcp_complete(awaited->tcp);
    if (f->free) {
        awaited->transfer = f->free;
        f->free = f->free->behind;
    } else if (f->transfers < f->transfers_max) {
        awaited->transfer = transfer_new(awaited->tcp);
    }
    pthread_mutex_unlock(&f->mutex);
    return awaited->transfer || !tmbi_tcp_alive(awaited->peer);
}

static int late(const struct tmbi_tcp_peer *peer, const char *what)
{
    tmbi_error("rank %d: a %s did not end within TMB_OP_TIMEOUT; is it stopped, or the "
               "network cut?",
               peer->rank, what);
    return -ETIMEDOUT;
}

/* ---- posting ---- */

static ssize_t post_try(struct tmbi_tcp *tcp, struct tmbi_tcp_transfer *t,
                        uint64_t address, uint64_t key, size_t bytes)
{
    struct iovec here = {t->bytes, bytes};
    struct fi_rma_iov there = {address, bytes, key};
    void *desc = t->registration.mr ? fi_mr_desc(t->registration.mr) : NULL;
    struct fi_msg_rma message = {.msg_iov = &here,
                                 .desc = &desc,
                                 .iov_count = 1,
                                 .addr = t->peer->fabric,
                                 .rma_iov = &there,
                                 .rma_iov_count = 1,
                                 .context = t};
    ssize_t rc = t->put ? fi_writemsg(tcp->fabric.ep, &message,
                                      FI_DELIVERY_COMPLETE | FI_COMPLETION)
                        : fi_readmsg(tcp->fabric.ep, &message, FI_COMPLETION);

    if (rc == 0 && t->put)
        puts_add(t->peer, t);
    if (rc == -FI_EAGAIN)
        tmbi_tcp_complete(tcp); /* makes room, or connects */
    return rc;
}

/* libfabric may say "again" for ever when a peer has gone. */
static int post(struct tmbi_tcp *tcp, struct tmbi_tcp_transfer *t, uint64_t address,
                uint64_t key, size_t bytes, int64_t deadline)
{
    const struct timespec pause = {.tv_nsec = 50000};
    ssize_t rc;

    atomic_store_explicit(&t->status, UNDER_WAY, memory_order_relaxed);
    for (int tries = 0;; tries++) {
        pthread_mutex_lock(&tcp->fabric.mutex);
        rc = post_try(tcp, t, address, key, bytes);
        pthread_mutex_unlock(&tcp->fabric.mutex);
        if (rc != -FI_EAGAIN)
            break;
        if (!tmbi_tcp_alive(t->peer))
            return -EHOSTDOWN;
        if (tmbi_clock_ns() >= deadline)
            return late(t->peer, t->put ? "put" : "get");
        /* Not for long: the progress thread needs the mutex, too. */
        if (tries < YIELDS_MAX)
            sched_yield();
        else
            nanosleep(&pause, NULL);
    }
    if (rc == 0)
        return 0;
    tmbi_error("rank %d: libfabric refuses a %s of %zu bytes: %s", t->peer->rank,
               t->put ? "put" : "get", bytes, fi_strerror((int)-rc));
    return -EIO;
}

static int transfer_begin(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, bool put,
                          int64_t deadline, struct tmbi_tcp_transfer **result)
{
    struct awaited awaited = {.tcp = tcp, .peer = peer};

    if (!tmbi_tcp_alive(peer) || !tmbi_tcp_alive(&tcp->peers[tcp->head.job->rank]))
        return -EHOSTDOWN;
    if (!transfer_got(&awaited))
        tmbi_wait_until(TMBI_LINE_WAIT, transfer_got, &awaited, deadline);
    if (!awaited.transfer)
        return tmbi_tcp_alive(peer) ? late(peer, put ? "put" : "get") : -EHOSTDOWN;
    awaited.transfer->peer = peer;
    awaited.transfer->put = put;
    awaited.transfer->abandoned = false;
    *result = awaited.transfer;
    return 0;
}

static void transfer_return(struct tmbi_tcp *tcp, struct tmbi_tcp_transfer *t)
{
    pthread_mutex_lock(&tcp->fabric.mutex);
    if (atomic_load_explicit(&t->status, memory_order_relaxed) == UNDER_WAY) {
        t->abandoned = true; /* libfabric has it still, and perhaps for good */
        tcp->fabric.transfers_max++;
    } else {
        transfer_free(&tcp->fabric, t);
    }
    pthread_mutex_unlock(&tcp->fabric.mutex);
}

/* ---- puts ---- */

static int put_chunk(const struct tmbi_remote *remote, uint64_t offset, const void *src,
                     size_t bytes, int64_t deadline)
{
    struct tmbi_tcp *tcp = tmbi_tcp(remote->ep);
    struct tmbi_tcp_peer *peer = remote->provider_data;
    struct tmbi_tcp_transfer *t;
    int rc = transfer_begin(tcp, peer, true, deadline, &t);

    if (rc)
        return rc;
    memcpy(t->bytes, src, bytes);
    rc = post(tcp, t, remote->address + offset, remote->key, bytes, deadline);
    if (rc) {
        atomic_store_explicit(&t->status, rc, memory_order_relaxed);
        transfer_return(tcp, t);
    }
    return rc;
}

static uint64_t words_under_way(struct tmbi_tcp_peer *peer)
{
    /* The answers first: more of them than were sent there never are. */
    uint64_t answered = atomic_load_explicit(&peer->words_answered, memory_order_seq_cst);

    return atomic_load_explicit(&peer->words_sent, memory_order_seq_cst) - answered;
}

static bool writes_under_way(struct tmbi_tcp_peer *peer)
{
    uint64_t completed = atomic_load_explicit(&peer->completed, memory_order_seq_cst);

    return atomic_load_explicit(&peer->posted, memory_order_seq_cst) != completed;
}

/* libfabric may write a word in two parts, where its stream is cut: words go by the link,
 * and the agent stores them in one. Who changes from one to the other waits, so that puts
 * stay in order. */
static int word_put(const struct tmbi_remote *remote, uint64_t offset, const void *src,
                    size_t bytes)
{
    struct tmbi_tcp_peer *peer = remote->provider_data;
    int rc = 0;

    if (writes_under_way(peer) || words_under_way(peer) >= WORDS_MAX)
        rc = tmbi_tcp_flush(remote);
    return rc ? rc : tmbi_tcp_word_put(remote, offset, src, bytes);
}

int tmbi_tcp_put(const struct tmbi_remote *remote, uint64_t offset, const void *src,
                 size_t bytes)
{
    int64_t deadline = tmbi_op_deadline();
    int rc = 0;

    if (bytes <= sizeof(uint64_t))
        return word_put(remote, offset, src, bytes);
    if (words_under_way(remote->provider_data))
        rc = tmbi_tcp_flush(remote);
    for (size_t done = 0; done < bytes && rc == 0; done += TRANSFER_BYTES)
        rc = put_chunk(remote, offset + done, (const uint8_t *)src + done,
                       bytes - done < TRANSFER_BYTES ? bytes - done : TRANSFER_BYTES,
                       deadline);
    return rc;
}

int tmbi_tcp_flush(const struct tmbi_remote *remote)
{
    struct awaited awaited = {.tcp = tmbi_tcp(remote->ep), .peer = remote->provider_data};
    struct tmbi_tcp_peer *peer = awaited.peer;
    int rc;

    awaited.posted = atomic_load_explicit(&peer->posted, memory_order_seq_cst);
    awaited.words = atomic_load_explicit(&peer->words_sent, memory_order_seq_cst);
    if (!puts_completed(&awaited))
        tmbi_wait_until(TMBI_LINE_WAIT, puts_done, &awaited, tmbi_op_deadline());
    /* acquire: partner is the store in transfer_end() */
    rc = atomic_exchange_explicit(&peer->put_status, 0, memory_order_acquire);
    if (rc || puts_completed(&awaited))
        return rc;
    return tmbi_tcp_alive(peer) ? late(peer, "flush") : -EHOSTDOWN;
}

/* ---- gets ---- */

/* The reads of one get, in a ring: posted ahead, and taken in order. */
struct get {
    const struct tmbi_remote *remote;
    struct tmbi_tcp *tcp;
    uint64_t offset;
    uint8_t *dst;
    size_t bytes, posted, taken;
    int64_t deadline;
    struct tmbi_tcp_transfer *reads[READS_MAX];
};

static struct tmbi_tcp_transfer **read_at(struct get *get, size_t done)
{
    return &get->reads[done / TRANSFER_BYTES % READS_MAX];
}

static size_t chunk_at(const struct get *get, size_t done)
{
    return get->bytes - done < TRANSFER_BYTES ? get->bytes - done : TRANSFER_BYTES;
}

static int read_post(struct get *get)
{
    struct tmbi_tcp_transfer *t;
    int rc =
        transfer_begin(get->tcp, get->remote->provider_data, false, get->deadline, &t);

    if (rc)
        return rc;
    rc = post(get->tcp, t, get->remote->address + get->offset + get->posted,
              get->remote->key, chunk_at(get, get->posted), get->deadline);
    if (rc) {
        atomic_store_explicit(&t->status, rc, memory_order_relaxed);
        transfer_return(get->tcp, t);
        return rc;
    }
    *read_at(get, get->posted) = t;
    get->posted += chunk_at(get, get->posted);
    return 0;
}

static int read_take(struct get *get)
{
    struct tmbi_tcp_transfer *t = *read_at(get, get->taken);
    struct awaited awaited = {
        .tcp = get->tcp, .peer = get->remote->provider_data, .transfer = t};
    size_t bytes = chunk_at(get, get->taken);
    int rc;

    tmbi_wait_until(TMBI_LINE_WAIT, read_done, &awaited, get->deadline);
    /* seq_cst: partner is the store in transfer_end() */
    rc = atomic_load_explicit(&t->status, memory_order_seq_cst);
    if (rc == 0)
        memcpy(get->dst + get->taken, t->bytes, bytes);
    else if (rc == UNDER_WAY)
        rc = tmbi_tcp_alive(awaited.peer) ? late(awaited.peer, "get") : -EHOSTDOWN;
    transfer_return(get->tcp, t);
    get->taken += bytes;
    return rc;
}

int tmbi_tcp_get(const struct tmbi_remote *remote, uint64_t offset, void *dst,
                 size_t bytes)
{
    struct get get = {.remote = remote,
                      .tcp = tmbi_tcp(remote->ep),
                      .offset = offset,
                      .dst = dst,
                      .bytes = bytes,
                      .deadline = tmbi_op_deadline()};
    /* libfabric keeps our own puts in order before this, but for words. */
    int rc = words_under_way(remote->provider_data) ? tmbi_tcp_flush(remote) : 0;

    while (rc == 0 && get.taken < bytes) {
        while (rc == 0 && get.posted < bytes &&
               (get.posted == get.taken ||
                get.posted - get.taken < READS_MAX * TRANSFER_BYTES))
            rc = read_post(&get);
        if (get.taken < get.posted && rc == 0)
            rc = read_take(&get);
    }
    while (get.taken < get.posted) {
        transfer_return(get.tcp, *read_at(&get, get.taken));
        get.taken += chunk_at(&get, get.taken);
    }
    return rc;
}

/* ---- the anchor ---- */

int tmbi_tcp_anchor_read(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                         int64_t deadline)
{
    const struct timespec pause = {.tv_nsec = 100000};
    struct awaited awaited = {.tcp = tcp, .peer = peer};
    uint64_t cookie;
    int rc;

    if (!transfer_got(&awaited) || !awaited.transfer)
        return -ENOMEM;
    awaited.transfer->peer = peer;
    awaited.transfer->put = awaited.transfer->abandoned = false;
    rc = post(tcp, awaited.transfer, peer->anchor, peer->anchor_key, sizeof cookie,
              deadline);
    while (rc == 0 && !read_done(&awaited) && tmbi_clock_ns() < deadline)
        nanosleep(&pause, NULL);
    if (rc == 0)
        rc = atomic_load_explicit(&awaited.transfer->status, memory_order_seq_cst);
    else
        atomic_store_explicit(&awaited.transfer->status, rc, memory_order_relaxed);
    memcpy(&cookie, awaited.transfer->bytes, sizeof cookie);
    transfer_return(tcp, awaited.transfer);
    if (rc == UNDER_WAY)
        return -ETIMEDOUT;
    return rc || cookie == peer->cookie ? rc : -EPROTO;
}
