/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The contract between core and providers: the only boundary there is.
 *
 * A provider moves bytes between ranks and wakes sleeping ranks. Core decides what
 * to move, when to wait and what the words in memory mean: windows, locks, signals,
 * atomics and collectives are built above these operations, so that every provider
 * gets them.
 *
 * Downward calls are the operations of struct tmbi_provider; upward a provider calls
 * only what is declared at the end of this file (and log, env, clock, stats).
 * Ranks are ranks of the job. Every operation returns 0 or a negative errno unless
 * it says otherwise, and the first to detect an error logs it.
 *
 * Threads: open, connect and close are called by one thread while no other
 * operation runs. Every other operation is called by any thread at any time.
 */
#ifndef TMBI_PROVIDER_H
#define TMBI_PROVIDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "request.h"
#include "shared.h"

struct tmbi_env_table;

/* What a provider can do; `tombolo info` prints it, tests skip by it. */
#define TMBI_CAP_MAPPED   0x1u /* memory of mem_alloc() is mapped by every peer */
#define TMBI_CAP_CREATE   0x2u /* windows on the caller's own memory */
#define TMBI_CAP_DOORBELL 0x4u /* waits sleep until rung, and don't only poll */
#define TMBI_CAP_DEATH    0x8u /* a dead process is noticed within a second */

/* An endpoint's address and a memory's key, as exchanged between ranks: fixed-width
 * little-endian bytes that only the provider reads, and validates, for they come
 * from a peer. */
#define TMBI_ADDRESS_BYTES 128
#define TMBI_KEY_BYTES     64

/* Where ranks of one host meet, as the one that made it tells the others: a string. */
#define TMBI_PLACE_BYTES 64
/* What an endpoint calls the memory that it shares: a NUL-terminated short name. */
#define TMBI_REGION_NAME 16

/* Who we are; owned by core, valid from open() to close(). */
struct tmbi_job {
    int rank;
    int size;
    char name[40]; /* NUL-terminated; equal on all ranks, unique while the job lives */
};

/* The head of a provider's endpoint: this process as the provider sees it. The
 * provider embeds it as its first member, allocates it in open() and frees it in
 * close(). */
struct tmbi_endpoint {
    const struct tmbi_provider *ops;
    const struct tmbi_job *job;
    const _Atomic uint32_t *deaths; /* grows after a peer's state became DEAD (release;
                                       waits read it with acquire) */
    size_t call_bytes;              /* the most payload of one call() */
    uint32_t caps;                  /* what it can do as it was opened: of ops->caps */
    char region[TMBI_REGION_NAME];  /* equal on all who share that memory, and on nobody
                                       else; "": none is shared. For information */
};

/* Memory of this process that peers can reach. Allocated and freed by the provider. */
struct tmbi_mem {
    struct tmbi_endpoint *ep;
    uint8_t *base;
    size_t bytes;
    void *control;        /* zero-filled, 64-aligned; core's locks live here */
    size_t control_bytes; /* as asked for */
};

/* A peer's memory as this process reaches it. Allocated by core, filled in by
 * mem_attach(). */
struct tmbi_remote {
    struct tmbi_endpoint *ep;
    int rank;
    uint8_t *base; /* mapped here, or NULL: put(), get() and call() reach it */
    /* Without base: bytes [from, to) are mapped at `inner` all the same; from is to where
     * none are. A provider that does this completes put() remotely on return. Both are
     * multiples of 64 in the owner's memory, or the part's ends. */
    uint8_t *inner;
    size_t from, to;
    void *control; /* mapped here, or NULL: call() reaches it */
    size_t bytes;  /* as the owner says; core checks both sizes */
    size_t control_bytes;
    uint64_t window;     /* the owner's number for it; core fills it in for call() */
    uint64_t address;    /* the provider's own */
    uint64_t key;        /* the provider's own */
    void *provider_data; /* the provider's own */
};

struct tmbi_provider {
    const char *name;
    uint32_t caps; /* the most that it can do; an endpoint may do less */
    const struct tmbi_env_table *env; /* its variables; core checks and prints them */

    /*
     * Attach this process: where the environment says, or at a place that place_make()
     * made. -ENODEV: this provider can't be used here (and has said why by
     * tmbi_unusable(); core goes on with the next); any other error ends tmb_init.
     */
    int (*open)(const struct tmbi_job *job, const char *place, struct tmbi_endpoint **ep);

    /*
     * Optional, both or none. What ranks would share that nobody has made for them, one
     * of them makes, and all open() again. place_host: equal for ranks that can use one
     * place, 0: this rank wants none; asked after open() returned -ENODEV.
     * place_make: by the lowest rank of `ranks` with an equal host. The place ends by
     * itself when none of them uses it and *hold, a descriptor, is closed, which core
     * does when all have opened. On an error (logged at info) they go on without.
     */
    uint64_t (*place_host)(const struct tmbi_job *job);
    int (*place_make)(const struct tmbi_job *job, int ranks, char place[TMBI_PLACE_BYTES],
                      int *hold);

    /* Detach. Marks this process as having LEFT if `leaving`, otherwise a failed start
     * is undone. All memory was freed before. Never fails. */
    void (*close)(struct tmbi_endpoint *ep, bool leaving);

