/* SPDX-License-Identifier: BSD-3-Clause */
/* What a communication call says: buffers, and where in which window. */
#include "adapter.h"

int tmbm_data_typed(struct tmbm_data *data)
{
    int rc = tmbm_type_get(data->handle, &data->type);

    if (rc != MPI_SUCCESS)
        return rc;
    if (!data->type->committed)
        return MPI_ERR_TYPE;
    if (__builtin_mul_overflow(data->count, data->type->size, &data->bytes))
        return MPI_ERR_COUNT;
    if (data->type->contiguous)
        data->type = NULL;
    return MPI_SUCCESS;
}

const struct tmbm_type *tmbm_data_type(const struct tmbm_data *data)
{
    const struct tmbm_type *type = data->type;

    if (!type)
        tmbm_type_get(data->handle, &type);
    return type;
}

static bool in_part(const struct tmbm_place *place, int64_t low, int64_t high)
{
    uint64_t bytes = place->target->bytes, offset = place->offset;

    if (low == high)
        return true;
    if (low < 0)
        return (uint64_t)-low <= offset && offset <= bytes &&
               (high <= 0 || (uint64_t)high <= bytes - offset);
    return offset <= bytes && (uint64_t)high <= bytes - offset;
}

static int place_check(const struct tmbm_place *place, const struct tmbm_data *shape)
{
    int64_t low = 0, high = (int64_t)shape->bytes;

    if (shape->type && !tmbm_type_bounds(shape->type, shape->count, &low, &high))
        return MPI_ERR_COUNT;
    if (place->win->attachments) /* who has the memory knows what is attached */
        return MPI_SUCCESS;
    return in_part(place, low, high) ? MPI_SUCCESS : MPI_ERR_RMA_RANGE;
}

int tmbm_place_set(struct tmbm_place *place, struct tmbm_win *win, int rank,
                   MPI_Aint displacement, const struct tmbm_data *shape)
{
    if (tmbm_unlikely((unsigned)rank >= (unsigned)win->size))
        return MPI_ERR_RANK;
    *place = (struct tmbm_place){win, &win->targets[rank], rank, 0};
    if (tmbm_unlikely(!tmbm_open_to(win, place->target)))
        return MPI_ERR_RMA_SYNC;
    if (win->attachments) {
        place->offset = (uint64_t)displacement;
        return place_check(place, shape);
    }
    if (tmbm_unlikely(displacement < 0 ||
                      __builtin_mul_overflow((uint64_t)displacement, place->target->unit,
                                             &place->offset)))
        return displacement < 0 ? MPI_ERR_DISP : MPI_ERR_RMA_RANGE;
    if (tmbm_likely(!shape->type))
        return place->offset <= place->target->bytes &&
                       shape->bytes <= place->target->bytes - place->offset
                   ? MPI_SUCCESS
                   : MPI_ERR_RMA_RANGE;
    return place_check(place, shape);
}
