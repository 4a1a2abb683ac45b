/* SPDX-License-Identifier: BSD-3-Clause */
/* The library's calls of sendmsg() come here, and those of libraries that it uses: the
 * former are known by the magic. The layout is providers/tcp/wire.h's. */
#include "garble.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../providers/tcp/wire.h"

static _Atomic(const char *) wrong;

void garble(const char *what)
{
    atomic_store(&wrong, what);
}

void garble_begin(void)
{
    garble(getenv("GARBLE"));
}

static ssize_t send_really(int fd, const struct msghdr *message, int flags)
{
    return syscall(SYS_sendmsg, fd, message, flags);
}

/* Half of it, and no more. The caller believes that all was sent. */
static ssize_t send_half(int fd, const struct msghdr *message, int flags, size_t bytes)
{
    struct iovec half = {message->msg_iov[0].iov_base, bytes / 2};
    struct msghdr shorter = {.msg_iov = &half, .msg_iovlen = 1};

    send_really(fd, &shorter, flags);
    shutdown(fd, SHUT_WR);
    return (ssize_t)bytes;
}

/* The header and the hello are the first two parts of a message. */
static void spoil(const struct msghdr *message, const char *what)
{
    struct tmbi_tcp_header *header = message->msg_iov[0].iov_base;

    if (!strcmp(what, "magic"))
        header->magic++;
    else if (!strcmp(what, "kind"))
        header->kind = 99;
    else if (!strcmp(what, "length"))
        header->bytes = UINT32_MAX;
    else if (!strcmp(what, "version"))
        memcpy(message->msg_iov[1].iov_base, (uint32_t[]){9, 8, 7}, 12);
}

__attribute__((visibility("default"))) ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
    const struct tmbi_tcp_header *header = message->msg_iov[0].iov_base;
    const char *what = atomic_load(&wrong);

    if (!what || message->msg_iov[0].iov_len != sizeof *header ||
        header->magic != TMBI_TCP_MAGIC ||
        (header->kind == TMBI_TCP_HELLO) != !strcmp(what, "version"))
        return send_really(fd, message, flags);
    atomic_store(&wrong, NULL);
    if (!strcmp(what, "truncate"))
        return send_half(fd, message, flags, sizeof *header);
    spoil(message, what);
    return send_really(fd, message, flags);
}
