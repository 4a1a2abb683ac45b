/* SPDX-License-Identifier: BSD-3-Clause */
#include "agent.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "clock.h"
#include "copy.h"
#include "log.h"
#include "reduce.h"
#include "stats.h"
#include "wake.h"
#include "window.h"

static struct {
    pthread_mutex_t mutex; /* protects running */
    bool running;
    atomic_bool stop; /* seq_cst: partner is agent_kicked(), through the wake slot */
    pthread_t thread;
} agent = {.mutex = PTHREAD_MUTEX_INITIALIZER};

_Atomic int tmbi_threads;

static bool agent_kicked(void *arg)
{
    (void)arg;
    for (int i = 0; i < tmbi_context.endpoint_count; i++)
        if (tmbi_context.endpoints[i]->ops->serve_pending(tmbi_context.endpoints[i]))
            return true;
    return atomic_load_explicit(&agent.stop, memory_order_seq_cst);
}

static void *agent_main(void *arg)
{
    (void)arg;
    while (!atomic_load_explicit(&agent.stop, memory_order_seq_cst)) {
        for (int i = 0; i < tmbi_context.endpoint_count; i++)
            tmbi_context.endpoints[i]->ops->serve(tmbi_context.endpoints[i]);
        tmbi_wait_until(TMBI_LINE_AGENT, agent_kicked, NULL, TMBI_NEVER);
    }
    return NULL;
}

/* Signals are the application's: the agent's thread takes none. */
static int thread_start(void)
{
    sigset_t all, old;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&agent.thread, NULL, agent_main, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc) {
        tmbi_error("agent: its thread can't be started: %s", strerror(rc));
        return -rc;
    }
    pthread_setname_np(agent.thread, "tmb-agent");
    atomic_fetch_add_explicit(&tmbi_threads, 1, memory_order_relaxed);
    return 0;
}

int tmbi_agent_start(void)
{
    int rc = 0;

    pthread_mutex_lock(&agent.mutex);
    if (!agent.running) {
        atomic_store_explicit(&agent.stop, false, memory_order_seq_cst);
        rc = thread_start();
        agent.running = rc == 0;
    }
    pthread_mutex_unlock(&agent.mutex);
    return rc;
}

void tmbi_agent_stop(void)
{
    pthread_mutex_lock(&agent.mutex);
    if (agent.running) {
        atomic_store_explicit(&agent.stop, true, memory_order_seq_cst);
        tmbi_wake_self(TMBI_LINE_AGENT);
        pthread_join(agent.thread, NULL);
        atomic_fetch_sub_explicit(&tmbi_threads, 1, memory_order_relaxed);
        agent.running = false;
    }
    pthread_mutex_unlock(&agent.mutex);
}

/* ---- requests ---- */

static int request_bad(const struct tmbi_request *r, const char *what)
{
    tmbi_error("agent: request of rank %" PRIu32 ": %s (kind %" PRIu32 ", type %" PRIu32
               ", operation %" PRIu32 ", offset %" PRIu64 ", count %" PRIu64 ")",
               r->origin, what, r->kind, r->type, r->op, r->offset, r->count);
    return -EPROTO;
}

static bool in_part(const struct tmbi_mem *mem, uint64_t offset, uint64_t bytes)
{
    return offset <= mem->bytes && bytes <= mem->bytes - offset;
}

static int execute_copy(const struct tmbi_mem *mem, const struct tmbi_request *r,
                        const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
    bool put = r->kind == TMBI_REQUEST_PUT;

    if (!in_part(mem, r->offset, r->count) || r->count != (put ? in_bytes : out_bytes))
        return request_bad(r, "bytes out of the window's part");
    if (r->count == 0)
        return 0; /* a part without bytes has no base either */
    if (put)
        tmbi_copy(mem->base + r->offset, in, r->count);
    else
        tmbi_copy(out, mem->base + r->offset, r->count);
    return 0;
}

static int execute_atomic(const struct tmbi_mem *mem, struct tmbi_request *r,
                          const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
    size_t size = tmbi_type_size(r->type);
    bool array = r->kind == TMBI_REQUEST_ACCUMULATE;
    uint8_t *word;

    if (!tmbi_type_takes(r->type, r->op) || r->count > SIZE_MAX / 8 ||
        (!array && r->count != 1) || !in_part(mem, r->offset, r->count * size))
        return request_bad(r, "no such atomic, or out of the window's part");
    if (r->count == 0)
        return 0;
    word = mem->base + r->offset;
    if ((uintptr_t)word & (size - 1))
        return request_bad(r, "misaligned");
    if (array && ((in_bytes && in_bytes != r->count * size) ||
                  (out_bytes && out_bytes != r->count * size) ||
                  (!in_bytes && r->op != TMB_OP_FETCH) || r->op == TMB_OP_CAS))
        return request_bad(r, "payload does not fit");
    if (array)
        tmbi_words_accumulate(word, (enum tmb_type)r->type, (enum tmb_atomic_op)r->op,
                              in_bytes ? in : NULL, r->count, out_bytes ? out : NULL);
    else
        r->result = tmbi_word_atomic(word, (enum tmb_type)r->type,
                                     (enum tmb_atomic_op)r->op, r->operand, r->compare);
    if (r->op != TMB_OP_FETCH)
        tmbi_wake_self(TMBI_LINE_WAIT);
    return 0;
}

int tmbi_request_execute(struct tmbi_request *request, const void *in, size_t in_bytes,
                         void *out, size_t out_bytes)
{
    struct tmb_win *win = tmbi_window_lock_table(request->window);
    int rc;

    tmbi_count(agent_served);
    if (!win)
        rc = request_bad(request, "no such window");
    else if (request->kind == TMBI_REQUEST_PUT || request->kind == TMBI_REQUEST_GET)
        rc = execute_copy(win->mem, request, in, in_bytes, out, out_bytes);
    else if (request->kind == TMBI_REQUEST_ATOMIC ||
             request->kind == TMBI_REQUEST_ACCUMULATE)
        rc = execute_atomic(win->mem, request, in, in_bytes, out, out_bytes);
    else if (request->kind == TMBI_REQUEST_LOCK)
        rc = tmbi_lock_request_execute(win, request);
    else if (request->kind == TMBI_REQUEST_ADAPTER)
        rc = tmbi_adapter_request_execute(win, request, in, in_bytes, out, out_bytes);
    else
        rc = request_bad(request, "no such kind");
    tmbi_window_unlock_table();
    return rc;
}

void *tmbi_request_place(const struct tmbi_request *request)
{
    struct tmb_win *win = tmbi_window_lock_table(request->window);

    if (win && request->kind == TMBI_REQUEST_PUT &&
        in_part(win->mem, request->offset, request->count))
        return win->mem->base + request->offset;
    request_bad(request, win ? "bytes out of the window's part" : "no such window");
    tmbi_window_unlock_table();
    return NULL;
}

void tmbi_request_placed(void)
{
    tmbi_window_unlock_table();
}
