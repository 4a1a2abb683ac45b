/* SPDX-License-Identifier: BSD-3-Clause */
#include "vfio_device.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../core/log.h"
#include "kmod/tombolo_uio.h"

#define DRIVERS "/sys/bus/pci/drivers"

static void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void tmbi_vfio_ring(int device, uint64_t registers_at, uint32_t doorbell)
{
    /* What the rung shall see was fenced by tmbi_wake(). Nothing can be helped. */
    if (pwrite(device, &doorbell, sizeof doorbell,
               (off_t)(registers_at + TMBI_IVSHMEM_DOORBELL)) < 0)
        return;
}

int tmbi_vfio_device_id(const struct tmbi_vfio_device *device, uint32_t *id)
{
    if (pread(device->device, id, sizeof *id,
              (off_t)(device->registers_at + TMBI_IVSHMEM_ID)) == (ssize_t)sizeof *id &&
        *id < TMBI_PEER_IDS)
        return 0;
    tmbi_error("device %s: has no peer ID: is it an ivshmem-plain one? The broker is for "
               "ivshmem-doorbell",
               device->address);
    return -EPROTO;
}

/* ---- binding ---- */

/* What a link in the device's directory is called that it leads to. */
static bool link_read(const char *address, const char *name, char *target, size_t bytes)
{
    char path[PATH_MAX], real[PATH_MAX];

    snprintf(path, sizeof path, TMBI_PCI_DEVICES "/%s/%s", address, name);
    if (!realpath(path, real))
        return false;
    snprintf(target, bytes, "%s", strrchr(real, '/') + 1);
    return true;
}

static bool word_write(const char *path, const char *word)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, word, strlen(word)) == (ssize_t)strlen(word);

    if (fd >= 0)
        close(fd);
    return written;
}

static int driver_bind(const char *address, const char *driver)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, TMBI_PCI_DEVICES "/%s/driver_override", address);
    if (!word_write(path, "vfio-pci"))
        goto fail;
    snprintf(path, sizeof path, DRIVERS "/%s/unbind", driver);
    if (*driver && !word_write(path, address))
        goto fail;
    snprintf(path, sizeof path, "/sys/bus/pci/drivers_probe");
    if (word_write(path, address))
        return 0;
fail:;
    int status = -errno;
    tmbi_error("device %s: can't be bound to vfio-pci: %s: %s%s", address, path,
               strerror(-status), status == -EACCES ? ": only root may do that" : "");
    return status;
}

static int driver_check(const char *address, bool bind)
{
    char driver[64] = "";

    if (link_read(address, "driver", driver, sizeof driver) &&
        !strcmp(driver, "vfio-pci"))
        return 0;
    int status = bind ? driver_bind(address, driver) : 0;
    if (status)
        return status;
    if (link_read(address, "driver", driver, sizeof driver) &&
        !strcmp(driver, "vfio-pci"))
        return 0;
    tmbi_error("device %s: %s%s has it, not vfio-pci: %s", address,
               *driver ? "the driver " : "no driver", driver,
               bind
                   ? "load that (modprobe vfio-pci)"
                   : "load that (modprobe vfio-pci) and bind it (tombolo broker --bind)");
    return -ENODEV;
}

/* ---- group and container ---- */

static int group_open(struct tmbi_vfio_device *device, const char *number)
{
    char path[80];

    snprintf(path, sizeof path, "/dev/vfio/%s", number);
    device->group = open(path, O_RDWR | O_CLOEXEC);
    if (device->group >= 0)
        return 0;
    int status = -errno;
    tmbi_error("device %s: can't open %s: %s%s", device->address, path, strerror(-status),
               status == -EBUSY ? ": another broker has it, or its processes still do"
               : status == -EACCES || status == -EPERM
                   ? ": run the broker as root, or give it the file"
                   : "");
    return status;
}

static int attach_error(const struct tmbi_vfio_device *device, const char *what)
{
    int status = errno ? -errno : -ENODEV;

    tmbi_error("device %s: vfio: %s: %s", device->address, what, strerror(-status));
    return status;
}

