/* SPDX-License-Identifier: BSD-3-Clause */
/* The ranks of the job: how we present ourselves, whom we meet, and what became of them.
 */
#include "tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_endpoint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "../../core/clock.h"
#include "../../core/include/tombolo.h"
#include "../../core/log.h"

#define FABRIC_NAME_MAX 32

/* An endpoint's address. */
struct address {
    uint32_t magic;    /* the version included */
    uint32_t protocol; /* what libfabric's provider speaks on the wire, */
    uint32_t protocol_version;
    uint32_t api; /* ... and the library's version, which must be all ranks' */
    int64_t pid;
    uint64_t host;
    uint64_t cookie;
    uint64_t anchor, anchor_key;
    uint8_t ip[16];  /* of the listener; IPv4 in the first four */
    uint16_t family; /* 4, 6 */
    uint16_t port;
    uint32_t name_bytes; /* of libfabric's own name for the endpoint */
    uint8_t name[FABRIC_NAME_MAX];
};
_Static_assert(sizeof(struct address) == 112, "address layout");
_Static_assert(sizeof(struct address) <= TMBI_ADDRESS_BYTES,
               "an address fits the contract's");
#define ADDRESS_MAGIC 0x31415054u /* "TPA1" */

/* ---- who we are ---- */

int tmbi_tcp_identify(struct tmbi_tcp *tcp)
{
    tcp->host = tmbi_host_identity();
    if (getrandom(&tcp->cookie, sizeof tcp->cookie, 0) != (ssize_t)sizeof tcp->cookie) {
        tmbi_error("getrandom: %s", strerror(errno));
        return -EIO;
    }
    tcp->anchor = tcp->cookie;
    return tmbi_tcp_register(tcp, &tcp->anchor, sizeof tcp->anchor, &tcp->anchor_mr);
}

static void listener_put(const struct tmbi_tcp *tcp, struct address *address)
{
    struct sockaddr_storage at;
    socklen_t bytes = sizeof at;

    if (getsockname(tcp->listener, (struct sockaddr *)&at, &bytes))
        return;
    address->port = ntohs(((struct sockaddr_in *)&at)->sin_port);
    address->family = at.ss_family == AF_INET ? 4 : 6;
    if (at.ss_family == AF_INET)
        memcpy(address->ip, &((struct sockaddr_in *)&at)->sin_addr, 4);
    else
        memcpy(address->ip, &((struct sockaddr_in6 *)&at)->sin6_addr, 16);
}

void tmbi_tcp_address(struct tmbi_endpoint *ep, uint8_t bytes[TMBI_ADDRESS_BYTES])
{
    struct tmbi_tcp *tcp = tmbi_tcp(ep);
    const struct fi_ep_attr *attr = tcp->fabric.info->ep_attr;
    struct address address = {.magic = ADDRESS_MAGIC,
                              .protocol = attr->protocol,
                              .protocol_version = attr->protocol_version,
                              .api = fi_version(),
                              .pid = getpid(),
                              .host = tcp->host,
                              .cookie = tcp->cookie,
                              .anchor = tcp->anchor_mr.address,
                              .anchor_key = tcp->anchor_mr.key};
    size_t name_bytes = sizeof address.name;

    memset(bytes, 0, TMBI_ADDRESS_BYTES);
    if (fi_getname(&tcp->fabric.ep->fid, address.name, &name_bytes)) {
        tmbi_error("tcp: libfabric's address is longer than %d bytes", FABRIC_NAME_MAX);
        return; /* nobody reaches us */
    }
    address.name_bytes = (uint32_t)name_bytes;
    listener_put(tcp, &address);
    memcpy(bytes, &address, sizeof address);
}

/* ---- whom we meet ---- */

static bool address_valid(const struct address *address)
{
    return address->magic == ADDRESS_MAGIC && address->pid > 0 &&
           (address->family == 4 || address->family == 6) && address->port &&
           address->name_bytes && address->name_bytes <= FABRIC_NAME_MAX;
}

static bool address_loopback(const struct address *address)
{
    return address->family == 4
               ? address->ip[0] == 127
               : IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)address->ip);
}

static const char *unreachable(const struct tmbi_tcp *tcp, const struct address *address)
{
    const struct fi_ep_attr *attr = tcp->fabric.info->ep_attr;

    if (!address->magic)
        return "it has no TCP endpoint";
    if (address->protocol != attr->protocol ||
        address->protocol_version != attr->protocol_version ||
        FI_MAJOR(address->api) != FI_MAJOR(fi_version()))
        return "its libfabric speaks another protocol: use one version, and one "
               "TMB_TCP_FABRIC, for all";
    if (address->host != tcp->host && address_loopback(address))
        return "it listens on its own host only: set TMB_TCP_INTERFACE to an interface "
               "that others reach";
    return NULL;
}

