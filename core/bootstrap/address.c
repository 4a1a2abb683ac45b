/* SPDX-License-Identifier: BSD-3-Clause */
#include "address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../clock.h"
#include "../env.h"
#include "../log.h"
#include "stream.h"

/* How long one address may take, where another may answer. */
#define CONNECT_NS INT64_C(5000000000)

static int address_wrong(const char *text)
{
    tmbi_error(
        "TMB_RENDEZVOUS=%s: must be HOST:PORT, such as node1:5555, 10.0.0.1:5555 or "
        "[fe80::1]:5555, with a port from 1 to 65535",
        text);
    return -EINVAL;
}

int tmbi_address_parse(struct tmbi_address *address, const char *text)
{
    const char *colon = strrchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : 0;
    int64_t port;

    address->text = text;
    if (!length || tmbi_parse_int(colon + 1, 1, 65535, &port))
        return address_wrong(text);
    if (text[0] == '[') {
        if (length < 3 || text[length - 1] != ']')
            return address_wrong(text);
        text++;
        length -= 2;
    } else if (memchr(text, ':', length)) {
        return address_wrong(text);
    }
    if (length >= sizeof address->host)
        return address_wrong(address->text);
    memcpy(address->host, text, length);
    address->host[length] = '\0';
    snprintf(address->port, sizeof address->port, "%d", (int)port);
    return 0;
}

int tmbi_address_resolve(const struct tmbi_address *address, struct addrinfo **found)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV};
    int rc = getaddrinfo(address->host, address->port, &hints, found);

    if (!rc)
        return 0;
    tmbi_error("TMB_RENDEZVOUS=%s: host %s can't be found: %s. Give a name that `getent "
               "hosts` knows, or an address",
               address->text, address->host,
               rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    return -EINVAL;
}

bool tmbi_address_is_loopback(const struct addrinfo *found)
{
    if (found->ai_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)found->ai_addr;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    if (found->ai_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)found->ai_addr;
        return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
    }
    return false;
}

static int socket_open(const struct addrinfo *at)
{
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;

    if (fd < 0)
        return -errno;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static int listen_at(const struct addrinfo *at)
{
    int fd = socket_open(at), one = 1, rc;

    if (fd < 0)
        return fd;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (!bind(fd, at->ai_addr, at->ai_addrlen) && !listen(fd, SOMAXCONN))
        return fd;
    rc = -errno;
    close(fd);
    return rc;
}

static int listen_failed(const struct tmbi_address *address, int rc)
{
    const char *advice = "rank 0 must be able to listen there";

    if (rc == -EADDRINUSE)
        advice = "another program listens there: choose another port for all ranks";
    else if (rc == -EADDRNOTAVAIL)
        advice = "it is no address of this host: rank 0 runs on the host that is named";
    else if (rc == -EACCES)
        advice = "choose a port from 1024 on for all ranks";
    tmbi_error("TMB_RENDEZVOUS=%s: rank 0 can't listen: %s; %s", address->text,
               strerror(-rc), advice);
    return rc;
}

int tmbi_address_listen(const struct tmbi_address *address, const struct addrinfo *found)
{
    int rc = -EADDRNOTAVAIL;

    for (const struct addrinfo *at = found; at; at = at->ai_next) {
        rc = listen_at(at);
        if (rc >= 0)
            return rc;
        if (rc == -EADDRINUSE)
            break;
    }
    return listen_failed(address, rc);
}

static int connect_finish(int fd, int64_t deadline)
{
    int64_t enough = tmbi_deadline(CONNECT_NS);
    int error = 0;
    socklen_t bytes = sizeof error;
    int rc = tmbi_stream_wait(fd, POLLOUT, deadline < enough ? deadline : enough);

    if (rc)
        return rc;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) ? -errno : -error;
}

/* A socket that tries a port of its own host may connect to itself, when no other has
 * that port. */
static bool is_own_end(int fd)
{
    struct sockaddr_storage own = {0}, peer = {0};
    socklen_t own_bytes = sizeof own, peer_bytes = sizeof peer;

    return !getsockname(fd, (struct sockaddr *)&own, &own_bytes) &&
           !getpeername(fd, (struct sockaddr *)&peer, &peer_bytes) &&
           own_bytes == peer_bytes && !memcmp(&own, &peer, own_bytes);
}

static int connect_to(const struct addrinfo *at, int64_t deadline)
{
    int fd = socket_open(at);
    int rc = 0;

    if (fd < 0)
        return fd;
    if (connect(fd, at->ai_addr, at->ai_addrlen))
        rc = errno == EINPROGRESS ? connect_finish(fd, deadline) : -errno;
    if (!rc && is_own_end(fd))
        rc = -ECONNREFUSED;
    if (!rc)
        return fd;
    close(fd);
    return rc;
}

int tmbi_address_connect(const struct addrinfo *found, int64_t deadline)
{
    int rc = -ECONNREFUSED;

    for (const struct addrinfo *at = found; at; at = at->ai_next) {
        rc = connect_to(at, deadline);
        if (rc >= 0)
            return rc;
    }
    return rc;
}

void tmbi_address_peer(int fd, char *text, size_t bytes)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    char host[64] = "?", port[8] = "?";

    if (!getpeername(fd, (struct sockaddr *)&peer, &length))
        getnameinfo((struct sockaddr *)&peer, length, host, sizeof host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(text, bytes, "%s port %s", host, port);
}
