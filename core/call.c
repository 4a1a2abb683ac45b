/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests to members of a window, which may not have it yet. */
#include <errno.h>

#include "clock.h"
#include "log.h"
#include "wake.h"
#include "window.h"

/* How long until a member is asked again, at first and at last. */
#define PAUSE_FIRST_NS 20000
#define PAUSE_LAST_NS  1000000

int tmbi_peer_post(struct tmbi_peer *peer, const struct tmbi_request *request,
                   const void *in, size_t in_bytes, bool urgent)
{
    struct tmbi_request called = *request;

    if (peer->ep->ops->post)
        return peer->ep->ops->post(&peer->remote, request, in, in_bytes, urgent);
    return peer->ep->ops->call(&peer->remote, &called, in, in_bytes, NULL, 0);
}

static int call_once(struct tmb_win *win, int rank, struct tmbi_request *request,
                     const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
    struct tmbi_peer *peer = &win->peers[rank];

    if (rank != win->rank)
        return peer->ep->ops->call(&peer->remote, request, in, in_bytes, out, out_bytes);
    request->window = win->number;
    request->origin = (uint32_t)peer->rank;
    return tmbi_request_execute(request, in, in_bytes, out, out_bytes);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

int tmbi_window_call(struct tmb_win *win, int rank, struct tmbi_request *request,
                     const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
    int64_t deadline = 0, pause = PAUSE_FIRST_NS;
    int rc;

    while ((rc = call_once(win, rank, request, in, in_bytes, out, out_bytes)) ==
           -EAGAIN) {
        int64_t now = tmbi_clock_ns();

        deadline = deadline ? deadline : tmbi_op_deadline();
        if (now >= deadline) {
            tmbi_error("window %p: rank %d has not made it within TMB_OP_TIMEOUT",
                       (void *)win, rank);
            return -ETIMEDOUT;
        }
        tmbi_wait_until(TMBI_LINE_WAIT, never, NULL, now + pause);
        pause = 2 * pause < PAUSE_LAST_NS ? 2 * pause : PAUSE_LAST_NS;
    }
    return rc;
}
