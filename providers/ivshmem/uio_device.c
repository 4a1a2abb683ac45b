/* SPDX-License-Identifier: BSD-3-Clause */
#include "uio_device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../core/log.h"
#include "kmod/tombolo_uio.h"

#define CLASS "/sys/class/uio"
#define BUS   "/sys/bus/pci/devices"

/* The first line of a file in sysfs, without its end. */
static bool line_read(const char *path, char *line, size_t bytes)
{
    FILE *file = fopen(path, "re");
    bool got = file && fgets(line, (int)bytes, file);

    if (file)
        fclose(file);
    if (got)
        line[strcspn(line, "\n")] = '\0';
    return got;
}

static bool number_read(const char *path, uint64_t *number)
{
    char line[32], *end;

    if (!line_read(path, line, sizeof line))
        return false;
    *number = strtoull(line, &end, 0);
    return end > line && !*end;
}

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
    if (!line_read(path, name, sizeof name) ||
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
    struct tmbi_uio_device *device;
    uint32_t found; /* UIO devices of it */
};

/* The lowest address, unless one is wanted. */
static void address_take(const struct entry *entry, void *arg)
{
    struct search *search = arg;
    char *address = search->device->address;

    if (search->wanted ? strcmp(entry->address, search->wanted) != 0
                       : *address && strcmp(entry->address, address) >= 0)
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
    if (!number_read(path, &bytes))
        return false;
    snprintf(path, sizeof path, CLASS "/uio%d/maps/map%d/offset", device->minor[0],
             TMBI_UIO_MAP_REGISTERS);
    if (!number_read(path, &offset) || offset > 4096 - 256)
        return false;
    device->region_bytes = bytes;
    device->registers_at = offset;
    return true;
}

/* Whether this machine has an ivshmem device at all, for what to say when the module
 * presents none. */
static bool bus_has_device(void)
{
    DIR *directory = opendir(BUS);
    char path[PATH_MAX];
    uint64_t vendor, device;
    struct dirent *at;
    bool found = false;

    while (directory && !found && (at = readdir(directory))) {
        snprintf(path, sizeof path, BUS "/%.32s/vendor", at->d_name);
        if (!number_read(path, &vendor) || vendor != 0x1af4)
            continue;
        snprintf(path, sizeof path, BUS "/%.32s/device", at->d_name);
        found = number_read(path, &device) && device == 0x1110;
    }
    if (directory)
        closedir(directory);
    return found;
}

static const char *absence(const char *address)
{
    if (address)
        return "there is no such ivshmem device, or the kernel module tombolo_uio does "
               "not drive it (modprobe tombolo_uio; see tombolo_uio(4))";
    return bus_has_device()
               ? "this machine has an ivshmem device, but the kernel module tombolo_uio "
                 "does not drive it (modprobe tombolo_uio; see tombolo_uio(4))"
               : "this machine has no ivshmem device (QEMU: -device ivshmem-doorbell)";
}

int tmbi_uio_device_find(const char *address, struct tmbi_uio_device *device,
                         const char **why)
{
    struct search search = {.wanted = address, .device = device};

    *device = (struct tmbi_uio_device){0};
    memset(device->minor, -1, sizeof device->minor);
    entries_each(address_take, &search);
    if (!*device->address) {
        *why = absence(address);
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
