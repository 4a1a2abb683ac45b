/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls: a request to a peer's agent, which is its progress thread, and the answer. */
#include "tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/clock.h"
#include "../../core/include/tombolo.h"
#include "../../core/log.h"
#include "../../core/stats.h"

/* A call that waits for its answer, on its caller's stack. */
struct tmbi_tcp_call {
    struct tmbi_tcp_call *next;
    struct tmbi_tcp *tcp;
    struct tmbi_tcp_peer *peer;
    uint64_t id;
    void *out;
    size_t out_bytes;
    int status;
    uint64_t result;
    atomic_bool done; /* seq_cst, after all else */
};

static void call_add(struct tmbi_tcp *tcp, struct tmbi_tcp_call *call)
{
    pthread_mutex_lock(&tcp->calls_mutex);
    call->id = ++tcp->call_id;
    call->next = tcp->calls;
    tcp->calls = call;
    pthread_mutex_unlock(&tcp->calls_mutex);
}

static void call_remove(struct tmbi_tcp *tcp, const struct tmbi_tcp_call *call)
{
    struct tmbi_tcp_call **at = &tcp->calls;

    pthread_mutex_lock(&tcp->calls_mutex);
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    pthread_mutex_unlock(&tcp->calls_mutex);
}

static bool answered(const struct tmbi_tcp_call *call)
{
    /* seq_cst: partner is the store in response_fill() */
    return atomic_load_explicit(&call->done, memory_order_seq_cst);
}

static bool call_over(void *arg)
{
    struct tmbi_tcp_call *call = arg;

    if (answered(call))
        return true;
    tmbi_tcp_link_serve(call->tcp, call->peer);
    return answered(call) || !tmbi_tcp_alive(call->peer);
}

static int call_send(struct tmbi_tcp_call *call, const struct tmbi_remote *remote,
                     const struct tmbi_request *request, const void *in, size_t in_bytes)
{
    struct tmbi_request sent = *request;
    struct tmbi_tcp_header header = {
        .kind = TMBI_TCP_REQUEST, .id = call->id, .value = call->out_bytes};

    sent.window = remote->window;
    return tmbi_tcp_link_send(call->tcp, call->peer, &header, &sent, sizeof sent, in,
                              in_bytes);
}

static int call_wait(struct tmbi_tcp_call *call)
{
    int rc = tmbi_tcp_link_look_wait(call->tcp, call->peer, call_over, call,
                                     tmbi_op_deadline());

    if (answered(call))
        return call->status;
    if (rc != -ETIMEDOUT)
        return -EHOSTDOWN;
    tmbi_error("rank %d did not serve a request within TMB_OP_TIMEOUT; is it stopped?",
               call->peer->rank);
    return -ETIMEDOUT;
}

int tmbi_tcp_call(const struct tmbi_remote *remote, struct tmbi_request *request,
                  const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
    struct tmbi_tcp_call call = {.tcp = tmbi_tcp(remote->ep),
                                 .peer = remote->provider_data,
                                 .out = out,
                                 .out_bytes = out_bytes};
    int rc;

    if (in_bytes > TMBI_TCP_CALL_BYTES || out_bytes > TMBI_TCP_CALL_BYTES)
        return -E2BIG;
    /* Nobody answers who has declared us dead. */
    if (!tmbi_tcp_alive(call.peer) ||
        !tmbi_tcp_alive(&call.tcp->peers[remote->ep->job->rank]))
        return -EHOSTDOWN;
    rc = tmbi_tcp_writes_await(remote);
    if (rc)
        return rc;
    tmbi_count(agent_calls);
    call_add(call.tcp, &call);
    rc = call_send(&call, remote, request, in, in_bytes);
    if (rc == 0) {
        tmbi_tcp_link_look_begin(call.tcp, call.peer);
        rc = call_wait(&call);
    }
    call_remove(call.tcp, &call);
    request->result = call.result;
    return rc;
}

/* Here the socket's own copy of what it does not take is cheaper than to wait. */
#define LENT_MIN 4096

int tmbi_tcp_put_send(const struct tmbi_remote *remote, uint64_t offset, const void *src,
                      size_t bytes, int64_t deadline)
{
    struct tmbi_tcp *tcp = tmbi_tcp(remote->ep);
    struct tmbi_tcp_peer *peer = remote->provider_data;
    struct tmbi_tcp_header header = {.kind = TMBI_TCP_REQUEST, .id = TMBI_TCP_PUTS};
    struct tmbi_request request = {.kind = TMBI_REQUEST_PUT,
                                   .window = remote->window,
                                   .offset = offset,
                                   .count = bytes};

    if (bytes < LENT_MIN)
        return tmbi_tcp_link_post(tcp, peer, &header, &request, sizeof request, src,
                                  bytes, false);
    return tmbi_tcp_link_lend(tcp, peer, &header, &request, sizeof request, src, bytes,
                              deadline);
}

