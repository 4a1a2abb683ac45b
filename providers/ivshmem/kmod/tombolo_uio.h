/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel module tombolo_uio offers to programs, beside what UIO is documented to
 * do. The module makes one UIO device for each MSI-X vector of an ivshmem device, called
 * "tombolo:0", "tombolo:1" and so on, or a single one called "tombolo:plain" for a device
 * without doorbells. All of one ivshmem device share their maps.
 *
 * Reading and polling are UIO's. Writing takes a 32-bit word:
 *
 * A doorbell to ring, as the device's register takes it (peer << 16 | vector).
 * Errors: -EOPNOTSUPP: the device is plain.
 *
 * TMBI_UIO_OWN | slot, by which a process that has the region mapped says that the slot,
 * which is LIVE and of kind TMBI_SLOT_OWN, is its own: when the mapping ends for whatever
 * reason and the slot is still LIVE, the module makes it DEAD and rings the survivors of
 * its job; until then it lets the slot's heart beat. Once somebody else has made the slot
 * anything but LIVE or LEFT, the mapping is taken away, and using it raises SIGBUS.
 * Errors: -EINVAL: there is no such slot; -EPERM: it is another machine's; -ENXIO: the
 * process has not mapped the region; -EPROTO: the region is none that the module knows;
 * -EBUSY: the process owns another slot, or another process owns this one.
 *
 * TMBI_UIO_LEAVE, the end in good order: the slot that the process owns becomes LEFT, and
 * is not its own any more. One that makes it LEFT by itself must have unmapped the region
 * before anybody can free or claim the slot, or is taken for one that was declared dead.
 * Errors: -ENXIO: it owns none.
 *
 * A mapping is not inherited by fork, can't be split, and can't be moved.
 *
 * DEVICE/tombolo/mapping, in sysfs, tells in one line how the region is mapped and with
 * which memory type, such as "pages write-back" or "pfn uncached".
 */
#ifndef TMBI_TOMBOLO_UIO_H
#define TMBI_TOMBOLO_UIO_H

#define TMBI_UIO_NAME	 "tombolo:" /* and the vector's number, or: */
#define TMBI_UIO_PLAIN	 "plain"
#define TMBI_UIO_MAPPING "tombolo/mapping"

/* The maps, by their number, which is the page offset that mmap(2) takes. */
#define TMBI_UIO_MAP_REGISTERS 0 /* the page that holds BAR0; its offset is in sysfs */
#define TMBI_UIO_MAP_REGION    1 /* BAR2 */

/* A word whose vector would be 0x8000 or more owns a slot; no device has as many. */
#define TMBI_UIO_OWN   0x8000u
#define TMBI_UIO_LEAVE 0xffffu

/* Registers in BAR0 (QEMU's docs/specs/ivshmem-spec). */
#define TMBI_IVSHMEM_ID	      8	 /* read: our own peer ID */
#define TMBI_IVSHMEM_DOORBELL 12 /* write: peer << 16 | vector */

#endif