/* A container of type 1, which is any IOMMU's, with the device's group. */
static int container_open(struct tmbi_vfio_device *device)
{
    struct vfio_group_status status = {.argsz = sizeof status};

    device->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
    if (device->container < 0)
        return attach_error(device, "can't open /dev/vfio/vfio (modprobe vfio-pci)");
    errno = 0;
    if (ioctl(device->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION ||
        ioctl(device->container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU) <= 0)
        return attach_error(device, "no IOMMU of type 1 (modprobe vfio_iommu_type1)");
    if (ioctl(device->group, VFIO_GROUP_GET_STATUS, &status))
        return attach_error(device, "its group's state can't be read");
    if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
        return attach_error(device, "other devices of its IOMMU group are in use: bind "
                                    "all of them to vfio-pci");
    if (ioctl(device->group, VFIO_GROUP_SET_CONTAINER, &device->container) ||
        ioctl(device->container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU))
        return attach_error(device, "its group can't be attached");
    device->device = ioctl(device->group, VFIO_GROUP_GET_DEVICE_FD, device->address);
    return device->device < 0 ? attach_error(device, "the group does not give it") : 0;
}

static int attach(struct tmbi_vfio_device *device, const char *wanted, bool bind)
{
    char group[32];

    if (!tmbi_pci_find(wanted, device->address)) {
        tmbi_error("broker: %s%s (QEMU: -device ivshmem-doorbell)",
                   wanted ? "there is no ivshmem device " : "there is no ivshmem device",
                   wanted ? wanted : "");
        return -ENODEV;
    }
    if (!link_read(device->address, "iommu_group", group, sizeof group)) {
        tmbi_error(
            "device %s: it has no IOMMU group: the machine needs an IOMMU (QEMU: "
            "-machine q35,kernel-irqchip=split -device intel-iommu,intremap=on; the "
            "guest's kernel: intel_iommu=on)",
            device->address);
        return -ENODEV;
    }
    int status = driver_check(device->address, bind);
    if (!status)
        status = group_open(device, group);
    return status ? status : container_open(device);
}

/* ---- the device ---- */

static int bar_find(const struct tmbi_vfio_device *device, uint32_t index, uint64_t *at,
                    uint64_t *bytes)
{
    struct vfio_region_info info = {.argsz = sizeof info, .index = index};

    if (ioctl(device->device, VFIO_DEVICE_GET_REGION_INFO, &info) || info.size == 0)
        return attach_error(device, "a BAR of an ivshmem device is missing");
    *at = info.offset;
    *bytes = info.size;
    return 0;
}

/* MSI-X is a write of the device's: it must be a bus master. */
static int master_set(const struct tmbi_vfio_device *device)
{
    uint64_t at, bytes;
    uint16_t command;

    int status = bar_find(device, VFIO_PCI_CONFIG_REGION_INDEX, &at, &bytes);
    if (status)
        return status;
    at += PCI_COMMAND;
    if (pread(device->device, &command, sizeof command, (off_t)at) != sizeof command)
        return attach_error(device, "its command register can't be read");
    command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
    if (pwrite(device->device, &command, sizeof command, (off_t)at) != sizeof command)
        return attach_error(device, "its command register can't be written");
    return 0;
}

static int bells_make(struct tmbi_vfio_device *device)
{
    struct vfio_irq_info info = {.argsz = sizeof info, .index = VFIO_PCI_MSIX_IRQ_INDEX};

    errno = 0;
    if (ioctl(device->device, VFIO_DEVICE_GET_IRQ_INFO, &info) || info.count == 0)
        return attach_error(device, "it has no MSI-X vectors: ivshmem-doorbell has");
    device->vectors = info.count < TMBI_VECTORS_MAX ? info.count : TMBI_VECTORS_MAX;
    for (uint32_t i = 0; i < device->vectors; i++) {
        device->bells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (device->bells[i] < 0)
            return attach_error(device, "eventfd");
    }
    return 0;
}

static int bells_set(const struct tmbi_vfio_device *device)
{
    const size_t bells = device->vectors * sizeof *device->bells;
    struct vfio_irq_set *irqs = calloc(1, sizeof *irqs + bells);

    if (!irqs)
        return -ENOMEM;
    irqs->argsz = (uint32_t)(sizeof *irqs + bells);
    irqs->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    irqs->index = VFIO_PCI_MSIX_IRQ_INDEX;
    irqs->count = device->vectors;
    memcpy(irqs->data, device->bells, bells);
    int status = ioctl(device->device, VFIO_DEVICE_SET_IRQS, irqs);
    if (status)
        status = attach_error(device, "its interrupts can't be enabled");
    free(irqs);
    return status;
}

static int set_up(struct tmbi_vfio_device *device)
{
    uint64_t bytes;

    int status =
        bar_find(device, VFIO_PCI_BAR0_REGION_INDEX, &device->registers_at, &bytes);
    if (!status)
        status = bar_find(device, VFIO_PCI_BAR2_REGION_INDEX, &device->region_at,
                          &device->region_bytes);
    if (!status)
        status = master_set(device);
    if (!status)
        status = bells_make(device);
    return status ? status : bells_set(device);
}

int tmbi_vfio_device_open(const char *address, bool bind, struct tmbi_vfio_device *device)
{
    *device = (struct tmbi_vfio_device){.container = -1, .group = -1, .device = -1};
    memset(device->bells, -1, sizeof device->bells);
    int status = attach(device, address, bind);
    if (!status)
        status = set_up(device);
    if (status)
        tmbi_vfio_device_close(device);
    return status;
}

void tmbi_vfio_device_close(struct tmbi_vfio_device *device)
{
    for (uint32_t i = 0; i < device->vectors; i++)
        fd_close(&device->bells[i]);
    fd_close(&device->device);
    fd_close(&device->group);
    fd_close(&device->container);
}
