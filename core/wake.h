/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sleeping without missing a wake. A waiter spins for a while, arms its wake slot, looks
 * at its condition again and sleeps on the line's doorbell; a waker changes the condition
 * and then rings if the slot is armed. Both orders are seq_cst (Dekker), so one of the
 * two sees the other. Doorbells are hints, and every sleep is bounded.
 *
 * Threads of one process that wait on one line share its doorbell: one of them, the
 * leader, sleeps on the doorbell, the others on a condition variable; whatever ends the
 * leader's sleep makes all look again, and one of them leads next.
 * test/model/wake.pml models tmbi_wait_until and tmbi_wake.
 */
#ifndef TMBI_WAKE_H
#define TMBI_WAKE_H

#include "export.h"
#include "provider.h"

/* Lines of this process sleep by endpoint `ep` as rank `rank`. Waits of the application
 * spin before they sleep: for as long as former waits made worthwhile, between these two
 * bounds. */
void tmbi_wake_start(struct tmbi_endpoint *ep, int rank, int64_t least_ns,
                     int64_t most_ns);
void tmbi_wake_stop(void);

/* Change how long waits spin; for measuring. No wait is under way. */
TMBI_TOOL void tmbi_wake_set_spin(int64_t spin_ns);

/* tmbi_adapter_poll(). Of the threads that wait one calls it at a time, and none while it
 * is being called: what it does may come to wait itself. */
void tmbi_wake_set_poll(void (*poll)(void));

/* Between these two, or until it sleeps, this thread looks itself for what comes from
 * peers, in its waits, and the provider's thread is not woken: for who sends what is
 * answered at once, and does nothing else between. To end twice does no harm. */
void tmbi_look_begin(void);
void tmbi_look_end(void);

/* tmbi_adapter_look() */
void tmbi_wake_look(void);

/* Wake after a seq_cst change of the condition: no fence of its own. `slot` NULL: the
 * slot is not mapped here. */
void tmbi_wake_slot_ring(struct tmbi_wake_slot *slot, struct tmbi_endpoint *ep, int rank,
                         enum tmbi_line line);

/* How often peers without access to our wake slot have rung (tmbi_rung()): what a wait
 * looks at whose condition lies in a peer's memory. */
uint64_t tmbi_rings(enum tmbi_line line);

#endif
