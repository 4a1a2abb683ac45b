// SPDX-License-Identifier: GPL-2.0
/*
 * How BAR2 is mapped. Where it lies below 4 GiB, firmware calls it uncached (by MTRR),
 * and Linux then makes uncached what asks for a write-back mapping of page frames; pages
 * are asked no such question. What came out is looked up, not guessed.
 */
#include <linux/delay.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "device.h"

static const char *const mode_names[] = {
	[TMBI_REGION_AUTO] = "auto",
	[TMBI_REGION_PAGES] = "pages",
	[TMBI_REGION_PFN] = "pfn",
	[TMBI_REGION_UNCACHED] = "uncached",
};

const char *tmbi_region_mode_name(enum tmbi_region_mode mode)
{
	return mode_names[mode];
}

int tmbi_region_parse(const char *word, enum tmbi_region_mode *result)
{
	int mode = match_string(mode_names, ARRAY_SIZE(mode_names), word);

	if (mode < 0)
		return mode;
	*result = mode;
	return 0;
}

/* ---- pages ---- */

static int pages_open(struct tmbi_device *device)
{
	struct dev_pagemap *pagemap;
	void *base;

	if (!IS_ENABLED(CONFIG_ZONE_DEVICE))
		return -EOPNOTSUPP;
	if (!IS_ALIGNED(device->start | device->size, SZ_2M))
		return -EINVAL;
	pagemap = kzalloc(sizeof(*pagemap), GFP_KERNEL);
	if (!pagemap)
		return -ENOMEM;
	pagemap->type = MEMORY_DEVICE_GENERIC;
	pagemap->nr_range = 1;
	pagemap->range.start = device->start;
	pagemap->range.end = device->start + device->size - 1;
	base = memremap_pages(pagemap, dev_to_node(&device->pci->dev));
	if (IS_ERR(base)) {
		kfree(pagemap);
		return PTR_ERR(base);
	}
	device->pagemap = pagemap;
	return 0;
}

/* Pages with more than the device's own reference are still mapped, by a page fault that
 * was under way, or are being read or written by somebody's I/O. */
static void pages_drain(struct tmbi_device *device)
{
	unsigned long pfn = PHYS_PFN(device->start);
	unsigned long end = pfn + (device->size >> PAGE_SHIFT);

	for (; pfn < end; pfn++) {
		while (page_ref_count(pfn_to_page(pfn)) > 1) {
			dev_info_once(&device->pci->dev,
				      "waiting for pages that are in use\n");
			mutex_lock(&device->lock);
			tmbi_mapping_withdraw_all(device);
			mutex_unlock(&device->lock);
			msleep(20);
		}
		cond_resched();
	}
}

static void pages_close(struct tmbi_device *device)
{
	pages_drain(device);
	memunmap_pages(device->pagemap);
	kfree(device->pagemap);
}

/* ---- the kernel's view ---- */

static void *pages_view(struct tmbi_device *device)
{
	unsigned long i, count = device->view_bytes >> PAGE_SHIFT;
	struct page **pages = kvmalloc_array(count, sizeof(*pages), GFP_KERNEL);
	void *view;

	if (!pages)
		return NULL;
	for (i = 0; i < count; i++)
		pages[i] = pfn_to_page(PHYS_PFN(device->start) + i);
	view = vmap(pages, count, VM_MAP, PAGE_KERNEL);
	kvfree(pages);
	return view;
}

/* Of the same memory type as the mappings of processes, so that there are no aliases of
 * two types. */
static int view_open(struct tmbi_device *device)
{
	device->view_bytes = min_t(u64, device->size,
				   PAGE_ALIGN(TMBI_HEADER_BYTES +
					      TMBI_SLOTS_MAX * sizeof(struct tmbi_slot)));
	if (device->mode == TMBI_REGION_PAGES)
		device->view = pages_view(device);
	else if (device->mode == TMBI_REGION_PFN)
		device->view = memremap(device->start, device->view_bytes, MEMREMAP_WB);
	else
		device->view = (void __force *)ioremap(device->start, device->view_bytes);
	return device->view ? 0 : -ENOMEM;
}

static void view_close(struct tmbi_device *device)
{
	if (device->mode == TMBI_REGION_PAGES)
		vunmap(device->view);
	else if (device->mode == TMBI_REGION_PFN)
		memunmap(device->view);
	else
		iounmap((void __iomem __force *)device->view);
}

#ifdef CONFIG_X86
/* Linux gives mappings of the same page frames one type: what ours got, all get. */
static const char *memory_type(const struct tmbi_device *device)
{
	unsigned int level;
	pte_t *entry = lookup_address((unsigned long)device->view, &level);
	unsigned long type;

	if (!entry || level != PG_LEVEL_4K)
		return "unknown";
	type = pte_flags(*entry) & _PAGE_CACHE_MASK;
	if (type == cachemode2protval(_PAGE_CACHE_MODE_WB))
		return "write-back";
	if (type == cachemode2protval(_PAGE_CACHE_MODE_WT))
		return "write-through";
	if (type == cachemode2protval(_PAGE_CACHE_MODE_WC))
		return "write-combining";
	return "uncached";
}
#else
static const char *memory_type(const struct tmbi_device *device)
{
	return device->mode == TMBI_REGION_UNCACHED ? "uncached" : "write-back";
}
#endif

/* ---- */

static int mode_choose(struct tmbi_device *device, enum tmbi_region_mode wanted)
{
	int rc;

	device->mode = wanted;
	if (wanted != TMBI_REGION_AUTO && wanted != TMBI_REGION_PAGES)
		return 0;
	rc = pages_open(device);
	device->mode = rc ? TMBI_REGION_PFN : TMBI_REGION_PAGES;
	if (rc && wanted == TMBI_REGION_PAGES)
		dev_err(&device->pci->dev, "map=pages: BAR2 can't be mapped so: %d\n",
			rc);
	return wanted == TMBI_REGION_PAGES ? rc : 0;
}

int tmbi_region_open(struct tmbi_device *device)
{
	enum tmbi_region_mode wanted;
	int rc = tmbi_region_parse(tmbi_region_wanted, &wanted);

	if (!rc)
		rc = mode_choose(device, wanted);
	if (rc)
		return rc;
	rc = view_open(device);
	if (rc) {
		if (device->mode == TMBI_REGION_PAGES)
			pages_close(device);
		return rc;
	}
	device->memory_type = memory_type(device);
	return 0;
}

void tmbi_region_close(struct tmbi_device *device)
{
	view_close(device);
	if (device->mode == TMBI_REGION_PAGES)
		pages_close(device);
}
