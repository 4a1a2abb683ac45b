// SPDX-License-Identifier: GPL-2.0
/*
 * tombolo_uio: QEMU's ivshmem device for programs, by UIO (tombolo_uio.h tells how). UIO
 * pins this module while one of its devices is open or mapped.
 */
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "compat.h"
#include "device.h"

char *tmbi_region_wanted = "auto";
module_param_named(map, tmbi_region_wanted, charp, 0444);
MODULE_PARM_DESC(map, "How to map the region: auto (default), pages, pfn or uncached");

static void device_free(struct kref *references)
{
	kfree(container_of(references, struct tmbi_device, references));
}

void tmbi_device_put(struct tmbi_device *device)
{
	kref_put(&device->references, device_free);
}

/* ---- UIO ---- */

/* MSI-X is never shared, and the device's status register is not for revision 1. */
static irqreturn_t vector_interrupt(int irq, struct uio_info *info)
{
	return IRQ_HANDLED;
}

static int vector_write(struct uio_info *info, s32 word)
{
	struct tmbi_vector *vector = container_of(info, struct tmbi_vector, info);
	u32 low = (u32)word & 0xffff;

	if (low & TMBI_UIO_OWN) {
		if (low != (u32)word)
			return -EINVAL;
		if (low == TMBI_UIO_LEAVE)
			return tmbi_owner_leave(vector->device);
		return tmbi_owner_register(vector->device, low & ~TMBI_UIO_OWN);
	}
	if (!vector->device->registers)
		return -EOPNOTSUPP;
	tmbi_doorbell_ring(vector->device, word);
	return 0;
}

static void maps_fill(struct tmbi_device *device, struct uio_info *info)
{
	struct uio_mem *mem = &info->mem[TMBI_UIO_MAP_REGISTERS];
	phys_addr_t start = pci_resource_start(device->pci, TMBI_BAR_REGISTERS);

	mem->name = "registers";
	mem->addr = start & PAGE_MASK;
	mem->offs = start & ~PAGE_MASK;
	mem->size = PAGE_SIZE;
	mem->memtype = UIO_MEM_PHYS;
	mem = &info->mem[TMBI_UIO_MAP_REGION];
	mem->name = "region";
	mem->addr = device->start;
	mem->size = device->size;
	mem->memtype = UIO_MEM_PHYS;
}

/* A plain device says that its interrupts are custom, which never come, because UIO
 * refuses write(), and thus owners, where there are none. */
static int vector_add(struct tmbi_device *device, unsigned int number)
{
	struct tmbi_vector *vector = &device->vectors[number];
	struct uio_info *info = &vector->info;

	vector->device = device;
	if (device->registers) {
		snprintf(vector->name, sizeof(vector->name), TMBI_UIO_NAME "%u", number);
		info->irq = pci_irq_vector(device->pci, number);
		info->handler = vector_interrupt;
	} else {
		strscpy(vector->name, TMBI_UIO_NAME TMBI_UIO_PLAIN, sizeof(vector->name));
		info->irq = UIO_IRQ_CUSTOM;
	}
	info->name = vector->name;
	info->version = "1";
	info->mmap = tmbi_mapping_make;
	info->irqcontrol = vector_write;
	maps_fill(device, info);
	return uio_register_device(&device->pci->dev, info);
}

static void vectors_remove(struct tmbi_device *device, unsigned int count)
{
	while (count--)
		uio_unregister_device(&device->vectors[count].info);
}

static int vectors_add(struct tmbi_device *device)
{
	unsigned int i;
	int rc;

	for (i = 0; i < device->vector_count; i++) {
		rc = vector_add(device, i);
		if (rc) {
			vectors_remove(device, i);
			return rc;
		}
	}
	return 0;
}

/* ---- sysfs ---- */

static ssize_t mapping_show(struct device *dev, struct device_attribute *attribute,
			    char *text)
{
	struct tmbi_device *device = dev_get_drvdata(dev);

	return sysfs_emit(text, "%s %s\n", tmbi_region_mode_name(device->mode),
			  device->memory_type);
}
static DEVICE_ATTR_RO(mapping);

static struct attribute *device_attributes[] = {
	&dev_attr_mapping.attr,
	NULL,
};

static const struct attribute_group device_group = {
	.name = "tombolo",
	.attrs = device_attributes,
};

static const struct attribute_group *device_groups[] = {
	&device_group,
	NULL,
};

/* ---- PCI ---- */

static struct tmbi_device *device_new(struct pci_dev *pci)
{
	int count = pci->msix_cap ? pci_msix_vec_count(pci) : 1;
	struct tmbi_device *device;

	if (count < 1)
		return NULL;
	device = kzalloc(struct_size(device, vectors, count), GFP_KERNEL);
	if (!device)
		return NULL;
	kref_init(&device->references);
	device->pci = pci;
	device->start = pci_resource_start(pci, TMBI_BAR_REGION);
	device->size = pci_resource_len(pci, TMBI_BAR_REGION);
	device->vector_count = count;
	mutex_init(&device->lock);
	INIT_LIST_HEAD(&device->mappings);
	INIT_DELAYED_WORK(&device->beat, tmbi_owner_beat);
	pci_set_drvdata(pci, device);
	return device;
}

