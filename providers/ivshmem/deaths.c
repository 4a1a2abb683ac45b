/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deaths that nobody reports: peers under our kernel are watched by pidfd where there is
 * no server, and those that beat by their heartbeats; and our own, which others may have
 * declared. The server and the kernel module tell of all the others by themselves.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../core/clock.h"
#include "../../core/include/tombolo.h"
#include "../../core/log.h"
#include "ivshmem.h"

/* Several ranks see one death; the first to enter it in the region tells the others,
 * which may have looked a moment too early. */
void tmbi_ivshmem_died(struct tmbi_ivshmem *iv, int rank)
{
    const struct tmbi_rank *peer = &iv->ranks[rank];

    if (!tmbi_slot_gone(iv->region, peer->slot_index, peer->epoch))
        return;
    for (int i = 0; i < iv->head.job->size; i++)
        if (!iv->ranks[i].unreachable)
            tmbi_wake(&iv->head, i, TMBI_LINE_WAIT);
}

/* ---- by pidfd ---- */

static void process_watch(struct tmbi_ivshmem *iv, int rank)
{
    struct tmbi_rank *peer = &iv->ranks[rank];
    int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)peer->pid, 0);

    if (pidfd < 0 && errno == ESRCH)
        tmbi_ivshmem_died(iv, rank);
    if (pidfd < 0)
        return;
    atomic_store_explicit(&peer->pidfd, pidfd, memory_order_relaxed);
    tmbi_ivshmem_bells_watch(iv, pidfd, rank);
}

void tmbi_ivshmem_processes_watch(struct tmbi_ivshmem *iv)
{
    for (int rank = 0; rank < iv->head.job->size; rank++)
        if (rank != iv->head.job->rank && !iv->ranks[rank].unreachable &&
            iv->ranks[rank].host == iv->host_hash &&
            tmbi_ivshmem_peer_state(&iv->head, rank) == TMB_PEER_ALIVE)
            process_watch(iv, rank);
}

/* For who asks, and does not sleep. */
static bool process_ended(const struct tmbi_rank *peer)
{
    struct pollfd ended = {.events = POLLIN};

    ended.fd = atomic_load_explicit(&peer->pidfd, memory_order_relaxed);
    return ended.fd >= 0 && poll(&ended, 1, 0) == 1;
}

/* ---- by heartbeat ---- */

static void rank_look(struct tmbi_ivshmem *iv, int rank, int64_t now)
{
    const struct tmbi_rank *peer = &iv->ranks[rank];

    if (peer->unreachable ||
        tmbi_slot_word(peer->slot) != TMBI_SLOT_WORD(TMBI_SLOT_LIVE, peer->epoch))
        return;
    /* relaxed: only its change counts */
    uint64_t beat = atomic_load_explicit(&peer->slot->heartbeat, memory_order_relaxed);
    if (process_ended(peer)) {
        tmbi_ivshmem_died(iv, rank);
        return;
    }
    if (!tmbi_watch_stale(&iv->watch, (uint32_t)rank, beat, now))
        return;
    tmbi_warn("rank %d: no heartbeat for %lld ms: it is declared dead; is its machine "
              "stopped? (TMB_IVSHMEM_HEARTBEAT)",
              rank, (long long)(iv->watch.limit_ns / 1000000));
    tmbi_ivshmem_died(iv, rank);
}

static void self_look(struct tmbi_ivshmem *iv)
{
    uint32_t word = tmbi_slot_word(&iv->region->slots[iv->way->slot]);

    if (iv->declared_dead || word == TMBI_SLOT_WORD(TMBI_SLOT_LIVE, iv->way->epoch))
        return;
    iv->declared_dead = true;
    tmbi_error("rank %d: others have declared this rank dead and go on without it: was "
               "this process or its machine stopped for longer than "
               "TMB_IVSHMEM_HEARTBEAT? End it",
               iv->head.job->rank);
}

void tmbi_ivshmem_look(struct tmbi_ivshmem *iv, int64_t now)
{
    if (!iv->watch.pulses || !tmbi_watch_begin(&iv->watch, now))
        return;
    self_look(iv);
    for (int rank = 0; rank < iv->head.job->size; rank++)
        if (rank != iv->head.job->rank)
            rank_look(iv, rank, now);
    tmbi_watch_end(&iv->watch);
}
