/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way in from a guest: the devices of the kernel module tombolo_uio. Processes of one
 * machine share its peer ID and its doorbells. A process claims a slot by itself, under a
 * lock that all processes of the machine take, and gives it into the module's care, which
 * sees its end whatever it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../core/log.h"
#include "kmod/tombolo_uio.h"
#include "uio_device.h"
#include "way.h"

struct uio {
    struct tmbi_way way; /* first */
    struct tmbi_uio_device device;
    uint8_t *registers; /* the page that they lie in */
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
    if (way->region.base)
        tmbi_region_unmap(&way->region);
    if (uio->registers)
        munmap(uio->registers, (size_t)sysconf(_SC_PAGESIZE));
    if (uio->control >= 0)
        close(uio->control);
    free(uio);
}

static const struct tmbi_way_ops uio_ops = {
    .name = "uio", .ring = uio_ring, .leave = uio_leave, .close = uio_close};

/* ---- our slot and our doorbells ---- */

/* How many of this machine's living processes sleep on a vector. */
static uint32_t vector_users(const struct tmbi_way *way, uint32_t vector)
{
    uint32_t users = 0;

    for (uint32_t i = 0; i < way->region.slot_count; i++) {
        const struct tmbi_slot *slot = &way->region.slots[i];
        if (i == way->slot || tmbi_slot_state(slot) != TMBI_SLOT_LIVE ||
            !(slot->kind & TMBI_SLOT_OWN))
            continue;
        for (uint32_t line = 0; line < TMBI_LINES; line++)
            users += slot->wake[line].doorbell == tmbi_doorbell(way->id, vector);
    }
    return users;
}

/* A vector for each line, of which others make the least use; the first line's counts as
 * used when the second one's is chosen. */
static void vectors_choose(struct uio *uio)
{
    struct tmbi_way *way = &uio->way;
    uint32_t chosen = UINT32_MAX;

    for (uint32_t line = 0; line < TMBI_LINES; line++) {
        uint32_t best = 0, least = UINT32_MAX;
        for (uint32_t vector = 0; vector < uio->device.vectors; vector++) {
            uint32_t users = vector_users(way, vector) + (vector == chosen);
            if (users < least) {
                least = users;
                best = vector;
            }
        }
        chosen = best;
        way->doorbell[line] = tmbi_doorbell(way->id, best);
    }
}

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

/* Who claimed a slot here, and died before the module knew of it, can't beat. */
static void orphans_end(struct tmbi_way *way)
{
    for (uint32_t i = 0; i < way->region.slot_count; i++) {
        struct tmbi_slot *slot = &way->region.slots[i];
        if (tmbi_slot_state(slot) == TMBI_SLOT_LIVE && slot->peer_id == way->id &&
            slot->kind & TMBI_SLOT_OWN &&
            atomic_load_explicit(&slot->heartbeat, memory_order_relaxed) == 0)
            tmbi_slot_gone(&way->region, i, slot->epoch);
    }
}

static int slot_entrust(struct uio *uio)
{
    const uint32_t own = TMBI_UIO_OWN | uio->way.slot;

    if (write(uio->control, &own, sizeof own) == (ssize_t)sizeof own)
        return 0;
    int status = -errno;
    tmbi_error("%s: the module does not take our slot %" PRIu32 ": %s", uio->way.name,
               uio->way.slot, strerror(-status));
    return status;
}

static int slot_claim_locked(struct uio *uio)
{
    struct tmbi_way *way = &uio->way;

    orphans_end(way);
    tmbi_job_sweep(&way->region);
    int status =
        tmbi_slot_claim(&way->region, way->id, TMBI_SLOT_OWN, getpid(), &way->slot);
    if (status) {
        tmbi_error("%s: all %" PRIu32 " slots of the region are taken; see "
                   "`tombolo server --max-clients`",
                   way->name, way->region.slot_count);
        return status;
    }
    struct tmbi_slot *slot = &way->region.slots[way->slot];
    way->epoch = slot->epoch;
    vectors_choose(uio);
    tmbi_way_introduce(way);
    status = slot_entrust(uio);
    if (status)
        tmbi_slot_gone(&way->region, way->slot, way->epoch);
    else
        atomic_store_explicit(&slot->heartbeat, 1, memory_order_relaxed);
    return status;
}

static int slot_claim(struct uio *uio)
{
    while (flock(uio->control, LOCK_EX))
        if (errno != EINTR)
            return -errno;
    int status = slot_claim_locked(uio);
    flock(uio->control, LOCK_UN);
    return status;
}

/* ---- opening ---- */

static int map_error(const struct uio *uio, const char *what)
{
    int status = -errno;

    tmbi_error("%s: its %s can't be mapped: %s", uio->way.name, what, strerror(-status));
    return status;
}

static int maps_open(struct uio *uio)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = uio->device.region_bytes;
    void *at = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, uio->control,
                    (off_t)(TMBI_UIO_MAP_REGISTERS * page));

    if (at == MAP_FAILED)
        return map_error(uio, "registers");
    uio->registers = at;
    at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, uio->control,
              (off_t)(TMBI_UIO_MAP_REGION * page));
    if (at == MAP_FAILED)
        return map_error(uio, "memory");
    int status = tmbi_region_attach(&uio->way.region, at, bytes);
    if (status)
        munmap(at, bytes);
    return status;
}

static int uio_open(struct uio *uio)
{
    int status = tmbi_uio_device_vector(&uio->device, 0, &uio->control);

    if (!status)
        status = maps_open(uio);
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

    int status = tmbi_uio_device_find(which, &device, why);
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
    status = uio_open(uio);
    if (status)
        uio_close(&uio->way);
    else
        *way = &uio->way;
    return status;
}
