/* SPDX-License-Identifier: BSD-3-Clause */
/* Atomics on one word and on arrays: by the processor where the target is mapped,
 * otherwise by the target's agent, with the same instructions on the same memory. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "log.h"
#include "reduce.h"
#include "wake.h"
#include "window.h"

static int atomic_bad(const char *call, const tmb_win *win, enum tmb_type type,
                      enum tmb_atomic_op op, uint64_t offset)
{
    tmbi_error("%s: window %p: type %u, operation %u at offset %" PRIu64
               ": no such atomic, a misaligned word, or wrong pointers",
               call, (const void *)win, type, op, offset);
    return -EINVAL;
}

/* Whether operand, compare and result are given just where the operation wants them. */
static bool pointers_fit(enum tmb_atomic_op op, const void *operand, const void *compare,
                         const void *result)
{
    return (op == TMB_OP_FETCH ? result && !operand : operand != NULL) &&
           (op == TMB_OP_CAS) == (compare != NULL);
}

static uint64_t bits_load(const void *from, size_t size)
{
    uint64_t bits = 0;

    if (from)
        memcpy(&bits, from, size);
    return bits;
}

static int remote_atomic(struct tmbi_peer *peer, uint64_t offset, enum tmb_type type,
                         enum tmb_atomic_op op, uint64_t operand, uint64_t compare,
                         uint64_t *old)
{
    struct tmbi_request request = {.kind = TMBI_REQUEST_ATOMIC,
                                   .type = type,
                                   .op = op,
                                   .offset = offset,
                                   .count = 1,
                                   .operand = operand,
                                   .compare = compare};
    int rc = peer->ep->ops->call(&peer->remote, &request, NULL, 0, NULL, 0);

    *old = request.result;
    return rc;
}

int tmb_atomic(tmb_win *win, int rank, uint64_t offset, enum tmb_type type,
               enum tmb_atomic_op op, const void *operand, const void *compare,
               void *result)
{
    size_t size = tmbi_type_size(type);
    struct tmbi_peer *peer;
    uint8_t *word;
    uint64_t old;
    int rc = tmbi_window_target(win, "tmb_atomic", rank, offset, size, &peer);

    if (tmbi_unlikely(rc))
        return rc;
    if (tmbi_unlikely(!tmbi_type_takes(type, op) || !tmbi_aligned(peer, offset, size) ||
                      !pointers_fit(op, operand, compare, result)))
        return atomic_bad("tmb_atomic", win, type, op, offset);
    word = tmbi_peer_word(peer, offset);
    if (word)
        old = tmbi_word_atomic(word, type, op, bits_load(operand, size),
                               bits_load(compare, size));
    else
        rc = remote_atomic(peer, offset, type, op, bits_load(operand, size),
                           bits_load(compare, size), &old);
    if (rc == 0 && result)
        memcpy(result, &old, size);
    if (word && op != TMB_OP_FETCH)
        tmbi_wake_slot_ring(peer->wake, peer->ep, peer->rank, TMBI_LINE_WAIT);
    return rc;
}

/* ---- arrays ---- */

void tmbi_words_accumulate(void *words, enum tmb_type type, enum tmb_atomic_op op,
                           const void *src, size_t count, void *result)
{
    size_t size = tmbi_type_size(type);

    for (size_t i = 0; i < count; i++) {
        const uint8_t *operand = src ? (const uint8_t *)src + i * size : NULL;
        uint64_t old = tmbi_word_atomic((uint8_t *)words + i * size, type, op,
                                        bits_load(operand, size), 0);

        if (result)
            memcpy((uint8_t *)result + i * size, &old, size);
    }
}

static int remote_accumulate(struct tmbi_peer *peer, uint64_t offset, enum tmb_type type,
                             enum tmb_atomic_op op, const uint8_t *src, size_t count,
                             uint8_t *result)
{
    size_t size = tmbi_type_size(type);
    size_t most = peer->ep->call_bytes / size;
    int rc = 0;

    for (size_t done = 0; done < count && rc == 0;) {
        size_t part = count - done < most ? count - done : most;
        struct tmbi_request request = {.kind = TMBI_REQUEST_ACCUMULATE,
                                       .type = type,
                                       .op = op,
                                       .offset = offset + done * size,
                                       .count = part};

        rc = peer->ep->ops->call(&peer->remote, &request, src ? src + done * size : NULL,
                                 src ? part * size : 0,
                                 result ? result + done * size : NULL,
                                 result ? part * size : 0);
        done += part;
    }
    return rc;
}

static void mapped_accumulate(struct tmbi_peer *peer, uint8_t *words, enum tmb_type type,
                              enum tmb_atomic_op op, const void *src, size_t count,
                              void *result)
{
    tmbi_words_accumulate(words, type, op, src, count, result);
    if (op != TMB_OP_FETCH)
        tmbi_wake_slot_ring(peer->wake, peer->ep, peer->rank, TMBI_LINE_WAIT);
}

/* How many of `count` elements from an offset on are mapped, or are not, as the first. */
static size_t elements_alike(const struct tmbi_peer *peer, uint64_t offset, size_t size,
                             size_t count)
{
    const struct tmbi_remote *remote = &peer->remote;
    uint64_t end = offset >= remote->to     ? UINT64_MAX
                   : offset >= remote->from ? remote->to
                                            : remote->from;

    return (end - offset) / size < count ? (size_t)((end - offset) / size) : count;
}

/* Where not all is mapped: in ascending order, each element by its own route. */
static int accumulate_pieces(struct tmbi_peer *peer, uint64_t offset, enum tmb_type type,
                             enum tmb_atomic_op op, const uint8_t *src, size_t count,
                             uint8_t *result)
{
    size_t size = tmbi_type_size(type);
    int rc = 0;

    for (size_t done = 0, part; done < count && rc == 0; done += part) {
        uint64_t at = offset + done * size;
        uint8_t *words = tmbi_peer_word(peer, at);
        const uint8_t *from = src ? src + done * size : NULL;
        uint8_t *old = result ? result + done * size : NULL;

        part = elements_alike(peer, at, size, count - done);
        if (words)
            mapped_accumulate(peer, words, type, op, from, part, old);
        else
            rc = remote_accumulate(peer, at, type, op, from, part, old);
    }
    return rc;
}

int tmb_accumulate(tmb_win *win, int rank, uint64_t offset, enum tmb_type type,
                   enum tmb_atomic_op op, const void *src, size_t count, void *result)
{
    size_t size = tmbi_type_size(type);
    size_t bytes = count > SIZE_MAX / 8 ? SIZE_MAX : count * size;
    struct tmbi_peer *peer;
    int rc = tmbi_window_target(win, "tmb_accumulate", rank, offset, bytes, &peer);

    if (rc)
        return rc;
    if (!tmbi_type_takes(type, op) || op == TMB_OP_CAS ||
        !tmbi_aligned(peer, offset, size))
        return atomic_bad("tmb_accumulate", win, type, op, offset);
    if (count == 0)
        return 0;
    if (!pointers_fit(op, src, NULL, result))
        return atomic_bad("tmb_accumulate", win, type, op, offset);
    if (!peer->base)
        return accumulate_pieces(peer, offset, type, op, src, count, result);
    mapped_accumulate(peer, peer->base + offset, type, op, src, count, result);
    return 0;
}
