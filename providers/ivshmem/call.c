/* SPDX-License-Identifier: BSD-3-Clause */
#include "ivshmem.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "../../core/clock.h"
#include "../../core/include/tombolo.h"
#include "../../core/log.h"
#include "../../core/stats.h"

/* How long to wait for a slot before looking again at those that are stuck. */
#define LOOK_NS 10000000

/* Of what a peer may change: the compiler must not look twice. */
#define READ_ONCE(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

static uint64_t word_make(enum tmbi_call_phase phase, int target, uint32_t sequence)
{
    return (uint64_t)sequence << 32 | (uint64_t)target << 8 | (uint64_t)phase;
}

static enum tmbi_call_phase word_phase(uint64_t word)
{
    return (enum tmbi_call_phase)(word & 0xff);
}

static int word_target(uint64_t word)
{
    return (int)(word >> 8 & 0xffffff);
}

int tmbi_calls_open(struct tmbi_ivshmem *iv)
{
    struct tmbi_calls *calls = &iv->calls;
    uint64_t bytes = tmbi_call_block_bytes(iv->head.job->size);
    void *block;

    int status = tmbi_ivshmem_alloc(iv, bytes, "a rank's endpoint", &block);
    if (status)
        return status;
    memset(block, 0, bytes);
    calls->block = block;
    pthread_mutex_init(&calls->mutex, NULL);
    tmbi_cond_init(&calls->released);
    return 0;
}

/* The block and the bounce buffers stay: peers that are still at work may write there.
 * They are the job's, which frees them. */
void tmbi_calls_close(struct tmbi_ivshmem *iv)
{
    pthread_cond_destroy(&iv->calls.released);
    pthread_mutex_destroy(&iv->calls.mutex);
}

/* ---- origin: call slots ---- */

/* The first slot's buffer, that there is one at all; called with the mutex held. */
static int bounce_make(struct tmbi_ivshmem *iv)
{
    struct tmbi_call *first = &iv->calls.calls[0];
    void *bounce;
    int status;

    if (first->bounce)
        return 0;
    status = tmbi_ivshmem_alloc(iv, TMBI_CALL_BYTES, "a bounce buffer", &bounce);
    if (!status)
        first->bounce = bounce;
    return status;
}

int tmbi_calls_prepare(struct tmbi_ivshmem *iv)
{
    int status;

    pthread_mutex_lock(&iv->calls.mutex);
    status = bounce_make(iv);
    pthread_mutex_unlock(&iv->calls.mutex);
    return status;
}

/* A stuck slot is free again when its target has answered after all, or has ended. */
static void slot_unstick(struct tmbi_ivshmem *iv, uint32_t index)
{
    struct tmbi_call *call = &iv->calls.calls[index];
    /* acquire: partner is slot_execute()'s release */
    uint64_t word =
        atomic_load_explicit(&iv->calls.block->slots[index].word, memory_order_acquire);

    if (word == word_make(TMBI_CALL_DONE, call->target, call->sequence) ||
        tmbi_ivshmem_peer_state(&iv->head, call->target) != TMB_PEER_ALIVE)
        call->use = TMBI_CALL_FREE;
}

/* Whether that many buffers in each rank leave three quarters of the heap to windows. */
static bool bounces_fit(const struct tmbi_ivshmem *iv, uint32_t count)
{
    uint64_t heap_bytes = iv->region->page_count * TMBI_PAGE_BYTES;

    return (uint64_t)iv->head.job->size * count * TMBI_CALL_BYTES <= heap_bytes / 4;
}

/* Without a payload any free slot does. Only the first is sure of a buffer. */
static bool slot_usable(struct tmbi_ivshmem *iv, uint32_t index, bool payload)
{
    struct tmbi_call *call = &iv->calls.calls[index];
    void *bounce;

    if (call->use != TMBI_CALL_FREE)
        return false;
    if (payload && !call->bounce && bounces_fit(iv, index + 1) &&
        !tmbi_arena_alloc(&iv->arena, TMBI_CALL_BYTES, &bounce))
        call->bounce = bounce;
    return !payload || call->bounce;
}

/* A target that is stuck already gets no more slots: they would be missing for others. */
static bool slot_find(struct tmbi_ivshmem *iv, int target, bool payload, uint32_t *index)
{
    for (uint32_t i = 0; i < TMBI_CALL_SLOTS; i++) {
        struct tmbi_call *call = &iv->calls.calls[i];
        if (call->use == TMBI_CALL_STUCK)
            slot_unstick(iv, i);
        if (call->use == TMBI_CALL_STUCK && call->target == target)
            return false;
    }
    for (*index = 0; *index < TMBI_CALL_SLOTS; (*index)++)
        if (slot_usable(iv, *index, payload))
            return true;
    return false;
}

