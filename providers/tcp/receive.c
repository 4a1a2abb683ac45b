/* SPDX-License-Identifier: BSD-3-Clause */
/* Links: taking apart what comes. All with the receive mutex. */
#include "tcp.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "../../core/clock.h"
#include "../../core/include/tombolo.h"
#include "../../core/log.h"

/* What is asked of a socket when nothing is known of what comes: a message with 8 KiB of
 * data as a whole; a large put shall go to its place, and not here. */
#define FIRST_BYTES ((size_t)8192 + 256)

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
        if (!tmbi_tcp_response_take(tcp, peer, header, body))
            garbage(tcp, peer, "it answers what was not asked");
        break;
    case TMBI_TCP_RING:
        tmbi_rung((enum tmbi_line)header->line);
        break;
    case TMBI_TCP_ASK:
        peer->link.puts_asked = true;
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
    tmbi_tcp_buffer_trim(in);
}

/* Make room for the message that has begun to come. */
static void room_make(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    struct tmbi_tcp_buffer *in = &peer->link.in;
    struct tmbi_tcp_header header;
    size_t length;

    if (in->used < sizeof header || peer->link.over)
        return;
    memcpy(&header, in->bytes, sizeof header);
    length = sizeof header + header.bytes;
    if (length > TMBI_TCP_MESSAGE_MAX)
        garbage(tcp, peer, "a put that is too long");
    else if (length > in->capacity && tmbi_tcp_buffer_resize(in, length))
        link_over(tcp, peer, "no memory for a message");
}

/* ---- puts that are received in place ---- */

static void put_advance(struct tmbi_tcp_peer *peer, size_t bytes)
{
    struct tmbi_tcp_link *link = &peer->link;

    link->put_done += bytes;
    if (link->put_done < link->put.count)
        return;
    link->put.count = 0;
    tmbi_tcp_put_taken(peer, link->put_asks, link->put_status);
}

/* Where the rest of it goes; NULL: nowhere. Until put_placed(). */
static uint8_t *put_place(struct tmbi_tcp_link *link)
{
    uint8_t *place = link->put_status ? NULL : tmbi_request_place(&link->put);

    if (!place)
        link->put_status = -EPROTO;
    return place ? place + link->put_done : NULL;
}

static void put_placed(const uint8_t *place)
{
    if (place)
        tmbi_request_placed();
}

/* What has come of a put that is not complete goes to its place; the rest will be
 * received there. */
static void put_begin(struct tmbi_tcp_peer *peer, const struct tmbi_tcp_header *header,
                      const struct tmbi_request *put)
{
    struct tmbi_tcp_link *link = &peer->link;
    size_t bytes = link->in.used - TMBI_TCP_PUT_HEAD;
    uint8_t *place;

    link->put = *put;
    link->put.origin = (uint32_t)peer->rank;
    link->put_asks = header->value;
    link->put_done = 0;
    link->put_status = 0;
    place = put_place(link);
    if (place)
        memcpy(place, link->in.bytes + TMBI_TCP_PUT_HEAD, bytes);
    put_placed(place);
    link->in.used = 0;
    put_advance(peer, bytes);
}

/* ---- receiving ---- */

/* How much to ask for: what is missing of a message, or a bit. */
static size_t appetite(const struct tmbi_tcp_buffer *in)
{
    size_t room = in->capacity - in->used;
    struct tmbi_tcp_header header;
    size_t missing = 0;

    if (in->used >= sizeof header) {
        memcpy(&header, in->bytes, sizeof header);
        missing = sizeof header + header.bytes - in->used;
    }
    missing = missing > FIRST_BYTES ? missing : FIRST_BYTES;
    return missing < room ? missing : room;
}

/* Into the place of a put, if one is under way, and into the buffer. */
static ssize_t receive_some(struct tmbi_tcp_link *link, size_t *asked)
{
    size_t rest = link->put.count ? link->put.count - link->put_done : 0;
    uint8_t *place = rest ? put_place(link) : NULL;
    size_t room = appetite(&link->in);
    struct iovec parts[] = {{place, rest}, {link->in.bytes + link->in.used, room}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t got;

    if (rest && !place) { /* it has none: thrown away */
        parts[0].iov_len = 0;
        parts[1].iov_len = rest < room ? rest : room;
    }
    *asked = parts[0].iov_len + parts[1].iov_len;
    got = rest ? recvmsg(link->fd, &message, MSG_DONTWAIT)
               : recv(link->fd, parts[1].iov_base, room, MSG_DONTWAIT);
    put_placed(place);
    return got;
}

static void received(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, size_t bytes)
{
    struct tmbi_tcp_link *link = &peer->link;
    size_t rest = link->put.count ? link->put.count - link->put_done : 0;
    size_t placed = bytes < rest ? bytes : rest;
    struct tmbi_tcp_header header;
    struct tmbi_request put;

    if (placed)
        put_advance(peer, placed);
    link->in.used += bytes - placed;
    messages_take(tcp, peer);
    if (tmbi_tcp_put_begins(link->in.bytes, link->in.used, &header, &put) &&
        put.count > FIRST_BYTES) /* a word must not come in parts */
        put_begin(peer, &header, &put);
    else
        room_make(tcp, peer);
    tmbi_tcp_puts_answer(tcp, peer);
    tmbi_tcp_link_release(tcp, peer);
}

static void ended(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, bool broken)
{
    if ((peer->link.in.used || peer->link.put.count) && tmbi_tcp_alive(peer))
        garbage(tcp, peer, "it ended in the middle of a message");
    else
        link_over(tcp, peer,
                  broken ? "its connection broke" : "it ended without leaving");
}

/* Returns whether there may be more. */
static bool receive(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    size_t asked;
    ssize_t got = receive_some(&peer->link, &asked);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        ended(tcp, peer, got < 0);
        return false;
    }
    atomic_store_explicit(&peer->link.heard_ns, tmbi_clock_ns(), memory_order_relaxed);
    received(tcp, peer, (size_t)got);
    return (size_t)got == asked || peer->link.put.count;
}

static void pull(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    while (!peer->link.over && receive(tcp, peer) && !tmbi_tcp_link_backlogged(peer))
        ;
    pthread_mutex_unlock(&peer->link.receive_mutex);
}

void tmbi_tcp_link_pull(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    if (!pthread_mutex_trylock(&peer->link.receive_mutex))
        pull(tcp, peer);
}

void tmbi_tcp_link_pull_after(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    pthread_mutex_lock(&peer->link.receive_mutex);
    pull(tcp, peer);
}
