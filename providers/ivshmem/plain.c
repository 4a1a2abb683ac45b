/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way in that needs nothing but the memory: no doorbell and no server. Sleepers look,
 * ever less often, whether they were rung (doorbell.c); who comes first makes the region;
 * peers watch each other's processes and hearts. The memory is a device that the kernel
 * module maps, and whose processes it looks after; or without the module one that sysfs
 * maps; or a file, which may be the one behind a guest's ivshmem-plain device.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../core/log.h"
#include "claim.h"
#include "heartbeat.h"
#include "kmod/tombolo_uio.h"
#include "pci.h"
#include "uio_device.h"

struct plain {
    struct tmbi_way way; /* first */
    int fd;              /* of what is mapped */
    uint8_t *memory;
    size_t bytes;
    bool module; /* it looks after our slot */
    bool beats;  /* our own heart does */
    struct tmbi_heart heart;
};

static void plain_ring(struct tmbi_way *way, uint32_t doorbell)
{
    (void)way; /* whoever sleeps looks for itself */
    (void)doorbell;
}

static int plain_leave(struct tmbi_way *way)
{
    const struct plain *plain = (const struct plain *)way;

    return plain->module ? tmbi_uio_device_leave(plain->fd) : -ENOSYS;
}

static void plain_close(struct tmbi_way *way)
{
    struct plain *plain = (struct plain *)way;

    if (plain->beats) {
        tmbi_heart_stop(&plain->heart);
        tmbi_slot_gone(&way->region, way->slot, way->epoch);
    }
    if (plain->memory)
        munmap(plain->memory, plain->bytes);
    if (plain->fd >= 0)
        close(plain->fd);
    free(plain);
}

static const struct tmbi_way_ops plain_ops = {
    .name = "plain", .ring = plain_ring, .leave = plain_leave, .close = plain_close};

/* A file's. The module maps its devices as a whole, and sysfs without caches. */
static int file_map_piece(struct tmbi_way *way, uint64_t offset, size_t bytes, void **at)
{
    return tmbi_way_map_file(way, ((struct plain *)way)->fd, 0, offset, bytes, at);
}

static const struct tmbi_way_ops file_ops = {.name = "plain",
                                             .ring = plain_ring,
                                             .map = file_map_piece,
                                             .leave = plain_leave,
                                             .close = plain_close};

/* ---- our slot ---- */

static int slot_entrust(struct tmbi_way *way)
{
    struct plain *plain = (struct plain *)way;

    if (plain->module)
        return tmbi_uio_device_entrust(plain->fd, way);
    int status =
        tmbi_heart_start(&plain->heart, &way->region.slots[way->slot], way->epoch, -1);
    plain->beats = !status;
    return status;
}

static int region_join(struct plain *plain)
{
    struct tmbi_way *way = &plain->way;
    const struct tmbi_claim claim = {.way = way,
                                     .lock = plain->fd,
                                     .more = "a larger region has more",
                                     .entrust = slot_entrust};

    if (plain->bytes < TMBI_REGION_MIN) {
        tmbi_error("%s: has %zu bytes: a region has at least 1M (QEMU: size= of its "
                   "memory-backend)",
                   way->name, plain->bytes);
        return -EINVAL;
    }
    int status = tmbi_region_form(plain->memory, plain->bytes, way->name);
    if (!status)
        status = tmbi_region_attach(&way->region, plain->memory, plain->bytes);
    return status ? status : tmbi_claim_slot(&claim);
}

/* ---- by the module ---- */

/* A device with doorbells has a peer ID, and the module wants it in our slot. */
static int id_read(struct plain *plain, const struct tmbi_uio_device *device)
{
    uint8_t *page;

    if (device->plain)
        return 0;
    int status = tmbi_uio_device_map(device, plain->fd, TMBI_UIO_MAP_REGISTERS, &page);
    if (status)
        return status;
    plain->way.id = *(volatile uint32_t *)(page + device->registers_at + TMBI_IVSHMEM_ID);
    munmap(page, (size_t)sysconf(_SC_PAGESIZE));
    return 0;
}

