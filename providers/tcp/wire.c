/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire.h"

#include <errno.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire is little-endian");

/* Whether as many bytes can follow a header of that kind. */
static bool length_fits(const struct tmbi_tcp_header *header)
{
    switch (header->kind) {
    case TMBI_TCP_HELLO:
        return header->bytes == sizeof(struct tmbi_tcp_hello);
    case TMBI_TCP_REQUEST:
        return header->bytes >= sizeof(struct tmbi_request) &&
               header->bytes - sizeof(struct tmbi_request) <=
                   (header->id == TMBI_TCP_PUTS ? TMBI_TCP_PUT_BYTES
                                                : TMBI_TCP_CALL_BYTES) &&
               header->value <= TMBI_TCP_CALL_BYTES;
    case TMBI_TCP_RESPONSE:
        return header->bytes <= TMBI_TCP_CALL_BYTES;
    default:
        return header->bytes == 0;
    }
}

static const char *header_fault(const struct tmbi_tcp_header *header)
{
    if (header->magic != TMBI_TCP_MAGIC)
        return "it is none of Tombolo's, or another version's";
    if (header->kind < TMBI_TCP_HELLO || header->kind > TMBI_TCP_ASK)
        return "its kind is unknown";
    if (!length_fits(header))
        return "its length is none that its kind has";
    if (header->line >= TMBI_LINES)
        return "it is for an unknown line";
    if (header->status > 0 || header->status < -4095)
        return "its status is no error";
    return NULL;
}

ssize_t tmbi_tcp_next(const uint8_t *bytes, size_t have, struct tmbi_tcp_header *header,
                      const char **why)
{
    size_t length;

    if (have < sizeof *header)
        return 0;
    memcpy(header, bytes, sizeof *header);
    *why = header_fault(header);
    if (*why)
        return -EPROTO;
    length = sizeof *header + header->bytes;
    return have < length ? 0 : (ssize_t)length;
}

bool tmbi_tcp_put_begins(const uint8_t *bytes, size_t have,
                         struct tmbi_tcp_header *header, struct tmbi_request *request)
{
    if (have < TMBI_TCP_PUT_HEAD)
        return false;
    memcpy(header, bytes, sizeof *header);
    memcpy(request, bytes + sizeof *header, sizeof *request);
    return !header_fault(header) && header->kind == TMBI_TCP_REQUEST &&
           header->id == TMBI_TCP_PUTS && request->kind == TMBI_REQUEST_PUT &&
           header->bytes - sizeof *request == request->count &&
           have < sizeof *header + header->bytes;
}
