/* SPDX-License-Identifier: BSD-3-Clause */
/* Links: sending without blocking. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "../../core/clock.h"
#include "../../core/include/tombolo.h"
#include "tcp.h"

/* From here on a peer that does not read its answers is not listened to. */
#define BACKLOG_MAX ((size_t)1 << 20)

/* What is held back at most: what a peer takes at once. */
#define HELD_MAX ((size_t)8192)

/* A message, in parts. Those of a smaller one are joined: copying is cheaper than to have
 * the kernel gather them. */
#define PARTS    3
#define JOIN_MAX ((size_t)1024)

/* ---- what is to be sent; with the send mutex ---- */

static size_t kept(const struct tmbi_tcp_link *link)
{
    return link->out.used - link->gone;
}

static bool idle(const struct tmbi_tcp_link *link)
{
    return !link->lent_bytes && !kept(link);
}

static void gone_drop(struct tmbi_tcp_link *link)
{
    if (link->gone)
        memmove(link->out.bytes, link->out.bytes + link->gone, kept(link));
    link->out.used -= link->gone;
    link->lent_at -= link->lent_bytes ? link->gone : 0;
    link->gone = 0;
}

static int out_reserve(struct tmbi_tcp_link *link, size_t count)
{
    struct tmbi_tcp_buffer *out = &link->out;
    size_t capacity;
    uint8_t *larger;

    if (out->capacity - out->used >= count)
        return 0;
    gone_drop(link);
    if (out->capacity - out->used >= count)
        return 0;
    capacity = (out->used + count) * 2;
    larger = realloc(out->bytes, capacity);
    if (!larger)
        return -ENOMEM;
    out->bytes = larger;
    out->capacity = capacity;
    return 0;
}

/* Behind what was reserved. */
static void out_add(struct tmbi_tcp_link *link, const void *bytes, size_t count)
{
    if (count)
        memcpy(link->out.bytes + link->out.used, bytes, count);
    link->out.used += count;
}

/* What is kept waits for room; while it is more than is good, nothing is heard. Who looks
 * needs no thread for either. */
static void watch(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    struct tmbi_tcp_link *link = &peer->link;
    bool waits = !idle(link) && !link->held;

    atomic_store_explicit(&link->waits, waits, memory_order_relaxed);
    tmbi_tcp_watch_link(tcp, peer, kept(link) <= BACKLOG_MAX && !link->lookers,
                        waits && !link->lookers);
}

/* What the socket took of it all; what ends a link is noticed by who receives. */
static size_t send_now(struct tmbi_tcp_link *link, struct iovec parts[PARTS])
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = PARTS};
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    bool one = !parts[1].iov_len && !parts[2].iov_len;
    ssize_t sent = one ? send(link->fd, parts[0].iov_base, parts[0].iov_len, flags)
                       : sendmsg(link->fd, &message, flags);

    atomic_store_explicit(&link->sent_ns, tmbi_clock_ns(), memory_order_relaxed);
    return sent < 0 ? 0 : (size_t)sent;
}

/* Of what is kept and lent, in their order, all that the socket takes. */
static void push(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    struct tmbi_tcp_link *link = &peer->link;
    size_t before = link->lent_bytes ? link->lent_at - link->gone : kept(link);
    uint8_t *out = link->out.bytes + link->gone;
    struct iovec parts[PARTS] = {{out, before},
                                 {(void *)(uintptr_t)link->lent, link->lent_bytes},
                                 {out + before, kept(link) - before}};
    size_t sent = send_now(link, parts);
    size_t lent = sent > before ? sent - before : 0;

    link->held = false;
    lent = lent < link->lent_bytes ? lent : link->lent_bytes;
    link->lent += lent;
    link->lent_bytes -= lent;
    link->gone += sent - lent;
    if (kept(link) == 0)
        gone_drop(link);
    watch(tcp, peer);
}

/* ---- what is answered together; with the send mutex ---- */

/* How many ask for no answer, at most. */
#define QUIET_PUTS  256
#define QUIET_BYTES ((size_t)4 << 20)

