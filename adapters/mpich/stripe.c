/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What makes accumulates atomic. An element lies in one or two blocks of the target's
 * part; whoever works on it, on any rank and by any type and operation, has taken these
 * blocks' stripes. They are held for a block's time and no call's, so who waits spins for
 * a while, and then lets others run.
 */
#include <sched.h>
#include <time.h>

#include "adapter.h"

#define SPINS  2000
#define YIELDS 100

static void wait_for(struct tmbm_stripe *stripe)
{
    const struct timespec pause = {.tv_nsec = 50000};

    for (unsigned i = 0; atomic_load_explicit(&stripe->taken, memory_order_relaxed);
         i++) {
        if (i < SPINS)
            continue;
        if (i < SPINS + YIELDS)
            sched_yield();
        else
            nanosleep(&pause, NULL);
    }
}

static void take(struct tmbm_stripe *stripe)
{
    /* acquire: partner is the release in give() */
    while (atomic_exchange_explicit(&stripe->taken, 1, memory_order_acquire))
        wait_for(stripe);
}

static void give(struct tmbm_stripe *stripe)
{
    atomic_store_explicit(&stripe->taken, 0, memory_order_release);
}

static void stripes_of(uint64_t offset, uint64_t bytes, unsigned *low, unsigned *high)
{
    unsigned first = (unsigned)(offset / TMBM_STRIPE_BYTES % TMBM_STRIPES);
    unsigned last = (unsigned)((offset + bytes - 1) / TMBM_STRIPE_BYTES % TMBM_STRIPES);

    *low = first < last ? first : last;
    *high = first < last ? last : first;
}

/* Two always in this order, so that nobody waits in a circle. */
void tmbm_stripes_take(struct tmbm_control *control, uint64_t offset, uint64_t bytes)
{
    unsigned low, high;

    stripes_of(offset, bytes, &low, &high);
    take(&control->stripes[low]);
    if (tmbm_unlikely(high != low))
        take(&control->stripes[high]);
}

void tmbm_stripes_give(struct tmbm_control *control, uint64_t offset, uint64_t bytes)
{
    unsigned low, high;

    stripes_of(offset, bytes, &low, &high);
    if (tmbm_unlikely(high != low))
        give(&control->stripes[high]);
    give(&control->stripes[low]);
}
