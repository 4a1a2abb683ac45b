/* SPDX-License-Identifier: BSD-3-Clause */
#include "mailbox.h"

#include <errno.h>
#include <string.h>

#define ERRNO_MAX 4095u

int tmbi_mailbox_open(const struct tmbi_region *region, uint64_t offset,
                      struct tmbi_mailbox_sender *sender)
{
    struct tmbi_mailbox *box = tmbi_region_at(region, offset, sizeof *box);

    if (!box || offset % 64)
        return -EPROTO;
    /* relaxed: published by the slot's offset; each is read once, whoever writes it */
    uint32_t magic = __atomic_load_n(&box->magic, __ATOMIC_RELAXED);
    uint32_t ranks = __atomic_load_n(&box->ranks, __ATOMIC_RELAXED);
    int32_t first = __atomic_load_n(&box->first_rank, __ATOMIC_RELAXED);
    if (magic != TMBI_MAILBOX_MAGIC || ranks < 1 || ranks > TMBI_PLACES_MAX ||
        first < -1 || first >= (int32_t)TMBI_PLACES_MAX)
        return -EPROTO;
    *sender = (struct tmbi_mailbox_sender){box, ranks, first};
    return 0;
}

int tmbi_mailbox_read(const struct tmbi_region *region, struct tmbi_mailbox *box,
                      uint64_t round, uint64_t bytes, const uint8_t **data)
{
    struct tmbi_mailbox_place *place = &box->places[round % 2];
    /* acquire: partner is the release in tmbi_meeting_post() */
    uint64_t posted = atomic_load_explicit(&place->round, memory_order_acquire);

    if (posted < round)
        return -EAGAIN;
    uint64_t block = __atomic_load_n(&place->block, __ATOMIC_RELAXED);
    uint64_t there = __atomic_load_n(&place->bytes, __ATOMIC_RELAXED);
    if (posted != round || there != bytes)
        return -EPROTO;
    *data = bytes ? tmbi_region_at(region, block, bytes) : (const uint8_t *)box;
    return *data ? 0 : -EPROTO;
}

int tmbi_mailbox_fault(struct tmbi_mailbox *box, char blame[TMBI_BLAME_MAX + 1])
{
    /* acquire: partner is the release in tmbi_meeting_fault() */
    uint32_t fault = atomic_load_explicit(&box->fault, memory_order_acquire);
    uint32_t bytes = __atomic_load_n(&box->blame_bytes, __ATOMIC_RELAXED);

    if (!fault)
        return 0;
    bytes = bytes < TMBI_BLAME_MAX ? bytes : TMBI_BLAME_MAX;
    memcpy(blame, box->blame, bytes);
    blame[bytes] = '\0';
    return fault <= ERRNO_MAX ? -(int)fault : -EPROTO;
}
