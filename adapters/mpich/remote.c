/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Targets that this process doesn't map: their agent works for us, by calls, for which
 * pieces are gathered until one is full (serve.c is the other side).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "remote.h"

static uint64_t padded(uint64_t bytes)
{
    return (bytes + 15) & ~UINT64_C(15);
}

/* Where what comes back goes: blocks of the piece's size. */
struct result {
    uint8_t *at;
    int64_t stride;
};

/* Batches up to here need no memory but the stack. */
#define SMALL_BYTES 2048

struct batch {
    const struct tmbm_place *place;
    struct head head;
    bool sends, fetches; /* data */
    uint32_t pieces_max;
    uint64_t used, room;
    struct piece *pieces;
    struct result *results; /* by piece */
    uint8_t *data;          /* `room`, and room for the pieces behind it */
    _Alignas(16) uint8_t small[SMALL_BYTES];
};

static bool one_piece(const struct tmbm_data *data)
{
    return !data || !data->type;
}

/* sends, fetches: the origin's buffers; NULL: it doesn't. */
static int batch_open(struct batch *batch, const struct tmbm_place *place,
                      struct head head, const struct tmbm_data *shape,
                      const struct tmbm_data *sends, const struct tmbm_data *fetches)
{
    bool one = one_piece(shape) && one_piece(sends) && one_piece(fetches);
    size_t most = tmbi_adapter_call_bytes(place->win->control, place->rank);
    uint32_t pieces = one ? 1 : (uint32_t)(most / 8 / sizeof(struct piece));
    size_t table = pieces * sizeof(struct piece), bytes;

    batch->place = place;
    batch->head = head;
    batch->sends = sends != NULL;
    batch->fetches = fetches != NULL;
    batch->pieces_max = pieces;
    batch->used = 0;
    batch->room = (most - table) & ~15ul;
    if (one)
        batch->room = tmbm_least(batch->room, padded(shape->bytes));
    bytes = batch->room + 2 * table + pieces * sizeof(struct result);
    batch->data = bytes <= SMALL_BYTES ? batch->small : malloc(bytes);
    if (!batch->data)
        return MPI_ERR_NO_MEM;
    batch->pieces = (struct piece *)(void *)(batch->data + batch->room + table);
    batch->results = (struct result *)(batch->pieces + pieces);
    return MPI_SUCCESS;
}