/*
 * The first put after a flush is sent at once and asks for an answer: it may be all that
 * the next flush waits for. Those behind it have time, for that flush asks for all. So a
 * stream of small ones costs one system call for many, as Nagle's algorithm (RFC 896) has
 * it, and one answer, for which nobody is woken. What is urgent is sent at once; nobody
 * is expected to flush it soon. Returns whether this one has time.
 */
static bool put_add(struct tmbi_tcp_peer *peer, struct tmbi_tcp_header *header,
                    bool urgent)
{
    struct tmbi_tcp_link *link = &peer->link;
    uint64_t before = atomic_fetch_add_explicit(&peer->sent, 1, memory_order_seq_cst);
    uint64_t answered = atomic_load_explicit(&peer->answered, memory_order_relaxed);
    bool first = !urgent && link->flushed && answered == before;

    link->flushed &= urgent;
    link->quiet_bytes += header->bytes;
    link->quiet_puts++;
    if (!first && link->quiet_puts < QUIET_PUTS && link->quiet_bytes < QUIET_BYTES)
        return !urgent;
    header->value = 1;
    link->quiet_bytes = 0;
    link->quiet_puts = 0;
    return false;
}

static int gets_make(struct tmbi_tcp_peer *peer)
{
    if (!peer->gets)
        peer->gets = calloc(TMBI_TCP_GETS, sizeof *peer->gets);
    return peer->gets ? 0 : -ENOMEM;
}

/* As put_add(); a large one makes its target busy for as long as requests take. */
static bool get_add(struct tmbi_tcp_peer *peer, struct tmbi_tcp_header *header, void *dst)
{
    uint64_t number = atomic_load_explicit(&peer->gets_asked, memory_order_relaxed);
    bool first = peer->link.flushed;

    peer->link.flushed = false;
    header->id = TMBI_TCP_GET | number;
    peer->gets[number % TMBI_TCP_GETS] = (struct tmbi_tcp_get){dst, header->value};
    atomic_fetch_add_explicit(&peer->gets_bytes, header->value, memory_order_relaxed);
    /* seq_cst: publishes the entry to the load in tmbi_tcp_get_answered() */
    atomic_store_explicit(&peer->gets_asked, number + 1, memory_order_seq_cst);
    return !first && header->value < HELD_MAX;
}

/* ---- sending ---- */

static size_t parts_bytes(const struct iovec parts[PARTS])
{
    return parts[0].iov_len + parts[1].iov_len + parts[2].iov_len;
}

/* Room for all of it, whatever the socket takes. */
static int room_make(struct tmbi_tcp_link *link, const struct iovec parts[PARTS])
{
    return link->fd < 0 ? -EHOSTDOWN : out_reserve(link, parts_bytes(parts));
}

/* After that. */
static void send_or_keep(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                         struct iovec parts[PARTS], bool has_time)
{
    struct tmbi_tcp_link *link = &peer->link;
    size_t bytes = parts_bytes(parts), sent = 0;
    bool ready = idle(link) || link->held; /* the socket has room, as far as is known */
    bool hold = has_time && ready && kept(link) + bytes < HELD_MAX;
    bool gathered = idle(link) && !hold && bytes >= JOIN_MAX;

    if (gathered)
        sent = send_now(link, parts);
    for (size_t i = 0; i < PARTS; i++) {
        size_t gone = sent < parts[i].iov_len ? sent : parts[i].iov_len;

        sent -= gone;
        out_add(link, (uint8_t *)parts[i].iov_base + gone, parts[i].iov_len - gone);
    }
    if (ready && !hold && !gathered) {
        push(tcp, peer);
    } else {
        link->held = hold;
        watch(tcp, peer);
    }
}