static int slot_take(struct tmbi_ivshmem *iv, int target, bool payload, int64_t deadline,
                     uint32_t *index)
{
    struct tmbi_calls *calls = &iv->calls;
    int status;

    pthread_mutex_lock(&calls->mutex);
    status = payload ? bounce_make(iv) : 0;
    while (!status && !slot_find(iv, target, payload, index)) {
        int64_t now = tmbi_clock_ns();
        if (tmbi_ivshmem_peer_state(&iv->head, target) != TMB_PEER_ALIVE)
            status = -EHOSTDOWN;
        else if (now >= deadline)
            status = -ETIMEDOUT;
        else
            tmbi_cond_wait(&calls->released, &calls->mutex,
                           deadline - now < LOOK_NS ? deadline : now + LOOK_NS);
    }
    if (!status) {
        calls->calls[*index].use = TMBI_CALL_BUSY;
        calls->calls[*index].target = target;
        calls->calls[*index].sequence++;
    }
    pthread_mutex_unlock(&calls->mutex);
    return status;
}

static void slot_release(struct tmbi_calls *calls, uint32_t index, bool stuck)
{
    pthread_mutex_lock(&calls->mutex);
    calls->calls[index].use = stuck ? TMBI_CALL_STUCK : TMBI_CALL_FREE;
    pthread_cond_signal(&calls->released);
    pthread_mutex_unlock(&calls->mutex);
}

/* ---- origin: a call ---- */

struct waiter {
    struct tmbi_ivshmem *iv;
    const struct tmbi_call_slot *slot;
    uint64_t done;
    int target;
};

static bool call_done(const struct waiter *waiter)
{
    /* acquire: partner is slot_execute()'s release */
    return atomic_load_explicit(&waiter->slot->word, memory_order_acquire) ==
           waiter->done;
}

static bool call_over(void *arg)
{
    const struct waiter *waiter = arg;

    return call_done(waiter) ||
           tmbi_ivshmem_peer_state(&waiter->iv->head, waiter->target) != TMB_PEER_ALIVE;
}

static void call_post(const struct tmbi_remote *remote, uint32_t index,
                      const struct tmbi_request *request, const void *in, size_t in_bytes,
                      size_t out_bytes)
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(remote->ep);
    const struct tmbi_call *call = &iv->calls.calls[index];
    struct tmbi_call_slot *slot = &iv->calls.block->slots[index];
    int me = iv->head.job->rank;

    if (in_bytes)
        memcpy(call->bounce, in, in_bytes);
    slot->bounce = call->bounce ? tmbi_region_offset(iv->region, call->bounce) : 0;
    slot->in_bytes = (uint32_t)in_bytes;
    slot->out_bytes = (uint32_t)out_bytes;
    slot->request = *request;
    slot->request.window = remote->window;
    /* release: partner is slot_serve()'s acquire */
    atomic_store_explicit(&slot->word,
                          word_make(TMBI_CALL_POSTED, call->target, call->sequence),
                          memory_order_release);
    /* release: partner is the exchange in tmbi_ivshmem_serve() */
    atomic_fetch_or_explicit(&iv->ranks[call->target].block->pending[me / 64],
                             UINT64_C(1) << (me % 64), memory_order_release);
    tmbi_wake(&iv->head, call->target, TMBI_LINE_AGENT);
}

static int call_wait(struct tmbi_ivshmem *iv, uint32_t index, int64_t deadline)
{
    const struct tmbi_call *call = &iv->calls.calls[index];
    struct waiter waiter = {iv, &iv->calls.block->slots[index],
                            word_make(TMBI_CALL_DONE, call->target, call->sequence),
                            call->target};

    int status = tmbi_wait_until(TMBI_LINE_WAIT, call_over, &waiter, deadline);
    if (call_done(&waiter))
        return 0;
    return status ? status : -EHOSTDOWN;
}

/* The answer, from memory that others can write. */
static int call_take_answer(const struct tmbi_calls *calls, uint32_t index,
                            struct tmbi_request *request, void *out, size_t out_bytes)
{
    const struct tmbi_call_slot *slot = &calls->block->slots[index];
    int status = READ_ONCE(slot->status);

    if (status > 0 || status < -4095) {
        tmbi_error("rank %d answered a request with %d, which is no status",
                   calls->calls[index].target, status);
        return -EPROTO;
    }
    request->result = slot->request.result;
    if (!status && out_bytes)
        memcpy(out, calls->calls[index].bounce, out_bytes);
    return status;
}

