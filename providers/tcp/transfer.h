/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A write or read that libfabric has, with the memory that it works on.
 *
 * That memory is ours, from which and to which we copy: so that the source is reusable at
 * once, and that a read of which we despaired can't write into what the application uses
 * otherwise by then. The exception is most of a large write, which is lent: libfabric
 * sends it from the caller's memory, and the put returns when it has. If that fails
 * libfabric may look at this memory later, but only as the kernel does for it, and what
 * it sends goes to where the put that failed was to go, of which nobody knows anything.
 */
#ifndef TMBI_TCP_TRANSFER_H
#define TMBI_TCP_TRANSFER_H

#include "tcp.h"

#define TMBI_TCP_TRANSFER_BYTES ((size_t)65536)

/* The status of a transfer that has not ended. */
#define TMBI_TCP_UNDER_WAY 1

enum tmbi_tcp_transfer_kind {
    TMBI_TCP_READ,
    TMBI_TCP_WRITE, /* ends when it was delivered; queued */
    TMBI_TCP_LENT   /* a write, which ends when its memory can be used again */
};

struct tmbi_tcp_transfer {
    struct fi_context2 context;       /* libfabric's, and first: completions name it */
    struct tmbi_tcp_transfer *next;   /* of all */
    struct tmbi_tcp_transfer *behind; /* of the free ones, or of the peer's writes */
    struct tmbi_tcp_peer *peer;
    enum tmbi_tcp_transfer_kind kind;
    bool abandoned;     /* nobody waits any more: under the fabric's mutex */
    _Atomic int status; /* TMBI_TCP_UNDER_WAY, or how it ended; release, acquire */
    struct fid_mr *mr;
    uint8_t bytes[TMBI_TCP_TRANSFER_BYTES];
};

/* One with its memory, when there is one. Logs. */
int tmbi_tcp_transfer_begin(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                            enum tmbi_tcp_transfer_kind kind, int64_t deadline,
                            struct tmbi_tcp_transfer **result);
/* Hand it to libfabric: `local` is its own memory, or what is lent. If that fails it has
 * been returned. Logs. */
int tmbi_tcp_transfer_post(struct tmbi_tcp *tcp, struct tmbi_tcp_transfer *t,
                           const void *local, uint64_t address, uint64_t key,
                           size_t bytes, int64_t deadline);
/* Wait until it has ended. Logs. Not for what is queued. */
int tmbi_tcp_transfer_wait(struct tmbi_tcp *tcp, struct tmbi_tcp_transfer *t,
                           int64_t deadline);
/* Nobody waits for it any more. */
void tmbi_tcp_transfer_return(struct tmbi_tcp *tcp, struct tmbi_tcp_transfer *t);
/* Look for completions, unless another thread does. */
void tmbi_tcp_transfers_look(struct tmbi_tcp *tcp);

#endif