static void listener_get(struct tmbi_tcp_peer *peer, const struct address *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&peer->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&peer->address;

    if (address->family == 4) {
        *v4 =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(address->port)};
        memcpy(&v4->sin_addr, address->ip, 4);
        peer->address_bytes = sizeof *v4;
    } else {
        *v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                    .sin6_port = htons(address->port)};
        memcpy(&v6->sin6_addr, address->ip, 16);
        peer->address_bytes = sizeof *v6;
    }
}

static int peer_fill(struct tmbi_tcp *tcp, int rank, const uint8_t *bytes)
{
    struct tmbi_tcp_peer *peer = &tcp->peers[rank];
    struct address address;

    memcpy(&address, bytes, sizeof address);
    if (address.magic && !address_valid(&address)) {
        tmbi_error("rank %d: its address is garbage: magic %#" PRIx32, rank,
                   address.magic);
        return -EPROTO;
    }
    peer->unreachable = unreachable(tcp, &address);
    if (peer->unreachable)
        return 0;
    peer->pid = address.pid;
    peer->host = address.host;
    peer->cookie = address.cookie;
    peer->anchor = address.anchor;
    peer->anchor_key = address.anchor_key;
    listener_get(peer, &address);
    if (rank == tcp->head.job->rank)
        return 0;
    pthread_mutex_lock(&tcp->fabric.mutex);
    int count = fi_av_insert(tcp->fabric.av, address.name, 1, &peer->fabric, 0, NULL);
    pthread_mutex_unlock(&tcp->fabric.mutex);
    if (count == 1)
        return 0;
    tmbi_error("rank %d: libfabric does not take its address: %s", rank,
               fi_strerror(-count));
    return -EPROTO;
}

/* ---- hellos ---- */

int tmbi_tcp_hello_send(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    struct tmbi_tcp_header header = {.kind = TMBI_TCP_HELLO};
    struct tmbi_tcp_hello hello = {
        .version = {TMB_VERSION_MAJOR, TMB_VERSION_MINOR, TMB_VERSION_PATCH},
        .rank = (uint32_t)tcp->head.job->rank,
        .size = (uint32_t)tcp->head.job->size,
        .cookie = peer->cookie,
    };

    memcpy(hello.job, tcp->head.job->name, sizeof hello.job);
    return tmbi_tcp_link_send(tcp, peer, &header, &hello, sizeof hello, NULL, 0);
}

int tmbi_tcp_hello_check(const struct tmbi_tcp *tcp, const struct tmbi_tcp_hello *hello,
                         int rank)
{
    static const uint32_t version[3] = {TMB_VERSION_MAJOR, TMB_VERSION_MINOR,
                                        TMB_VERSION_PATCH};

    if (hello->size != (uint32_t)tcp->head.job->size || hello->cookie != tcp->cookie ||
        memcmp(hello->job, tcp->head.job->name, sizeof hello->job)) {
        tmbi_error("tcp: a process that says it is rank %d is none of this job", rank);
        return -EPROTO;
    }
    if (!memcmp(hello->version, version, sizeof version))
        return 0;
    tmbi_error("tcp: rank %d has Tombolo %" PRIu32 ".%" PRIu32 ".%" PRIu32
               ", this rank %d.%d.%d: use one version for all",
               rank, hello->version[0], hello->version[1], hello->version[2],
               TMB_VERSION_MAJOR, TMB_VERSION_MINOR, TMB_VERSION_PATCH);
    return -EPROTONOSUPPORT;
}

/* ---- connecting ---- */

static const char *peer_text(const struct tmbi_tcp_peer *peer,
                             char text[INET6_ADDRSTRLEN])
{
    const struct sockaddr *at = (const struct sockaddr *)&peer->address;
    const void *ip = at->sa_family == AF_INET
                         ? (const void *)&((const struct sockaddr_in *)at)->sin_addr
                         : &((const struct sockaddr_in6 *)at)->sin6_addr;

    return inet_ntop(at->sa_family, ip, text, INET6_ADDRSTRLEN) ? text : "?";
}

static int connect_error(const struct tmbi_tcp_peer *peer, int rc)
{
    char text[INET6_ADDRSTRLEN];

    tmbi_error("tcp: can't connect to rank %d at %s, port %u: %s; TMB_TCP_INTERFACE and "
               "TMB_TCP_PORTS choose where ranks listen",
               peer->rank, peer_text(peer, text),
               ntohs(((const struct sockaddr_in *)&peer->address)->sin_port),
               strerror(-rc));
    return -EHOSTUNREACH;
}

