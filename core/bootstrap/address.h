/* SPDX-License-Identifier: BSD-3-Clause */
/* TMB_RENDEZVOUS: HOST:PORT, [IPV6]:PORT, and the sockets there. */
#ifndef TMBI_ADDRESS_H
#define TMBI_ADDRESS_H

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

struct tmbi_address {
    const char *text; /* the variable's own */
    char host[256];
    char port[8];
};

/* -EINVAL, logged. */
int tmbi_address_parse(struct tmbi_address *address, const char *text);

/* By names too; freed by freeaddrinfo(). -EINVAL, logged. */
int tmbi_address_resolve(const struct tmbi_address *address, struct addrinfo **found);

bool tmbi_address_is_loopback(const struct addrinfo *found);

/* Listen at the first that can be had. Returns a non-blocking socket, or a negative
 * errno, logged. */
int tmbi_address_listen(const struct tmbi_address *address, const struct addrinfo *found);

/* Connect to the first that answers, once. Returns a non-blocking socket, or a negative
 * errno; nothing is logged. */
int tmbi_address_connect(const struct addrinfo *found, int64_t deadline);

/* "127.0.0.1:4242", of an accepted or connected socket. */
void tmbi_address_peer(int fd, char *text, size_t bytes);

#endif
