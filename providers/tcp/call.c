/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls: a request to a peer's agent, which is its progress thread, and the answer. */
#include "tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
    tmbi_tcp_link_pull(call->tcp, call->peer);
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
    int rc = tmbi_wait_until(TMBI_LINE_WAIT, call_over, call, tmbi_op_deadline());

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
    tmbi_count(agent_calls);
    call_add(call.tcp, &call);
    rc = call_send(&call, remote, request, in, in_bytes);
    if (rc == 0)
        rc = call_wait(&call);
    call_remove(call.tcp, &call);
    request->result = call.result;
    return rc;
}

/* ---- words ---- */

/* The answer to a put of a word has no call that waits for it. */
#define WORD_ID 0

int tmbi_tcp_word_put(const struct tmbi_remote *remote, uint64_t offset, const void *src,
                      size_t bytes)
{
    struct tmbi_tcp *tcp = tmbi_tcp(remote->ep);
    struct tmbi_tcp_peer *peer = remote->provider_data;
    struct tmbi_tcp_header header = {.kind = TMBI_TCP_REQUEST, .id = WORD_ID};
    struct tmbi_request request = {.kind = TMBI_REQUEST_PUT,
                                   .window = remote->window,
                                   .offset = offset,
                                   .count = bytes};

    if (!tmbi_tcp_alive(peer) || !tmbi_tcp_alive(&tcp->peers[tcp->head.job->rank]))
        return -EHOSTDOWN;
    atomic_fetch_add_explicit(&peer->words_sent, 1, memory_order_seq_cst);
    return tmbi_tcp_link_send(tcp, peer, &header, &request, sizeof request, src, bytes);
}

static void word_answered(struct tmbi_tcp_peer *peer, int status)
{
    if (status)
        atomic_store_explicit(&peer->put_status, status, memory_order_release);
    /* seq_cst: partner is the load in puts_completed(), and a wake follows */
    atomic_fetch_add_explicit(&peer->words_answered, 1, memory_order_seq_cst);
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
void tmbi_tcp_response_take(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                            const struct tmbi_tcp_header *header, const uint8_t *body)
{
    struct tmbi_tcp_call *call;

    if (header->id == WORD_ID) {
        word_answered(peer, header->status);
        tmbi_wake_self(TMBI_LINE_WAIT);
        return;
    }
    pthread_mutex_lock(&tcp->calls_mutex);
    for (call = tcp->calls; call; call = call->next)
        if (call->id == header->id && call->peer == peer && !answered(call))
            break;
    if (call)
        response_fill(call, header, body);
    pthread_mutex_unlock(&tcp->calls_mutex);
    tmbi_wake_self(TMBI_LINE_WAIT);
}

/* Answers of words and locks need no memory but the stack. */
#define ANSWER_BYTES 512

void tmbi_tcp_request_take(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                           const struct tmbi_tcp_header *header, const uint8_t *body)
{
    struct tmbi_request request;
    struct tmbi_tcp_header answer = {.kind = TMBI_TCP_RESPONSE, .id = header->id};
    size_t out_bytes = header->value;
    uint8_t words[ANSWER_BYTES];
    uint8_t *out = out_bytes <= sizeof words ? words : malloc(out_bytes);

    memcpy(&request, body, sizeof request);
    request.origin = (uint32_t)peer->rank;
    answer.status =
        out ? tmbi_request_execute(&request, body + sizeof request,
                                   header->bytes - sizeof request, out, out_bytes)
            : -ENOMEM;
    answer.value = request.result;
    if (tmbi_tcp_link_send(tcp, peer, &answer, NULL, 0, out,
                           answer.status ? 0 : out_bytes))
        tmbi_tcp_peer_end(tcp, peer, TMB_PEER_DEAD, "no memory for an answer");
    if (out != words)
        free(out);
}
