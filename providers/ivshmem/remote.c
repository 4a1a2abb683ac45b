/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Windows on a peer's own memory. Under one kernel, and where it permits, we copy
 * straight from process to process (process_vm_readv and writev); the peer has no part in
 * it. Otherwise its agent copies (call.c).
 */
#include "ivshmem.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../core/include/tombolo.h"
#include "../../core/log.h"
#include "../../core/stats.h"

/* The kernel moves a little less than 2 GiB in one call. */
#define CMA_AT_ONCE ((size_t)1 << 30)

/*
 * Yama (kernel.yama.ptrace_scope=1) lets a process reach only its descendants' memory,
 * unless these name a ptracer: that process and its descendants may then, too. Ranks that
 * one launcher started are its descendants, so each names the launcher. Without Yama this
 * fails, and there is no need.
 */
void tmbi_ivshmem_cma_permit(const struct tmbi_ivshmem *iv)
{
    if (iv->config.cma != TMBI_CMA_OFF && iv->head.job->size > 1)
        prctl(PR_SET_PTRACER, (unsigned long)getppid(), 0, 0, 0);
}

static ssize_t cma_copy(int64_t pid, bool put, void *local, uint64_t address,
                        size_t bytes)
{
    struct iovec here = {local, bytes};
    struct iovec there = {(void *)(uintptr_t)address, bytes};

    tmbi_count(cma_calls);
    return put ? process_vm_writev((pid_t)pid, &here, 1, &there, 1, 0)
               : process_vm_readv((pid_t)pid, &here, 1, &there, 1, 0);
}

/* Whether that pid is the peer, as we see it, and whether we may read it: what the peer
 * said lies at an address does lie there. */
static bool cma_works(const struct tmbi_ivshmem *iv, const struct tmbi_rank *peer,
                      const char **why)
{
    uint8_t cookie[TMBI_COOKIE_BYTES];

    *why = "it runs under another kernel or in another pid namespace";
    if (peer->host != iv->host_hash)
        return false;
    ssize_t got = cma_copy(peer->pid, false, cookie, peer->cookie_at, sizeof cookie);
    *why = got < 0 ? strerror(errno) : "its pid is another process here";
    return got == (ssize_t)sizeof cookie && !memcmp(cookie, peer->cookie, sizeof cookie);
}

int tmbi_ivshmem_cma_probe(struct tmbi_ivshmem *iv, int rank)
{
    struct tmbi_rank *peer = &iv->ranks[rank];
    const char *why;

    if (iv->config.cma == TMBI_CMA_OFF || peer->unreachable || rank == iv->head.job->rank)
        return 0;
    bool works = cma_works(iv, peer, &why);
    atomic_store_explicit(&peer->cma, works, memory_order_relaxed);
    if (works || tmbi_ivshmem_peer_state(&iv->head, rank) != TMB_PEER_ALIVE)
        return 0;
    if (iv->config.cma == TMBI_CMA_ON) {
        tmbi_error("TMB_IVSHMEM_CMA=on, but rank %d (pid %" PRId64
                   ") can't be read by process_vm_readv: %s",
                   rank, peer->pid, why);
        return -EACCES;
    }
    tmbi_info("rank %d (pid %" PRId64 ") can't be read by process_vm_readv, so its agent "
              "copies: %s",
              rank, peer->pid, why);
    return 0;
}

/* What a failed copy means. -EAGAIN: the agent can do it. */
static int cma_error(const struct tmbi_remote *remote, int error, uint64_t address)
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(remote->ep);

    if (error == ESRCH ||
        tmbi_ivshmem_peer_state(remote->ep, remote->rank) != TMB_PEER_ALIVE)
        return -EHOSTDOWN;
    if (error == EFAULT) {
        tmbi_error("rank %d: its window's memory at %#" PRIx64
                   " is no longer mapped there, or ours is not here",
                   remote->rank, address);
        return -EFAULT;
    }
    if (iv->config.cma == TMBI_CMA_ON) {
        tmbi_error("TMB_IVSHMEM_CMA=on, but rank %d's memory can't be reached: %s",
                   remote->rank, strerror(error));
        return -EACCES;
    }
    return -EAGAIN;
}

/* -EAGAIN: what is left, from *done on, is the agent's to do. A pid can be another
 * process's once its own has died, so a dead peer is not asked for. */
static int cma_move(const struct tmbi_remote *remote, bool put, uint64_t address,
                    uint8_t *local, size_t bytes, size_t *done)
{
    const struct tmbi_rank *peer = remote->provider_data;

    for (*done = 0; *done < bytes;) {
        size_t part = bytes - *done < CMA_AT_ONCE ? bytes - *done : CMA_AT_ONCE;
        if (tmbi_ivshmem_peer_state(remote->ep, remote->rank) != TMB_PEER_ALIVE)
            return -EHOSTDOWN;
        ssize_t moved = cma_copy(peer->pid, put, local + *done, address + *done, part);
        if (moved <= 0)
            return cma_error(remote, moved ? errno : EFAULT, address + *done);
        *done += (size_t)moved;
    }
    return 0;
}

static int agent_move(const struct tmbi_remote *remote, bool put, uint64_t offset,
                      uint8_t *local, size_t bytes)
{
    int status = 0;

    for (size_t done = 0, part; done < bytes && !status; done += part) {
        part = bytes - done < TMBI_CALL_BYTES ? bytes - done : TMBI_CALL_BYTES;
        struct tmbi_request request = {
            .kind = put ? TMBI_REQUEST_PUT : TMBI_REQUEST_GET,
            .offset = offset + done,
            .count = part,
        };
        status = tmbi_ivshmem_call(remote, &request, local + done, put ? part : 0,
                                   local + done, put ? 0 : part);
    }
    return status;
}

static int move(const struct tmbi_remote *remote, bool put, uint64_t offset, void *local,
                size_t bytes)
{
    struct tmbi_rank *peer = remote->provider_data;
    size_t done = 0;

    if (atomic_load_explicit(&peer->cma, memory_order_relaxed)) {
        int status = cma_move(remote, put, remote->address + offset, local, bytes, &done);
        if (status != -EAGAIN)
            return status;
        atomic_store_explicit(&peer->cma, false, memory_order_relaxed);
    }
    return agent_move(remote, put, offset + done, (uint8_t *)local + done, bytes - done);
}

int tmbi_ivshmem_put(const struct tmbi_remote *remote, uint64_t offset, const void *src,
                     size_t bytes)
{
    return move(remote, true, offset, (void *)(uintptr_t)src, bytes);
}

int tmbi_ivshmem_get(const struct tmbi_remote *remote, uint64_t offset, void *dst,
                     size_t bytes)
{
    return move(remote, false, offset, dst, bytes);
}

/* Both ways are complete at the target when they return. */
int tmbi_ivshmem_flush(const struct tmbi_remote *remote)
{
    (void)remote;
    return 0;
}
