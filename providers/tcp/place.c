/* SPDX-License-Identifier: BSD-3-Clause */
/* Where this process listens: the address of an interface, and ports of a range. */
#include "tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../core/log.h"

#define PORT_MAX 65535

static int ports_parse(const char *text, struct tmbi_tcp_place *place)
{
    char rest;
    int count = text ? sscanf(text, "%5d-%5d%c", &place->low, &place->high, &rest) : 0;

    if (!text) {
        place->low = place->high = 0;
        return 0;
    }
    if (count == 2 && place->low >= 1 && place->low <= place->high &&
        place->high <= PORT_MAX)
        return 0;
    tmbi_error("TMB_TCP_PORTS=%s: must be LOW-HIGH, 1 to %d, two ports for each rank",
               text, PORT_MAX);
    return -EINVAL;
}

static socklen_t address_bytes(const struct sockaddr *address)
{
    return address->sa_family == AF_INET    ? sizeof(struct sockaddr_in)
           : address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                            : 0;
}

static void address_text(const struct sockaddr *address, char text[INET6_ADDRSTRLEN])
{
    const void *bytes =
        address->sa_family == AF_INET
            ? (const void *)&((const struct sockaddr_in *)address)->sin_addr
            : &((const struct sockaddr_in6 *)address)->sin6_addr;

    if (!inet_ntop(address->sa_family, bytes, text, INET6_ADDRSTRLEN))
        text[0] = '\0';
}

/* How well an interface's address suits; 0: not at all. Unasked, an address that other
 * hosts reach, and IPv4 before IPv6, is best. */
static int address_rank(const struct ifaddrs *at, const char *wanted)
{
    char text[INET6_ADDRSTRLEN];
    bool v4;

    if (!at->ifa_addr || !address_bytes(at->ifa_addr) || !(at->ifa_flags & IFF_UP))
        return 0;
    v4 = at->ifa_addr->sa_family == AF_INET;
    address_text(at->ifa_addr, text);
    if (wanted)
        return !strcmp(wanted, text) ? 3 : !strcmp(wanted, at->ifa_name) ? 1 + v4 : 0;
    if (!v4 && IN6_IS_ADDR_LINKLOCAL(&((struct sockaddr_in6 *)at->ifa_addr)->sin6_addr))
        return 0;
    return 1 + v4 + 2 * !(at->ifa_flags & IFF_LOOPBACK);
}

int tmbi_tcp_place_choose(const struct tmbi_tcp_config *config,
                          struct tmbi_tcp_place *place)
{
    const struct ifaddrs *best = NULL;
    struct ifaddrs *all;
    int most = 0;
    int rc = ports_parse(config->ports, place);

    if (rc)
        return rc;
    if (getifaddrs(&all)) {
        rc = -errno;
        tmbi_error("tcp: the interfaces can't be listed: %s", strerror(-rc));
        return rc;
    }
    for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
        int suits = address_rank(at, config->interface);

        if (suits > most) {
            most = suits;
            best = at;
        }
    }
    if (best) {
        place->bytes = address_bytes(best->ifa_addr);
        memcpy(&place->address, best->ifa_addr, place->bytes);
        address_text(best->ifa_addr, place->text);
    }
    freeifaddrs(all);
    if (best)
        return 0;
    if (!config->interface) {
        tmbi_unusable("tcp: no network interface is up, not even lo");
        return -ENODEV;
    }
    tmbi_error("TMB_TCP_INTERFACE=%s: no interface that is up has this name or address; "
               "`ip address` lists them",
               config->interface);
    return -EINVAL;
}

static int listen_at(const struct tmbi_tcp_place *place, int port)
{
    struct sockaddr_storage address = place->address;
    const int one = 1;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    /* A port on which connections of a former job wait for their end is free. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    /* Both families have their port at the same place. */
    ((struct sockaddr_in *)&address)->sin_port = htons((uint16_t)port);
    if (bind(fd, (struct sockaddr *)&address, place->bytes) == 0 &&
        listen(fd, SOMAXCONN) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

void tmbi_tcp_place_full(const struct tmbi_tcp_place *place)
{
    if (place->low)
        tmbi_error("TMB_TCP_PORTS=%d-%d: none is free at %s; each rank takes two",
                   place->low, place->high, place->text);
    else
        tmbi_error("tcp: the kernel has no free port at %s", place->text);
}

int tmbi_tcp_place_listen(const struct tmbi_tcp_place *place)
{
    int rc = -EADDRINUSE;

    for (int port = place->low; rc == -EADDRINUSE && port <= place->high; port++)
        rc = listen_at(place, port);
    if (rc == -EADDRINUSE)
        tmbi_tcp_place_full(place);
    else if (rc < 0)
        tmbi_error("tcp: can't listen at %s, ports %d-%d (TMB_TCP_PORTS): %s",
                   place->text, place->low, place->high, strerror(-rc));
    return rc;
}
