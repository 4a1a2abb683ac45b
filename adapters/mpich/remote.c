/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Targets that this process doesn't map: their agent works for us, by calls. A call
 * carries pieces of the target's memory, and their data: so targets need not know the
 * origin's types.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"

enum kind { KIND_PUT = 1, KIND_GET, KIND_UPDATE, KIND_SWAP };

/* args[0] of a call; data, which is padded, comes before the pieces. Fixed width. */
struct head {
    uint8_t kind;
    uint8_t op;
    uint8_t element;
    uint8_t sole;
    uint32_t pieces;
};
_Static_assert(sizeof(struct head) == 8, "a head is one argument of a call");

/* Blocks at equal distances. */
struct piece {
    uint64_t offset;
    uint64_t bytes; /* of each; not 0 */
    int64_t stride;
    uint64_t count;
};
_Static_assert(sizeof(struct piece) == 32, "pieces lie in a call one behind the other");

static uint64_t padded(uint64_t bytes)
{
    return (bytes + 15) & ~UINT64_C(15);
}

/* ---- the target: everything here is a peer's ---- */

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

static void block_work(struct tmbm_win *win, const struct head *head, uint64_t offset,
                       uint64_t bytes, const uint8_t *in, uint8_t *out)
{
    uint8_t *base = base_of(win);
    struct tmbm_update update = {(enum tmbm_op)head->op, (enum tmbm_element)head->element,
                                 head->sole};

    if (head->kind == KIND_PUT)
        memcpy((void *)((uintptr_t)base + offset), in, bytes);
    else if (head->kind == KIND_GET)
        memcpy(out, (void *)((uintptr_t)base + offset), bytes);
    else
        tmbm_update_piece(win->own, base, update, offset, in, out, bytes);
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

static int piece_work(struct tmbm_win *win, const struct head *head,
                      const struct piece *piece, struct data *data)
{
    uint64_t offset = piece->offset;

    if (piece->bytes == 0 ||
        (head->kind == KIND_UPDATE &&
         piece->bytes % tmbm_element_span((enum tmbm_element)head->element)))
        return -EPROTO;
    for (uint64_t i = 0; i < piece->count; i++, offset += (uint64_t)piece->stride) {
        if (!data_has(data, piece->bytes))
            return -EPROTO;
        if (!reachable(win, offset, piece->bytes))
            return -ERANGE;
        block_work(win, head, offset, piece->bytes,
                   data->in ? data->in + data->done : NULL,
                   data->out ? data->out + data->done : NULL);
        data->done += piece->bytes;
    }
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

/* ---- the origin: pieces are gathered until a call is full ---- */

/* Where what comes back goes: blocks of the piece's size. */
struct result {
    uint8_t *at;
    int64_t stride;
};

struct batch {
    const struct tmbm_place *place;
    struct head head;
    bool sends, fetches; /* data */
    uint8_t *data;
    uint64_t used, room;
    struct piece *pieces;
    struct result *results; /* by piece */
    uint32_t pieces_max;
};

static int batch_open(struct batch *batch, const struct tmbm_place *place,
                      struct head head, bool sends, bool fetches)
{
    size_t most = tmbi_adapter_call_bytes(place->win->control, place->rank);
    uint32_t pieces = (uint32_t)(most / 8 / sizeof(struct piece));

    *batch = (struct batch){.place = place,
                            .head = head,
                            .sends = sends,
                            .fetches = fetches,
                            .room = (most - pieces * sizeof(struct piece)) & ~15ul,
                            .pieces_max = pieces};
    batch->data =
        malloc(most + (pieces * (sizeof(struct piece) + sizeof(struct result))));
    if (!batch->data)
        return MPI_ERR_NO_MEM;
    batch->pieces = (struct piece *)(batch->data + most);
    batch->results = (struct result *)(batch->pieces + pieces);
    return MPI_SUCCESS;
}

/* The gap in MPI_SHORT_INT is the application's. */
static void results_scatter(const struct batch *batch)
{
    const uint8_t *from = batch->data;

    for (uint32_t i = 0; i < batch->head.pieces; i++) {
        const struct piece *piece = &batch->pieces[i];
        uint8_t *at = batch->results[i].at;

        for (uint64_t k = 0; k < piece->count; k++, at += batch->results[i].stride) {
            if (batch->head.element == TMBM_SHORT_INT)
                tmbm_op_apply(TMBM_REPLACE, TMBM_SHORT_INT, at, from, NULL,
                              piece->bytes / tmbm_element_span(TMBM_SHORT_INT));
            else
                memcpy(at, from, piece->bytes);
            from += piece->bytes;
        }
    }
}

static int batch_send(struct batch *batch)
{
    uint64_t args[TMBI_ADAPTER_ARGS] = {0};
    size_t table = batch->head.pieces * sizeof(struct piece);
    size_t data = batch->sends ? padded(batch->used) : 0;
    int rc;

    if (batch->head.pieces == 0)
        return MPI_SUCCESS;
    memcpy(&args[0], &batch->head, sizeof batch->head);
    memcpy(batch->data + data, batch->pieces, table);
    rc = tmbi_adapter_call(batch->place->win->control, batch->place->rank, args,
                           batch->data, data + table, batch->fetches ? batch->data : NULL,
                           batch->fetches ? batch->used : 0);
    if (rc == 0 && batch->fetches)
        results_scatter(batch);
    batch->head.pieces = 0;
    batch->used = 0;
    return tmbm_class(rc);
}

static int64_t distance(const uint8_t *from, const uint8_t *to)
{
    return (int64_t)((uintptr_t)to - (uintptr_t)from);
}

/* A block that lies as the last piece's do, in the window and where its result goes,
 * becomes one of them. */
static bool piece_continue(struct batch *batch, uint64_t offset, uint8_t *result,
                           uint64_t bytes)
{
    uint32_t index = batch->head.pieces ? batch->head.pieces - 1 : 0;
    struct piece *last = &batch->pieces[index];
    struct result *results = &batch->results[index];

    if (batch->head.pieces == 0 || last->bytes != bytes)
        return false;
    if (last->count == 1) {
        last->stride = (int64_t)(offset - last->offset);
        results->stride = batch->fetches ? distance(results->at, result) : 0;
    }
    if (offset != last->offset + (uint64_t)last->stride * last->count ||
        (batch->fetches &&
         distance(results->at, result) != results->stride * (int64_t)last->count))
        return false;
    last->count++;
    return true;
}

/* One block: as much of it as fits, in whole elements; returns how much. */
static uint64_t batch_add(struct batch *batch, uint64_t offset, const uint8_t *from,
                          uint8_t *result, uint64_t bytes)
{
    uint64_t room = batch->room - batch->used;
    size_t element = tmbm_element_span((enum tmbm_element)batch->head.element);

    if (bytes > room)
        bytes = element ? room - room % element : room;
    if (bytes == 0)
        return 0;
    if (!piece_continue(batch, offset, result, bytes)) {
        if (batch->head.pieces == batch->pieces_max)
            return 0;
        batch->pieces[batch->head.pieces] = (struct piece){offset, bytes, 0, 1};
        batch->results[batch->head.pieces++] = (struct result){result, 0};
    }
    if (batch->sends)
        memcpy(batch->data + batch->used, from, bytes);
    batch->used += bytes;
    return bytes;
}

static void batch_close(struct batch *batch)
{
    free(batch->data);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* from, to: what goes there and what comes back; either may be NULL. */
static int work(const struct tmbm_place *place, struct head head,
                const struct tmbm_data *shape, const struct tmbm_data *from,
                const struct tmbm_data *to)
{
    enum tmbm_element element = (enum tmbm_element)head.element;
    struct tmbm_walk target =
        tmbm_walk_make(shape, (const void *)(uintptr_t)place->offset, element);
    struct tmbm_walk source = {0}, result = {0};
    struct batch batch;
    int rc = batch_open(&batch, place, head, from != NULL, to != NULL);

    if (from)
        source = tmbm_walk_make(from, from->buffer, element);
    if (to)
        result = tmbm_walk_make(to, to->buffer, element);
    while (rc == MPI_SUCCESS && tmbm_walk_more(&target)) {
        uint64_t bytes = target.left;

        if (from)
            bytes = tmbm_walk_more(&source) ? least(bytes, source.left) : 0;
        if (to)
            bytes = tmbm_walk_more(&result) ? least(bytes, result.left) : 0;
        if (bytes == 0)
            break;
        bytes = batch_add(&batch, (uintptr_t)target.at, source.at, result.at, bytes);
        if (bytes == 0) {
            rc = batch_send(&batch);
            continue;
        }
        tmbm_walk_skip(&target, bytes);
        if (from)
            tmbm_walk_skip(&source, bytes);
        if (to)
            tmbm_walk_skip(&result, bytes);
    }
    if (rc == MPI_SUCCESS)
        rc = batch_send(&batch);
    batch_close(&batch);
    return rc;
}

int tmbm_remote_put(const struct tmbm_place *place, const struct tmbm_data *shape,
                    const struct tmbm_data *from)
{
    return work(place, (struct head){.kind = KIND_PUT}, shape, from, NULL);
}

int tmbm_remote_get(const struct tmbm_place *place, const struct tmbm_data *shape,
                    const struct tmbm_data *to)
{
    return work(place, (struct head){.kind = KIND_GET}, shape, NULL, to);
}

int tmbm_remote_update(const struct tmbm_place *place, const struct tmbm_data *shape,
                       struct tmbm_update update, const struct tmbm_data *operand,
                       const struct tmbm_data *result)
{
    struct head head = {.kind = KIND_UPDATE,
                        .op = (uint8_t)update.op,
                        .element = (uint8_t)update.element,
                        .sole = update.sole};

    return work(place, head, shape, operand, result);
}

int tmbm_remote_swap(const struct tmbm_place *place, size_t bytes, const void *operand,
                     const void *compare, void *result)
{
    struct head head = {.kind = KIND_SWAP};
    uint64_t args[TMBI_ADAPTER_ARGS] = {0, place->offset};
    uint8_t in[64];

    memcpy(&args[0], &head, sizeof head);
    memcpy(in, operand, bytes);
    memcpy(in + bytes, compare, bytes);
    return tmbm_class(tmbi_adapter_call(place->win->control, place->rank, args, in,
                                        2 * bytes, result, bytes));
}
