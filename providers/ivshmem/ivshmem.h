/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider's own state: what its files share. */
#ifndef TMBI_IVSHMEM_H
#define TMBI_IVSHMEM_H

#include "adopt.h"
#include "arena.h"
#include "call.h"
#include "heartbeat.h"
#include "way.h"

enum tmbi_cma_choice { TMBI_CMA_AUTO = 0, TMBI_CMA_ON, TMBI_CMA_OFF };

#define TMBI_COOKIE_BYTES 16

/* A rank of the job. All but what is atomic is constant after connect(). */
struct tmbi_rank {
    const char *unreachable; /* why; NULL: it is reached */
    struct tmbi_slot *slot;
    struct tmbi_call_block *block; /* its endpoint block, in the region */
    uint32_t slot_index;
    uint32_t epoch;
    uint32_t id;
    uint32_t doorbell[TMBI_LINES];
    _Atomic int pidfd; /* -1, but while we look for deaths by ourselves; relaxed */
    int64_t pid;
    uint64_t host;
    uint64_t cookie_at; /* an address in that process; what lies there: */
    uint8_t cookie[TMBI_COOKIE_BYTES];
    _Atomic bool cma;  /* process_vm_readv and writev reach it; relaxed: a hint */
    _Atomic bool left; /* was seen as LEFT; relaxed */
};

struct tmbi_ivshmem_config {
    struct tmbi_way_config way;
    int cma;              /* enum tmbi_cma_choice */
    int adopt;            /* enum tmbi_adopt_choice */
    int64_t heartbeat_ns; /* -1: hearts are not watched */
    uint64_t host_bytes;  /* of the region that ranks of a host make for themselves */
    const char *command;  /* `tombolo`, for that */
};

struct tmbi_ivshmem {
    struct tmbi_endpoint head;
    struct tmbi_ivshmem_config config;
    struct tmbi_way *way;
    struct tmbi_region *region; /* of `way` */
    uint32_t job;
    struct tmbi_arena arena;
    struct tmbi_adoption adoption;
    struct tmbi_rank *ranks; /* of the job; NULL before connect() */
    struct tmbi_calls calls;
    int64_t nap_ns[TMBI_LINES]; /* of who polls; the line's one sleeper has it */
    int epoll[TMBI_LINES];
    int beat;                /* a timer that ends long sleeps */
    bool polls;              /* not all who wake us ring; constant after connect() */
    struct tmbi_watch watch; /* of the ranks' hearts, from connect() on */
    bool declared_dead;      /* we, by others; who looks has it */
    uint64_t host_hash;
    uint8_t cookie[TMBI_COOKIE_BYTES]; /* peers read it, to be sure who we are */
};

extern const struct tmbi_provider tmbi_provider_ivshmem;

static inline struct tmbi_ivshmem *tmbi_ivshmem(struct tmbi_endpoint *ep)
{
    return (struct tmbi_ivshmem *)ep;
}

/* Allocate from the arena; -ENOMEM is logged with what was asked for and what is free. */
int tmbi_ivshmem_alloc(struct tmbi_ivshmem *iv, uint64_t bytes, const char *what,
                       void **block);

int tmbi_ivshmem_config_load(struct tmbi_ivshmem_config *config);

/* place.c: the region that ranks of a host make for themselves */
uint64_t tmbi_ivshmem_place_host(const struct tmbi_job *job);
int tmbi_ivshmem_place_make(const struct tmbi_job *job, int ranks,
                            char place[TMBI_PLACE_BYTES], int *hold);

/* peers.c */
int tmbi_ivshmem_identify(struct tmbi_ivshmem *iv);
void tmbi_ivshmem_address(struct tmbi_endpoint *ep, uint8_t bytes[TMBI_ADDRESS_BYTES]);
int tmbi_ivshmem_connect(struct tmbi_endpoint *ep, const uint8_t *addresses,
                         size_t stride, int64_t deadline);
int tmbi_ivshmem_reach(struct tmbi_endpoint *ep, int rank, const char **why);
int tmbi_ivshmem_peer_state(struct tmbi_endpoint *ep, int rank);
void tmbi_ivshmem_peer_host(struct tmbi_endpoint *ep, int rank, uint64_t *host,
                            int64_t *pid);
struct tmbi_wake_slot *tmbi_ivshmem_wake_slot(struct tmbi_endpoint *ep, int rank,
                                              enum tmbi_line line);

/* memory.c */
int tmbi_ivshmem_mem_alloc(struct tmbi_endpoint *ep, size_t bytes, size_t control_bytes,
                           struct tmbi_mem **mem);
int tmbi_ivshmem_mem_create(struct tmbi_endpoint *ep, void *base, size_t bytes,
                            size_t control_bytes, struct tmbi_mem **mem);
int tmbi_ivshmem_mem_adopt(struct tmbi_endpoint *ep, void *base, size_t bytes,
                           size_t control_bytes, struct tmbi_mem **mem);
void tmbi_ivshmem_mem_free(struct tmbi_mem *mem);
void tmbi_ivshmem_mem_key(const struct tmbi_mem *mem, uint8_t key[TMBI_KEY_BYTES]);
int tmbi_ivshmem_mem_attach(struct tmbi_endpoint *ep, int rank,
                            const uint8_t key[TMBI_KEY_BYTES],
                            struct tmbi_remote *remote);
void tmbi_ivshmem_mem_detach(struct tmbi_remote *remote);
int tmbi_ivshmem_block_alloc(struct tmbi_endpoint *ep, size_t bytes, void **block);
void tmbi_ivshmem_block_free(struct tmbi_endpoint *ep, void *block);

/* remote.c: windows on a peer's own memory */
void tmbi_ivshmem_cma_permit(const struct tmbi_ivshmem *iv);
/* Find out whether the kernel lets us at a rank's memory. -EACCES: not, but it must. */
int tmbi_ivshmem_cma_probe(struct tmbi_ivshmem *iv, int rank);
int tmbi_ivshmem_put(const struct tmbi_remote *remote, uint64_t offset, const void *src,
                     size_t bytes);
int tmbi_ivshmem_get(const struct tmbi_remote *remote, uint64_t offset, void *dst,
                     size_t bytes);
int tmbi_ivshmem_flush(const struct tmbi_remote *remote);

/* doorbell.c */
int tmbi_ivshmem_bells_open(struct tmbi_ivshmem *iv);
void tmbi_ivshmem_bells_close(struct tmbi_ivshmem *iv);
/* Have sleepers of both lines note a rank's end. */
void tmbi_ivshmem_bells_watch(struct tmbi_ivshmem *iv, int pidfd, int rank);
void tmbi_ivshmem_ring(struct tmbi_endpoint *ep, int rank, enum tmbi_line line);
int tmbi_ivshmem_sleep(struct tmbi_endpoint *ep, enum tmbi_line line, int64_t timeout_ns);

/* deaths.c */
/* A rank has died: enter it in the region, and tell the others. */
void tmbi_ivshmem_died(struct tmbi_ivshmem *iv, int rank);
/* From now on nobody else reports the ends of processes under our kernel. */
void tmbi_ivshmem_processes_watch(struct tmbi_ivshmem *iv);
/* Look at the ranks' hearts, if it is time. Any thread. */
void tmbi_ivshmem_look(struct tmbi_ivshmem *iv, int64_t now);

#endif
