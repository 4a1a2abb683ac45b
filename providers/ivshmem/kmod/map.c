// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings of processes. The end of a mapping may be the death of its owner, so there
 * must be exactly one, of one process, whose end is known: no copies, no parts, no moves.
 */
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/slab.h>

#include "compat.h"
#include "device.h"

/*
 * Each mapping has its own range of page offsets in its inode, so that its page table
 * entries can be found, and cleared, from outside of the process and apart from others'.
 */
#define NUMBER_SHIFT 40 /* a region is no larger */
#define NUMBER_MAX   ((1 << (62 - NUMBER_SHIFT)) - 2)
static DEFINE_IDA(numbers);

void tmbi_mapping_zap(struct tmbi_mapping *mapping)
{
	unmap_mapping_range(mapping->inode, (loff_t)mapping->page << PAGE_SHIFT,
			    mapping->size, 1);
}

/* With the device's lock held. */
static void mapping_withdraw(struct tmbi_mapping *mapping)
{
	tmbi_owner_end(mapping);
	WRITE_ONCE(mapping->withdrawn, true);
	tmbi_mapping_zap(mapping);
}

void tmbi_mapping_withdraw_all(struct tmbi_device *device)
{
	struct tmbi_mapping *mapping;

	list_for_each_entry (mapping, &device->mappings, node)
		mapping_withdraw(mapping);
}

static void mapping_free(struct tmbi_mapping *mapping)
{
	struct tmbi_device *device = mapping->device;

	mutex_lock(&device->lock);
	list_del(&mapping->node);
	tmbi_owner_end(mapping);
	mutex_unlock(&device->lock);
	ida_free(&numbers, mapping->number);
	kfree(mapping);
	tmbi_device_put(device);
}

/* A copy in another process is of no use: it holds no page, and gets none. */
static void area_open(struct vm_area_struct *area)
{
	struct tmbi_mapping *mapping = area->vm_private_data;

	if (mapping && area->vm_mm == mapping->mm)
		refcount_inc(&mapping->areas);
	else
		area->vm_private_data = NULL;
}

static void area_close(struct vm_area_struct *area)
{
	struct tmbi_mapping *mapping = area->vm_private_data;

	if (mapping && refcount_dec_and_test(&mapping->areas))
		mapping_free(mapping);
}

static int area_split(struct vm_area_struct *area, unsigned long address)
{
	return -EINVAL;
}

static int area_move(struct vm_area_struct *area)
{
	return -EINVAL;
}

/* Only pages of the region come one by one; all else was mapped at once, and is missing
 * because it was taken away. */
static vm_fault_t area_fault(struct vm_fault *fault)
{
	struct tmbi_mapping *mapping = fault->vma->vm_private_data;
	unsigned long offset = (fault->address & PAGE_MASK) - fault->vma->vm_start;

	if (!mapping || READ_ONCE(mapping->withdrawn) || !mapping->is_region ||
	    mapping->device->mode != TMBI_REGION_PAGES || offset >= mapping->size)
		return VM_FAULT_SIGBUS;
	fault->page = pfn_to_page(PHYS_PFN(mapping->device->start + offset));
	get_page(fault->page);
	return 0;
}

static const struct vm_operations_struct area_operations = {
	.open = area_open,
	.close = area_close,
	.TMBI_VM_OPS_SPLIT = area_split,
	.mremap = area_move,
	.fault = area_fault,
};

static int area_fill(struct tmbi_mapping *mapping, struct vm_area_struct *area)
{
	struct tmbi_device *device = mapping->device;
	phys_addr_t start = mapping->is_region
				    ? device->start
				    : pci_resource_start(device->pci, TMBI_BAR_REGISTERS);

	if (mapping->is_region && device->mode == TMBI_REGION_PAGES)
		return 0;
	if (!mapping->is_region || device->mode == TMBI_REGION_UNCACHED)
		area->vm_page_prot = pgprot_noncached(area->vm_page_prot);
	return remap_pfn_range(area, area->vm_start, PHYS_PFN(start), mapping->size,
			       area->vm_page_prot);
}

static struct tmbi_mapping *mapping_new(struct tmbi_device *device,
					struct vm_area_struct *area)
{
	struct tmbi_mapping *mapping = kzalloc(sizeof(*mapping), GFP_KERNEL_ACCOUNT);

	if (!mapping)
		return NULL;
	mapping->number = ida_alloc_max(&numbers, NUMBER_MAX, GFP_KERNEL);
	if (mapping->number < 0) {
		kfree(mapping);
		return NULL;
	}
	mapping->device = device;
	mapping->mm = area->vm_mm;
	mapping->inode = area->vm_file->f_mapping;
	mapping->page = (pgoff_t)(mapping->number + 1) << (NUMBER_SHIFT - PAGE_SHIFT);
	mapping->size = area->vm_end - area->vm_start;
	mapping->is_region = area->vm_pgoff == TMBI_UIO_MAP_REGION;
	refcount_set(&mapping->areas, 1);
	return mapping;
}

/* The size was checked by UIO. */
int tmbi_mapping_make(struct uio_info *info, struct vm_area_struct *area)
{
	struct tmbi_vector *vector = container_of(info, struct tmbi_vector, info);
	struct tmbi_device *device = vector->device;
	struct tmbi_mapping *mapping;
	int rc;

	if (!(area->vm_flags & VM_SHARED))
		return -EINVAL;
	mapping = mapping_new(device, area);
	if (!mapping)
		return -ENOMEM;
	kref_get(&device->references);
	mutex_lock(&device->lock);
	list_add_tail(&mapping->node, &device->mappings);
	mapping->withdrawn = device->gone;
	mutex_unlock(&device->lock);
	area->vm_pgoff = mapping->page;
	tmbi_vma_flags_set(area, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	rc = mapping->withdrawn ? -ENODEV : area_fill(mapping, area);
	if (rc) {
		mapping_free(mapping);
		return rc;
	}
	area->vm_private_data = mapping;
	area->vm_ops = &area_operations;
	return 0;
}
