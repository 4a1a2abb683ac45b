/* SPDX-License-Identifier: BSD-3-Clause */
/* Who connects to our listener is a stranger until its greeting has told which rank it
 * is. The progress thread's. */
#include "tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../core/log.h"

#define GREETING_BYTES (sizeof(struct tmbi_tcp_header) + sizeof(struct tmbi_tcp_hello))

void tmbi_tcp_strangers_open(struct tmbi_tcp *tcp)
{
    for (unsigned i = 0; i < TMBI_TCP_STRANGERS; i++)
        tcp->strangers[i].fd = -1;
}

static void stranger_forget(struct tmbi_tcp *tcp, unsigned index)
{
    free(tcp->strangers[index].in.bytes);
    memset(&tcp->strangers[index], 0, sizeof tcp->strangers[index]);
    tcp->strangers[index].fd = -1;
}

/* why: for the log, NULL: it has been told. */
static void stranger_dismiss(struct tmbi_tcp *tcp, unsigned index, const char *why)
{
    if (why)
        tmbi_warn("tcp: a connection to this rank's listener is closed: %s", why);
    tmbi_tcp_unwatch(tcp, tcp->strangers[index].fd);
    close(tcp->strangers[index].fd);
    stranger_forget(tcp, index);
}

void tmbi_tcp_strangers_close(struct tmbi_tcp *tcp)
{
    for (unsigned i = 0; i < TMBI_TCP_STRANGERS; i++)
        if (tcp->strangers[i].fd >= 0) {
            close(tcp->strangers[i].fd);
            stranger_forget(tcp, i);
        }
}

void tmbi_tcp_stranger_accept(struct tmbi_tcp *tcp)
{
    int fd = accept4(tcp->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    unsigned i = 0;

    if (fd < 0)
        return;
    while (i < TMBI_TCP_STRANGERS && tcp->strangers[i].fd >= 0)
        i++;
    if (i == TMBI_TCP_STRANGERS) /* whoever said nothing yet makes room */
        stranger_dismiss(tcp, i = 0, "it said nothing, and others come");
    tcp->strangers[i].in.bytes = malloc(GREETING_BYTES);
    tcp->strangers[i].fd = fd;
    if (!tcp->strangers[i].in.bytes || tmbi_tcp_watch_add(tcp, fd, TMBI_TCP_STRANGER(i)))
        stranger_dismiss(tcp, i, "no memory");
}

/* It is a rank of ours, which has no link yet. */
static struct tmbi_tcp_peer *peer_of(struct tmbi_tcp *tcp,
                                     const struct tmbi_tcp_hello *hello)
{
    struct tmbi_tcp_peer *peer;

    if (hello->rank >= (uint32_t)tcp->head.job->size ||
        hello->rank <= (uint32_t)tcp->head.job->rank)
        return NULL;
    peer = &tcp->peers[hello->rank];
    return peer->unreachable || peer->link.fd >= 0 ? NULL : peer;
}

static void stranger_greet(struct tmbi_tcp *tcp, unsigned index)
{
    struct tmbi_tcp_hello hello;
    struct tmbi_tcp_peer *peer;
    int fd = tcp->strangers[index].fd;
    int rc;

    memcpy(&hello, tcp->strangers[index].in.bytes + sizeof(struct tmbi_tcp_header),
           sizeof hello);
    peer = peer_of(tcp, &hello);
    rc = peer ? tmbi_tcp_hello_check(tcp, &hello, (int)hello.rank) : -ENOENT;
    if (rc == -EPROTONOSUPPORT) /* it is that rank, and won't come otherwise */
        tmbi_tcp_peer_end(tcp, peer, TMB_PEER_DEAD, NULL);
    if (rc) {
        stranger_dismiss(tcp, index, peer ? NULL : "it is no rank that is missed");
        return;
    }
    stranger_forget(tcp, index);
    tmbi_tcp_unwatch(tcp, fd);
    if (tmbi_tcp_link_adopt(tcp, peer, fd) || tmbi_tcp_hello_send(tcp, peer))
        return;
    /* release: partner is the acquire of who waits for it in connect() */
    atomic_store_explicit(&peer->link.up, true, memory_order_release);
}

void tmbi_tcp_stranger_hear(struct tmbi_tcp *tcp, unsigned index)
{
    struct tmbi_tcp_buffer *in = &tcp->strangers[index].in;
    struct tmbi_tcp_header header;
    const char *why = NULL;
    ssize_t got, length;

    if (tcp->strangers[index].fd < 0)
        return;
    got = recv(tcp->strangers[index].fd, in->bytes + in->used, GREETING_BYTES - in->used,
               MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        stranger_dismiss(tcp, index, "it ended without a greeting");
        return;
    }
    in->used += (size_t)got;
    length = tmbi_tcp_next(in->bytes, in->used, &header, &why);
    if (!why && in->used >= sizeof header && header.kind != TMBI_TCP_HELLO)
        why = "it does not greet";
    if (why)
        stranger_dismiss(tcp, index, why);
    else if (length > 0)
        stranger_greet(tcp, index);
}
