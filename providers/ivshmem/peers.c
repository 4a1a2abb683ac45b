/* SPDX-License-Identifier: BSD-3-Clause */
/* The ranks of the job: how we present ourselves, whom we meet, and what became of them.
 */
#include "ivshmem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../core/clock.h"
#include "../../core/include/tombolo.h"
#include "../../core/log.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the region is little-endian");

/* An endpoint's address. All but the region's identity says who the process is. */
struct address {
    uint32_t magic; /* the version included */
    uint32_t slot;
    uint8_t uuid[16];
    uint32_t epoch; /* of the slot */
    uint32_t id;    /* of the slot: its peer ID */
    uint64_t block; /* region offset of the endpoint block */
    int64_t pid;
    uint64_t host;
    uint64_t cookie_at;
    uint8_t cookie[TMBI_COOKIE_BYTES];
};
_Static_assert(sizeof(struct address) == 80, "address layout");
_Static_assert(sizeof(struct address) <= TMBI_ADDRESS_BYTES,
               "an address fits the contract's");
#define ADDRESS_MAGIC 0x31564953u /* "SIV1" */

/* ---- who we are ---- */

int tmbi_ivshmem_identify(struct tmbi_ivshmem *iv)
{
    iv->host_hash = tmbi_host_identity();
    if (getrandom(iv->cookie, sizeof iv->cookie, 0) == (ssize_t)sizeof iv->cookie)
        return 0;
    tmbi_error("getrandom: %s", strerror(errno));
    return -EIO;
}

/* ---- meeting ---- */

void tmbi_ivshmem_address(struct tmbi_endpoint *ep, uint8_t bytes[TMBI_ADDRESS_BYTES])
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(ep);
    struct address address = {
        .magic = ADDRESS_MAGIC,
        .slot = iv->way->slot,
        .epoch = iv->way->epoch,
        .id = iv->way->id,
        .block = tmbi_region_offset(iv->region, iv->calls.block),
        .pid = getpid(),
        .host = iv->host_hash,
        .cookie_at = (uintptr_t)iv->cookie,
    };

    memcpy(address.uuid, iv->region->uuid, sizeof address.uuid);
    memcpy(address.cookie, iv->cookie, sizeof address.cookie);
    memset(bytes, 0, TMBI_ADDRESS_BYTES);
    memcpy(bytes, &address, sizeof address);
}

/* The address agrees with the region: its slot is that rank's in our job. */
static bool address_valid(const struct tmbi_ivshmem *iv, int rank,
                          const struct address *address)
{
    if (address->slot >= iv->region->slot_count)
        return false;
    const struct tmbi_slot *slot = &iv->region->slots[address->slot];
    uint64_t block_bytes = tmbi_call_block_bytes(iv->head.job->size);
    return slot->peer_id == address->id && slot->epoch == address->epoch &&
           slot->rank == rank && address->block % 64 == 0 && address->pid > 0 &&
           address->pid <= INT32_MAX &&
           /* acquire: partner is the release in tmbi_job_join() */
           atomic_load_explicit(&slot->job, memory_order_acquire) == iv->job + 1 &&
           tmbi_region_at(iv->region, address->block, block_bytes);
}

/* Its doorbells are of its own machine, and the device has them; or there is none. */
static bool doorbells_take(const struct tmbi_ivshmem *iv, struct tmbi_rank *peer)
{
    for (uint32_t line = 0; line < TMBI_LINES; line++) {
        uint32_t doorbell =
            __atomic_load_n(&peer->slot->wake[line].doorbell, __ATOMIC_RELAXED);
        if (doorbell != TMBI_DOORBELL_NONE &&
            (doorbell >> 16 != peer->id || (doorbell & 0xffff) >= iv->region->vectors))
            return false;
        peer->doorbell[line] = doorbell;
    }
    return true;
}

static int rank_fill(struct tmbi_ivshmem *iv, int rank, const uint8_t *bytes)
{
    struct tmbi_rank *peer = &iv->ranks[rank];
    struct address address;

    memcpy(&address, bytes, sizeof address);
    if (address.magic == 0) {
        peer->unreachable = "it has no region";
        return 0;
    }
    if (address.magic == ADDRESS_MAGIC &&
        memcmp(address.uuid, iv->region->uuid, sizeof address.uuid)) {
        peer->unreachable = "it has no region in common with us";
        return 0;
    }
    if (address.magic != ADDRESS_MAGIC || !address_valid(iv, rank, &address)) {
        tmbi_error("rank %d: its address is garbage: magic %#" PRIx32 ", slot %" PRIu32
                   ", ID %" PRIu32,
                   rank, address.magic, address.slot, address.id);
        return -EPROTO;
    }
    peer->slot_index = address.slot;
    peer->slot = &iv->region->slots[address.slot];
    peer->block = tmbi_region_at(iv->region, address.block,
                                 tmbi_call_block_bytes(iv->head.job->size));
    peer->epoch = address.epoch;
    peer->id = address.id;
    if (!doorbells_take(iv, peer)) {
        tmbi_error("rank %d: its doorbells are none of ID %" PRIu32 "'s", rank, peer->id);
        return -EPROTO;
    }
    peer->pid = address.pid;
    peer->host = address.host;
    peer->cookie_at = address.cookie_at;
    memcpy(peer->cookie, address.cookie, sizeof peer->cookie);
    return 0;
}

