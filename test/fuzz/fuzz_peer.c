/* SPDX-License-Identifier: BSD-3-Clause */
/* What a peer says of itself and of its memory, and what it asks of the agent: an
 * address, a key, or a call slot in the region. The first byte chooses, and may say that
 * the rest starts as a right one does. */
#include <string.h>

#include "../../core/clock.h"
#include "../../core/include/tombolo.h"
#include "../../providers/ivshmem/ivshmem.h"
#include "fuzz.h"

#define PEER 1

static struct tmbi_job job = {.rank = 0, .size = 1, .name = "fuzz"};
static struct tmbi_endpoint *ep;
static struct tmbi_mem *mem;
static const struct tmbi_provider *ops = &tmbi_provider_ivshmem;

int LLVMFuzzerInitialize(int *argc, char ***argv);

/* The provider is opened alone, in a region of its own, and then told of a peer. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    FUZZ_CHECK(!ops->open(&job, NULL, &ep));
    FUZZ_CHECK(!ops->mem_alloc(ep, 5000, 128, &mem));
    job.size = 2;
    return 0;
}

/* Right bytes, of which the input overwrites some: pairs of place and value. */
static void spoil(uint8_t *right, size_t size, const uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i + 1 < bytes; i += 2)
        right[data[i] % size] = data[i + 1];
}

/* As if connect() had never been. */
static void peers_forget(struct tmbi_ivshmem *iv)
{
    free(iv->ranks);
    iv->ranks = NULL;
    tmbi_watch_fini(&iv->watch);
}

static void address_try(bool near, const uint8_t *data, size_t bytes)
{
    uint8_t addresses[2][TMBI_ADDRESS_BYTES] = {{0}};
    struct tmbi_ivshmem *iv = tmbi_ivshmem(ep);
    const char *why;
    int rc;

    ops->address(ep, addresses[0]);
    if (near) {
        ops->address(ep, addresses[PEER]);
        spoil(addresses[PEER], TMBI_ADDRESS_BYTES, data, bytes);
    } else {
        memcpy(addresses[PEER], data,
               bytes < TMBI_ADDRESS_BYTES ? bytes : TMBI_ADDRESS_BYTES);
    }
    rc = ops->connect(ep, addresses[0], TMBI_ADDRESS_BYTES, tmbi_deadline(0));
    FUZZ_CHECK(rc == 0 || rc == -EPROTO);
    /* Our region has one slot, ours: nobody else is reached there. */
    FUZZ_CHECK(rc || ops->reach(ep, PEER, &why) == -EHOSTUNREACH);
    peers_forget(iv);
}

static bool in_region(const void *at, uint64_t bytes)
{
    const struct tmbi_region *region = tmbi_ivshmem(ep)->region;

    return tmbi_region_at(region, tmbi_region_offset(region, at), bytes);
}

static void key_try(bool near, const uint8_t *data, size_t bytes)
{
    struct tmbi_rank ranks[2];
    struct tmbi_remote remote;
    uint8_t key[TMBI_KEY_BYTES] = {0};
    int rc;

    memset(ranks, 0, sizeof ranks);
    tmbi_ivshmem(ep)->ranks = ranks;
    if (near) {
        ops->mem_key(mem, key);
        spoil(key, TMBI_KEY_BYTES, data, bytes);
    } else {
        memcpy(key, data, bytes < TMBI_KEY_BYTES ? bytes : TMBI_KEY_BYTES);
    }
    rc = ops->mem_attach(ep, PEER, key, &remote);
    FUZZ_CHECK(rc == 0 || rc == -EPROTO);
    if (rc == 0) {
        FUZZ_CHECK(!remote.base || in_region(remote.base, remote.bytes));
        FUZZ_CHECK(!remote.control || in_region(remote.control, remote.control_bytes));
        ops->mem_detach(&remote);
    }
    tmbi_ivshmem(ep)->ranks = NULL;
}

/* A slot of our own block, as if of a peer: any bytes but the word, which must name us to
 * be looked at. */
static void call_try(const uint8_t *data, size_t bytes)
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(ep);
    struct tmbi_call_slot *slot = &iv->calls.block->slots[0];
    uint8_t address[TMBI_ADDRESS_BYTES];
    size_t most = sizeof *slot - sizeof slot->word;

    job.size = 1;
    ops->address(ep, address);
    FUZZ_CHECK(!ops->connect(ep, address, sizeof address, tmbi_deadline(0)));
    memcpy((uint8_t *)slot + sizeof slot->word, data, bytes < most ? bytes : most);
    atomic_store(&slot->word, TMBI_CALL_POSTED);
    atomic_store(&iv->calls.block->pending[0], 1);
    FUZZ_CHECK(ops->serve_pending(ep) && ops->serve(ep) == 1 && !ops->serve_pending(ep));
    FUZZ_CHECK(atomic_load(&slot->word) == TMBI_CALL_DONE && slot->status == -EPROTO);
    peers_forget(iv);
    job.size = 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (!bytes)
        return 0;
    if (data[0] & 4)
        call_try(data + 1, bytes - 1);
    else if (data[0] & 1)
        address_try(data[0] & 2, data + 1, bytes - 1);
    else
        key_try(data[0] & 2, data + 1, bytes - 1);
    return 0;
}
