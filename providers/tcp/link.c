/* SPDX-License-Identifier: BSD-3-Clause */
/* Links: sending without blocking, and taking apart what comes. */
#include "tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "../../core/clock.h"
#include "../../core/include/tombolo.h"
#include "../../core/log.h"

/* From here on a peer that does not read its answers is not listened to. */
#define BACKLOG_MAX ((size_t)1 << 20)

/* What a buffer has at least, and goes back to when it is empty: a peer costs little
 * while it is idle. */
#define BUFFER_BYTES ((size_t)4096)

static int buffer_resize(struct tmbi_tcp_buffer *buffer, size_t capacity)
{
    uint8_t *bytes = realloc(buffer->bytes, capacity);

    if (!bytes)
        return -ENOMEM;
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return 0;
}

static void buffer_trim(struct tmbi_tcp_buffer *buffer)
{
    if (buffer->used == 0 && buffer->capacity > BUFFER_BYTES)
        buffer_resize(buffer, BUFFER_BYTES); /* or it stays */
}

int tmbi_tcp_link_init(struct tmbi_tcp_link *link)
{
    link->fd = -1;
    pthread_mutex_init(&link->send_mutex, NULL);
    pthread_mutex_init(&link->receive_mutex, NULL);
    return buffer_resize(&link->in, BUFFER_BYTES);
}

void tmbi_tcp_link_fini(struct tmbi_tcp_link *link)
{
    pthread_mutex_destroy(&link->send_mutex);
    pthread_mutex_destroy(&link->receive_mutex);
    free(link->in.bytes);
    free(link->out.bytes);
}

/* ---- ends ---- */

void tmbi_tcp_peer_end(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, int state,
                       const char *why)
{
    int alive = TMB_PEER_ALIVE;

    if (!atomic_compare_exchange_strong_explicit(
            &peer->state, &alive, state, memory_order_seq_cst, memory_order_seq_cst))
        return;
    if (state == TMB_PEER_DEAD) {
        if (why)
            tmbi_info("tcp: rank %d is dead: %s", peer->rank, why);
        /* release: partner is the acquire of who looks at `deaths` */
        atomic_fetch_add_explicit(&tcp->deaths, 1, memory_order_release);
    }
    tmbi_wake_self(TMBI_LINE_WAIT);
}

/* ---- sending ---- */

static int buffer_add(struct tmbi_tcp_buffer *buffer, const void *bytes, size_t count)
{
    if (buffer->capacity - buffer->used < count &&
        buffer_resize(buffer, (buffer->used + count) * 2))
        return -ENOMEM;
    memcpy(buffer->bytes + buffer->used, bytes, count);
    buffer->used += count;
    return 0;
}

/* What the socket took of it all; what ends a link is noticed by who receives. */
static size_t send_now(struct tmbi_tcp_link *link, struct iovec *parts, size_t count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t sent = sendmsg(link->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

    atomic_store_explicit(&link->sent_ns, tmbi_clock_ns(), memory_order_relaxed);
    return sent < 0 ? 0 : (size_t)sent;
}

/* With the send mutex. */
static int send_or_keep(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                        struct iovec *parts, size_t count)
{
    struct tmbi_tcp_buffer *out = &peer->link.out;
    bool idle = out->used == 0;
    size_t sent = idle ? send_now(&peer->link, parts, count) : 0;
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        size_t gone = sent < parts[i].iov_len ? sent : parts[i].iov_len;

        sent -= gone;
        if (gone < parts[i].iov_len)
            rc = buffer_add(out, (uint8_t *)parts[i].iov_base + gone,
                            parts[i].iov_len - gone);
    }
    if (out->used && (idle || out->used > BACKLOG_MAX))
        tmbi_tcp_watch_link(tcp, peer, out->used <= BACKLOG_MAX, true);
    return rc;
}

int tmbi_tcp_link_send(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                       struct tmbi_tcp_header *header, const void *body,
                       size_t body_bytes, const void *payload, size_t payload_bytes)
{
    struct iovec parts[] = {{header, sizeof *header},
                            {(void *)(uintptr_t)body, body_bytes},
                            {(void *)(uintptr_t)payload, payload_bytes}};
    int rc;

    header->magic = TMBI_TCP_MAGIC;
    header->bytes = (uint32_t)(body_bytes + payload_bytes);
    pthread_mutex_lock(&peer->link.send_mutex);
    rc = peer->link.fd < 0 ? -EHOSTDOWN : send_or_keep(tcp, peer, parts, 3);
    pthread_mutex_unlock(&peer->link.send_mutex);
    return rc;
}

void tmbi_tcp_link_push(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    struct tmbi_tcp_buffer *out = &peer->link.out;
    struct iovec part;
    size_t sent;

    pthread_mutex_lock(&peer->link.send_mutex);
    part = (struct iovec){out->bytes, out->used};
    sent = out->used ? send_now(&peer->link, &part, 1) : 0;
    out->used -= sent;
    if (sent)
        memmove(out->bytes, out->bytes + sent, out->used);
    buffer_trim(out);
    if (sent)
        tmbi_tcp_watch_link(tcp, peer, out->used <= BACKLOG_MAX, out->used > 0);
    pthread_mutex_unlock(&peer->link.send_mutex);
}

