/* SPDX-License-Identifier: BSD-3-Clause */
/* A connection to the server as a way to the region. */
#include "host.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../core/log.h"

static int host_meet(struct tmbi_way *way, const uint32_t *doorbells, uint32_t count,
                     int64_t deadline)
{
    struct tmbi_host *host = (struct tmbi_host *)way;

    uint32_t id = doorbells[0] >> 16;

    (void)count;
    if (id >= host->peer_count) {
        tmbi_error("%s: knows no peer with ID %" PRIu32, way->name, id);
        return -EPROTO;
    }
    int status = tmbi_host_await(host, id, deadline);
    return status == -ETIMEDOUT ? -EAGAIN : status;
}

static void host_met(struct tmbi_way *way, const uint32_t *doorbells, uint32_t count)
{
    tmbi_host_keep((struct tmbi_host *)way, doorbells, count);
}

static void host_ring(struct tmbi_way *way, uint32_t doorbell)
{
    const uint64_t one = 1;
    int bell = tmbi_host_bell((struct tmbi_host *)way, doorbell);

    /* EAGAIN: it was rung 2^64 times unheard. Nothing else can be helped either. */
    if (bell >= 0 && write(bell, &one, sizeof one) < 0)
        return;
}

static bool host_lost(struct tmbi_way *way)
{
    return tmbi_host_drain((struct tmbi_host *)way);
}

static int host_map(struct tmbi_way *way, uint64_t offset, size_t bytes, void **at)
{
    return tmbi_way_map_file(way, ((struct tmbi_host *)way)->memory, 0, offset, bytes,
                             at);
}

static void host_close(struct tmbi_way *way)
{
    struct tmbi_host *host = (struct tmbi_host *)way;

    tmbi_host_close(host);
    free(host);
}

const struct tmbi_way_ops tmbi_host_way_ops = {.name = "host",
                                               .meet = host_meet,
                                               .met = host_met,
                                               .ring = host_ring,
                                               .map = host_map,
                                               .lost = host_lost,
                                               .close = host_close};

/* The server made a slot for our connection. */
static int slot_adopt(struct tmbi_host *host)
{
    struct tmbi_way *way = &host->way;
    int status =
        host->wire.fd < 0 ? 0 : tmbi_slot_find(&way->region, way->id, &way->slot);

    if (status) {
        tmbi_error("server %s: its region has no slot for our ID %" PRIu32,
                   host->wire.path, way->id);
        return -EPROTO;
    }
    way->epoch = way->region.slots[way->slot].epoch;
    tmbi_way_introduce(way);
    return 0;
}

static int host_way(struct tmbi_host *host, int status, struct tmbi_way **way)
{
    if (status) {
        free(host);
        return status;
    }
    status = slot_adopt(host);
    if (status)
        host_close(&host->way);
    else
        *way = &host->way;
    return status;
}

int tmbi_host_open_way(const char *path, int64_t deadline, struct tmbi_way **way)
{
    struct tmbi_host *host = malloc(sizeof *host);

    return host ? host_way(host, tmbi_host_open(host, path, deadline), way) : -ENOMEM;
}

int tmbi_host_private_way(uint64_t bytes, struct tmbi_way **way)
{
    struct tmbi_host *host = malloc(sizeof *host);

    return host ? host_way(host, tmbi_host_private(host, bytes), way) : -ENOMEM;
}