/* MSI-X only: the device has no other interrupts. They are writes by the device. */
static int doorbells_open(struct tmbi_device *device)
{
	struct pci_dev *pci = device->pci;
	int count;

	if (!pci->msix_cap)
		return 0;
	pci_set_master(pci);
	count = pci_alloc_irq_vectors(pci, 1, device->vector_count, PCI_IRQ_MSIX);
	if (count < 0) {
		dev_err(&pci->dev, "no MSI-X vectors: %d\n", count);
		return count;
	}
	device->vector_count = count;
	device->registers = pci_iomap(pci, TMBI_BAR_REGISTERS, 0);
	if (!device->registers) {
		pci_free_irq_vectors(pci);
		return -ENOMEM;
	}
	device->id = readl(device->registers + TMBI_IVSHMEM_ID);
	return 0;
}

static void doorbells_close(struct tmbi_device *device)
{
	if (!device->registers)
		return;
	pci_free_irq_vectors(device->pci);
	pci_iounmap(device->pci, device->registers);
	pci_clear_master(device->pci);
}

static int device_open(struct tmbi_device *device)
{
	int rc = doorbells_open(device);

	if (rc)
		return rc;
	rc = tmbi_region_open(device);
	if (rc)
		goto close_doorbells;
	tmbi_slot_sweep(device); /* what a former boot has left */
	rc = vectors_add(device);
	if (rc)
		goto close_region;
	dev_info(&device->pci->dev, "%u vectors, %llu bytes, mapping: %s %s\n",
		 device->registers ? device->vector_count : 0, device->size,
		 tmbi_region_mode_name(device->mode), device->memory_type);
	return 0;

close_region:
	tmbi_region_close(device);
close_doorbells:
	doorbells_close(device);
	return rc;
}

static int tombolo_probe(struct pci_dev *pci, const struct pci_device_id *id)
{
	struct tmbi_device *device = device_new(pci);
	int rc;

	if (!device)
		return -ENOMEM;
	rc = pci_enable_device(pci);
	if (rc)
		goto put_device;
	rc = pci_request_regions(pci, KBUILD_MODNAME);
	if (rc)
		goto disable;
	rc = device_open(device);
	if (rc)
		goto release_regions;
	return 0;

release_regions:
	pci_release_regions(pci);
disable:
	pci_disable_device(pci);
put_device:
	tmbi_device_put(device);
	return rc;
}

/* From now on nobody reaches the region through us, and no slot of ours is LIVE. */
static void device_withdraw(struct tmbi_device *device)
{
	mutex_lock(&device->lock);
	tmbi_mapping_withdraw_all(device);
	tmbi_slot_sweep(device);
	device->gone = true;
	mutex_unlock(&device->lock);
	cancel_delayed_work_sync(&device->beat);
}

/* Only where root unbinds the driver by force are there mappings left. */
static void tombolo_remove(struct pci_dev *pci)
{
	struct tmbi_device *device = pci_get_drvdata(pci);

	vectors_remove(device, device->vector_count);
	device_withdraw(device);
	tmbi_region_close(device);
	doorbells_close(device);
	pci_release_regions(pci);
	pci_disable_device(pci);
	tmbi_device_put(device);
}

static void tombolo_shutdown(struct pci_dev *pci)
{
	device_withdraw(pci_get_drvdata(pci));
}

static const struct pci_device_id tombolo_ids[] = {
	{PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110)}, {}};
MODULE_DEVICE_TABLE(pci, tombolo_ids);

static struct pci_driver tombolo_driver = {
	.name = KBUILD_MODNAME,
	.id_table = tombolo_ids,
	.probe = tombolo_probe,
	.remove = tombolo_remove,
	.shutdown = tombolo_shutdown,
	.TMBI_PCI_DEV_GROUPS = device_groups,
};

static int __init tombolo_init(void)
{
	enum tmbi_region_mode mode;
	int rc = tmbi_region_parse(tmbi_region_wanted, &mode);

	if (rc) {
		pr_err(KBUILD_MODNAME ": map=%s: must be auto, pages, pfn or uncached\n",
		       tmbi_region_wanted);
		return rc;
	}
	rc = tmbi_owner_init();
	if (rc)
		return rc;
	rc = pci_register_driver(&tombolo_driver);
	if (rc)
		tmbi_owner_exit();
	return rc;
}

static void __exit tombolo_exit(void)
{
	pci_unregister_driver(&tombolo_driver);
	tmbi_owner_exit();
}

module_init(tombolo_init);
module_exit(tombolo_exit);
MODULE_DESCRIPTION("Tombolo: ivshmem's memory and doorbells by UIO");
MODULE_AUTHOR("The Tombolo developers");
MODULE_LICENSE("GPL");
