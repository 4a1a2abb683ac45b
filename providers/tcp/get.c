/* SPDX-License-Identifier: BSD-3-Clause */
/* Gets: by the link a request, or several; or libfabric's reads. Of requests that nobody
 * waits for yet many are under way at once. */
#include "transfer.h"

#include <errno.h>
#include <string.h>

/* What one request asks for. */
#define PIECE_BYTES ((size_t)65536)

/* Reads of one get that are under way at the same time. */
#define READS_MAX 16

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
    return &get->reads[done / TMBI_TCP_TRANSFER_BYTES % READS_MAX];
}

static size_t chunk_at(const struct get *get, size_t done)
{
    return get->bytes - done < TMBI_TCP_TRANSFER_BYTES ? get->bytes - done
                                                       : TMBI_TCP_TRANSFER_BYTES;
}

static int read_post(struct get *get)
{
    const struct tmbi_remote *remote = get->remote;
    size_t bytes = chunk_at(get, get->posted);
    struct tmbi_tcp_transfer *t;
    int rc = tmbi_tcp_transfer_begin(get->tcp, remote->provider_data, TMBI_TCP_READ,
                                     get->deadline, &t);

    if (rc)
        return rc;
    rc = tmbi_tcp_transfer_post(get->tcp, t, t->bytes,
                                remote->address + get->offset + get->posted, remote->key,
                                bytes, get->deadline);
    if (rc)
        return rc;
    *read_at(get, get->posted) = t;
    get->posted += bytes;
    return 0;
}

static int read_take(struct get *get)
{
    struct tmbi_tcp_transfer *t = *read_at(get, get->taken);
    size_t bytes = chunk_at(get, get->taken);
    int rc = tmbi_tcp_transfer_wait(get->tcp, t, get->deadline);

    if (rc == 0)
        memcpy(get->dst + get->taken, t->bytes, bytes);
    tmbi_tcp_transfer_return(get->tcp, t);
    get->taken += bytes;
    return rc;
}

static int reads_get(struct get *get)
{
    int rc = 0;

    while (rc == 0 && get->taken < get->bytes) {
        while (rc == 0 && get->posted < get->bytes &&
               get->posted - get->taken < READS_MAX * TMBI_TCP_TRANSFER_BYTES)
            rc = read_post(get);
        if (get->taken < get->posted && rc == 0)
            rc = read_take(get);
    }
    while (get->taken < get->posted) {
        tmbi_tcp_transfer_return(get->tcp, *read_at(get, get->taken));
        get->taken += chunk_at(get, get->taken);
    }
    return rc;
}

static int read_get(const struct tmbi_remote *remote, uint64_t offset, void *dst,
                    size_t bytes)
{
    struct get get = {.remote = remote,
                      .tcp = tmbi_tcp(remote->ep),
                      .offset = offset,
                      .dst = dst,
                      .bytes = bytes,
                      .deadline = tmbi_op_deadline()};
    /* libfabric keeps its own writes in order before this. */
    int rc = tmbi_tcp_sent_await(remote);

    if (rc)
        return rc;
    tmbi_tcp_fabric_look(get.tcp, true);
    rc = reads_get(&get);
    tmbi_tcp_fabric_look(get.tcp, false);
    return rc;
}

static int small_get(const struct tmbi_remote *remote, uint64_t offset, void *dst,
                     size_t bytes)
{
    struct tmbi_request request = {
        .kind = TMBI_REQUEST_GET, .offset = offset, .count = bytes};

    return tmbi_tcp_call(remote, &request, NULL, 0, dst, bytes);
}

/* ---- begun now, ended later ---- */

/* What is under way to one peer. */
#define GETS_BYTES ((uint64_t)1 << 20)

static bool gets_fit(const struct tmbi_tcp_peer *peer)
{
    return tmbi_tcp_gets_under_way(peer) < TMBI_TCP_GETS &&
           atomic_load_explicit(&peer->gets_bytes, memory_order_relaxed) < GETS_BYTES;
}

static bool gets_room(void *arg)
{
    const struct tmbi_remote *remote = arg;
    struct tmbi_tcp_peer *peer = remote->provider_data;

    if (gets_fit(peer))
        return true;
    tmbi_tcp_link_release(tmbi_tcp(remote->ep), peer);
    tmbi_tcp_link_serve(tmbi_tcp(remote->ep), peer);
    return gets_fit(peer) || !tmbi_tcp_alive(peer);
}

