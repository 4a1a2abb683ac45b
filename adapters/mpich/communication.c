/* SPDX-License-Identifier: BSD-3-Clause */
/* Put and get. */
#include <string.h>

#include "adapter.h"

/* Up to here, but for 0 bytes, which may be at NULL, memcpy is quicker than what chooses
 * between kinds of copies. */
#define SMALL_BYTES 1024

/* What both sides have of one piece; a program that says otherwise is wrong. */
static uint64_t bytes_common(const struct tmbm_data *a, const struct tmbm_data *b)
{
    return a->bytes < b->bytes ? a->bytes : b->bytes;
}

static int put_piece(const struct tmbm_place *place, const void *from, uint64_t bytes)
{
    const struct tmbm_target *target = place->target;
    int rc;

    if (tmbm_likely(target->base)) {
        tmbm_stored = true;
        if (tmbm_likely(bytes - 1 < SMALL_BYTES)) {
            memcpy(target->base + place->offset, from, bytes);
            return MPI_SUCCESS;
        }
    }
    rc = tmb_put(place->win->memory, target->part, target->shift + place->offset, from,
                 bytes);
    if (!target->base)
        tmbm_note_begun(place);
    return tmbm_class(rc);
}

/* at_once: or by the next flush. */
static int get_piece(const struct tmbm_place *place, void *to, uint64_t bytes,
                     bool at_once)
{
    const struct tmbm_target *target = place->target;
    int rc;

    if (tmbm_likely(target->base && bytes - 1 < SMALL_BYTES)) {
        memcpy(to, target->base + place->offset, bytes);
        return MPI_SUCCESS;
    }
    if (target->base || at_once)
        return tmbm_class(tmb_get(place->win->memory, target->part,
                                  target->shift + place->offset, to, bytes));
    rc = tmb_get_nb(place->win->memory, target->part, target->shift + place->offset, to,
                    bytes, NULL);
    tmbm_note_begun(place);
    return tmbm_class(rc);
}

static int put_typed(const struct tmbm_place *place, const struct tmbm_data *shape,
                     const struct tmbm_data *from)
{
    if (!place->target->base)
        return tmbm_remote_put(place, shape, from);
    tmbm_stored = true;
    tmbm_type_copy(place->target->base + place->offset, tmbm_data_type(shape),
                   shape->count, from->buffer, tmbm_data_type(from), from->count);
    return MPI_SUCCESS;
}

static int get_typed(const struct tmbm_place *place, const struct tmbm_data *shape,
                     const struct tmbm_data *to)
{
    if (!place->target->base)
        return tmbm_remote_get(place, shape, to);
    tmbm_type_copy(to->buffer, tmbm_data_type(to), to->count,
                   place->target->base + place->offset, tmbm_data_type(shape),
                   shape->count);
    return MPI_SUCCESS;
}

/* One piece on both sides, in memory that is a part and not found by its address. */
static bool in_pieces(const struct tmbm_place *place, const struct tmbm_data *shape,
                      const struct tmbm_data *local)
{
    return tmbm_likely(!shape->type && !local->type && !place->win->attachments);
}

static enum tmbm_route route(const struct tmbm_place *place)
{
    return place->target->base ? TMBM_MAPPED : TMBM_REMOTE;
}

static int put(enum tmbm_call call, struct tmbm_win *win, const void *buffer,
               MPI_Count count, MPI_Datatype type, int rank, MPI_Aint displacement,
               MPI_Count target_count, MPI_Datatype target_type)
{
    struct tmbm_data from, shape;
    struct tmbm_place place;
    int rc = tmbm_data_set(&from, buffer, count, type);

    if (rc == MPI_SUCCESS)
        rc = tmbm_data_set(&shape, NULL, target_count, target_type);
    if (rc == MPI_SUCCESS && tmbm_unlikely(rank == MPI_PROC_NULL))
        return MPI_SUCCESS;
    if (rc == MPI_SUCCESS)
        rc = tmbm_place_set(&place, win, rank, displacement, &shape);
    if (tmbm_unlikely(rc != MPI_SUCCESS))
        return tmbm_raise(win->handle, rc);
    tmbm_note(call, route(&place), from.bytes);
    rc = in_pieces(&place, &shape, &from)
             ? put_piece(&place, buffer, bytes_common(&from, &shape))
             : put_typed(&place, &shape, &from);
    return tmbm_end(win, rc);
}

