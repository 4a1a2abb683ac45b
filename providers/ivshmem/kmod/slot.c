// SPDX-License-Identifier: GPL-2.0
/* The region's slots. Whoever shares the region may write anything there at any time:
 * what is read is read once and checked, and every loop is bounded by what was checked.
 */
#include "device.h"
#include "shared_atomic.h"

static bool table_fits(const struct tmbi_device *device, u64 offset, u32 count)
{
	return offset >= TMBI_HEADER_BYTES &&
	       offset % sizeof(struct tmbi_wake_slot) == 0 &&
	       offset <= device->view_bytes && count >= 1 && count <= TMBI_SLOTS_MAX &&
	       count <= (device->view_bytes - offset) / sizeof(struct tmbi_slot);
}

int tmbi_table_read(struct tmbi_device *device, struct tmbi_table *result)
{
	struct tmbi_region_header *header = device->view;
	u64 offset;
	u32 count;

	if (device->view_bytes < TMBI_HEADER_BYTES)
		return -EPROTO;
	/* acquire: partner is the release by which the server wrote the magic last */
	if (smp_load_acquire(&header->magic) != TMBI_REGION_MAGIC ||
	    READ_ONCE(header->version) != TMBI_REGION_VERSION ||
	    READ_ONCE(header->header_bytes) != sizeof(*header) ||
	    READ_ONCE(header->size) != device->size)
		return -EPROTO;
	offset = READ_ONCE(header->slots_offset);
	count = READ_ONCE(header->slot_count);
	if (!table_fits(device, offset, count))
		return -EPROTO;
	result->header = header;
	result->slots = device->view + offset;
	result->slot_count = count;
	return 0;
}

/* A doorbell that nobody has is ignored by the device. */
void tmbi_doorbell_ring(struct tmbi_device *device, u32 bell)
{
	if (device->registers)
		writel(bell, device->registers + TMBI_IVSHMEM_DOORBELL);
}

static void slot_ring(struct tmbi_device *device, struct tmbi_slot *slot)
{
	u32 wait = READ_ONCE(slot->wake[TMBI_LINE_WAIT].doorbell);
	u32 agent = READ_ONCE(slot->wake[TMBI_LINE_AGENT].doorbell);

	tmbi_doorbell_ring(device, wait);
	if (agent != wait)
		tmbi_doorbell_ring(device, agent);
}

static void job_ring(struct tmbi_device *device, const struct tmbi_table *table, u32 job)
{
	u32 i;

	for (i = 0; i < table->slot_count; i++)
		if (tmbi_slot_lives(&table->slots[i]) &&
		    READ_ONCE(table->slots[i].job) == job)
			slot_ring(device, &table->slots[i]);
}

/* In this order: a survivor that was rung, or sees `deaths` grow, finds the slot DEAD. */
void tmbi_slot_die(struct tmbi_device *device, struct tmbi_slot *slot, u32 epoch)
{
	u32 job = READ_ONCE(slot->job);
	struct tmbi_table table;

	if (!tmbi_shared_cas(&slot->word, TMBI_SLOT_WORD(TMBI_SLOT_LIVE, epoch),
			     TMBI_SLOT_WORD(TMBI_SLOT_DEAD, epoch)))
		return;
	if (tmbi_table_read(device, &table))
		return;
	tmbi_shared_increment(&table.header->deaths);
	if (job)
		job_ring(device, &table, job);
}

static void slot_release(struct tmbi_device *device, struct tmbi_slot *slot)
{
	u32 ours = TMBI_SLOT_WORD(TMBI_SLOT_CLAIMED, device->id);

	if (tmbi_slot_lives(slot)) {
		if (READ_ONCE(slot->peer_id) == device->id &&
		    READ_ONCE(slot->kind) == TMBI_SLOT_OWN)
			tmbi_slot_die(device, slot, READ_ONCE(slot->epoch));
	} else {
		tmbi_shared_cas(&slot->word, ours, TMBI_SLOT_FREE);
	}
}

void tmbi_slot_sweep(struct tmbi_device *device)
{
	struct tmbi_table table;
	u32 i;

	if (!device->registers || tmbi_table_read(device, &table))
		return;
	for (i = 0; i < table.slot_count; i++)
		slot_release(device, &table.slots[i]);
}
