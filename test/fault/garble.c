/* SPDX-License-Identifier: BSD-3-Clause */
/* The library's calls of send() come here, and those of libraries that it uses: the
 * former are known by the magic. The layout is providers/tcp/wire.h's. */
#include "garble.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
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

static ssize_t send_really(int fd, const void *data, size_t size, int flags)
{
    return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}

/* Half of the header, and no more. The caller believes that all was sent. */
static ssize_t send_half(int fd, const void *data, size_t size, int flags)
{
    send_really(fd, data, sizeof(struct tmbi_tcp_header) / 2, flags);
    shutdown(fd, SHUT_WR);
    return (ssize_t)size;
}

/* A greeting's version is behind the header. */
static void spoil(uint8_t *message, const char *what)
{
    struct tmbi_tcp_header header;

    memcpy(&header, message, sizeof header);
    if (!strcmp(what, "magic"))
        header.magic++;
    else if (!strcmp(what, "kind"))
        header.kind = 99;
    else if (!strcmp(what, "length"))
        header.bytes = UINT32_MAX;
    else if (!strcmp(what, "version"))
        memcpy(message + sizeof header, (uint32_t[]){9, 8, 7}, 12);
    memcpy(message, &header, sizeof header);
}

static bool is_wanted(const void *data, size_t size, const char *what)
{
    struct tmbi_tcp_header header;

    if (!what || size < sizeof header)
        return false;
    memcpy(&header, data, sizeof header);
    return header.magic == TMBI_TCP_MAGIC &&
           (header.kind == TMBI_TCP_HELLO) == !strcmp(what, "version");
}

__attribute__((visibility("default"))) ssize_t send(int fd, const void *data, size_t size,
                                                    int flags)
{
    const char *what = atomic_load(&wrong);
    uint8_t message[1024]; /* smaller ones are sent in one piece */

    if (!is_wanted(data, size, what) || size > sizeof message)
        return send_really(fd, data, size, flags);
    atomic_store(&wrong, NULL);
    if (!strcmp(what, "truncate"))
        return send_half(fd, data, size, flags);
    memcpy(message, data, size);
    spoil(message, what);
    return send_really(fd, message, size, flags);
}
