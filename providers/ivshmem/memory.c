/* SPDX-License-Identifier: BSD-3-Clause */
#include "ivshmem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/log.h"

enum key_kind {
    KEY_REGION = 1, /* where: a region offset */
    KEY_PROCESS = 2 /* where: an address in the owner's process */
};

/* How a peer's memory is described. Control memory is in the region always, and of a
 * process's memory some may be. */
struct key {
    uint32_t kind;
    uint32_t reserved;
    uint64_t where;
    uint64_t bytes;
    uint64_t control; /* region offset */
    uint64_t control_bytes;
    uint64_t mapped; /* region offset of what is there of it: */
    uint64_t mapped_from;
    uint64_t mapped_bytes; /* 0: nothing */
};
_Static_assert(sizeof(struct key) == 64, "key layout");
_Static_assert(sizeof(struct key) <= TMBI_KEY_BYTES, "a key fits the contract's");

struct memory {
    struct tmbi_mem mem;
    bool created;          /* the caller's memory: */
    struct tmbi_span span; /* that */
};

static void no_memory_log(const struct tmbi_ivshmem *iv, uint64_t bytes, const char *what)
{
    uint32_t free_pages, run;

    tmbi_heap_usage(iv->region, &free_pages, &run);
    tmbi_error("region of %" PRIu64 " KiB: no room for %s of %" PRIu64 " bytes: %" PRIu64
               " KiB are free, %" PRIu64 " KiB in one piece; %s makes a larger one",
               iv->region->size >> 10, what, bytes, free_pages * TMBI_PAGE_BYTES >> 10,
               run * TMBI_PAGE_BYTES >> 10, iv->way->enlarge);
}

int tmbi_ivshmem_alloc(struct tmbi_ivshmem *iv, uint64_t bytes, const char *what,
                       void **block)
{
    int status = tmbi_arena_alloc(&iv->arena, bytes, block);

    if (status == -ENOMEM)
        no_memory_log(iv, bytes, what);
    return status;
}

/* The structure and its control memory; base is still to be set. */
static int memory_make(struct tmbi_ivshmem *iv, size_t bytes, size_t control_bytes,
                       bool created, struct memory **result)
{
    struct memory *memory = calloc(1, sizeof *memory);

    if (!memory)
        return -ENOMEM;
    memory->mem = (struct tmbi_mem){
        .ep = &iv->head, .bytes = bytes, .control_bytes = control_bytes};
    memory->created = created;
    if (control_bytes) {
        int status = tmbi_ivshmem_alloc(iv, control_bytes, "a window's control memory",
                                        &memory->mem.control);
        if (status) {
            free(memory);
            return status;
        }
        memset(memory->mem.control, 0, control_bytes);
    }
    *result = memory;
    return 0;
}

int tmbi_ivshmem_mem_alloc(struct tmbi_endpoint *ep, size_t bytes, size_t control_bytes,
                           struct tmbi_mem **mem)
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(ep);
    struct memory *memory;
    void *block = iv->region->heap; /* for no bytes: mapped, and never touched */

    int status = memory_make(iv, bytes, control_bytes, false, &memory);
    if (status)
        return status;
    if (bytes)
        status = tmbi_ivshmem_alloc(iv, bytes, "a window's part", &block);
    memory->mem.base = block;
    *mem = &memory->mem;
    if (!status)
        return 0;
    memory->mem.bytes = 0;
    tmbi_ivshmem_mem_free(&memory->mem);
    return status;
}

/* Peers may need our agent, and we theirs: this is the moment at which all members of the
 * window still can agree to fail. */
static int memory_create(struct tmbi_endpoint *ep, void *base, size_t bytes,
                         size_t control_bytes, bool adopt, struct tmbi_mem **mem)
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(ep);
    struct memory *memory;

    int status = ep->job->size > 1 ? tmbi_calls_prepare(iv) : 0;
    if (!status)
        status = memory_make(iv, bytes, control_bytes, true, &memory);
    if (status)
        return status;
    memory->mem.base = base;
    memory->span.base = base;
    memory->span.bytes = bytes;
    tmbi_span_enter(&iv->adoption, &memory->span, adopt && ep->job->size > 1);
    *mem = &memory->mem;
    return 0;
}

int tmbi_ivshmem_mem_create(struct tmbi_endpoint *ep, void *base, size_t bytes,
                            size_t control_bytes, struct tmbi_mem **mem)
{
    return memory_create(ep, base, bytes, control_bytes, false, mem);
}

int tmbi_ivshmem_mem_adopt(struct tmbi_endpoint *ep, void *base, size_t bytes,
                           size_t control_bytes, struct tmbi_mem **mem)
{
    return memory_create(ep, base, bytes, control_bytes, true, mem);
}