    /* This endpoint's address, for the peers' connect(). */
    void (*address)(struct tmbi_endpoint *ep, uint8_t address[TMBI_ADDRESS_BYTES]);

    /*
     * Meet the peers. addresses + i * stride is rank i's; all zero: rank i has no
     * endpoint of this provider, or an earlier provider reaches it. Every rank has opened
     * before any connects. Keeps no pointer. Afterwards reach() answers. Blocks at most
     * until `deadline`.
     */
    int (*connect)(struct tmbi_endpoint *ep, const uint8_t *addresses, size_t stride,
                   int64_t deadline);

    /* Whether a rank is reached: 0, or -EHOSTUNREACH with *why a static sentence. */
    int (*reach)(struct tmbi_endpoint *ep, int rank, const char **why);

    /* enum tmb_peer_state of a reached rank. Waits poll it: few system calls if any. */
    int (*peer_state)(struct tmbi_endpoint *ep, int rank);

    /* A reached rank's host (equal under one kernel) and pid; for information. */
    void (*peer_host)(struct tmbi_endpoint *ep, int rank, uint64_t *host, int64_t *pid);

    /* A reached rank's wake slot, or NULL if it is not mapped here: ring() it always. */
    struct tmbi_wake_slot *(*wake_slot)(struct tmbi_endpoint *ep, int rank,
                                        enum tmbi_line line);

    /* Ring a rank's doorbell. A hint: may be lost, coalesced, or come late. Never
     * blocks, never fails; a dead rank is no error. May be the caller's own rank. */
    void (*ring)(struct tmbi_endpoint *ep, int rank, enum tmbi_line line);

    /* Sleep on the own doorbell of a line for at most timeout_ns (never negative).
     * Called by one thread per line at a time. Returns 1 if rung, 0 otherwise. The
     * place for housekeeping: core sleeps at most 100 ms at a time. */
    int (*sleep)(struct tmbi_endpoint *ep, enum tmbi_line line, int64_t timeout_ns);

    /*
     * Memory. mem_alloc: `bytes` (0 is legal), 64-aligned, content undefined, reachable
     * by peers. mem_create: the caller's memory, which outlives it; also how core gives
     * what another endpoint allocated, then without control memory. Both with
     * `control_bytes` of control memory, in the region where there is one. -ENOMEM
     * with the sizes logged. mem_adopt: as mem_create, and may replace the memory's pages
     * in place by ones that peers map, until mem_free; never fails for not being able to.
     * NULL: mem_create.
     */
    int (*mem_alloc)(struct tmbi_endpoint *ep, size_t bytes, size_t control_bytes,
                     struct tmbi_mem **mem);
    int (*mem_create)(struct tmbi_endpoint *ep, void *base, size_t bytes,
                      size_t control_bytes, struct tmbi_mem **mem);
    int (*mem_adopt)(struct tmbi_endpoint *ep, void *base, size_t bytes,
                     size_t control_bytes, struct tmbi_mem **mem);
    void (*mem_free)(struct tmbi_mem *mem);
    void (*mem_key)(const struct tmbi_mem *mem, uint8_t key[TMBI_KEY_BYTES]);

    /*
     * Memory without a window, 64-aligned, content undefined, bytes > 0: peers map what
     * mem_create() is given of it. -ENOMEM with the sizes logged. NULL: there is none of
     * that kind.
     */
    int (*block_alloc)(struct tmbi_endpoint *ep, size_t bytes, void **block);
    void (*block_free)(struct tmbi_endpoint *ep, void *block);

    /* Reach a peer's memory (or, rank being our own, our own) by its key. -EPROTO: the
     * key is garbage. */
    int (*mem_attach)(struct tmbi_endpoint *ep, int rank,
                      const uint8_t key[TMBI_KEY_BYTES], struct tmbi_remote *remote);
    void (*mem_detach)(struct tmbi_remote *remote);

    /*
     * Move bytes to or from a remote whose base is NULL; core has checked the bounds.
     * Locally complete on return, remotely at flush(). -EHOSTDOWN, -ETIMEDOUT.
     */
    int (*put)(const struct tmbi_remote *remote, uint64_t offset, const void *src,
               size_t bytes);
    int (*get)(const struct tmbi_remote *remote, uint64_t offset, void *dst,
               size_t bytes);
    int (*flush)(const struct tmbi_remote *remote);

    /* Before flush() of several remotes, so that they answer at the same time: send what
     * flush() would, and don't wait. NULL: it would send nothing. */
    void (*flush_begin)(const struct tmbi_remote *remote);

    /* The same as get(), but `dst` is the provider's until get_end() or flush(), which
     * tell of its failure, too; after -ETIMEDOUT it is the caller's again. Both NULL:
     * get() it. */
    int (*get_begin)(const struct tmbi_remote *remote, uint64_t offset, void *dst,
                     size_t bytes);
    int (*get_end)(const struct tmbi_remote *remote);

