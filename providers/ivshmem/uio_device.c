/* SPDX-License-Identifier: BSD-3-Clause */
#include "uio_device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../core/log.h"
#include "kmod/tombolo_uio.h"
#include "pci.h"

#define CLASS "/sys/class/uio"

/* ---- one UIO device ---- */

struct entry {
    int minor;
    char address[32];
    bool plain;
    uint32_t vector;
};

/* Which vector of which device uioN is; false if it is none of the module's. */
static bool entry_read(int minor, struct entry *entry)
{
    char path[PATH_MAX], name[64], target[PATH_MAX], *end;

    snprintf(path, sizeof path, CLASS "/uio%d/name", minor);
    if (!tmbi_sysfs_line(path, name, sizeof name) ||
        strncmp(name, TMBI_UIO_NAME, strlen(TMBI_UIO_NAME)))
        return false;
    const char *vector = name + strlen(TMBI_UIO_NAME);
    *entry = (struct entry){.minor = minor, .plain = !strcmp(vector, TMBI_UIO_PLAIN)};
    if (!entry->plain) {
        entry->vector = (uint32_t)strtoul(vector, &end, 10);
        if (end == vector || *end || entry->vector >= TMBI_VECTORS_MAX)
            return false;
    }
    snprintf(path, sizeof path, CLASS "/uio%d/device", minor);
    if (!realpath(path, target))
        return false;
    const char *address = strrchr(target, '/') + 1;
    snprintf(entry->address, sizeof entry->address, "%.31s", address);
    return true;
}

/* Call for each uioN there is. */
static void entries_each(void (*take)(const struct entry *entry, void *arg), void *arg)
{
    DIR *directory = opendir(CLASS);
    struct entry entry;
    struct dirent *at;
    int minor;

    while (directory && (at = readdir(directory)))
        if (sscanf(at->d_name, "uio%d", &minor) == 1 && entry_read(minor, &entry))
            take(&entry, arg);
    if (directory)
        closedir(directory);
}

/* ---- a device ---- */

struct search {
    const char *wanted; /* an address, or NULL */
    bool plain;         /* the kind that is looked for first */
    bool found_other;   /* a device of the other kind */
    struct tmbi_uio_device *device;
    uint32_t found; /* UIO devices of it */
};

/* The lowest address, unless one is wanted. */
static void address_take(const struct entry *entry, void *arg)
{
    struct search *search = arg;
    char *address = search->device->address;

    if (search->wanted && strcmp(entry->address, search->wanted))
        return;
    if (entry->plain != search->plain) {
        search->found_other = true;
        return;
    }
    if (*address && strcmp(entry->address, address) >= 0)
        return;
    memcpy(address, entry->address, sizeof search->device->address);
}

static void vector_take(const struct entry *entry, void *arg)
{
    struct search *search = arg;
    struct tmbi_uio_device *device = search->device;

    if (strcmp(entry->address, device->address))
        return;
    device->plain = entry->plain;
    device->minor[entry->vector] = entry->minor;
    search->found++;
}

static bool maps_read(struct tmbi_uio_device *device)
{
    char path[PATH_MAX];
    uint64_t bytes, offset;

    snprintf(path, sizeof path, CLASS "/uio%d/maps/map%d/size", device->minor[0],
             TMBI_UIO_MAP_REGION);
    if (!tmbi_sysfs_number(path, &bytes))
        return false;
    snprintf(path, sizeof path, CLASS "/uio%d/maps/map%d/offset", device->minor[0],
             TMBI_UIO_MAP_REGISTERS);
    if (!tmbi_sysfs_number(path, &offset) || offset > 4096 - 256)
        return false;
    device->region_bytes = bytes;
    device->registers_at = offset;
    return true;
}

static const char *absence(const char *address)
{
    char any[TMBI_PCI_ADDRESS_BYTES];

    if (address)
        return "there is no such ivshmem device, or the kernel module tombolo_uio does "
               "not drive it (modprobe tombolo_uio; see tombolo_uio(4))";
    return tmbi_pci_find(NULL, any)
               ? "this machine has an ivshmem device, but the kernel module tombolo_uio "
                 "does not drive it (modprobe tombolo_uio; see tombolo_uio(4))"
               : "this machine has no ivshmem device (QEMU: -device ivshmem-doorbell)";
}

/* The device's address; whoever needs no doorbell can do with a device that has some. */
static void address_find(struct search *search, bool plain)
{
    search->plain = plain;
    entries_each(address_take, search);
    if (plain && search->found_other && !*search->device->address) {
        search->plain = false;
        entries_each(address_take, search);
    }
}

int tmbi_uio_device_find(const char *address, bool plain, struct tmbi_uio_device *device,
                         const char **why)
{
    struct search search = {.wanted = address, .device = device};

    *device = (struct tmbi_uio_device){0};
    memset(device->minor, -1, sizeof device->minor);
    address_find(&search, plain);
    if (!*device->address) {
        *why =
            search.found_other
                ? "its ivshmem device is an ivshmem-plain one, without doorbells (QEMU: "
                  "-device ivshmem-doorbell; or TMB_IVSHMEM_DEVICE=plain)"
                : absence(address);
        return -ENODEV;
    }
    entries_each(vector_take, &search);
    device->vectors = device->plain ? 0 : search.found;
    for (uint32_t i = 0; i < search.found; i++)
        if (i >= TMBI_VECTORS_MAX || device->minor[i] < 0) {
            *why = "its UIO devices are not complete: is the module just being loaded?";
            return -ENODEV;
        }
    if (maps_read(device))
        return 0;
    *why = "the module tombolo_uio in this machine is of another version";
    return -ENODEV;
}

int tmbi_uio_device_vector(const struct tmbi_uio_device *device, uint32_t vector, int *fd)
{
    char path[32];

    snprintf(path, sizeof path, "/dev/uio%d", device->minor[vector]);
    *fd = open(path, O_RDWR | O_CLOEXEC);
    if (*fd >= 0)
        return 0;
    int status = -errno;
    if (status == -EACCES || status == -EPERM)
        tmbi_error("device %s: this user may not open %s: join the group of its users "
                   "(usermod -aG tombolo NAME), or see tombolo_uio(4)",
                   device->address, path);
    else
        tmbi_error("device %s: can't open %s: %s", device->address, path,
                   strerror(-status));
    return status;
}

int tmbi_uio_device_map(const struct tmbi_uio_device *device, int fd, unsigned map,
                        uint8_t **at)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = map == TMBI_UIO_MAP_REGION ? device->region_bytes : page;
    void *mapped =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(map * page));

    if (mapped != MAP_FAILED) {
        *at = mapped;
        return 0;
    }
    int status = -errno;
    tmbi_error("device %s: its %s can't be mapped: %s", device->address,
               map == TMBI_UIO_MAP_REGION ? "memory" : "registers", strerror(-status));
    return status;
}

int tmbi_uio_device_entrust(int fd, const struct tmbi_way *way)
{
    const uint32_t own = TMBI_UIO_OWN | way->slot;

    if (write(fd, &own, sizeof own) == (ssize_t)sizeof own)
        return 0;
    int status = -errno;
    tmbi_error("%s: the module does not take our slot %u: %s", way->name, way->slot,
               strerror(-status));
    return status;
}