static int call_error(const struct tmbi_remote *remote, int status)
{
    if (status == -ETIMEDOUT)
        tmbi_error(
            "rank %d did not serve a request within TMB_OP_TIMEOUT; is it stopped?",
            remote->rank);
    return status;
}

int tmbi_ivshmem_call(const struct tmbi_remote *remote, struct tmbi_request *request,
                      const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(remote->ep);
    int64_t deadline = tmbi_op_deadline();
    uint32_t index;

    if (in_bytes > TMBI_CALL_BYTES || out_bytes > TMBI_CALL_BYTES)
        return -E2BIG;
    if (tmbi_ivshmem_peer_state(remote->ep, remote->rank) != TMB_PEER_ALIVE)
        return -EHOSTDOWN;
    int status = slot_take(iv, remote->rank, in_bytes || out_bytes, deadline, &index);
    if (status)
        return call_error(remote, status);
    tmbi_count(agent_calls);
    call_post(remote, index, request, in, in_bytes, out_bytes);
    status = call_wait(iv, index, deadline);
    bool stuck = status == -ETIMEDOUT;
    if (!status)
        status = call_take_answer(&iv->calls, index, request, out, out_bytes);
    slot_release(&iv->calls, index, stuck);
    return call_error(remote, status);
}

/* ---- target ---- */

/* Execute the request on our memory; everything but the payload is copied before it is
 * checked, for the origin may change it under our hands. */
static int slot_execute(struct tmbi_ivshmem *iv, int origin, struct tmbi_call_slot *slot,
                        uint64_t *result)
{
    struct tmbi_request request = slot->request;
    uint64_t bounce = READ_ONCE(slot->bounce);
    uint32_t in_bytes = READ_ONCE(slot->in_bytes);
    uint32_t out_bytes = READ_ONCE(slot->out_bytes);
    uint8_t *payload = NULL;

    request.origin = (uint32_t)origin;
    if (in_bytes || out_bytes)
        payload = tmbi_region_at(iv->region, bounce, TMBI_CALL_BYTES);
    if (in_bytes > TMBI_CALL_BYTES || out_bytes > TMBI_CALL_BYTES ||
        ((in_bytes || out_bytes) && !payload)) {
        tmbi_error("rank %d asked with a payload of %" PRIu32 " and %" PRIu32
                   " bytes at %#" PRIx64 ", which is no bounce buffer",
                   origin, in_bytes, out_bytes, bounce);
        return -EPROTO;
    }
    int status = tmbi_request_execute(&request, payload, in_bytes, payload, out_bytes);
    *result = request.result;
    return status;
}

static int slot_serve(struct tmbi_ivshmem *iv, int origin, struct tmbi_call_slot *slot)
{
    int me = iv->head.job->rank;
    /* acquire: partner is call_post()'s release */
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire);
    uint64_t result = 0;

    if (word_phase(word) != TMBI_CALL_POSTED || word_target(word) != me)
        return 0;
    slot->status = slot_execute(iv, origin, slot, &result);
    slot->request.result = result;
    /* release: partner is call_done()'s acquire */
    atomic_store_explicit(&slot->word,
                          word_make(TMBI_CALL_DONE, me, (uint32_t)(word >> 32)),
                          memory_order_release);
    tmbi_wake(&iv->head, origin, TMBI_LINE_WAIT);
    return 1;
}

static int origin_serve(struct tmbi_ivshmem *iv, int origin)
{
    int served = 0;

    if (origin >= iv->head.job->size || iv->ranks[origin].unreachable)
        return 0;
    for (uint32_t i = 0; i < TMBI_CALL_SLOTS; i++)
        served += slot_serve(iv, origin, &iv->ranks[origin].block->slots[i]);
    return served;
}

int tmbi_ivshmem_serve(struct tmbi_endpoint *ep)
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(ep);
    int words = (ep->job->size + 63) / 64;
    int served = 0;

    for (int w = 0; w < words; w++) {
        /* acquire: partner is the release in call_post() */
        uint64_t bits = atomic_exchange_explicit(&iv->calls.block->pending[w], 0,
                                                 memory_order_acquire);
        for (; bits; bits &= bits - 1)
            served += origin_serve(iv, w * 64 + __builtin_ctzll(bits));
    }
    return served;
}

bool tmbi_ivshmem_serve_pending(struct tmbi_endpoint *ep)
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(ep);
    int words = (ep->job->size + 63) / 64;

    for (int w = 0; w < words; w++)
        if (atomic_load_explicit(&iv->calls.block->pending[w], memory_order_acquire))
            return true;
    return false;
}
