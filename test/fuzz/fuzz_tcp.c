/* SPDX-License-Identifier: BSD-3-Clause */
/* fuzz-sources: providers/tcp/wire.c */
/* What a peer of the provider tcp sends: a stream of messages, as a link takes it apart.
 * Whatever comes, a message lies within the bytes that came, and is of a length that the
 * one who takes it counts on. */
#include <errno.h>
#include <string.h>

#include "../../providers/tcp/wire.h"
#include "fuzz.h"

static void message_check(const struct tmbi_tcp_header *header, ssize_t length)
{
    FUZZ_CHECK((size_t)length == sizeof *header + header->bytes);
    FUZZ_CHECK((size_t)length <= TMBI_TCP_MESSAGE_MAX ||
               (header->kind == TMBI_TCP_REQUEST && header->id == TMBI_TCP_PUTS &&
                (size_t)length <= TMBI_TCP_PUT_HEAD + TMBI_TCP_PUT_BYTES));
    FUZZ_CHECK(header->line < TMBI_LINES && header->status <= 0);
    if (header->kind == TMBI_TCP_HELLO)
        FUZZ_CHECK(header->bytes == sizeof(struct tmbi_tcp_hello));
    if (header->kind == TMBI_TCP_REQUEST)
        FUZZ_CHECK(header->bytes >= sizeof(struct tmbi_request) &&
                   header->value <= TMBI_TCP_CALL_BYTES);
}

/* What begins as a put and is not complete will be received in its place. */
static void beginning_check(const uint8_t *bytes, size_t have)
{
    struct tmbi_tcp_header header;
    struct tmbi_request put;

    if (!tmbi_tcp_put_begins(bytes, have, &header, &put))
        return;
    FUZZ_CHECK(put.kind == TMBI_REQUEST_PUT && put.count <= TMBI_TCP_PUT_BYTES);
    FUZZ_CHECK(have >= TMBI_TCP_PUT_HEAD && have - TMBI_TCP_PUT_HEAD < put.count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct tmbi_tcp_header header;
    const char *why = NULL;
    size_t taken = 0;
    ssize_t length;
    uint8_t *copy = malloc(bytes); /* exactly: a read beyond it is found */

    FUZZ_CHECK(copy || !bytes);
    if (bytes)
        memcpy(copy, data, bytes);
    while ((length = tmbi_tcp_next(copy + taken, bytes - taken, &header, &why)) > 0) {
        FUZZ_CHECK((size_t)length <= bytes - taken);
        message_check(&header, length);
        taken += (size_t)length;
    }
    if (length < 0)
        FUZZ_CHECK(length == -EPROTO && why);
    else
        beginning_check(copy + taken, bytes - taken);
    free(copy);
    return 0;
}
