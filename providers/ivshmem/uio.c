/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way in from a guest: the devices of the kernel module tombolo_uio. Processes of one
 * machine share its peer ID and its doorbells. A process claims a slot by itself, under a
 * lock that all processes of the machine take, and gives it into the module's care, which
 * sees its end whatever it is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../core/log.h"
#include "claim.h"
#include "kmod/tombolo_uio.h"
#include "uio_device.h"
#include "way.h"

struct uio {
    struct tmbi_way way; /* first */
    struct tmbi_uio_device device;
    uint8_t *registers; /* the page that they lie in */
    uint8_t *memory;    /* the region */
    int control;        /* vector 0's device: maps, doorbells and the lock */
};

static volatile uint32_t *reg(const struct uio *uio, uint32_t offset)
{
    return (volatile uint32_t *)(uio->registers + uio->device.registers_at + offset);
}

/* ---- ringing and closing ---- */

/* What the rung shall see was fenced by tmbi_wake(). */
static void uio_ring(struct tmbi_way *way, uint32_t doorbell)
{
    *reg((struct uio *)way, TMBI_IVSHMEM_DOORBELL) = doorbell;
}

/* The module does it, so that it doesn't take the slot's next owner for our death. */
static int uio_leave(struct tmbi_way *way)
{
    const uint32_t leave = TMBI_UIO_LEAVE;
    ssize_t written = write(((struct uio *)way)->control, &leave, sizeof leave);

    return written == (ssize_t)sizeof leave ? 0 : -EIO;
}

static void uio_close(struct tmbi_way *way)
{
    struct uio *uio = (struct uio *)way;

    for (uint32_t line = 0; line < TMBI_LINES; line++)
        if (way->bell[line] >= 0)
            close(way->bell[line]);
    if (uio->memory)
        munmap(uio->memory, uio->device.region_bytes);
    if (uio->registers)
        munmap(uio->registers, (size_t)sysconf(_SC_PAGESIZE));
    if (uio->control >= 0)
        close(uio->control);
    free(uio);
}

static const struct tmbi_way_ops uio_ops = {
    .name = "uio", .ring = uio_ring, .leave = uio_leave, .close = uio_close};

/* ---- opening ---- */

static int bells_open(struct uio *uio)
{
    for (uint32_t line = 0; line < TMBI_LINES; line++) {
        int status = tmbi_uio_device_vector(
            &uio->device, uio->way.doorbell[line] & 0xffff, &uio->way.bell[line]);
        if (status)
            return status;
    }
    return 0;
}

static int slot_entrust(struct tmbi_way *way)
{
    return tmbi_uio_device_entrust(((struct uio *)way)->control, way);
}

static int slot_claim(struct uio *uio)
{
    const struct tmbi_claim claim = {.way = &uio->way,
                                     .lock = uio->control,
                                     .vectors = uio->device.vectors,
                                     .more = "see `tombolo server --max-clients`",
                                     .entrust = slot_entrust};

    return tmbi_claim_slot(&claim);
}

static int maps_open(struct uio *uio)
{
    int status = tmbi_uio_device_map(&uio->device, uio->control, TMBI_UIO_MAP_REGISTERS,
                                     &uio->registers);

    if (!status)
        status = tmbi_uio_device_map(&uio->device, uio->control, TMBI_UIO_MAP_REGION,
                                     &uio->memory);
    return status;
}

/* Whether the memory holds a region with doorbells, for which this way is. */
static int region_open(struct uio *uio, const char **why)
{
    if (!tmbi_region_formed(uio->memory)) {
        *why = "the memory of its ivshmem device is no region of `tombolo server`: is "
               "that of another ivshmem server? (TMB_IVSHMEM_DEVICE=plain can use it)";
        return -ENODEV;
    }
    int status =
        tmbi_region_attach(&uio->way.region, uio->memory, uio->device.region_bytes);
    if (!status && uio->way.region.vectors == 0) {
        *why = "the region was made without a server, and knows no doorbells "
               "(TMB_IVSHMEM_DEVICE=plain can use it)";
        status = -ENODEV;
    }
    return status;
}

static int uio_open(struct uio *uio, const char **why)
{
    int status = tmbi_uio_device_vector(&uio->device, 0, &uio->control);

    if (!status)
        status = maps_open(uio);
    if (!status)
        status = region_open(uio, why);
    if (status)
        return status;
    uio->way.id = *reg(uio, TMBI_IVSHMEM_ID);
    if (uio->way.id >= TMBI_PEER_IDS) {
        tmbi_error("%s: %" PRIu32 " is no peer ID", uio->way.name, uio->way.id);
        return -EPROTO;
    }
    if (uio->device.vectors > uio->way.region.vectors)
        uio->device.vectors = uio->way.region.vectors;
    status = slot_claim(uio);
    return status ? status : bells_open(uio);
}

int tmbi_uio_open(const char *which, struct tmbi_way **way, const char **why)
{
    struct tmbi_uio_device device;

    int status = tmbi_uio_device_find(which, false, &device, why);
    if (status)
        return status;
    struct uio *uio = malloc(sizeof *uio);
    if (!uio)
        return -ENOMEM;
    *uio = (struct uio){
        .way = {.ops = &uio_ops, .watched = -1, .enlarge = "the server's --size"},
        .device = device,
        .control = -1};
    memset(uio->way.bell, -1, sizeof uio->way.bell);
    snprintf(uio->way.name, sizeof uio->way.name, "device %s", device.address);
    status = uio_open(uio, why);
    if (status)
        uio_close(&uio->way);
    else
        *way = &uio->way;
    return status;
}
