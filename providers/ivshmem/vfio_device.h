/* SPDX-License-Identifier: BSD-3-Clause */
/* An ivshmem device by the kernel's own vfio-pci, for which the machine needs an IOMMU.
 * One process at a time can have it. */
#ifndef TMBI_VFIO_DEVICE_H
#define TMBI_VFIO_DEVICE_H

#include "pci.h"
#include "way.h"

struct tmbi_vfio_device {
    char address[TMBI_PCI_ADDRESS_BYTES];
    int container, group, device; /* descriptors, or -1 */
    uint64_t registers_at;        /* in `device`, as the next */
    uint64_t region_at, region_bytes;
    uint32_t vectors;
    int bells[TMBI_VECTORS_MAX]; /* eventfds; -1 beyond `vectors` */
};

/* Open the device at an address, or the first; `bind`: give it to vfio-pci before,
 * whoever has it. Its doorbells are heard from then on. -ENODEV, -EACCES, -EBUSY and
 * others: logged with what to do. */
int tmbi_vfio_device_open(const char *address, bool bind,
                          struct tmbi_vfio_device *device);
void tmbi_vfio_device_close(struct tmbi_vfio_device *device);

/* Our peer ID; -EPROTO is logged. */
int tmbi_vfio_device_id(const struct tmbi_vfio_device *device, uint32_t *id);

/* Ring a doorbell by the device's descriptor, wherever that is. */
void tmbi_vfio_ring(int device, uint64_t registers_at, uint32_t doorbell);

#endif