static int await_error(const struct tmbi_ivshmem *iv, int rank, int status)
{
    if (status == -EAGAIN) {
        tmbi_error("rank %d (ID %" PRIu32 "): %s did not announce its doorbells in time",
                   rank, iv->ranks[rank].id, iv->way->name);
        return -ETIMEDOUT;
    }
    if (status == -ECONNRESET)
        tmbi_error("%s: ended while the job was starting", iv->way->name);
    return status;
}

/* Whoever ended meanwhile sends no doorbells any more; that it did, its slot says. */
static int rank_await(struct tmbi_ivshmem *iv, int rank, int64_t deadline)
{
    struct tmbi_rank *peer = &iv->ranks[rank];
    bool alive;
    int status;

    do {
        int64_t look = tmbi_clock_ns() + 100000000;
        status = iv->way->ops->meet(iv->way, peer->doorbell, TMBI_LINES,
                                    look < deadline ? look : deadline);
        alive = tmbi_ivshmem_peer_state(&iv->head, rank) == TMB_PEER_ALIVE;
    } while (status == -EAGAIN && alive && tmbi_clock_ns() < deadline);
    if (status == -EAGAIN && !alive)
        return 0;
    return status ? await_error(iv, rank, status) : 0;
}

static bool polls(const struct tmbi_rank *peer)
{
    return peer->doorbell[TMBI_LINE_WAIT] == TMBI_DOORBELL_NONE;
}

static int doorbells_collect(struct tmbi_ivshmem *iv, int64_t deadline)
{
    int size = iv->head.job->size;
    uint32_t *doorbells = calloc((unsigned)size, sizeof iv->ranks->doorbell), count = 0;
    int status = doorbells ? 0 : -ENOMEM;

    for (int rank = 0; rank < size && !status; rank++) {
        if (iv->ranks[rank].unreachable || polls(&iv->ranks[rank]))
            continue;
        memcpy(doorbells + count, iv->ranks[rank].doorbell,
               sizeof iv->ranks[rank].doorbell);
        count += TMBI_LINES;
        status = rank_await(iv, rank, deadline);
    }
    if (!status)
        iv->way->ops->met(iv->way, doorbells, count);
    free(doorbells);
    return status;
}

/* All ranks are known: see to what nobody does for us. */
static int peers_watch(struct tmbi_ivshmem *iv)
{
    int size = iv->head.job->size;

    /* Who hears no doorbell rings none either. */
    for (int rank = 0; rank < size; rank++)
        iv->polls |= !iv->ranks[rank].unreachable && polls(&iv->ranks[rank]);
    int status = tmbi_watch_init(&iv->watch, (uint32_t)size, iv->config.heartbeat_ns);
    if (!status && iv->way->unreported)
        tmbi_ivshmem_processes_watch(iv);
    return status;
}

int tmbi_ivshmem_connect(struct tmbi_endpoint *ep, const uint8_t *addresses,
                         size_t stride, int64_t deadline)
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(ep);

    iv->ranks = calloc((unsigned)ep->job->size, sizeof *iv->ranks);
    if (!iv->ranks)
        return -ENOMEM;
    for (int rank = 0; rank < ep->job->size; rank++)
        iv->ranks[rank].pidfd = -1;
    int status = 0;
    for (int rank = 0; rank < ep->job->size && !status; rank++)
        status = rank_fill(iv, rank, addresses + (size_t)rank * stride);
    if (!status && iv->way->ops->meet)
        status = doorbells_collect(iv, deadline);
    for (int rank = 0; rank < ep->job->size && !status; rank++)
        status = tmbi_ivshmem_cma_probe(iv, rank);
    return status ? status : peers_watch(iv);
}

/* ---- questions ---- */

int tmbi_ivshmem_reach(struct tmbi_endpoint *ep, int rank, const char **why)
{
    *why = tmbi_ivshmem(ep)->ranks[rank].unreachable;
    return *why ? -EHOSTUNREACH : 0;
}

/* Coarse, for it is asked often; the look at hearts is for who asks and never sleeps. */
static int64_t clock_coarse(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A slot with another epoch was taken anew: its former process is gone. */
int tmbi_ivshmem_peer_state(struct tmbi_endpoint *ep, int rank)
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(ep);
    struct tmbi_rank *peer = &iv->ranks[rank];

    tmbi_ivshmem_look(iv, clock_coarse());
    uint32_t word = tmbi_slot_word(peer->slot);
    if (word == TMBI_SLOT_WORD(TMBI_SLOT_LIVE, peer->epoch))
        return TMB_PEER_ALIVE;
    if (word == TMBI_SLOT_WORD(TMBI_SLOT_LEFT, peer->epoch))
        atomic_store_explicit(&peer->left, true, memory_order_relaxed);
    return atomic_load_explicit(&peer->left, memory_order_relaxed) ? TMB_PEER_LEFT
                                                                   : TMB_PEER_DEAD;
}

void tmbi_ivshmem_peer_host(struct tmbi_endpoint *ep, int rank, uint64_t *host,
                            int64_t *pid)
{
    const struct tmbi_rank *peer = &tmbi_ivshmem(ep)->ranks[rank];

    *host = peer->host;
    *pid = peer->pid;
}

struct tmbi_wake_slot *tmbi_ivshmem_wake_slot(struct tmbi_endpoint *ep, int rank,
                                              enum tmbi_line line)
{
    return &tmbi_ivshmem(ep)->ranks[rank].slot->wake[line];
}
