// SPDX-License-Identifier: GPL-2.0
/* Who owns a slot: the process whose mapping ends with it. */
#include <linux/sched.h>

#include "device.h"
#include "shared_atomic.h"

/* Ranks may spin on every CPU: the heart must not wait for one of them to pause. */
static struct workqueue_struct *beats;

static bool slot_is(const struct tmbi_slot *slot, u32 state, u32 epoch)
{
	return READ_ONCE(slot->word) == TMBI_SLOT_WORD(state, epoch);
}

static bool owned_by_another(struct tmbi_device *device, const struct tmbi_mapping *self,
			     const struct tmbi_slot *slot)
{
	struct tmbi_mapping *other;

	list_for_each_entry (other, &device->mappings, node)
		if (other != self && other->slot == slot &&
		    READ_ONCE(slot->epoch) == other->epoch)
			return true;
	return false;
}

/* The process's mapping of the region: the one that owns, or else the first. */
static struct tmbi_mapping *mapping_find(struct tmbi_device *device)
{
	struct tmbi_mapping *mapping, *first = NULL;

	list_for_each_entry (mapping, &device->mappings, node) {
		if (mapping->mm != current->mm || !mapping->is_region ||
		    mapping->withdrawn)
			continue;
		if (mapping->slot)
			return mapping;
		if (!first)
			first = mapping;
	}
	return first;
}

static int slot_check(struct tmbi_device *device, const struct tmbi_slot *slot)
{
	if (!tmbi_slot_lives(slot) || READ_ONCE(slot->kind) != TMBI_SLOT_OWN)
		return -EINVAL;
	if (device->registers && READ_ONCE(slot->peer_id) != device->id)
		return -EPERM;
	return 0;
}

static void heart_beat(struct tmbi_mapping *mapping)
{
	if (++mapping->heartbeat == 0) /* which would say that there is none */
		mapping->heartbeat = 1;
	WRITE_ONCE(mapping->slot->heartbeat, mapping->heartbeat);
}

static void beat_queue(struct tmbi_device *device)
{
	queue_delayed_work(beats, &device->beat, msecs_to_jiffies(TMBI_BEAT_MS));
}

static int slot_own(struct tmbi_mapping *mapping, struct tmbi_slot *slot, u32 index)
{
	struct tmbi_device *device = mapping->device;
	u32 epoch = READ_ONCE(slot->epoch);

	if (mapping->slot && slot_is(mapping->slot, TMBI_SLOT_LIVE, mapping->epoch))
		return mapping->slot == slot ? 0 : -EBUSY;
	if (owned_by_another(device, mapping, slot))
		return -EBUSY;
	mapping->slot = slot;
	mapping->slot_index = index;
	mapping->epoch = epoch;
	mapping->heartbeat = READ_ONCE(slot->heartbeat);
	heart_beat(mapping);
	beat_queue(device);
	return 0;
}

int tmbi_owner_register(struct tmbi_device *device, u32 slot_index)
{
	struct tmbi_mapping *mapping;
	struct tmbi_table table;
	int rc;

	mutex_lock(&device->lock);
	mapping = device->gone ? NULL : mapping_find(device);
	rc = mapping ? tmbi_table_read(device, &table) : -ENXIO;
	if (!rc && slot_index >= table.slot_count)
		rc = -EINVAL;
	if (!rc)
		rc = slot_check(device, &table.slots[slot_index]);
	if (!rc)
		rc = slot_own(mapping, &table.slots[slot_index], slot_index);
	mutex_unlock(&device->lock);
	return rc;
}

int tmbi_owner_leave(struct tmbi_device *device)
{
	struct tmbi_mapping *mapping;
	int rc = -ENXIO;

	mutex_lock(&device->lock);
	mapping = device->gone ? NULL : mapping_find(device);
	if (mapping && mapping->slot) {
		tmbi_shared_cas(&mapping->slot->word,
				TMBI_SLOT_WORD(TMBI_SLOT_LIVE, mapping->epoch),
				TMBI_SLOT_WORD(TMBI_SLOT_LEFT, mapping->epoch));
		mapping->slot = NULL;
		rc = 0;
	}
	mutex_unlock(&device->lock);
	return rc;
}

void tmbi_owner_end(struct tmbi_mapping *mapping)
{
	if (mapping->slot)
		tmbi_slot_die(mapping->device, mapping->slot, mapping->epoch);
	mapping->slot = NULL;
}

/* Its peers go on without it, and its memory may be another's by now. */
static void mapping_declared_dead(struct tmbi_mapping *mapping)
{
	dev_warn_ratelimited(
		&mapping->device->pci->dev,
		"slot %u: others declared its process dead; its mapping of the "
		"region is taken away\n",
		mapping->slot_index);
	mapping->slot = NULL;
	WRITE_ONCE(mapping->withdrawn, true);
	mapping->zaps = 2; /* a page fault may be under way during the first */
}

static void mapping_beat(struct tmbi_mapping *mapping)
{
	if (mapping->slot) {
		if (slot_is(mapping->slot, TMBI_SLOT_LIVE, mapping->epoch))
			heart_beat(mapping);
		else if (slot_is(mapping->slot, TMBI_SLOT_LEFT, mapping->epoch))
			mapping->slot = NULL;
		else
			mapping_declared_dead(mapping);
	}
	if (mapping->zaps) {
		mapping->zaps--;
		tmbi_mapping_zap(mapping);
	}
}

void tmbi_owner_beat(struct work_struct *work)
{
	struct tmbi_device *device =
		container_of(to_delayed_work(work), struct tmbi_device, beat);
	struct tmbi_mapping *mapping;
	bool more = false;

	mutex_lock(&device->lock);
	if (!device->gone)
		list_for_each_entry (mapping, &device->mappings, node) {
			mapping_beat(mapping);
			more |= mapping->slot || mapping->zaps;
		}
	if (more)
		beat_queue(device);
	mutex_unlock(&device->lock);
}

int tmbi_owner_init(void)
{
	beats = alloc_workqueue("tombolo", WQ_UNBOUND | WQ_HIGHPRI | WQ_MEM_RECLAIM, 0);
	return beats ? 0 : -ENOMEM;
}

void tmbi_owner_exit(void)
{
	destroy_workqueue(beats);
}
