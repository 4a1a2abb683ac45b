/* SPDX-License-Identifier: BSD-3-Clause */
/* What adapters use besides the API: joining, and calls to a handler of theirs. */
#include "adapter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "log.h"
#include "wake.h"
#include "window.h"

_Static_assert(TMBI_ADAPTER_ARGS == 4, "a request has four fields for the arguments");

/* ---- joining ---- */

int tmbi_adapter_init(int thread_level, const struct tmbi_adapter_callbacks *callbacks)
{
    if (!callbacks || !callbacks->exchange || !callbacks->abort) {
        tmbi_error("tmbi_adapter_init: a callback is missing");
        return -EFAULT;
    }
    if (callbacks->size < 1 || callbacks->size > TMBI_SIZE_MAX || callbacks->rank < 0 ||
        callbacks->rank >= callbacks->size) {
        tmbi_error("tmbi_adapter_init: rank %d of %d: ranks are 0 to size - 1, at most "
                   "%d of them",
                   callbacks->rank, callbacks->size, TMBI_SIZE_MAX);
        return -EINVAL;
    }
    return tmbi_init(thread_level, callbacks);
}

void tmbi_adapter_poll(void (*poll)(void))
{
    tmbi_wake_set_poll(poll);
}

void tmbi_adapter_look_begin(void)
{
    tmbi_look_begin();
}

void tmbi_adapter_look_end(void)
{
    tmbi_look_end();
}

void tmbi_adapter_look(void)
{
    tmbi_wake_look();
}

/* ---- the handler ---- */

/* release: partner is the acquire in tmbi_adapter_request_execute() */
static tmbi_adapter_handler *_Atomic handler;

int tmbi_adapter_handle(tmbi_adapter_handler *function)
{
    if (!function)
        return tmbi_null_bad("tmbi_adapter_handle", sizeof(function));
    if (!tmbi_running()) {
        tmbi_error("tmbi_adapter_handle: not initialized: call tmbi_adapter_init first");
        return -ENOTCONN;
    }
    atomic_store_explicit(&handler, function, memory_order_release);
    return tmbi_agent_start();
}

void tmbi_adapter_data_set(tmb_win *win, void *data)
{
    if (tmbi_window_check(win, "tmbi_adapter_data_set"))
        return;
    /* release: partner is the acquire in tmbi_adapter_request_execute() */
    atomic_store_explicit(&win->data, data, memory_order_release);
}

static int handler_run(void *data, tmbi_adapter_handler *function,
                       const struct tmbi_request *request, const void *in,
                       size_t in_bytes, void *out, size_t out_bytes)
{
    const uint64_t args[TMBI_ADAPTER_ARGS] = {request->offset, request->count,
                                              request->operand, request->compare};
    int rc = function(data, (int)request->op, args, in, in_bytes, out, out_bytes);

    if (rc <= 0 && rc >= -4095)
        return rc;
    tmbi_error("adapter: its handler returned %d, which is no status, to rank %" PRIu32,
               rc, request->origin);
    return -EPROTO;
}

/* What comes in may lie where what goes out is to be put: a handler gets two memories. */
static int handler_run_apart(void *data, tmbi_adapter_handler *function,
                             const struct tmbi_request *request, const void *in,
                             size_t in_bytes, void *out, size_t out_bytes)
{
    void *copy = malloc(in_bytes);
    int rc;

    if (!copy)
        return -ENOMEM;
    memcpy(copy, in, in_bytes);
    rc = handler_run(data, function, request, copy, in_bytes, out, out_bytes);
    free(copy);
    return rc;
}

int tmbi_adapter_request_execute(struct tmb_win *win, const struct tmbi_request *request,
                                 const void *in, size_t in_bytes, void *out,
                                 size_t out_bytes)
{
    void *data = atomic_load_explicit(&win->data, memory_order_acquire);
    tmbi_adapter_handler *function = atomic_load_explicit(&handler, memory_order_acquire);

    if (!data || !function)
        return -EAGAIN;
    if (!tmbi_window_member_is(win, request->op, request->origin)) {
        tmbi_error("agent: request of rank %" PRIu32 ": a call of another member's",
                   request->origin);
        return -EPROTO;
    }
    if (in == out && in_bytes && out_bytes)
        return handler_run_apart(data, function, request, in, in_bytes, out, out_bytes);
    return handler_run(data, function, request, in, in_bytes, out, out_bytes);
}

/* ---- calls ---- */

static int call_check(tmb_win *win, int rank, const uint64_t *args, const void *in,
                      size_t in_bytes, const void *out, size_t out_bytes)
{
    struct tmbi_peer *peer;
    int rc = tmbi_window_peer(win, "tmbi_adapter_call", rank, &peer);
    size_t most;

    if (rc)
        return rc;
    if (!args)
        return tmbi_null_bad("tmbi_adapter_call", sizeof(uint64_t[TMBI_ADAPTER_ARGS]));
    if (!in && in_bytes)
        return tmbi_null_bad("tmbi_adapter_call", in_bytes);
    if (!out && out_bytes)
        return tmbi_null_bad("tmbi_adapter_call", out_bytes);
    most = peer->ep->call_bytes;
    if (in_bytes <= most && out_bytes <= most)
        return 0;
    tmbi_error("tmbi_adapter_call: window %p: %zu bytes to rank %d and %zu from it: a "
               "call takes %zu at most",
               (void *)win, in_bytes, rank, out_bytes, most);
    return -EMSGSIZE;
}

static struct tmbi_request request_of(const tmb_win *win, const uint64_t *args)
{
    return (struct tmbi_request){.kind = TMBI_REQUEST_ADAPTER,
                                 .op = (uint32_t)win->rank,
                                 .offset = args[0],
                                 .count = args[1],
                                 .operand = args[2],
                                 .compare = args[3]};
}

int tmbi_adapter_call(tmb_win *win, int rank, const uint64_t *args, const void *in,
                      size_t in_bytes, void *out, size_t out_bytes)
{
    struct tmbi_request request;
    int rc = call_check(win, rank, args, in, in_bytes, out, out_bytes);

    if (rc)
        return rc;
    request = request_of(win, args);
    return tmbi_window_call(win, rank, &request, in, in_bytes, out, out_bytes);
}

int tmbi_adapter_post(tmb_win *win, int rank, const uint64_t *args, const void *in,
                      size_t in_bytes)
{
    struct tmbi_request request;
    int rc = call_check(win, rank, args, in, in_bytes, NULL, 0);

    if (rc)
        return rc;
    request = request_of(win, args);
    if (rank == win->rank)
        return tmbi_window_call(win, rank, &request, in, in_bytes, NULL, 0);
    return tmbi_peer_post(&win->peers[rank], &request, in, in_bytes, false);
}

size_t tmbi_adapter_call_bytes(tmb_win *win, int rank)
{
    struct tmbi_peer *peer;

    if (tmbi_window_peer(win, "tmbi_adapter_call_bytes", rank, &peer))
        return 0;
    return peer->ep->call_bytes;
}
