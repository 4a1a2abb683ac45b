/* SPDX-License-Identifier: BSD-3-Clause */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../core/log.h"

#define PROTOCOL_VERSION  0
#define MEMORY            (-1) /* the message that carries the region */
#define DESCRIPTORS_SPARE 128u /* beside the doorbells: for the program itself */

static void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* --------------------------------------------------------------- notices -- */

static void peer_forget(struct tmbi_host_peer *peer)
{
    for (uint32_t vector = 0; vector < peer->vectors; vector++)
        fd_close(&peer->bells[vector]);
    free(peer->bells);
    *peer = (struct tmbi_host_peer){0};
}

/* Ringing writes to what the server sent, so it must be no file and no pipe, and it must
 * never block us. */
static bool eventfd_usable(int fd)
{
    struct stat st;
    int flags;

    if (fstat(fd, &st) || (st.st_mode & S_IFMT) != 0)
        return false;
    flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK || !fcntl(fd, F_SETFL, flags | O_NONBLOCK));
}

static int notice_error(const struct tmbi_host *host,
                        const struct tmbi_wire_message *message)
{
    tmbi_error("server %s: a notice of peer %lld %s a descriptor is out of order",
               host->wire.path, (long long)message->value,
               message->fd < 0 ? "without" : "with");
    if (message->fd >= 0)
        close(message->fd);
    return -EPROTO;
}

/* A peer has come (one notice for each of its vectors, in order) or gone. */
static int notice_take(struct tmbi_host *host, const struct tmbi_wire_message *message)
{
    if (message->value < 0 || message->value >= TMBI_PEER_IDS)
        return notice_error(host, message);
    struct tmbi_host_peer *peer = &host->peers[message->value];
    if (message->fd < 0) {
        if (message->value == host->way.id)
            return notice_error(host, message);
        peer_forget(peer);
        return 0;
    }
    if (peer->vectors == host->way.region.vectors || !eventfd_usable(message->fd))
        return notice_error(host, message);
    if (!peer->bells)
        peer->bells = calloc(host->way.region.vectors, sizeof *peer->bells);
    if (!peer->bells) {
        close(message->fd);
        return -ENOMEM;
    }
    peer->bells[peer->vectors++] = message->fd;
    return 0;
}

int tmbi_host_await(struct tmbi_host *host, uint32_t id, int64_t deadline)
{
    struct tmbi_wire_message message;

    while (host->peers[id].vectors < host->way.region.vectors) {
        int status = tmbi_wire_receive(&host->wire, &message, deadline);
        if (!status)
            status = notice_take(host, &message);
        if (status)
            return status;
    }
    return 0;
}

int tmbi_host_bell(const struct tmbi_host *host, uint32_t doorbell)
{
    uint32_t id = doorbell >> 16, vector = doorbell & 0xffff;

    if (id >= host->peer_count || vector >= host->peers[id].vectors)
        return -1;
    return host->peers[id].bells[vector];
}

static bool is_kept(const struct tmbi_host *host, uint32_t doorbell,
                    const uint32_t *doorbells, size_t count)
{
    if (doorbell >> 16 == host->way.id)
        return true;
    for (size_t i = 0; i < count; i++)
        if (doorbells[i] == doorbell)
            return true;
    return false;
}

void tmbi_host_keep(struct tmbi_host *host, const uint32_t *doorbells, size_t count)
{
    for (uint32_t id = 0; id < host->peer_count; id++)
        for (uint32_t vector = 0; vector < host->peers[id].vectors; vector++)
            if (!is_kept(host, tmbi_doorbell(id, vector), doorbells, count))
                fd_close(&host->peers[id].bells[vector]);
}

bool tmbi_host_drain(struct tmbi_host *host)
{
    pthread_mutex_lock(&host->mutex);
    bool found = host->wire.fd >= 0 && !host->lost && tmbi_wire_drain(&host->wire);
    if (found)
        host->lost = true;
    pthread_mutex_unlock(&host->mutex);
    return found;
}

/* -------------------------------------------------------------- greeting -- */

static int greeting_error(const struct tmbi_host *host, int status)
{
    switch (status) {
    case -ETIMEDOUT:
        tmbi_error(
            "server %s: accepted the connection, then said nothing; is it stopped, or "
            "no ivshmem server?",
            host->wire.path);
        break;
    case -ECONNRESET:
        tmbi_error("server %s: ended the connection in its greeting; its log says why",
                   host->wire.path);
        break;
    default: /* logged where it was found */
        break;
    }
    return status;
}

/* One step of the greeting: a number, and a descriptor where one belongs. */
static int greeting_step(struct tmbi_host *host, const char *what, bool with_fd,
                         struct tmbi_wire_message *message, int64_t deadline)
{
    int status = tmbi_wire_receive(&host->wire, message, deadline);

    if (status)
        return greeting_error(host, status);
    if ((message->fd >= 0) == with_fd)
        return 0;
    tmbi_error("server %s: its %s (%lld) came %s a descriptor; it is no ivshmem server",
               host->wire.path, what, (long long)message->value,
               with_fd ? "without" : "with");
    fd_close(&message->fd);
    return -EPROTO;
}