static int piece_begin(const struct tmbi_remote *remote, uint64_t offset, void *dst,
                       size_t bytes, int64_t deadline)
{
    struct tmbi_tcp_header header = {.kind = TMBI_TCP_REQUEST, .value = bytes};
    struct tmbi_request request = {.kind = TMBI_REQUEST_GET,
                                   .window = remote->window,
                                   .offset = offset,
                                   .count = bytes};
    int rc;

    do { /* another thread may take the room */
        rc = tmbi_tcp_link_ready(remote, gets_room, (void *)(uintptr_t)remote, deadline);
        if (rc == 0)
            rc = tmbi_tcp_link_get(tmbi_tcp(remote->ep), remote->provider_data, &header,
                                   &request, dst);
    } while (rc == -EAGAIN);
    return rc;
}

int tmbi_tcp_get_begin(const struct tmbi_remote *remote, uint64_t offset, void *dst,
                       size_t bytes)
{
    int64_t deadline = tmbi_op_deadline();
    size_t piece;
    int rc = 0;

    if (bytes > tmbi_tcp(remote->ep)->fabric.link_max)
        return read_get(remote, offset, dst, bytes);
    for (size_t done = 0; done < bytes && rc == 0; done += piece) {
        piece = bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES;
        rc = piece_begin(remote, offset + done, (uint8_t *)dst + done, piece, deadline);
    }
    return rc;
}

int tmbi_tcp_get_end(const struct tmbi_remote *remote)
{
    const struct tmbi_tcp_peer *peer = remote->provider_data;

    if (tmbi_tcp_gets_under_way(peer) == 0 &&
        !atomic_load_explicit(&peer->put_status, memory_order_relaxed))
        return 0;
    return tmbi_tcp_flush(remote);
}

bool tmbi_tcp_get_answered(struct tmbi_tcp_peer *peer,
                           const struct tmbi_tcp_header *header, const uint8_t *body)
{
    uint64_t number = atomic_load_explicit(&peer->gets_done, memory_order_relaxed);
    int status = header->status;
    struct tmbi_tcp_get *get;

    if (header->id != (TMBI_TCP_GET | number) ||
        number == atomic_load_explicit(&peer->gets_asked, memory_order_seq_cst))
        return false;
    get = &peer->gets[number % TMBI_TCP_GETS];
    if (status == 0 && header->bytes != get->bytes)
        return false;
    if (status == 0 && !get->dst)
        status = -ETIMEDOUT;
    if (status == 0)
        memcpy(get->dst, body, get->bytes);
    else
        atomic_store_explicit(&peer->put_status, status, memory_order_release);
    atomic_fetch_sub_explicit(&peer->gets_bytes, get->bytes, memory_order_relaxed);
    /* seq_cst: partner is the load of who waits, and a wake follows */
    atomic_store_explicit(&peer->gets_done, number + 1, memory_order_seq_cst);
    return true;
}

void tmbi_tcp_gets_give_up(struct tmbi_tcp_peer *peer)
{
    pthread_mutex_lock(&peer->link.receive_mutex);
    for (uint64_t i = atomic_load_explicit(&peer->gets_done, memory_order_relaxed);
         i != atomic_load_explicit(&peer->gets_asked, memory_order_seq_cst); i++)
        peer->gets[i % TMBI_TCP_GETS].dst = NULL;
    pthread_mutex_unlock(&peer->link.receive_mutex);
}

int tmbi_tcp_get(const struct tmbi_remote *remote, uint64_t offset, void *dst,
                 size_t bytes)
{
    int rc, end_rc;

    if (bytes > tmbi_tcp(remote->ep)->fabric.link_max)
        return read_get(remote, offset, dst, bytes);
    if (bytes <= PIECE_BYTES)
        return small_get(remote, offset, dst, bytes);
    rc = tmbi_tcp_get_begin(remote, offset, dst, bytes);
    end_rc = tmbi_tcp_get_end(remote); /* in error, too: `dst` is the caller's again */
    return rc ? rc : end_rc;
}