int tmbi_ivshmem_block_alloc(struct tmbi_endpoint *ep, size_t bytes, void **block)
{
    return tmbi_ivshmem_alloc(tmbi_ivshmem(ep), bytes, "memory of tmb_mem_alloc", block);
}

void tmbi_ivshmem_block_free(struct tmbi_endpoint *ep, void *block)
{
    tmbi_arena_free(&tmbi_ivshmem(ep)->arena, block);
}

void tmbi_ivshmem_mem_free(struct tmbi_mem *mem)
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(mem->ep);
    struct memory *memory = (struct memory *)mem;

    if (memory->created)
        tmbi_span_leave(&iv->adoption, &memory->span);
    else if (mem->bytes)
        tmbi_arena_free(&iv->arena, mem->base);
    tmbi_arena_free(&iv->arena, mem->control);
    free(memory);
}

void tmbi_ivshmem_mem_key(const struct tmbi_mem *mem, uint8_t bytes[TMBI_KEY_BYTES])
{
    const struct tmbi_region *region = tmbi_ivshmem(mem->ep)->region;
    const struct memory *memory = (const struct memory *)mem;
    const struct tmbi_span *span = &memory->span;
    struct key key = {
        .kind = memory->created ? KEY_PROCESS : KEY_REGION,
        .where = memory->created ? (uintptr_t)mem->base
                                 : tmbi_region_offset(region, mem->base),
        .bytes = mem->bytes,
        .control = mem->control ? tmbi_region_offset(region, mem->control) : 0,
        .control_bytes = mem->control_bytes,
        .mapped = span->mapped ? tmbi_region_offset(region, span->mapped) : 0,
        .mapped_from = span->from,
        .mapped_bytes = span->to - span->from,
    };

    memset(bytes, 0, TMBI_KEY_BYTES);
    memcpy(bytes, &key, sizeof key);
}

/* What of a process's memory is in the region: all, or the middle, or nothing. */
static int mapped_resolve(const struct tmbi_ivshmem *iv, const struct key *key,
                          struct tmbi_remote *remote)
{
    if (!key->mapped_bytes)
        return 0;
    uint8_t *at = tmbi_region_at(iv->region, key->mapped, key->mapped_bytes);
    if (!at || key->mapped_from > key->bytes ||
        key->mapped_bytes > key->bytes - key->mapped_from ||
        (key->mapped - key->where - key->mapped_from) % 64)
        return -EPROTO;
    if (key->mapped_bytes == key->bytes) {
        remote->base = at;
        return 0;
    }
    remote->inner = at;
    remote->from = key->mapped_from;
    remote->to = key->mapped_from + key->mapped_bytes;
    return 0;
}

/* Where the key says, if all of that lies where it can. */
static int key_resolve(const struct tmbi_ivshmem *iv, int rank, const struct key *key,
                       struct tmbi_remote *remote)
{
    uint64_t end;

    if (key->control_bytes) {
        remote->control = tmbi_region_at(iv->region, key->control, key->control_bytes);
        if (!remote->control || key->control % 64)
            return -EPROTO;
    }
    remote->address = key->where;
    if (key->kind == KEY_REGION) {
        remote->base = tmbi_region_at(iv->region, key->where, key->bytes);
        return remote->base && key->where % 64 == 0 ? 0 : -EPROTO;
    }
    if (key->kind != KEY_PROCESS ||
        __builtin_add_overflow(key->where, key->bytes, &end) || end > UINTPTR_MAX)
        return -EPROTO;
    int status = mapped_resolve(iv, key, remote);
    if (rank == iv->head.job->rank)
        remote->base = (uint8_t *)(uintptr_t)key->where;
    return status;
}

int tmbi_ivshmem_mem_attach(struct tmbi_endpoint *ep, int rank,
                            const uint8_t bytes[TMBI_KEY_BYTES],
                            struct tmbi_remote *remote)
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(ep);
    struct key key;

    memcpy(&key, bytes, sizeof key);
    *remote = (struct tmbi_remote){.ep = ep,
                                   .rank = rank,
                                   .bytes = key.bytes,
                                   .control_bytes = key.control_bytes,
                                   .provider_data = &iv->ranks[rank]};
    if (key_resolve(iv, rank, &key, remote)) {
        tmbi_error("rank %d: the key of its memory is garbage: kind %" PRIu32 ", %" PRIu64
                   " bytes at %#" PRIx64 ", control of %" PRIu64 " at %#" PRIx64,
                   rank, key.kind, key.bytes, key.where, key.control_bytes, key.control);
        return -EPROTO;
    }
    return 0;
}

void tmbi_ivshmem_mem_detach(struct tmbi_remote *remote)
{
    (void)remote;
}
