/* SPDX-License-Identifier: BSD-3-Clause */
/* An ivshmem device of this machine as the module tombolo_uio presents it in sysfs. */
#ifndef TMBI_UIO_DEVICE_H
#define TMBI_UIO_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "way.h"

struct tmbi_uio_device {
    char address[32];            /* PCI: "0000:00:04.0" */
    bool plain;                  /* without doorbells: minor[0] is its only UIO device */
    uint32_t vectors;            /* doorbells, 0 if plain */
    int minor[TMBI_VECTORS_MAX]; /* N of /dev/uioN, by vector */
    size_t region_bytes;
    size_t registers_at; /* in their page */
};

/* Find a device by its address, or the first; `plain`: one without doorbells will do, and
 * is preferred. -ENODEV: there is none that could be used; *why is then a sentence for
 * the user. */
int tmbi_uio_device_find(const char *address, bool plain, struct tmbi_uio_device *device,
                         const char **why);

/* Open the UIO device of a vector. -EACCES and others: logged with what to do. */
int tmbi_uio_device_vector(const struct tmbi_uio_device *device, uint32_t vector,
                           int *fd);

/* Map one of its maps (TMBI_UIO_MAP_REGION and so on): a page, or the region. Logged. */
int tmbi_uio_device_map(const struct tmbi_uio_device *device, int fd, unsigned map,
                        uint8_t **at);

/* Give the slot of a way, which has this UIO device open, into the module's care. Logged.
 */
int tmbi_uio_device_entrust(int fd, const struct tmbi_way *way);

#endif