/* ---- by whoever pulled the link ---- */

static void response_fill(struct tmbi_tcp_call *call,
                          const struct tmbi_tcp_header *header, const uint8_t *body)
{
    call->status = header->status;
    call->result = header->value;
    if (header->status == 0 && header->bytes != call->out_bytes) {
        tmbi_error("rank %d answered a request with %u bytes instead of %zu",
                   call->peer->rank, (unsigned)header->bytes, call->out_bytes);
        call->status = -EPROTO;
    } else if (header->status == 0 && call->out_bytes) {
        memcpy(call->out, body, call->out_bytes);
    }
    /* seq_cst: partner is answered(); a wake follows */
    atomic_store_explicit(&call->done, true, memory_order_seq_cst);
}

/* The answer to a call that was given up finds nobody. */
bool tmbi_tcp_response_take(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                            const struct tmbi_tcp_header *header, const uint8_t *body)
{
    struct tmbi_tcp_call *call;

    if (header->id == TMBI_TCP_PUTS || header->id & TMBI_TCP_GET) {
        bool expected = header->id == TMBI_TCP_PUTS
                            ? tmbi_tcp_puts_answered(peer, header->value, header->status)
                            : tmbi_tcp_get_answered(peer, header, body);

        if (!expected)
            return false;
        tmbi_wake_self(TMBI_LINE_WAIT);
        return true;
    }
    pthread_mutex_lock(&tcp->calls_mutex);
    for (call = tcp->calls; call; call = call->next)
        if (call->id == header->id && call->peer == peer && !answered(call))
            break;
    if (call)
        response_fill(call, header, body);
    pthread_mutex_unlock(&tcp->calls_mutex);
    tmbi_wake_self(TMBI_LINE_WAIT);
    return true;
}

void tmbi_tcp_put_taken(struct tmbi_tcp_peer *peer, bool asks, int status)
{
    peer->link.puts_taken++;
    peer->link.puts_asked |= asks;
    if (status)
        peer->link.puts_status = status;
}

void tmbi_tcp_puts_answer(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    struct tmbi_tcp_header answer = {.kind = TMBI_TCP_RESPONSE,
                                     .id = TMBI_TCP_PUTS,
                                     .status = peer->link.puts_status,
                                     .value = peer->link.puts_taken};

    if (!peer->link.puts_taken)
        return;
    atomic_store_explicit(&tcp->asked_ns, tmbi_clock_ns(), memory_order_relaxed);
    if (!peer->link.puts_asked)
        return;
    peer->link.puts_asked = false;
    peer->link.puts_taken = 0;
    peer->link.puts_status = 0;
    if (tmbi_tcp_link_send(tcp, peer, &answer, NULL, 0, NULL, 0))
        tmbi_tcp_peer_end(tcp, peer, TMB_PEER_DEAD, "no memory for an answer");
}

/* Answers of words and locks need no memory but the stack. */
#define ANSWER_BYTES 512

void tmbi_tcp_request_take(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                           const struct tmbi_tcp_header *header, const uint8_t *body)
{
    struct tmbi_request request;
    struct tmbi_tcp_header answer = {.kind = TMBI_TCP_RESPONSE, .id = header->id};
    size_t in_bytes = header->bytes - sizeof request, out_bytes = header->value;
    uint8_t words[ANSWER_BYTES], *out;

    memcpy(&request, body, sizeof request);
    request.origin = (uint32_t)peer->rank;
    atomic_store_explicit(&tcp->asked_ns, tmbi_clock_ns(), memory_order_relaxed);
    if (header->id == TMBI_TCP_PUTS) {
        tmbi_tcp_put_taken(
            peer, header->value,
            tmbi_request_execute(&request, body + sizeof request, in_bytes, NULL, 0));
        return;
    }
    out = out_bytes <= sizeof words ? words : malloc(out_bytes);
    answer.status = out ? tmbi_request_execute(&request, body + sizeof request, in_bytes,
                                               out, out_bytes)
                        : -ENOMEM;
    answer.value = request.result;
    if (tmbi_tcp_link_post(tcp, peer, &answer, NULL, 0, out,
                           answer.status ? 0 : out_bytes, false))
        tmbi_tcp_peer_end(tcp, peer, TMB_PEER_DEAD, "no memory for an answer");
    if (out != words)
        free(out);
}
