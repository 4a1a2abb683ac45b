/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One ivshmem device, and who has mapped it.
 *
 * main.c    the PCI driver and its UIO devices
 * region.c  how BAR2 is reached: by pages, by page frames, or uncached
 * map.c     the mappings of processes: what they may do, and when they end
 * slot.c    the region's table of slots: its check, deaths and doorbells
 * owner.c   whose mapping a slot lives by, and its heartbeat
 *
 * The PCI driver holds a reference to a device, and so does each mapping: a mapping may
 * outlast the driver where root unbinds it by force.
 */
#ifndef TMBI_KMOD_DEVICE_H
#define TMBI_KMOD_DEVICE_H

#include <linux/io.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/memremap.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/uio_driver.h>
#include <linux/workqueue.h>

#include "../layout.h"
#include "tombolo_uio.h"

#define TMBI_BAR_REGISTERS 0
#define TMBI_BAR_REGION	   2

enum tmbi_region_mode {
	TMBI_REGION_AUTO,
	TMBI_REGION_PAGES,    /* struct pages, inserted by page faults */
	TMBI_REGION_PFN,      /* remap_pfn_range, of the type that the platform gives */
	TMBI_REGION_UNCACHED, /* the same, uncached on purpose */
};

/* A UIO device: a vector, or all there is of a plain device. */
struct tmbi_vector {
	struct tmbi_device *device;
	struct uio_info info;
	char name[24];
};

struct tmbi_device {
	struct kref references;
	struct pci_dev *pci;
	void __iomem *registers; /* NULL for a plain device, which has no doorbells */
	u32 id;			 /* our number at the server; none for a plain device */

	enum tmbi_region_mode mode;
	phys_addr_t start; /* BAR2 */
	u64 size;
	struct dev_pagemap *pagemap; /* mode pages only */
	void *view;		     /* the kernel's own mapping of header and slots */
	size_t view_bytes;
	const char *memory_type;

	struct mutex lock; /* taken within mmap_lock; guards all below, but for vectors */
	struct list_head mappings;
	bool gone; /* no new mappings and owners; the view may not be used */
	struct delayed_work beat;

	unsigned int vector_count;
	struct tmbi_vector vectors[];
};

/* Of a process, and of either map. Constant but for what is said to be not. */
struct tmbi_mapping {
	struct list_head node;
	struct tmbi_device *device;
	struct mm_struct *mm;	     /* compared, never used */
	struct address_space *inode; /* with `page`: finds this mapping, and no other */
	pgoff_t page;
	u64 size;
	int number;
	bool is_region;
	refcount_t areas; /* 2 while mremap tries what it may not, otherwise 1 */

	bool withdrawn;	   /* under the lock; page faults read it without */
	unsigned int zaps; /* under the lock: how often to clear its page table yet */
	struct tmbi_slot *slot; /* under the lock, with the rest: NULL, or it is owned */
	u32 slot_index;
	u32 epoch;
	u64 heartbeat;
};

/* main.c */
void tmbi_device_put(struct tmbi_device *device);

/* region.c. To close waits until nobody uses a page of it; mappings are withdrawn. */
extern char *tmbi_region_wanted; /* the module's parameter: auto, pages, pfn, uncached */
int tmbi_region_parse(const char *word, enum tmbi_region_mode *result);
int tmbi_region_open(struct tmbi_device *device);
void tmbi_region_close(struct tmbi_device *device);
const char *tmbi_region_mode_name(enum tmbi_region_mode mode);

/* map.c */
int tmbi_mapping_make(struct uio_info *info, struct vm_area_struct *area);
void tmbi_mapping_zap(struct tmbi_mapping *mapping);
void tmbi_mapping_withdraw_all(struct tmbi_device *device);

/* slot.c */
struct tmbi_table {
	struct tmbi_region_header *header;
	struct tmbi_slot *slots;
	u32 slot_count;
};

/* Check what lies in the region now. -EPROTO: nothing that we know. */
int tmbi_table_read(struct tmbi_device *device, struct tmbi_table *result);
static inline bool tmbi_slot_lives(const struct tmbi_slot *slot)
{
	return (READ_ONCE(slot->word) & TMBI_SLOT_STATE_MASK) == TMBI_SLOT_LIVE;
}
/* The end of a slot's life that has this epoch. */
void tmbi_slot_die(struct tmbi_device *device, struct tmbi_slot *slot, u32 epoch);
/* End what this machine's processes have left behind that no mapping answers for. */
void tmbi_slot_sweep(struct tmbi_device *device);
void tmbi_doorbell_ring(struct tmbi_device *device, u32 bell);

/* owner.c. To end is to die, if the slot is LIVE; with the device's lock held. */
int tmbi_owner_register(struct tmbi_device *device, u32 slot_index);
int tmbi_owner_leave(struct tmbi_device *device);
void tmbi_owner_end(struct tmbi_mapping *mapping);
void tmbi_owner_beat(struct work_struct *work);
int tmbi_owner_init(void);
void tmbi_owner_exit(void);

#endif