static int module_open(struct plain *plain, const char *which, const char **why)
{
    struct tmbi_uio_device device;

    int status = tmbi_uio_device_find(which, true, &device, why);
    if (status)
        return status;
    snprintf(plain->way.name, sizeof plain->way.name, "device %s", device.address);
    plain->module = true;
    status = tmbi_uio_device_vector(&device, 0, &plain->fd);
    if (!status)
        status = id_read(plain, &device);
    if (!status)
        status =
            tmbi_uio_device_map(&device, plain->fd, TMBI_UIO_MAP_REGION, &plain->memory);
    if (!status)
        plain->bytes = device.region_bytes;
    return status;
}

/* ---- by a file: of sysfs, or any other ---- */

static int file_error(const struct plain *plain, const char *path, int error)
{
    const char *advice = "";

    if (error == ENOENT)
        advice = "; it must be the file of a guest's memory-backend-file, or one of a "
                 "power of two of zeros (truncate -s 256M FILE)";
    else if (error == EACCES || error == EPERM)
        advice =
            "; only who may read and write it can use it, of a device only root, and "
            "no one under kernel lockdown: the module tombolo_uio has groups";
    else if (error == EINVAL)
        advice = "; if it is a device: its driver has it (unbind it, or use that driver)";
    tmbi_error("%s: can't use %s: %s%s", plain->way.name, path, strerror(error), advice);
    return -error;
}

static int file_map(struct plain *plain, const char *path)
{
    struct stat stat;

    plain->fd = open(path, O_RDWR | O_CLOEXEC);
    if (plain->fd < 0 || fstat(plain->fd, &stat))
        return file_error(plain, path, errno);
    if (!S_ISREG(stat.st_mode) || stat.st_size < (off_t)TMBI_REGION_MIN) {
        tmbi_error("%s: %s is %s: a region has at least 1M", plain->way.name, path,
                   S_ISREG(stat.st_mode) ? "too small" : "no file");
        return -EINVAL;
    }
    void *at = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                    plain->fd, 0);
    if (at == MAP_FAILED)
        return file_error(plain, path, errno);
    plain->memory = at;
    plain->bytes = (size_t)stat.st_size;
    plain->way.unreported = true;
    return 0;
}

static int file_open(struct plain *plain, const char *path)
{
    plain->way.ops = &file_ops;
    snprintf(plain->way.name, sizeof plain->way.name, "file %s", path);
    return file_map(plain, path);
}

static int sysfs_open(struct plain *plain, const char *which, const char **why)
{
    char address[TMBI_PCI_ADDRESS_BYTES], path[PATH_MAX];

    if (!tmbi_pci_find(which, address)) {
        *why = which ? "there is no such ivshmem device"
                     : "this machine has no ivshmem device (QEMU: -device ivshmem-plain)";
        return -ENODEV;
    }
    snprintf(plain->way.name, sizeof plain->way.name, "device %s", address);
    snprintf(path, sizeof path, TMBI_PCI_DEVICES "/%s/resource2", address);
    int status = file_map(plain, path);
    if (!status)
        tmbi_warn("%s: mapped by sysfs: without the module tombolo_uio its memory is "
                  "uncached on real hardware, and slow",
                  plain->way.name);
    return status;
}

/* ---- opening ---- */

static int memory_open(struct plain *plain, const char *which, bool any, const char **why)
{
    if (which && strchr(which, '/'))
        return file_open(plain, which);
    int status = module_open(plain, which, why);
    return status == -ENODEV && any ? sysfs_open(plain, which, why) : status;
}

static int plain_open(const char *which, bool any, struct tmbi_way **way,
                      const char **why)
{
    struct plain *plain = malloc(sizeof *plain);

    if (!plain)
        return -ENOMEM;
    *plain = (struct plain){.way = {.ops = &plain_ops,
                                    .id = tmbi_claim_machine(),
                                    .watched = -1,
                                    .enlarge = "a larger file behind the device"},
                            .fd = -1};
    memset(plain->way.bell, -1, sizeof plain->way.bell);
    int status = memory_open(plain, which, any, why);
    if (!status)
        status = region_join(plain);
    if (status)
        plain_close(&plain->way);
    else
        *way = &plain->way;
    return status;
}

int tmbi_plain_open(const char *which, struct tmbi_way **way, const char **why)
{
    return plain_open(which, false, way, why);
}

int tmbi_plain_open_any(const char *which, struct tmbi_way **way, const char **why)
{
    return plain_open(which, true, way, why);
}