    /*
     * Have the target's agent execute a request on its memory: `in_bytes` at `in` go
     * there, `out_bytes` come back to `out` (each at most ep->call_bytes, either may be
     * 0), and request->result is filled in. It is executed after what this thread has
     * put to that rank before, and complete at the target on return. Returns the agent's
     * own result, or -EHOSTDOWN, -ETIMEDOUT.
     */
    int (*call)(const struct tmbi_remote *remote, struct tmbi_request *request,
                const void *in, size_t in_bytes, void *out, size_t out_bytes);

    /*
     * The same without an answer, locally complete on return as a put is: at the target
     * it is executed in order with the puts to that rank, and complete at flush(), which
     * tells of its failure. urgent: somebody may wait for it there; otherwise it may
     * stay here until flush(). -EHOSTDOWN, -ETIMEDOUT. NULL: call() it.
     */
    int (*post)(const struct tmbi_remote *remote, const struct tmbi_request *request,
                const void *in, size_t in_bytes, bool urgent);

    /* Execute the requests that peers have posted to us, by tmbi_request_execute();
     * called by the agent's thread only. Returns how many. */
    int (*serve)(struct tmbi_endpoint *ep);

    /* Whether serve() would find something; the agent's sleep condition. */
    bool (*serve_pending)(struct tmbi_endpoint *ep);

    /*
     * A thread of the application that spins looks itself for what comes, so that none
     * of the provider's has to be woken for it, perhaps on the same processor: between
     * look_begin() and look_end() it calls look() again and again, which doesn't block
     * and may execute peers' requests. Several threads may. All NULL: nothing comes but
     * into memory.
     */
    void (*look_begin)(struct tmbi_endpoint *ep);
    void (*look)(struct tmbi_endpoint *ep);
    void (*look_end)(struct tmbi_endpoint *ep);

    /* As look(), for who looks now and can't tell whether it will again: the provider's
     * thread rests for about a millisecond after each. Only while peers ask for
     * something; otherwise it does nothing. NULL as the others. */
    void (*look_awhile)(struct tmbi_endpoint *ep);
};

/* ------------------------------------------------- what a provider calls up -- */

/* By open(): why this provider can't be used here, in a line that begins with its name.
 * Logged at info, or, if no other can be used, with the error. */
void tmbi_unusable(const char *format, ...) __attribute__((format(printf, 1, 2), cold));

/* Wait: spin, then sleep on the own line until ready(arg), or `deadline` (of
 * tmbi_clock_ns(); INT64_MAX: never) with -ETIMEDOUT. ready() must not block. */
typedef bool tmbi_ready(void *arg);
int tmbi_wait_until(enum tmbi_line line, tmbi_ready *ready, void *arg, int64_t deadline);

/* Its two halves, for who has to do something between them. The first returns whether
 * ready() came true, the second as the whole. */
bool tmbi_spin_until(enum tmbi_line line, tmbi_ready *ready, void *arg, int64_t deadline);
int tmbi_sleep_until(enum tmbi_line line, tmbi_ready *ready, void *arg, int64_t deadline);

/* How long waits spin (TMB_SPIN); 0 while this process has not joined. */
int64_t tmbi_spin_ns(void);

/* Wake a rank after a change that it may wait for: fences, rings only if it sleeps. */
void tmbi_wake(struct tmbi_endpoint *ep, int rank, enum tmbi_line line);

/* Wake this process's own waits on a line, after a seq_cst change of what they wait for;
 * in no process that has not joined. For a thread of the provider's. */
void tmbi_wake_self(enum tmbi_line line);

/* A peer that does not map our wake slot has rung: wakes the line, and those who wait for
 * just that. */
void tmbi_rung(enum tmbi_line line);

/* Have memory lie on the caller's NUMA node, if it is large enough to be worth it. */
void tmbi_memory_place(void *base, size_t bytes);

/* How many threads this library has in the process that write to nothing but its own
 * memory and that of windows. Relaxed: those who count threads have started and joined
 * them, or know of no others. */
extern _Atomic int tmbi_threads;

/* Equal for processes that can see each other's pids: one boot of one kernel, and one pid
 * namespace. Where that can't be found out, like nobody else. For peer_host(). */
uint64_t tmbi_host_identity(void);

/* Equal for processes that reach each other's abstract sockets: one boot of one kernel,
 * and one network namespace. Where that can't be found out, like nobody else. */
uint64_t tmbi_host_network(void);

/* Execute a peer's request (already copied out of memory that the peer can write): it
 * is validated against our windows. `in` and `out` are its payloads and may be the same
 * memory. Fills in request->result. Returns what call() shall return at the origin. */
int tmbi_request_execute(struct tmbi_request *request, const void *in, size_t in_bytes,
                         void *out, size_t out_bytes);

/* Where the bytes of a peer's put, a request of TMBI_REQUEST_PUT, are to go, for who
 * receives them there; validated as above. The window stays until tmbi_request_placed().
 * NULL: nowhere (logged), and nothing is to be called. */
void *tmbi_request_place(const struct tmbi_request *request);
void tmbi_request_placed(void);

/* How long an operation may take that needs a peer's help (TMB_OP_TIMEOUT), as a
 * deadline from now. */
int64_t tmbi_op_deadline(void);

#endif
