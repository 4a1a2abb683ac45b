/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between kernels 5.10 and 6.12, each in one place. */
#ifndef TMBI_KMOD_COMPAT_H
#define TMBI_KMOD_COMPAT_H

#include <linux/mm.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
static inline void tmbi_vma_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
	vm_flags_set(vma, flags);
}
#else
static inline void tmbi_vma_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
	vma->vm_flags |= flags;
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
