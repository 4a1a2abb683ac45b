/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What ranks say to each other on a link, the TCP connection of ours that two ranks have
 * besides libfabric's. A message is a header, a body that the kind determines, and a
 * payload. Fixed-width and little-endian; the magic includes the format's version. What
 * comes from the wire is validated by tmbi_tcp_next() before anybody looks at it.
 */
#ifndef TMBI_TCP_WIRE_H
#define TMBI_TCP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../core/request.h"
#include "../../core/shared.h"

#define TMBI_TCP_MAGIC 0x31504354u /* "TCP1" */

/* The most payload of a message: 64 KiB of data and what an adapter says of them; of
 * puts, which are received in place, more. */
#define TMBI_TCP_CALL_BYTES 66560u
#define TMBI_TCP_PUT_BYTES  1048576u

enum tmbi_tcp_kind {
    TMBI_TCP_HELLO = 1,    /* first, both ways: struct tmbi_tcp_hello */
    TMBI_TCP_REQUEST = 2,  /* struct tmbi_request, payload; `value`: bytes to answer,
                              of puts whether they, and all before, are to be answered */
    TMBI_TCP_RESPONSE = 3, /* payload; `status`, and `value`: the result, or of puts how
                              many were executed since the last answer */
    TMBI_TCP_RING = 4,     /* `line` */
    TMBI_TCP_BEAT = 5,     /* nothing: the sender is alive */
    TMBI_TCP_BYE = 6,      /* the sender leaves the job; nothing follows */
    TMBI_TCP_DEAD = 7, /* the sender has declared the receiver dead; nothing follows */
    TMBI_TCP_ASK = 8   /* all puts before are to be answered */
};

#define TMBI_TCP_PUTS 0                   /* nobody waits for the answer to one of them */
#define TMBI_TCP_GET  (UINT64_C(1) << 63) /* and a number: answered in their order */

struct tmbi_tcp_header {
    uint32_t magic;
    uint16_t kind;
    uint16_t line;  /* enum tmbi_line */
    uint32_t bytes; /* of body and payload, which follow */
    int32_t status; /* 0, or a negative errno */
    uint64_t id;    /* which request is answered; TMBI_TCP_PUTS: puts */
    uint64_t value;
};
_Static_assert(sizeof(struct tmbi_tcp_header) == 32, "header layout");

struct tmbi_tcp_hello {
    uint32_t version[3]; /* the library's */
    uint32_t rank;
    uint32_t size;
    uint32_t reserved;
    uint64_t cookie; /* the receiver's, from its address: proves that it was meant */
    char job[40];    /* NUL-terminated */
};
_Static_assert(sizeof(struct tmbi_tcp_hello) == 72, "hello layout");

#define TMBI_TCP_MESSAGE_MAX                                                             \
    (sizeof(struct tmbi_tcp_header) + sizeof(struct tmbi_request) + TMBI_TCP_CALL_BYTES)

/* What a put has before its payload. */
#define TMBI_TCP_PUT_HEAD (sizeof(struct tmbi_tcp_header) + sizeof(struct tmbi_request))

/* Whether `have` bytes begin with the head of a valid put, and lack a part of its
 * payload. */
bool tmbi_tcp_put_begins(const uint8_t *bytes, size_t have,
                         struct tmbi_tcp_header *header, struct tmbi_request *request);

/*
 * The next message in `have` bytes. Returns its length, header included, and its header;
 * 0 if it is not complete yet; -EPROTO, with *why a static sentence, if it is garbage.
 */
ssize_t tmbi_tcp_next(const uint8_t *bytes, size_t have, struct tmbi_tcp_header *header,
                      const char **why);

#endif