static void batch_close(struct batch *batch)
{
    if (batch->data != batch->small)
        free(batch->data);
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

/*
 * What fetches nothing, and whose bounds are known here, needs no answer before the next
 * flush. The first call waits for one: the target may be late in making the window.
 */
static int batch_call(struct batch *batch, const uint64_t *args, size_t bytes)
{
    const struct tmbm_place *place = batch->place;
    struct tmbm_win *win = place->win;
    int rc;

    if (!batch->fetches && !win->attachments &&
        atomic_load_explicit(&place->target->met, memory_order_relaxed)) {
        rc = tmbi_adapter_post(win->control, place->rank, args, batch->data, bytes);
        tmbm_note_begun(place);
        return rc;
    }
    rc = tmbi_adapter_call(win->control, place->rank, args, batch->data, bytes,
                           batch->fetches ? batch->data : NULL,
                           batch->fetches ? batch->used : 0);
    if (rc == 0)
        atomic_store_explicit(&place->target->met, true, memory_order_relaxed);
    return rc;
}

/* The data that comes back is left in `data`. */
static int batch_send(struct batch *batch)
{
    uint64_t args[TMBI_ADAPTER_ARGS] = {0};
    size_t table = batch->head.pieces * sizeof(struct piece);
    size_t data = batch->sends ? padded(batch->used) : 0;

    memcpy(&args[0], &batch->head, sizeof batch->head);
    memcpy(batch->data + data, batch->pieces, table);
    return tmbm_class(batch_call(batch, args, data + table));
}

static void batch_clear(struct batch *batch)
{
    batch->head.pieces = 0;
    batch->used = 0;
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

/* ---- puts and gets: blocks of any size, copied by strips ---- */

/* The target's next pieces: as many as a call takes, of `most` bytes of data. */
static void strips_add(struct batch *batch, struct tmbm_cursor *target, uint64_t most)
{
    struct tmbm_run strip;

    most = tmbm_least(most, batch->room);
    while (batch->head.pieces < batch->pieces_max &&
           tmbm_cursor_strip(target, most - batch->used, &strip)) {
        batch->pieces[batch->head.pieces++] = (struct piece){
            (uint64_t)strip.offset, strip.bytes, strip.stride, strip.count};
        batch->used += strip.bytes * strip.count;
    }
}

static int transfer(const struct tmbm_place *place, struct head head,
                    const struct tmbm_data *shape, const struct tmbm_data *local)
{
    struct tmbm_cursor target = tmbm_cursor_make(
        tmbm_data_type(shape), (const void *)(uintptr_t)place->offset, shape->count);
    struct tmbm_cursor here =
        tmbm_cursor_make(tmbm_data_type(local), local->buffer, local->count);
    uint64_t left = tmbm_least(shape->bytes, local->bytes);
    bool sends = head.kind == KIND_PUT;
    struct batch batch;
    int rc = batch_open(&batch, place, head, shape, sends ? local : NULL,
                        sends ? NULL : local);

    while (rc == MPI_SUCCESS && left) {
        struct tmbm_cursor packed;

        strips_add(&batch, &target, left);
        packed = tmbm_cursor_memory(batch.data, batch.used);
        if (sends)
            tmbm_cursor_copy(&packed, &here, batch.used);
        rc = batch_send(&batch);
        if (rc == MPI_SUCCESS && !sends)
            tmbm_cursor_copy(&here, &packed, batch.used);
        left -= batch.used;
        batch_clear(&batch);
    }
    batch_close(&batch);
    return rc;
}

int tmbm_remote_put(const struct tmbm_place *place, const struct tmbm_data *shape,
                    const struct tmbm_data *from)
{
    return transfer(place, (struct head){.kind = KIND_PUT}, shape, from);
}

int tmbm_remote_get(const struct tmbm_place *place, const struct tmbm_data *shape,
                    const struct tmbm_data *to)
{
    return transfer(place, (struct head){.kind = KIND_GET}, shape, to);
}

/* ---- accumulates: whole elements ---- */

static int update_send(struct batch *batch)
{
    int rc;

    if (batch->head.pieces == 0)
        return MPI_SUCCESS;
    rc = batch_send(batch);
    if (rc == MPI_SUCCESS && batch->fetches)
        results_scatter(batch);
    batch_clear(batch);
    return rc;
}

/* from, to: what goes there and what comes back; either may be NULL. */
static int elements_work(const struct tmbm_place *place, struct head head,
                         const struct tmbm_data *shape, const struct tmbm_data *from,
                         const struct tmbm_data *to)
{
    enum tmbm_element element = (enum tmbm_element)head.element;
    struct tmbm_walk target =
        tmbm_walk_make(shape, (const void *)(uintptr_t)place->offset, element);
    struct tmbm_walk source = {0}, result = {0};
    struct batch batch;
    int rc = batch_open(&batch, place, head, shape, from, to);

    if (from)
        source = tmbm_walk_make(from, from->buffer, element);
    if (to)
        result = tmbm_walk_make(to, to->buffer, element);
    while (rc == MPI_SUCCESS && tmbm_walk_more(&target)) {
        uint64_t bytes = target.left;

        if (from)
            bytes = tmbm_walk_more(&source) ? tmbm_least(bytes, source.left) : 0;
        if (to)
            bytes = tmbm_walk_more(&result) ? tmbm_least(bytes, result.left) : 0;
        if (bytes == 0)
            break;
        bytes = batch_add(&batch, (uintptr_t)target.at, source.at, result.at, bytes);
        if (bytes == 0) {
            rc = update_send(&batch);
            continue;
        }
        tmbm_walk_skip(&target, bytes);
        if (from)
            tmbm_walk_skip(&source, bytes);
        if (to)
            tmbm_walk_skip(&result, bytes);
    }
    if (rc == MPI_SUCCESS)
        rc = update_send(&batch);
    batch_close(&batch);
    return rc;
}

int tmbm_remote_update(const struct tmbm_place *place, const struct tmbm_data *shape,
                       struct tmbm_update update, const struct tmbm_data *operand,
                       const struct tmbm_data *result)
{
    struct head head = {.kind = KIND_UPDATE,
                        .op = (uint8_t)update.op,
                        .element = (uint8_t)update.element,
                        .sole = update.sole};

    return elements_work(place, head, shape, operand, result);
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
