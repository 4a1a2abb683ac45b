/* SPDX-License-Identifier: BSD-3-Clause */
/* What another launcher's slot, job entry and mailbox may say. It meets us as it should,
 * or is spoiled before; then the input overwrites more of it between our looks. */
#include <string.h>

#include "../../core/log.h"
#include "../../providers/ivshmem/meeting_private.h"
#include "fuzz.h"

#define REGION_BYTES (UINT64_C(1) << 20)
#define RANKS        2 /* ours, and theirs */

static uint8_t memory[REGION_BYTES] __attribute__((aligned(1 << 14)));
static struct tmbi_way ways[2];
static struct tmbi_meeting *ours, *theirs;

static void no_ring(struct tmbi_way *way, uint32_t doorbell)
{
    /* Whom we ring has that doorbell. */
    FUZZ_CHECK(doorbell >> 16 < TMBI_PEER_IDS &&
               (doorbell & 0xffff) < way->region.vectors);
}

static void end(struct tmbi_way *way)
{
    tmbi_slot_gone(&way->region, way->slot, way->epoch);
}

static const struct tmbi_way_ops ops = {.name = "fuzz", .ring = no_ring, .close = end};

static struct tmbi_meeting *join(int i)
{
    struct tmbi_meeting_plan plan = {
        .job = "fuzz", .size = 2 * RANKS, .ranks = RANKS, .first = -1};
    struct tmbi_meeting *meeting;

    ways[i] = (struct tmbi_way){.ops = &ops, .name = "fuzz", .id = 1 + (uint32_t)i};
    FUZZ_CHECK(!tmbi_region_attach(&ways[i].region, memory, REGION_BYTES));
    FUZZ_CHECK(!tmbi_slot_claim(&ways[i].region, ways[i].id, 0, 1, &ways[i].slot));
    ways[i].epoch = ways[i].region.slots[ways[i].slot].epoch;
    for (uint32_t line = 0; line < TMBI_LINES; line++)
        ways[i].doorbell[line] = tmbi_doorbell(ways[i].id, line);
    tmbi_way_introduce(&ways[i]);
    FUZZ_CHECK(!tmbi_meeting_start(&plan, &ways[i], &meeting));
    return meeting;
}

/* Overwrite a byte of what is theirs, or of the job's entry: but not what says whose job
 * a page is, which their kernel would no more than ours. */
static void spoil(uint8_t what, uint8_t at, uint8_t value)
{
    struct tmbi_slot *slot = &ours->region->slots[theirs->way->slot];
    struct tmbi_job_entry *entry = tmbi_job_entry(ours->region, ours->job);

    switch (what % 4) {
    case 0:
        ((uint8_t *)slot)[at] = value;
        break;
    case 1:
        ((uint8_t *)&entry->failure)[at % 8] = value;
        break;
    case 2:
        ((uint8_t *)&entry->places)[at % 4] = value;
        break;
    default:
        ((uint8_t *)theirs->box)[at] = value;
    }
}

static void look(void)
{
    uint8_t all[2 * RANKS * 16];
    struct tmbi_failure failure;
    const char *blame;

    if (tmbi_meeting_gather(ours))
        return;
    FUZZ_CHECK(tmbi_meeting_mate(ours, 0)->first == 0);
    if (!ours->round)
        FUZZ_CHECK(!tmbi_meeting_post(ours, "0123456789abcdef0123456789abcdef", 16));
    tmbi_meeting_collect(ours, all);
    FUZZ_CHECK(tmbi_meeting_faulted(ours, &blame) <= 0);
    if (tmbi_meeting_failed(ours, &failure))
        FUZZ_CHECK(tmbi_meeting_mate(ours, failure.mate) && failure.rank < 2 * RANKS &&
                   failure.rank >= -1 && failure.code >= 0 && failure.code <= 255);
    FUZZ_CHECK(tmbi_meeting_signalled(ours) <= 255);
    tmbi_meeting_over(ours);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    memset(memory, 0, 1 << 16); /* header and tables */
    tmbi_log_set_level(TMBI_LOG_ERROR);
    FUZZ_CHECK(!tmbi_region_format(memory, REGION_BYTES, 2, 4));
    theirs = join(0);
    ours = join(1);
    FUZZ_CHECK(tmbi_meeting_gather(theirs) == -EAGAIN);
    if (bytes && data[0] & 1)
        FUZZ_CHECK(!tmbi_meeting_gather(ours) && !tmbi_meeting_gather(theirs) &&
                   !tmbi_meeting_post(theirs, "fedcba9876543210fedcba9876543210", 16));
    for (size_t i = 1; i + 2 < bytes; i += 3) {
        spoil(data[i], data[i + 1], data[i + 2]);
        if (data[i] & 128)
            look();
    }
    look();
    tmbi_meeting_close(ours);
    tmbi_meeting_close(theirs);
    return 0;
}