int tmbi_tcp_link_post(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                       struct tmbi_tcp_header *header, const void *body,
                       size_t body_bytes, const void *payload, size_t payload_bytes,
                       bool urgent)
{
    struct iovec parts[PARTS] = {{header, sizeof *header},
                                 {(void *)(uintptr_t)body, body_bytes},
                                 {(void *)(uintptr_t)payload, payload_bytes}};
    bool put = header->kind == TMBI_TCP_REQUEST && header->id == TMBI_TCP_PUTS;
    int rc;

    header->magic = TMBI_TCP_MAGIC;
    header->bytes = (uint32_t)(body_bytes + payload_bytes);
    pthread_mutex_lock(&peer->link.send_mutex);
    rc = room_make(&peer->link, parts);
    if (rc == 0)
        send_or_keep(tcp, peer, parts, put ? put_add(peer, header, urgent) : !urgent);
    pthread_mutex_unlock(&peer->link.send_mutex);
    return rc;
}

int tmbi_tcp_link_get(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                      struct tmbi_tcp_header *header, const struct tmbi_request *request,
                      void *dst)
{
    struct iovec parts[PARTS] = {{header, sizeof *header},
                                 {(void *)(uintptr_t)request, sizeof *request}};
    int rc;

    header->magic = TMBI_TCP_MAGIC;
    header->bytes = sizeof *request;
    pthread_mutex_lock(&peer->link.send_mutex);
    rc = tmbi_tcp_gets_under_way(peer) == TMBI_TCP_GETS ? -EAGAIN : gets_make(peer);
    if (rc == 0)
        rc = room_make(&peer->link, parts);
    if (rc == 0)
        send_or_keep(tcp, peer, parts, get_add(peer, header, dst));
    pthread_mutex_unlock(&peer->link.send_mutex);
    return rc;
}

void tmbi_tcp_link_release(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    pthread_mutex_lock(&peer->link.send_mutex);
    if (peer->link.held)
        push(tcp, peer);
    pthread_mutex_unlock(&peer->link.send_mutex);
}

int tmbi_tcp_link_ask(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    struct tmbi_tcp_header ask = {.magic = TMBI_TCP_MAGIC, .kind = TMBI_TCP_ASK};
    struct iovec parts[PARTS] = {{&ask, sizeof ask}};
    struct tmbi_tcp_link *link = &peer->link;
    int rc = 0;

    pthread_mutex_lock(&link->send_mutex);
    link->flushed = true;
    if (link->quiet_puts)
        rc = room_make(link, parts);
    if (rc == 0 && link->quiet_puts)
        send_or_keep(tcp, peer, parts, false);
    else if (rc == 0 && link->held)
        push(tcp, peer);
    if (rc == 0)
        link->quiet_puts = link->quiet_bytes = 0;
    pthread_mutex_unlock(&link->send_mutex);
    return rc;
}

size_t tmbi_tcp_link_push(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    struct tmbi_tcp_link *link = &peer->link;
    size_t left;

    pthread_mutex_lock(&link->send_mutex);
    if (!idle(link) && !link->held)
        push(tcp, peer);
    left = kept(link);
    if (idle(link)) {
        gone_drop(link);
        tmbi_tcp_buffer_trim(&link->out);
    }
    pthread_mutex_unlock(&link->send_mutex);
    return left;
}

void tmbi_tcp_link_serve(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    if (atomic_load_explicit(&peer->link.waits, memory_order_relaxed))
        tmbi_tcp_link_push(tcp, peer);
    tmbi_tcp_link_pull(tcp, peer);
}

/* ---- lending ---- */

/* A payload that its owner waits for. */
struct loan {
    struct tmbi_tcp *tcp;
    struct tmbi_tcp_peer *peer;
    uint64_t number;
};

/* With the send mutex. */
static bool loan_open(const struct loan *loan)
{
    return loan->peer->link.lent_bytes && loan->peer->link.loans == loan->number;
}

static bool loan_over(void *arg)
{
    struct loan *loan = arg;
    struct tmbi_tcp_link *link = &loan->peer->link;
    bool open;

    pthread_mutex_lock(&link->send_mutex);
    if (loan_open(loan))
        push(loan->tcp, loan->peer);
    open = loan_open(loan);
    pthread_mutex_unlock(&link->send_mutex);
    if (open) /* the peer may have to be rid of what it sends us */
        tmbi_tcp_link_pull(loan->tcp, loan->peer);
    return !open || !tmbi_tcp_alive(loan->peer);
}