static int connected_await(int fd, int64_t deadline)
{
    struct pollfd connected = {.fd = fd, .events = POLLOUT};
    int64_t left = deadline - tmbi_clock_ns();
    int error = ETIMEDOUT;
    socklen_t bytes = sizeof error;

    if (left > 0 &&
        poll(&connected, 1,
             left > INT64_C(60000000000) ? 60000 : (int)(left / 1000000)) == 1 &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes))
        return -errno;
    return -error;
}

static int link_connect(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                        int64_t deadline)
{
    int fd =
        socket(peer->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rc;

    if (fd < 0)
        return connect_error(peer, -errno);
    rc = connect(fd, (struct sockaddr *)&peer->address, peer->address_bytes) ? -errno : 0;
    if (rc == -EINPROGRESS)
        rc = connected_await(fd, deadline);
    if (rc) {
        close(fd);
        return connect_error(peer, rc);
    }
    rc = tmbi_tcp_link_adopt(tcp, peer, fd);
    return rc ? rc : tmbi_tcp_hello_send(tcp, peer);
}

static int link_await(const struct tmbi_tcp_peer *peer, int64_t deadline)
{
    const struct timespec pause = {.tv_nsec = 200000};

    /* acquire: partner is the release of who heard the peer's hello */
    while (!atomic_load_explicit(&peer->link.up, memory_order_acquire)) {
        if (atomic_load_explicit(&peer->state, memory_order_seq_cst) != TMB_PEER_ALIVE) {
            tmbi_error("tcp: rank %d ended while the job was starting", peer->rank);
            return -EHOSTDOWN;
        }
        if (tmbi_clock_ns() >= deadline)
            return connect_error(peer, -ETIMEDOUT);
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int anchor_await(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                        int64_t deadline)
{
    int rc = tmbi_tcp_anchor_read(tcp, peer, deadline);

    if (rc)
        tmbi_error("tcp: rank %d's memory can't be read by libfabric: %s", peer->rank,
                   tmb_strerror(rc));
    return rc;
}

static bool meets(const struct tmbi_tcp *tcp, int rank)
{
    return rank != tcp->head.job->rank && !tcp->peers[rank].unreachable;
}

/* Of two ranks the higher one connects. Who waits for all links before it uses
 * libfabric knows that all have got this far. */
static int all_connect(struct tmbi_tcp *tcp, int64_t deadline)
{
    int size = tcp->head.job->size, me = tcp->head.job->rank;
    int rc = 0;

    for (int i = 0; i < me && rc == 0; i++)
        if (meets(tcp, i))
            rc = link_connect(tcp, &tcp->peers[i], deadline);
    for (int i = 0; i < size && rc == 0; i++)
        if (meets(tcp, i))
            rc = link_await(&tcp->peers[i], deadline);
    for (int i = 0; i < size && rc == 0; i++)
        if (meets(tcp, i))
            rc = anchor_await(tcp, &tcp->peers[i], deadline);
    return rc;
}

int tmbi_tcp_connect(struct tmbi_endpoint *ep, const uint8_t *addresses, size_t stride,
                     int64_t deadline)
{
    struct tmbi_tcp *tcp = tmbi_tcp(ep);
    int size = ep->job->size;
    int rc = 0;

    tcp->peers = calloc((unsigned)size, sizeof *tcp->peers);
    if (!tcp->peers)
        return -ENOMEM;
    for (int i = 0; i < size; i++) {
        tcp->peers[i].rank = i;
        tcp->peers[i].state = TMB_PEER_ALIVE;
        rc = rc ? rc : tmbi_tcp_link_init(&tcp->peers[i].link);
    }
    for (int i = 0; i < size && rc == 0; i++)
        rc = peer_fill(tcp, i, addresses + (size_t)i * stride);
    if (rc == 0)
        rc = tmbi_tcp_progress_start(tcp);
    return rc ? rc : all_connect(tcp, deadline);
}

/* ---- questions ---- */

int tmbi_tcp_reach(struct tmbi_endpoint *ep, int rank, const char **why)
{
    *why = tmbi_tcp(ep)->peers[rank].unreachable;
    return *why ? -EHOSTUNREACH : 0;
}

int tmbi_tcp_peer_state(struct tmbi_endpoint *ep, int rank)
{
    /* seq_cst: partner is the exchange in tmbi_tcp_peer_end() */
    return atomic_load_explicit(&tmbi_tcp(ep)->peers[rank].state, memory_order_seq_cst);
}

void tmbi_tcp_peer_host(struct tmbi_endpoint *ep, int rank, uint64_t *host, int64_t *pid)
{
    const struct tmbi_tcp_peer *peer = &tmbi_tcp(ep)->peers[rank];

    *host = peer->host;
    *pid = peer->pid;
}
