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
    uint32_t id;    /* the server's number for the connection */
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

static uint64_t hash(uint64_t seed, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < count; i++)
        seed = (seed ^ at[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return seed;
}

/* Equal for processes that can see each other's pids: one boot of one kernel, and one pid
 * namespace. Where that can't be found out, like nobody else. */
static uint64_t host_identity(void)
{
    uint64_t seed = UINT64_C(0xcbf29ce484222325);
    char boot[37] = "";
    struct stat ns;

    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    size_t got = file ? fread(boot, 1, sizeof boot - 1, file) : 0;
    if (file)
        fclose(file);
    if (got != sizeof boot - 1 || stat("/proc/self/ns/pid", &ns)) {
        if (getrandom(boot, sizeof boot, 0) < 0)
            return (uint64_t)tmbi_clock_ns();
        return hash(seed, boot, sizeof boot);
    }
    return hash(hash(seed, boot, got), &ns.st_ino, sizeof ns.st_ino);
}

int tmbi_ivshmem_identify(struct tmbi_ivshmem *iv)
{
    iv->host_hash = host_identity();
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
        .slot = iv->slot,
        .epoch = iv->region->slots[iv->slot].epoch,
        .id = iv->host.id,
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
    if (address->slot >= iv->region->slot_count || address->id >= iv->host.peer_count)
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
    peer->pid = address.pid;
    peer->host = address.host;
    peer->cookie_at = address.cookie_at;
    memcpy(peer->cookie, address.cookie, sizeof peer->cookie);
    return 0;
}

static int await_error(const struct tmbi_ivshmem *iv, int rank, int status)
{
    if (status == -ETIMEDOUT)
        tmbi_error("rank %d (ID %" PRIu32
                   "): server %s did not announce its doorbells in time",
                   rank, iv->ranks[rank].id, iv->host.wire.path);
    if (status == -ECONNRESET)
        tmbi_error("server %s: ended while the job was starting", iv->host.wire.path);
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
        status = tmbi_host_await(&iv->host, peer->id, look < deadline ? look : deadline);
        alive = tmbi_ivshmem_peer_state(&iv->head, rank) == TMB_PEER_ALIVE;
    } while (status == -ETIMEDOUT && alive && tmbi_clock_ns() < deadline);
    if (status == -ETIMEDOUT && !alive)
        return 0;
    if (status)
        return await_error(iv, rank, status);
    for (uint32_t line = 0; line < TMBI_LINES; line++)
        peer->bell[line] = tmbi_host_bell(&iv->host, peer->id, (enum tmbi_line)line);
    return 0;
}

static int doorbells_collect(struct tmbi_ivshmem *iv, int64_t deadline)
{
    int size = iv->head.job->size, count = 0;
    uint32_t *ids = calloc((unsigned)size, sizeof *ids);
    int status = ids ? 0 : -ENOMEM;

    for (int rank = 0; rank < size && !status; rank++) {
        if (iv->ranks[rank].unreachable)
            continue;
        ids[count++] = iv->ranks[rank].id;
        status = rank_await(iv, rank, deadline);
    }
    if (!status)
        tmbi_host_keep(&iv->host, ids, (size_t)count);
    free(ids);
    return status;
}

int tmbi_ivshmem_connect(struct tmbi_endpoint *ep, const uint8_t *addresses,
                         size_t stride, int64_t deadline)
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(ep);

    iv->ranks = calloc((unsigned)ep->job->size, sizeof *iv->ranks);
    if (!iv->ranks)
        return -ENOMEM;
    for (int rank = 0; rank < ep->job->size; rank++) {
        memset(iv->ranks[rank].bell, -1, sizeof iv->ranks[rank].bell);
        iv->ranks[rank].pidfd = -1;
    }
    int status = 0;
    for (int rank = 0; rank < ep->job->size && !status; rank++)
        status = rank_fill(iv, rank, addresses + (size_t)rank * stride);
    if (!status)
        status = doorbells_collect(iv, deadline);
    for (int rank = 0; rank < ep->job->size && !status; rank++)
        status = tmbi_ivshmem_cma_probe(iv, rank);
    return status;
}

/* ---- questions ---- */

int tmbi_ivshmem_reach(struct tmbi_endpoint *ep, int rank, const char **why)
{
    *why = tmbi_ivshmem(ep)->ranks[rank].unreachable;
    return *why ? -EHOSTUNREACH : 0;
}

/* A slot with another epoch was taken anew: its former process is gone. */
int tmbi_ivshmem_peer_state(struct tmbi_endpoint *ep, int rank)
{
    struct tmbi_rank *peer = &tmbi_ivshmem(ep)->ranks[rank];
    /* acquire: partner is the release with which the slot changes hands */
    uint32_t state = atomic_load_explicit(&peer->slot->state, memory_order_acquire);
    bool ours = __atomic_load_n(&peer->slot->epoch, __ATOMIC_RELAXED) == peer->epoch;

    if (ours && state == TMBI_SLOT_LIVE)
        return TMB_PEER_ALIVE;
    if (ours && state == TMBI_SLOT_LEFT)
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
