/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory that peers reach by libfabric: registered, whoever allocated it. Its control
 * memory is for this process only, whose agent works on it for the others. */
#include "tcp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../../core/log.h"

/* How a peer's memory is described. */
struct key {
    uint32_t magic;
    uint32_t reserved;
    uint64_t address; /* as its owner's libfabric names it */
    uint64_t bytes;
    uint64_t key; /* libfabric's */
};
_Static_assert(sizeof(struct key) == 32, "key layout");
_Static_assert(sizeof(struct key) <= TMBI_KEY_BYTES, "a key fits the contract's");
#define KEY_MAGIC 0x314b4354u /* "TCK1" */

struct memory {
    struct tmbi_mem mem;
    void *own; /* what mem_alloc mapped */
    struct tmbi_tcp_registration registration;
};

static void *zeroed(size_t bytes)
{
    size_t whole = (bytes + 63) / 64 * 64;
    void *memory = whole < bytes ? NULL : aligned_alloc(64, whole);

    if (memory)
        memset(memory, 0, whole);
    return memory;
}

/* Whole pages, which go back to the kernel when they are freed. */
static void *pages_map(size_t bytes)
{
    void *pages = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return pages == MAP_FAILED ? NULL : pages;
}

static void pages_unmap(void *pages, size_t bytes)
{
    if (pages)
        munmap(pages, bytes ? bytes : 1);
}

static int memory_make(struct tmbi_endpoint *ep, void *base, void *own, size_t bytes,
                       size_t control_bytes, struct tmbi_mem **mem)
{
    struct memory *memory = calloc(1, sizeof *memory);
    int rc = -ENOMEM;

    if (!memory)
        goto unmap_own;
    memory->own = own;
    memory->mem = (struct tmbi_mem){
        .ep = ep, .base = base, .bytes = bytes, .control_bytes = control_bytes};
    memory->mem.control = control_bytes ? zeroed(control_bytes) : NULL;
    if (control_bytes && !memory->mem.control)
        goto free_memory;
    rc = tmbi_tcp_register(tmbi_tcp(ep), base, bytes, &memory->registration);
    if (rc)
        goto free_control;
    *mem = &memory->mem;
    return 0;

free_control:
    free(memory->mem.control);
free_memory:
    free(memory);
unmap_own:
    pages_unmap(own, bytes);
    return rc;
}

int tmbi_tcp_mem_alloc(struct tmbi_endpoint *ep, size_t bytes, size_t control_bytes,
                       struct tmbi_mem **mem)
{
    void *own = pages_map(bytes);

    if (own)
        return memory_make(ep, own, own, bytes, control_bytes, mem);
    tmbi_error("tcp: no memory for a window's part of %zu bytes", bytes);
    return -ENOMEM;
}

int tmbi_tcp_mem_create(struct tmbi_endpoint *ep, void *base, size_t bytes,
                        size_t control_bytes, struct tmbi_mem **mem)
{
    return memory_make(ep, base, NULL, bytes, control_bytes, mem);
}

void tmbi_tcp_mem_free(struct tmbi_mem *mem)
{
    struct memory *memory = (struct memory *)mem;

    tmbi_tcp_unregister(tmbi_tcp(mem->ep), &memory->registration);
    free(mem->control);
    pages_unmap(memory->own, mem->bytes);
    free(memory);
}

void tmbi_tcp_mem_key(const struct tmbi_mem *mem, uint8_t bytes[TMBI_KEY_BYTES])
{
    const struct memory *memory = (const struct memory *)mem;
    struct key key = {.magic = KEY_MAGIC,
                      .address = memory->registration.address,
                      .bytes = mem->bytes,
                      .key = memory->registration.key};

    memset(bytes, 0, TMBI_KEY_BYTES);
    memcpy(bytes, &key, sizeof key);
}

int tmbi_tcp_mem_attach(struct tmbi_endpoint *ep, int rank,
                        const uint8_t bytes[TMBI_KEY_BYTES], struct tmbi_remote *remote)
{
    struct key key;
    uint64_t end;

    memcpy(&key, bytes, sizeof key);
    if (key.magic != KEY_MAGIC || __builtin_add_overflow(key.address, key.bytes, &end)) {
        tmbi_error("rank %d: the key of its memory is garbage: magic %#" PRIx32
                   ", %" PRIu64 " bytes at %#" PRIx64,
                   rank, key.magic, key.bytes, key.address);
        return -EPROTO;
    }
    *remote = (struct tmbi_remote){.ep = ep,
                                   .rank = rank,
                                   .bytes = key.bytes,
                                   .address = key.address,
                                   .key = key.key,
                                   .provider_data = &tmbi_tcp(ep)->peers[rank]};
    return 0;
}

void tmbi_tcp_mem_detach(struct tmbi_remote *remote)
{
    (void)remote;
}
