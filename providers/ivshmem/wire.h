/* SPDX-License-Identifier: BSD-3-Clause */
/* The messages of the ivshmem server's protocol, as a client receives them: a number in
 * 8 little-endian bytes, with at most one descriptor. */
#ifndef TMBI_WIRE_H
#define TMBI_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct tmbi_wire {
    int fd;         /* the server's socket, or -1: none */
    char path[108]; /* of the socket, for messages to the user */
    /* A message that has come in part. */
    uint8_t partial[8];
    size_t partial_bytes;
    int partial_fd;
};

struct tmbi_wire_message {
    int64_t value;
    int fd; /* the receiver's to close, or -1 */
};

/*
 * The address of a server's socket: a path, or @NAME in the abstract namespace, where
 * nothing is left behind by whoever dies, and which has no permissions: both sides see to
 * it that the other is the same user or root. -ENAMETOOLONG; not logged.
 */
int tmbi_wire_address(const char *path, struct sockaddr_un *address, socklen_t *bytes);
static inline bool tmbi_wire_abstract(const char *path)
{
    return *path == '@';
}
/* Whether who is at the other end may be: always, where a file's permissions say so. */
bool tmbi_wire_trusted(int fd, const char *path);

/* Connect to a server's socket. As connect(2), or -ETIMEDOUT: it accepts nothing. Logged.
 */
int tmbi_wire_connect(struct tmbi_wire *wire, const char *path, int64_t deadline);

/* Take over a connected socket. */
void tmbi_wire_init(struct tmbi_wire *wire, int fd, const char *path);
void tmbi_wire_close(struct tmbi_wire *wire);

/* The next message, at the latest at the deadline: -ETIMEDOUT. -ECONNRESET: the server is
 * gone. -EPROTO, -EMFILE: its descriptors don't add up, or we have no room for one; only
 * these two are logged. */
int tmbi_wire_receive(struct tmbi_wire *wire, struct tmbi_wire_message *message,
                      int64_t deadline);

/* Throw away what has come, without blocking. -ECONNRESET: the server is gone. */
int tmbi_wire_drain(struct tmbi_wire *wire);

#endif
