/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between kernels 5.10 to 7.3, each in one place. */
#ifndef TMBI_KMOD_COMPAT_H
#define TMBI_KMOD_COMPAT_H

#include <linux/mm.h>
#include <linux/version.h>

/*
 * A mapping that is being made: an area, or (Kbuild found out) its description, whose
 * fields are called alike. Of a description the kernel makes an area afterwards, and then
 * tells that it did.
 */
#ifdef TMBI_MMAP_PREPARE

#define TMBI_UIO_MMAP		   mmap_prepare
#define tmbi_new_area		   vm_area_desc
#define TMBI_NEW_AREA(area, field) ((area)->field)

static inline bool tmbi_area_is_shared(struct vm_area_desc *area)
{
	return vma_desc_test(area, VMA_SHARED_BIT);
}

static inline void tmbi_area_restrict(struct vm_area_desc *area)
{
	vma_desc_set_flags(area, VMA_DONTCOPY_BIT, VMA_DONTEXPAND_BIT, VMA_DONTDUMP_BIT);
}

static inline int tmbi_area_remap(struct vm_area_desc *area, unsigned long pfn)
{
	mmap_action_remap_full(area, pfn);
	return 0;
}

#else

#define TMBI_UIO_MMAP		   mmap
#define tmbi_new_area		   vm_area_struct
#define TMBI_NEW_AREA(area, field) ((area)->vm_##field)

static inline bool tmbi_area_is_shared(struct vm_area_struct *area)
{
	return area->vm_flags & VM_SHARED;
}

static inline void tmbi_area_restrict(struct vm_area_struct *area)
{
	unsigned long flags = VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(area, flags);
#else
	area->vm_flags |= flags;
#endif
}

static inline int tmbi_area_remap(struct vm_area_struct *area, unsigned long pfn)
{
	return remap_pfn_range(area, area->vm_start, pfn, area->vm_end - area->vm_start,
			       area->vm_page_prot);
}

#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 11, 0)
#define TMBI_VM_OPS_SPLIT may_split
#else
#define TMBI_VM_OPS_SPLIT split
#endif

/* The driver's attributes of the device it drives. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 14, 0)
#define TMBI_PCI_DEV_GROUPS dev_groups
#else
#define TMBI_PCI_DEV_GROUPS driver.dev_groups
#endif

#endif
