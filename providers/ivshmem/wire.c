/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "../../core/clock.h"
#include "../../core/log.h"

#define DESCRIPTORS_MAX 253 /* the kernel's limit for one message */

void tmbi_wire_init(struct tmbi_wire *wire, int fd, const char *path)
{
    *wire = (struct tmbi_wire){.fd = fd, .partial_fd = -1};
    snprintf(wire->path, sizeof wire->path, "%s", path);
}

void tmbi_wire_close(struct tmbi_wire *wire)
{
    if (wire->partial_fd >= 0)
        close(wire->partial_fd);
    if (wire->fd >= 0)
        close(wire->fd);
}

/* Descriptors can be lost on arrival only for want of numbers, or because there were
 * more than the protocol allows. */
static int truncated_error(const struct tmbi_wire *wire)
{
    struct rlimit limit = {0};
    int probe = fcntl(wire->fd, F_DUPFD_CLOEXEC, 0);

    if (probe >= 0) {
        close(probe);
        tmbi_error("server %s: a message carries several descriptors", wire->path);
        return -EPROTO;
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    tmbi_error(
        "server %s: no room for a peer's doorbell: the limit of %llu open files is "
        "too low; raise it (ulimit -n)",
        wire->path, (unsigned long long)limit.rlim_cur);
    return -EMFILE;
}

/* Take at most one descriptor into *keep, if that is empty, and close the others.
 * Returns how many were closed. */
static int descriptors_take(struct msghdr *header, int *keep)
{
    int closed = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len;
             at += sizeof(int)) {
            int fd;
            memcpy(&fd, (char *)c + at, sizeof fd);
            if (keep && *keep < 0) {
                *keep = fd;
            } else {
                close(fd);
                closed++;
            }
        }
    }
    return closed;
}

/* Read a message as far as it has come. -EAGAIN: not all of it. */
static int message_read(struct tmbi_wire *wire, struct tmbi_wire_message *message)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {wire->partial + wire->partial_bytes,
                        sizeof wire->partial - wire->partial_bytes};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof control};

    ssize_t got = recvmsg(wire->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0)
        return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -ECONNRESET;
    if (got == 0)
        return -ECONNRESET;
    if (descriptors_take(&header, &wire->partial_fd) || header.msg_flags & MSG_CTRUNC)
        return truncated_error(wire);
    wire->partial_bytes += (size_t)got;
    if (wire->partial_bytes < sizeof wire->partial)
        return -EAGAIN;
    uint64_t little;
    memcpy(&little, wire->partial, sizeof little);
    *message = (struct tmbi_wire_message){(int64_t)le64toh(little), wire->partial_fd};
    wire->partial_bytes = 0;
    wire->partial_fd = -1;
    return 0;
}

int tmbi_wire_receive(struct tmbi_wire *wire, struct tmbi_wire_message *message,
                      int64_t deadline)
{
    struct pollfd poller = {.fd = wire->fd, .events = POLLIN};

    for (;;) {
        int status = message_read(wire, message);
        if (status != -EAGAIN)
            return status;
        int64_t left = deadline == TMBI_NEVER ? TMBI_NEVER : deadline - tmbi_clock_ns();
        if (left <= 0)
            return -ETIMEDOUT;
        int64_t ms = left / 1000000 + 1;
        poll(&poller, 1, ms > 1000 ? 1000 : (int)ms);
    }
}

static int connect_error(const char *path, int error)
{
    switch (error) {
    case ENOENT:
    case ECONNREFUSED:
        tmbi_error("no server listens at %s; start one with `tombolo server --socket %s`",
                   path, path);
        return -error;
    case EACCES:
    case EPERM:
        tmbi_error(
            "this user may not connect to the server at %s: ask the operator to start "
            "it with --group",
            path);
        return -EACCES;
    case EAGAIN:
        tmbi_error("the server at %s accepts no connections; is it stopped?", path);
        return -ETIMEDOUT;
    default:
        tmbi_error("can't connect to the server at %s: %s", path, strerror(error));
        return -error;
    }
}

int tmbi_wire_address(const char *path, struct sockaddr_un *address, socklen_t *bytes)
{
    size_t length = strlen(path);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (length >= sizeof address->sun_path)
        return -ENAMETOOLONG;
    memcpy(address->sun_path, path, length);
    *bytes = sizeof *address;
    if (tmbi_wire_abstract(path)) {
        address->sun_path[0] = '\0';
        *bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    }
    return 0;
}

bool tmbi_wire_trusted(int fd, const char *path)
{
    struct ucred other = {.uid = (uid_t)-1};
    socklen_t bytes = sizeof other;

    if (!tmbi_wire_abstract(path))
        return true;
    return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &other, &bytes) &&
           (other.uid == geteuid() || other.uid == 0);
}

/* A server that accepts nothing must not hang us: connect(2) minds this time-out. */
static void patience_set(int fd, int64_t deadline)
{
    int64_t left = deadline - tmbi_clock_ns();
    struct timeval patience = {left / 1000000000, left % 1000000000 / 1000 + 1};

    if (deadline != TMBI_NEVER)
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

int tmbi_wire_connect(struct tmbi_wire *wire, const char *path, int64_t deadline)
{
    struct sockaddr_un address;
    socklen_t bytes;

    if (tmbi_wire_address(path, &address, &bytes))
        return connect_error(path, ENAMETOOLONG);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return connect_error(path, errno);
    patience_set(fd, deadline);
    int failed;
    do
        failed = connect(fd, (struct sockaddr *)&address, bytes);
    while (failed && errno == EINTR);
    if (failed || !tmbi_wire_trusted(fd, path)) {
        int status = connect_error(path, failed ? errno : EPERM);
        close(fd);
        return status;
    }
    tmbi_wire_init(wire, fd, path);
    return 0;
}

int tmbi_wire_drain(struct tmbi_wire *wire)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
    char bytes[512];

    for (;;) {
        struct iovec iov = {bytes, sizeof bytes};
        struct msghdr header = {.msg_iov = &iov,
                                .msg_iovlen = 1,
                                .msg_control = control,
                                .msg_controllen = sizeof control};
        ssize_t got = recvmsg(wire->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (got > 0)
            descriptors_take(&header, NULL);
        else if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return 0;
        else if (got == 0 || errno != EINTR)
            return -ECONNRESET;
    }
}
