/* SPDX-License-Identifier: BSD-3-Clause */
/* Links: their memory, and their ends. */
#include "tcp.h"

#include <errno.h>
#include <stdlib.h>

#include "../../core/include/tombolo.h"
#include "../../core/log.h"

/* What a buffer has at least, and goes back to when it is empty: a peer costs little
 * while it is idle. */
#define BUFFER_BYTES ((size_t)16384)

int tmbi_tcp_buffer_resize(struct tmbi_tcp_buffer *buffer, size_t capacity)
{
    uint8_t *bytes = realloc(buffer->bytes, capacity);

    if (!bytes)
        return -ENOMEM;
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return 0;
}

void tmbi_tcp_buffer_trim(struct tmbi_tcp_buffer *buffer)
{
    if (buffer->used == 0 && buffer->capacity > BUFFER_BYTES)
        tmbi_tcp_buffer_resize(buffer, BUFFER_BYTES); /* or it stays */
}

int tmbi_tcp_link_init(struct tmbi_tcp_link *link)
{
    link->fd = -1;
    link->flushed = true;
    pthread_mutex_init(&link->send_mutex, NULL);
    pthread_mutex_init(&link->receive_mutex, NULL);
    return tmbi_tcp_buffer_resize(&link->in, BUFFER_BYTES);
}

void tmbi_tcp_link_fini(struct tmbi_tcp_link *link)
{
    pthread_mutex_destroy(&link->send_mutex);
    pthread_mutex_destroy(&link->receive_mutex);
    free(link->in.bytes);
    free(link->out.bytes);
}

/* ---- ends ---- */

void tmbi_tcp_peer_end(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, int state,
                       const char *why)
{
    int alive = TMB_PEER_ALIVE;

    if (!atomic_compare_exchange_strong_explicit(
            &peer->state, &alive, state, memory_order_seq_cst, memory_order_seq_cst))
        return;
    if (state == TMB_PEER_DEAD) {
        if (why)
            tmbi_info("tcp: rank %d is dead: %s", peer->rank, why);
        /* release: partner is the acquire of who looks at `deaths` */
        atomic_fetch_add_explicit(&tcp->deaths, 1, memory_order_release);
    }
    tmbi_wake_self(TMBI_LINE_WAIT);
}
