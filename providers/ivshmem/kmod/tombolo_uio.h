/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the kernel module tombolo_uio offers to programs, beside what UIO is documented to
 * do. The module makes one UIO device for each MSI-X vector of an ivshmem device, called
 * "tombolo:0", "tombolo:1" and so on, or a single one called "tombolo:plain" for a device
 * without doorbells. All of one ivshmem device share their maps.
 *
 * Reading and polling are UIO's. Writing takes a 32-bit word: a doorbell to ring, as the
 * device's register takes it (peer << 16 | vector), or TMBI_UIO_OWN | slot, by which a
 * process that has the region mapped says that the slot is its own: when the mapping ends
 * for whatever reason and the slot is still LIVE, the module makes it DEAD and rings the
 * survivors of its job; until then it lets the slot's heart beat. Once somebody else has
 * made the slot DEAD, the mapping is taken away, and using it raises SIGBUS.
 * Errors of that: -EINVAL: there is no such slot, or it isn't LIVE; -EPERM: it is another
 * machine's; -ENXIO: the process has not mapped the region; -EPROTO: the region is none
 * that the module knows; -EBUSY: the process owns another slot.
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
#define TMBI_UIO_OWN 0x8000u

/* Registers in BAR0 (QEMU's docs/specs/ivshmem-spec). */
#define TMBI_IVSHMEM_ID	      8	 /* read: our own peer ID */
#define TMBI_IVSHMEM_DOORBELL 12 /* write: peer << 16 | vector */

#endif