/* The owner waits no longer: what has not gone is copied. */
static int loan_end(struct loan *loan)
{
    struct tmbi_tcp_link *link = &loan->peer->link;
    int rc = 0;

    pthread_mutex_lock(&link->send_mutex);
    if (loan_open(loan)) {
        rc = out_reserve(link, link->lent_bytes);
        if (rc == 0) {
            uint8_t *at = link->out.bytes + link->lent_at;

            memmove(at + link->lent_bytes, at, link->out.used - link->lent_at);
            memcpy(at, link->lent, link->lent_bytes);
            link->out.used += link->lent_bytes;
        }
        link->lent_bytes = 0;
    }
    pthread_mutex_unlock(&link->send_mutex);
    return rc;
}

/* With the send mutex. Another thread's loan is open: this payload is copied. */
static int lend(struct loan *loan, const struct iovec *head, size_t heads,
                const struct iovec *payload)
{
    struct tmbi_tcp_link *link = &loan->peer->link;
    bool copied = link->lent_bytes > 0;
    size_t bytes = copied ? payload->iov_len : 0;

    for (size_t i = 0; i < heads; i++)
        bytes += head[i].iov_len;
    if (out_reserve(link, bytes))
        return -ENOMEM;
    put_add(loan->peer, head[0].iov_base, false);
    for (size_t i = 0; i < heads; i++)
        out_add(link, head[i].iov_base, head[i].iov_len);
    if (copied) {
        out_add(link, payload->iov_base, payload->iov_len);
    } else {
        link->lent = payload->iov_base;
        link->lent_bytes = payload->iov_len;
        link->lent_at = link->out.used;
        loan->number = ++link->loans;
    }
    push(loan->tcp, loan->peer);
    return 0;
}

int tmbi_tcp_link_lend(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                       struct tmbi_tcp_header *header, const void *body,
                       size_t body_bytes, const void *payload, size_t payload_bytes,
                       int64_t deadline)
{
    struct loan loan = {.tcp = tcp, .peer = peer};
    struct iovec head[] = {{header, sizeof *header},
                           {(void *)(uintptr_t)body, body_bytes}};
    struct iovec rest = {(void *)(uintptr_t)payload, payload_bytes};
    int rc, wait_rc;

    header->magic = TMBI_TCP_MAGIC;
    header->bytes = (uint32_t)(body_bytes + payload_bytes);
    pthread_mutex_lock(&peer->link.send_mutex);
    rc = peer->link.fd < 0 ? -EHOSTDOWN : lend(&loan, head, 2, &rest);
    pthread_mutex_unlock(&peer->link.send_mutex);
    if (rc)
        return rc;
    wait_rc = tmbi_tcp_wait(tcp, peer, TMBI_TCP_LINK, loan_over, &loan, deadline);
    rc = loan_end(&loan);
    if (wait_rc)
        return tmbi_tcp_late(peer, "put");
    if (rc)
        tmbi_tcp_peer_end(tcp, peer, TMB_PEER_DEAD, "no memory for what it did not take");
    return rc ? rc : tmbi_tcp_alive(peer) ? 0 : -EHOSTDOWN;
}

void tmbi_tcp_link_look(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, bool begin)
{
    pthread_mutex_lock(&peer->link.send_mutex);
    peer->link.lookers += begin ? 1 : -1u;
    if (peer->link.fd >= 0)
        watch(tcp, peer);
    pthread_mutex_unlock(&peer->link.send_mutex);
}

bool tmbi_tcp_link_backlogged(struct tmbi_tcp_peer *peer)
{
    bool is;

    pthread_mutex_lock(&peer->link.send_mutex);
    is = kept(&peer->link) > BACKLOG_MAX;
    pthread_mutex_unlock(&peer->link.send_mutex);
    return is;
}