/* The server's version, and who we are. */
static int greeting_read_id(struct tmbi_host *host, int64_t deadline)
{
    struct tmbi_wire_message message;

    int status = greeting_step(host, "protocol version", false, &message, deadline);
    if (status)
        return status;
    if (message.value != PROTOCOL_VERSION) {
        tmbi_error("server %s: speaks version %lld of the ivshmem protocol, not %d",
                   host->wire.path, (long long)message.value, PROTOCOL_VERSION);
        return -EPROTO;
    }
    status = greeting_step(host, "ID for us", false, &message, deadline);
    if (status)
        return status;
    if (message.value < 0 || message.value >= TMBI_PEER_IDS) {
        tmbi_error("server %s: %lld is no ID", host->wire.path, (long long)message.value);
        return -EPROTO;
    }
    host->way.id = (uint32_t)message.value;
    return 0;
}

/* Room for the doorbells of as many peers as the region has slots. Failing is no error
 * yet: there may never be so many. */
static void descriptors_raise(const struct tmbi_host *host)
{
    struct rlimit limit;
    const struct tmbi_region *region = &host->way.region;
    rlim_t need = (rlim_t)region->slot_count * region->vectors + DESCRIPTORS_SPARE;

    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= need)
        return;
    limit.rlim_cur = need < limit.rlim_max ? need : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int greeting_read_region(struct tmbi_host *host, int64_t deadline)
{
    struct tmbi_wire_message message;

    int status = greeting_step(host, "shared memory", true, &message, deadline);
    if (status)
        return status;
    if (message.value != MEMORY) {
        tmbi_error("server %s: %lld came where the shared memory (-1) was due",
                   host->wire.path, (long long)message.value);
        status = -EPROTO;
    } else {
        status = tmbi_region_map(&host->way.region, message.fd);
    }
    host->memory = message.fd;
    if (!status && host->way.region.vectors == 0) {
        tmbi_error(
            "server %s: its region was made without a server, and has no doorbells",
            host->wire.path);
        status = -EPROTO;
    }
    if (status)
        return status;
    descriptors_raise(host);
    return 0;
}

static int host_init(struct tmbi_host *host, const struct tmbi_wire *wire,
                     uint32_t peer_count)
{
    *host = (struct tmbi_host){
        .way = {.ops = &tmbi_host_way_ops,
                .watched = wire->fd,
                .enlarge = wire->fd < 0
                               ? "TMB_IVSHMEM_PRIVATE_SIZE"
                               : "the server's --size (tombolo run --region-size)"},
        .wire = *wire,
        .memory = -1,
        .peer_count = peer_count};
    snprintf(host->way.name, sizeof host->way.name, "server %s", wire->path);
    host->peers = calloc(peer_count, sizeof *host->peers);
    if (!host->peers)
        return -ENOMEM;
    pthread_mutex_init(&host->mutex, NULL);
    return 0;
}

/* Lines for which there is no vector share the last one. */
static void bells_set(struct tmbi_host *host)
{
    struct tmbi_way *way = &host->way;

    for (uint32_t line = 0; line < TMBI_LINES; line++) {
        uint32_t last = way->region.vectors - 1;
        way->doorbell[line] = tmbi_doorbell(way->id, line < last ? line : last);
        way->bell[line] = tmbi_host_bell(host, way->doorbell[line]);
    }
}

int tmbi_host_greet(struct tmbi_host *host, const struct tmbi_wire *wire,
                    int64_t deadline)
{
    int status = host_init(host, wire, TMBI_PEER_IDS);

    if (status) {
        struct tmbi_wire unowned = *wire;
        tmbi_wire_close(&unowned);
        return status;
    }
    status = greeting_read_id(host, deadline);
    if (!status)
        status = greeting_read_region(host, deadline);
    if (!status)
        /* Ours come last, so then all peers that were there before us are known. */
        status = greeting_error(host, tmbi_host_await(host, host->way.id, deadline));
    if (status)
        tmbi_host_close(host);
    else
        bells_set(host);
    return status;
}

int tmbi_host_open(struct tmbi_host *host, const char *path, int64_t deadline)
{
    struct tmbi_wire wire;

    int status = tmbi_wire_connect(&wire, path, deadline);
    return status ? status : tmbi_host_greet(host, &wire, deadline);
}

static int private_bells(struct tmbi_host *host)
{
    struct tmbi_host_peer *own = &host->peers[0];

    own->bells = calloc(TMBI_LINES, sizeof *own->bells);
    if (!own->bells)
        return -ENOMEM;
    for (; own->vectors < TMBI_LINES; own->vectors++) {
        own->bells[own->vectors] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (own->bells[own->vectors] >= 0)
            continue;
        int error = errno;
        tmbi_error("no doorbells: eventfd: %s", strerror(error));
        return -error;
    }
    return 0;
}

int tmbi_host_private(struct tmbi_host *host, uint64_t size)
{
    struct tmbi_wire none;

    tmbi_wire_init(&none, -1, "(none)");
    int status = host_init(host, &none, 1);
    if (status)
        return status;
    status = tmbi_region_private(&host->way.region, size, &host->memory);
    if (!status)
        status = private_bells(host);
    if (status)
        tmbi_host_close(host);
    else
        bells_set(host);
    return status;
}

void tmbi_host_close(struct tmbi_host *host)
{
    for (uint32_t id = 0; id < host->peer_count; id++)
        peer_forget(&host->peers[id]);
    free(host->peers);
    if (host->way.region.base)
        tmbi_region_unmap(&host->way.region);
    fd_close(&host->memory);
    tmbi_wire_close(&host->wire);
    pthread_mutex_destroy(&host->mutex);
}
