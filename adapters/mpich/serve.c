/* SPDX-License-Identifier: BSD-3-Clause */
/* What peers that don't map our memory have our agent do: everything here is a peer's,
 * and is checked. */
#include <errno.h>
#include <string.h>

#include "remote.h"

static bool reachable(struct tmbm_win *win, uint64_t offset, uint64_t bytes)
{
    const struct tmbm_target *own = &win->targets[win->rank];

    if (win->attachments)
        return tmbm_attached(win, offset, bytes);
    return offset <= own->bytes && bytes <= own->bytes - offset;
}

/* In dynamic windows an offset is an address. */
static uint8_t *base_of(struct tmbm_win *win)
{
    return win->attachments ? NULL : win->targets[win->rank].base;
}

static void update_block(struct tmbm_win *win, const struct head *head, uint64_t offset,
                         uint64_t bytes, const uint8_t *in, uint8_t *out)
{
    struct tmbm_update update = {(enum tmbm_op)head->op, (enum tmbm_element)head->element,
                                 head->sole};

    tmbm_update_piece(win->own, base_of(win), &update, offset, in, out, bytes);
}

static bool head_valid(const struct head *head)
{
    if (head->kind == KIND_PUT || head->kind == KIND_GET)
        return true;
    return head->kind == KIND_UPDATE && head->op > 0 && head->op < TMBM_OPS &&
           head->element > TMBM_MIXED && head->element < TMBM_ELEMENTS &&
           tmbm_op_takes((enum tmbm_op)head->op, (enum tmbm_element)head->element);
}

/* The data of one call: what goes there, what comes back, and how far they are worked
 * off. NULL: none. */
struct data {
    const uint8_t *in;
    uint8_t *out;
    uint64_t in_bytes, out_bytes, done;
};

/* Kinds and operations have what they need, and something to tell their end by. */
static bool data_valid(const struct data *data, const struct head *head)
{
    if (head->kind == KIND_GET || head->op == TMBM_NO_OP)
        return data->out != NULL;
    return data->in != NULL;
}

static bool data_has(const struct data *data, uint64_t bytes)
{
    return (!data->in || bytes <= data->in_bytes - data->done) &&
           (!data->out || bytes <= data->out_bytes - data->done);
}

/* All blocks of a piece: between its ends, or each where what is attached may have gaps.
 */
static bool piece_reachable(struct tmbm_win *win, const struct piece *piece)
{
    int64_t span, last;

    if (__builtin_mul_overflow(piece->stride, piece->count - 1, &span) ||
        __builtin_add_overflow((int64_t)piece->offset, span, &last) ||
        (int64_t)piece->offset < 0 || last < 0)
        return false;
    if (!win->attachments)
        return reachable(win, piece->offset, piece->bytes) &&
               reachable(win, (uint64_t)last, piece->bytes);
    for (uint64_t i = 0; i < piece->count; i++)
        if (!reachable(win, piece->offset + (uint64_t)piece->stride * i, piece->bytes))
            return false;
    return true;
}

static void piece_update(struct tmbm_win *win, const struct head *head,
                         const struct piece *piece, const uint8_t *in, uint8_t *out)
{
    uint64_t offset = piece->offset;

    for (uint64_t i = 0; i < piece->count; i++, offset += (uint64_t)piece->stride) {
        update_block(win, head, offset, piece->bytes, in, out);
        in += in ? piece->bytes : 0;
        out += out ? piece->bytes : 0;
    }
}

static int piece_work(struct tmbm_win *win, const struct head *head,
                      const struct piece *piece, struct data *data)
{
    const uint8_t *in = data->in ? data->in + data->done : NULL;
    uint8_t *out = data->out ? data->out + data->done : NULL;
    uint8_t *at = (uint8_t *)((uintptr_t)base_of(win) + piece->offset);
    uint64_t bytes;

    if (piece->bytes == 0 ||
        (head->kind == KIND_UPDATE &&
         piece->bytes % tmbm_element_span((enum tmbm_element)head->element)))
        return -EPROTO;
    if (__builtin_mul_overflow(piece->bytes, piece->count, &bytes) ||
        !data_has(data, bytes))
        return -EPROTO;
    if (piece->count && !piece_reachable(win, piece))
        return -ERANGE;
    if (head->kind == KIND_PUT)
        tmbm_blocks_copy(at, piece->stride, in, (int64_t)piece->bytes, piece->bytes,
                         piece->count);
    else if (head->kind == KIND_GET)
        tmbm_blocks_copy(out, (int64_t)piece->bytes, at, piece->stride, piece->bytes,
                         piece->count);
    else
        piece_update(win, head, piece, in, out);
    data->done += bytes;
    return 0;
}

/* in: data that goes there, if any, then the pieces. */
static int pieces_work(struct tmbm_win *win, const struct head *head, const uint8_t *in,
                       size_t in_bytes, uint8_t *out, size_t out_bytes)
{
    uint64_t table = (uint64_t)head->pieces * sizeof(struct piece), payload;
    struct data data = {.out = out_bytes ? out : NULL, .out_bytes = out_bytes};
    struct piece piece;
    int rc = 0;

    if (!head_valid(head) || table > in_bytes)
        return -EPROTO;
    payload = in_bytes - table;
    if (head->kind != KIND_GET && payload) {
        data.in = in;
        data.in_bytes = payload;
    }
    if (head->pieces && !data_valid(&data, head))
        return -EPROTO;
    for (uint32_t i = 0; rc == 0 && i < head->pieces; i++) {
        memcpy(&piece, in + payload + i * sizeof piece, sizeof piece);
        rc = piece_work(win, head, &piece, &data);
    }
    return rc;
}

static int swap_work(struct tmbm_win *win, const struct head *head, uint64_t offset,
                     const uint8_t *in, size_t in_bytes, uint8_t *out, size_t out_bytes)
{
    if (in_bytes != 2 * out_bytes || out_bytes == 0 || out_bytes > 8 ||
        (out_bytes & (out_bytes - 1)))
        return -EPROTO;
    if (!reachable(win, offset, out_bytes))
        return -ERANGE;
    tmbm_swap(win->own, base_of(win), head->sole, offset, in, in + out_bytes, out,
              out_bytes);
    return 0;
}

int tmbm_remote_handle(void *data, int origin, const uint64_t *args, const void *in,
                       size_t in_bytes, void *out, size_t out_bytes)
{
    struct head head;

    (void)origin;
    memcpy(&head, &args[0], sizeof head);
    if (head.kind == KIND_SWAP)
        return swap_work(data, &head, args[1], in, in_bytes, out, out_bytes);
    return pieces_work(data, &head, in, in_bytes, out, out_bytes);
}