static int get(enum tmbm_call call, struct tmbm_win *win, void *buffer, MPI_Count count,
               MPI_Datatype type, int rank, MPI_Aint displacement, MPI_Count target_count,
               MPI_Datatype target_type)
{
    struct tmbm_data to, shape;
    struct tmbm_place place;
    int rc = tmbm_data_set(&to, buffer, count, type);

    if (rc == MPI_SUCCESS)
        rc = tmbm_data_set(&shape, NULL, target_count, target_type);
    if (rc == MPI_SUCCESS && tmbm_unlikely(rank == MPI_PROC_NULL))
        return MPI_SUCCESS;
    if (rc == MPI_SUCCESS)
        rc = tmbm_place_set(&place, win, rank, displacement, &shape);
    if (tmbm_unlikely(rc != MPI_SUCCESS))
        return tmbm_raise(win->handle, rc);
    tmbm_note(call, route(&place), to.bytes);
    rc = in_pieces(&place, &shape, &to)
             ? get_piece(&place, buffer, bytes_common(&to, &shape), call == TMBM_Rget)
             : get_typed(&place, &shape, &to);
    return tmbm_end(win, rc);
}

/* ---- what applications call ---- */

#define BUFFERS(count_t)                                                                 \
    count_t origin_count, MPI_Datatype origin_type, int rank, MPI_Aint displacement,     \
        count_t target_count, MPI_Datatype target_type
#define BUFFERS_GIVEN                                                                    \
    origin_count, origin_type, rank, displacement, target_count, target_type

TMBM_API int MPI_Put(const void *origin, BUFFERS(int), MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (tmbm_unlikely(!win)) {
        tmbm_note(TMBM_Put, TMBM_MPICH, 0);
        return PMPI_Put(origin, BUFFERS_GIVEN, handle);
    }
    return put(TMBM_Put, win, origin, BUFFERS_GIVEN);
}

TMBM_API int MPI_Put_c(const void *origin, BUFFERS(MPI_Count), MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (!win) {
        tmbm_note(TMBM_Put, TMBM_MPICH, 0);
        return PMPI_Put_c(origin, BUFFERS_GIVEN, handle);
    }
    return put(TMBM_Put, win, origin, BUFFERS_GIVEN);
}

TMBM_API int MPI_Get(void *origin, BUFFERS(int), MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (tmbm_unlikely(!win)) {
        tmbm_note(TMBM_Get, TMBM_MPICH, 0);
        return PMPI_Get(origin, BUFFERS_GIVEN, handle);
    }
    return get(TMBM_Get, win, origin, BUFFERS_GIVEN);
}

TMBM_API int MPI_Get_c(void *origin, BUFFERS(MPI_Count), MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (!win) {
        tmbm_note(TMBM_Get, TMBM_MPICH, 0);
        return PMPI_Get_c(origin, BUFFERS_GIVEN, handle);
    }
    return get(TMBM_Get, win, origin, BUFFERS_GIVEN);
}

/* The source of a put is reusable on return, and a get has its data. */
static int rput(struct tmbm_win *win, const void *origin, BUFFERS(MPI_Count),
                MPI_Request *request)
{
    int rc = put(TMBM_Rput, win, origin, BUFFERS_GIVEN);

    return rc == MPI_SUCCESS ? tmbm_request_done(request) : rc;
}

static int rget(struct tmbm_win *win, void *origin, BUFFERS(MPI_Count),
                MPI_Request *request)
{
    int rc = get(TMBM_Rget, win, origin, BUFFERS_GIVEN);

    return rc == MPI_SUCCESS ? tmbm_request_done(request) : rc;
}

TMBM_API int MPI_Rput(const void *origin, BUFFERS(int), MPI_Win handle,
                      MPI_Request *request)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (!win) {
        tmbm_note(TMBM_Rput, TMBM_MPICH, 0);
        return PMPI_Rput(origin, BUFFERS_GIVEN, handle, request);
    }
    return rput(win, origin, BUFFERS_GIVEN, request);
}

TMBM_API int MPI_Rput_c(const void *origin, BUFFERS(MPI_Count), MPI_Win handle,
                        MPI_Request *request)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (!win) {
        tmbm_note(TMBM_Rput, TMBM_MPICH, 0);
        return PMPI_Rput_c(origin, BUFFERS_GIVEN, handle, request);
    }
    return rput(win, origin, BUFFERS_GIVEN, request);
}

TMBM_API int MPI_Rget(void *origin, BUFFERS(int), MPI_Win handle, MPI_Request *request)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (!win) {
        tmbm_note(TMBM_Rget, TMBM_MPICH, 0);
        return PMPI_Rget(origin, BUFFERS_GIVEN, handle, request);
    }
    return rget(win, origin, BUFFERS_GIVEN, request);
}

TMBM_API int MPI_Rget_c(void *origin, BUFFERS(MPI_Count), MPI_Win handle,
                        MPI_Request *request)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (!win) {
        tmbm_note(TMBM_Rget, TMBM_MPICH, 0);
        return PMPI_Rget_c(origin, BUFFERS_GIVEN, handle, request);
    }
    return rget(win, origin, BUFFERS_GIVEN, request);
}