/* ---- receiving; with the receive mutex ---- */

static void link_over(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, const char *why)
{
    peer->link.over = true;
    tmbi_tcp_unwatch(tcp, peer->link.fd);
    shutdown(peer->link.fd, SHUT_RDWR);
    tmbi_tcp_peer_end(tcp, peer, TMB_PEER_DEAD, why);
}

static void garbage(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, const char *why)
{
    tmbi_error("tcp: rank %d sent no message that can be read: %s; its connection is "
               "closed, and it counts as dead",
               peer->rank, why);
    link_over(tcp, peer, NULL);
}

static void hello_take(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                       const uint8_t *body)
{
    struct tmbi_tcp_hello hello;

    memcpy(&hello, body, sizeof hello);
    if (tmbi_tcp_hello_check(tcp, &hello, peer->rank) == 0 &&
        hello.rank == (uint32_t)peer->rank)
        /* release: partner is the acquire of who waits for it in connect() */
        atomic_store_explicit(&peer->link.up, true, memory_order_release);
    else
        link_over(tcp, peer, "its greeting was wrong");
}

/* The others have given us up: we can't go on as if they had not. */
static void own_death_take(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    tmbi_error("tcp: rank %d has declared this rank dead, for it was silent for longer "
               "than TMB_TCP_TIMEOUT",
               peer->rank);
    tmbi_tcp_peer_end(tcp, &tcp->peers[tcp->head.job->rank], TMB_PEER_DEAD, NULL);
}

static void message_take(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                         const struct tmbi_tcp_header *header, const uint8_t *body)
{
    bool up = atomic_load_explicit(&peer->link.up, memory_order_relaxed);

    /* Declared dead: it may be told so, but is no longer heard. */
    if (tmbi_tcp_peer_state(&tcp->head, peer->rank) == TMB_PEER_DEAD)
        return;
    if (up == (header->kind == TMBI_TCP_HELLO)) {
        garbage(tcp, peer, up ? "it greets again" : "it does not greet");
        return;
    }
    switch ((enum tmbi_tcp_kind)header->kind) {
    case TMBI_TCP_HELLO:
        hello_take(tcp, peer, body);
        break;
    case TMBI_TCP_REQUEST:
        tmbi_tcp_request_take(tcp, peer, header, body);
        break;
    case TMBI_TCP_RESPONSE:
        tmbi_tcp_response_take(tcp, peer, header, body);
        break;
    case TMBI_TCP_RING:
        tmbi_rung((enum tmbi_line)header->line);
        break;
    case TMBI_TCP_BEAT:
        break;
    case TMBI_TCP_BYE:
        tmbi_tcp_peer_end(tcp, peer, TMB_PEER_LEFT, NULL);
        break;
    case TMBI_TCP_DEAD:
        own_death_take(tcp, peer);
        break;
    }
}

/* Make room for the message that has begun to come. */
static void room_make(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                      const struct tmbi_tcp_header *header)
{
    struct tmbi_tcp_buffer *in = &peer->link.in;
    size_t length = sizeof *header + header->bytes;

    if (length > in->capacity && buffer_resize(in, length))
        link_over(tcp, peer, "no memory for a message");
}

static void messages_take(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    struct tmbi_tcp_buffer *in = &peer->link.in;
    struct tmbi_tcp_header header;
    const char *why = NULL;
    size_t taken = 0;
    ssize_t length;

    while (!peer->link.over &&
           (length = tmbi_tcp_next(in->bytes + taken, in->used - taken, &header, &why)) >
               0) {
        message_take(tcp, peer, &header, in->bytes + taken + sizeof header);
        taken += (size_t)length;
    }
    if (why && !peer->link.over)
        garbage(tcp, peer, why);
    in->used -= taken;
    if (taken)
        memmove(in->bytes, in->bytes + taken, in->used);
    buffer_trim(in);
    if (in->used >= sizeof header && !peer->link.over)
        room_make(tcp, peer, &header);
}

static void ended(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, bool broken)
{
    if (peer->link.in.used && tmbi_tcp_alive(peer))
        garbage(tcp, peer, "it ended in the middle of a message");
    else
        link_over(tcp, peer,
                  broken ? "its connection broke" : "it ended without leaving");
}

/* Returns whether there may be more. */
static bool receive(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    struct tmbi_tcp_buffer *in = &peer->link.in;
    size_t room = in->capacity - in->used;
    ssize_t got = recv(peer->link.fd, in->bytes + in->used, room, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        ended(tcp, peer, got < 0);
        return false;
    }
    in->used += (size_t)got;
    atomic_store_explicit(&peer->link.heard_ns, tmbi_clock_ns(), memory_order_relaxed);
    messages_take(tcp, peer);
    return (size_t)got == room;
}

static bool backlogged(struct tmbi_tcp_link *link)
{
    bool is;

    pthread_mutex_lock(&link->send_mutex);
    is = link->out.used > BACKLOG_MAX;
    pthread_mutex_unlock(&link->send_mutex);
    return is;
}

void tmbi_tcp_link_pull(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    if (pthread_mutex_trylock(&peer->link.receive_mutex))
        return;
    while (!peer->link.over && receive(tcp, peer) && !backlogged(&peer->link))
        ;
    pthread_mutex_unlock(&peer->link.receive_mutex);
}
