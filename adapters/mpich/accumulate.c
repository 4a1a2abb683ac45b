/* SPDX-License-Identifier: BSD-3-Clause */
/* The accumulate functions: checks, and the way to the target. */
#include "adapter.h"
#include "word.h"

/* What one accumulate says. */
struct accumulate {
    struct tmbm_update update;
    struct tmbm_data shape;
    const struct tmbm_data *operand, *result; /* NULL: none */
};

static enum tmbm_element element_of(const struct tmbm_data *data)
{
    if (tmbm_likely(tmbm_type_plain(data->handle)))
        return tmbm_element_of(data->handle);
    return data->type ? data->type->element : tmbm_data_type(data)->element;
}

static bool has_data(const struct tmbm_data *data)
{
    return data->bytes > 0;
}

/* The target's elements decide; the origin's are the same in a program that is right. */
static int update_set(struct accumulate *a, MPI_Op op)
{
    a->update.op = tmbm_op_of(op);
    if (a->update.op == 0 || (a->update.op == TMBM_NO_OP && !a->result))
        return MPI_ERR_OP;
    if (!has_data(&a->shape))
        return MPI_SUCCESS;
    a->update.element = element_of(&a->shape);
    if (a->update.element == TMBM_MIXED)
        return MPI_ERR_TYPE;
    if (!tmbm_op_takes(a->update.op, a->update.element))
        return MPI_ERR_OP;
    if (a->operand && a->operand->handle != a->shape.handle && has_data(a->operand) &&
        tmbm_element_bytes(element_of(a->operand)) !=
            tmbm_element_bytes(a->update.element))
        return MPI_ERR_TYPE;
    return MPI_SUCCESS;
}

static void update_walk(const struct tmbm_place *place, const struct accumulate *a)
{
    struct tmbm_target *target = place->target;
    struct tmbm_walk to =
        tmbm_walk_make(&a->shape, target->base + place->offset, a->update.element);
    struct tmbm_walk from = {0}, old = {0};

    if (a->operand)
        from = tmbm_walk_make(a->operand, a->operand->buffer, a->update.element);
    if (a->result)
        old = tmbm_walk_make(a->result, a->result->buffer, a->update.element);
    while (tmbm_walk_more(&to)) {
        uint64_t bytes = to.left;

        if (a->operand)
            bytes = tmbm_walk_more(&from) ? tmbm_least(bytes, from.left) : 0;
        if (a->result)
            bytes = tmbm_walk_more(&old) ? tmbm_least(bytes, old.left) : 0;
        if (bytes == 0)
            return;
        tmbm_update_piece(target->control, target->base, &a->update,
                          (uint64_t)(to.at - target->base), from.at, old.at, bytes);
        tmbm_walk_skip(&to, bytes);
        if (a->operand)
            tmbm_walk_skip(&from, bytes);
        if (a->result)
            tmbm_walk_skip(&old, bytes);
    }
}

/* All are one piece each, of elements without a gap inside. */
static bool in_pieces(const struct accumulate *a)
{
    return !a->shape.type && !(a->operand && a->operand->type) &&
           !(a->result && a->result->type) &&
           tmbm_element_bytes(a->update.element) == tmbm_element_span(a->update.element);
}

static void update_pieces(const struct tmbm_place *place, const struct accumulate *a)
{
    struct tmbm_target *target = place->target;
    uint64_t bytes = a->shape.bytes;

    if (a->operand)
        bytes = tmbm_least(bytes, a->operand->bytes);
    if (a->result)
        bytes = tmbm_least(bytes, a->result->bytes);
    tmbm_update_piece(target->control, target->base, &a->update, place->offset,
                      a->operand ? a->operand->buffer : NULL,
                      a->result ? a->result->buffer : NULL, bytes);
}

static bool sole(const struct tmbm_target *target)
{
    return atomic_load_explicit(&target->hold, memory_order_relaxed) ==
           TMBM_HELD_EXCLUSIVE;
}

static int update(enum tmbm_call call, const struct tmbm_place *place,
                  struct accumulate *a)
{
    bool here = tmbm_mapped(place->target);

    tmbm_note(call, here ? TMBM_MAPPED : TMBM_REMOTE, a->shape.bytes);
    if (!has_data(&a->shape))
        return MPI_SUCCESS;
    a->update.sole = sole(place->target);
    if (!here)
        return tmbm_remote_update(place, &a->shape, a->update, a->operand, a->result);
    tmbm_stored = true;
    if (tmbm_likely(in_pieces(a)))
        update_pieces(place, a);
    else
        update_walk(place, a);
    return MPI_SUCCESS;
}

/* With operand and result, if there are any, set. */
static int accumulate(enum tmbm_call call, struct tmbm_win *win, struct accumulate *a,
                      int rank, MPI_Aint displacement, MPI_Count count, MPI_Datatype type,
                      MPI_Op op, int rc)
{
    struct tmbm_place place;

    if (rc == MPI_SUCCESS)
        rc = tmbm_data_set(&a->shape, NULL, count, type);
    if (rc == MPI_SUCCESS && rank == MPI_PROC_NULL)
        return MPI_SUCCESS;
    if (rc == MPI_SUCCESS)
        rc = update_set(a, op);
    if (rc == MPI_SUCCESS)
        rc = tmbm_place_set(&place, win, rank, displacement, &a->shape);
    if (rc == MPI_SUCCESS)
        rc = update(call, &place, a);
    return tmbm_end(win, rc);
}

/*
 * MPI_REPLACE and MPI_NO_OP of words of one type, for clients that use them as atomic
 * puts and gets: by a put's way. Whether it was done; if not, or in error, all is looked
 * at.
 */
static inline bool words_moved(enum tmbm_call call, struct tmbm_win *win, enum tmbm_op op,
                               const void *from, void *to, MPI_Count count,
                               MPI_Datatype type, int rank, MPI_Aint displacement)
{
    enum tmbm_element element = tmbm_element_of(type);
    struct tmbm_place place;
    struct tmbm_data shape;

    if (!tmbm_element_word(element) ||
        tmbm_data_set(&shape, NULL, count, type) != MPI_SUCCESS ||
        tmbm_place_set(&place, win, rank, displacement, &shape) != MPI_SUCCESS ||
        !tmbm_mapped(place.target))
        return false;
    tmbm_note(call, TMBM_MAPPED, shape.bytes);
    if (op != TMBM_NO_OP)
        tmbm_stored = true;
    tmbm_update_piece(place.target->control, place.target->base,
                      &(struct tmbm_update){op, element, sole(place.target)},
                      place.offset, from, to, shape.bytes);
    return true;
}

static int any_accumulate(enum tmbm_call call, struct tmbm_win *win, const void *origin,
                          MPI_Count origin_count, MPI_Datatype origin_type, int rank,
                          MPI_Aint displacement, MPI_Count target_count,
                          MPI_Datatype target_type, MPI_Op op)
{
    struct tmbm_data operand;
    struct accumulate a = {.operand = &operand};
    int rc;

    if (op == MPI_REPLACE && origin_type == target_type && origin_count == target_count &&
        words_moved(call, win, TMBM_REPLACE, origin, NULL, target_count, target_type,
                    rank, displacement))
        return MPI_SUCCESS;
    rc = tmbm_data_set(&operand, origin, origin_count, origin_type);
    return accumulate(call, win, &a, rank, displacement, target_count, target_type, op,
                      rc);
}

static inline int accumulate_put(enum tmbm_call call, struct tmbm_win *win,
                                 const void *origin, MPI_Count origin_count,
                                 MPI_Datatype origin_type, int rank,
                                 MPI_Aint displacement, MPI_Count target_count,
                                 MPI_Datatype target_type, MPI_Op op)
{
    if (op == MPI_REPLACE && origin_type == target_type && origin_count == target_count &&
        tmbm_word_moved(call, win, TMBM_REPLACE, origin, NULL, target_count, target_type,
                        rank, displacement))
        return MPI_SUCCESS;
    return any_accumulate(call, win, origin, origin_count, origin_type, rank,
                          displacement, target_count, target_type, op);
}

static int any_get_accumulate(enum tmbm_call call, struct tmbm_win *win,
                              const void *origin, MPI_Count origin_count,
                              MPI_Datatype origin_type, void *result,
                              MPI_Count result_count, MPI_Datatype result_type, int rank,
                              MPI_Aint displacement, MPI_Count target_count,
                              MPI_Datatype target_type, MPI_Op op)
{
    /* MPI_NO_OP: the origin's three are ignored. */
    struct tmbm_data operand, old;
    struct accumulate a = {.operand = op == MPI_NO_OP ? NULL : &operand, .result = &old};
    int rc;

    if (op == MPI_NO_OP && result_type == target_type && result_count == target_count &&
        words_moved(call, win, TMBM_NO_OP, NULL, result, target_count, target_type, rank,
                    displacement))
        return MPI_SUCCESS;
    rc = tmbm_data_set(&old, result, result_count, result_type);
    if (rc == MPI_SUCCESS && a.operand)
        rc = tmbm_data_set(&operand, origin, origin_count, origin_type);
    return accumulate(call, win, &a, rank, displacement, target_count, target_type, op,
                      rc);
}

static inline int accumulate_get(enum tmbm_call call, struct tmbm_win *win,
                                 const void *origin, MPI_Count origin_count,
                                 MPI_Datatype origin_type, void *result,
                                 MPI_Count result_count, MPI_Datatype result_type,
                                 int rank, MPI_Aint displacement, MPI_Count target_count,
                                 MPI_Datatype target_type, MPI_Op op)
{
    if (op == MPI_NO_OP && result_type == target_type && result_count == target_count &&
        tmbm_word_moved(call, win, TMBM_NO_OP, NULL, result, target_count, target_type,
                        rank, displacement))
        return MPI_SUCCESS;
    return any_get_accumulate(call, win, origin, origin_count, origin_type, result,
                              result_count, result_type, rank, displacement, target_count,
                              target_type, op);
}

static int fetch_and_op(struct tmbm_win *win, const void *origin, void *result,
                        MPI_Datatype type, int rank, MPI_Aint displacement, MPI_Op op)
{
    struct tmbm_data operand, old;
    struct accumulate a = {.operand = op == MPI_NO_OP ? NULL : &operand, .result = &old};
    int rc = tmbm_data_set(&old, result, 1, type);

    if (rc == MPI_SUCCESS && tmbm_element_of(type) == TMBM_MIXED)
        rc = MPI_ERR_TYPE;
    operand = old;
    operand.buffer = (uint8_t *)(uintptr_t)origin;
    return accumulate(TMBM_Fetch_and_op, win, &a, rank, displacement, 1, type, op, rc);
}

/* The standard: C integer, Fortran integer, logical, multi-language types and byte. */
static bool swaps(enum tmbm_element element)
{
    return (element >= TMBM_BYTE && element <= TMBM_UINT64) ||
           (element >= TMBM_BOOL && element <= TMBM_LOGICAL);
}

static int compare_and_swap(struct tmbm_win *win, const void *origin, const void *compare,
                            void *result, MPI_Datatype type, int rank,
                            MPI_Aint displacement)
{
    struct tmbm_data shape;
    struct tmbm_place place;
    int rc = tmbm_data_set(&shape, NULL, 1, type);

    if (rc == MPI_SUCCESS && !swaps(tmbm_element_of(type)))
        rc = MPI_ERR_TYPE;
    if (rc == MPI_SUCCESS && rank == MPI_PROC_NULL)
        return MPI_SUCCESS;
    if (rc == MPI_SUCCESS)
        rc = tmbm_place_set(&place, win, rank, displacement, &shape);
    if (rc != MPI_SUCCESS)
        return tmbm_raise(win->handle, rc);
    tmbm_note(TMBM_Compare_and_swap,
              tmbm_mapped(place.target) ? TMBM_MAPPED : TMBM_REMOTE, shape.bytes);
    if (!tmbm_mapped(place.target))
        return tmbm_end(win,
                        tmbm_remote_swap(&place, shape.bytes, origin, compare, result));
    tmbm_stored = true;
    tmbm_swap(place.target->control, place.target->base, sole(place.target), place.offset,
              origin, compare, result, shape.bytes);
    return MPI_SUCCESS;
}

/* ---- what applications call ---- */

#define ORIGIN(count_t) const void *origin, count_t origin_count, MPI_Datatype origin_type
#define RESULT(count_t) void *result, count_t result_count, MPI_Datatype result_type
#define TARGET(count_t)                                                                  \
    int rank, MPI_Aint displacement, count_t target_count, MPI_Datatype target_type,     \
        MPI_Op op
#define ORIGIN_GIVEN origin, origin_count, origin_type
#define RESULT_GIVEN result, result_count, result_type
#define TARGET_GIVEN rank, displacement, target_count, target_type, op

static int with_request(int rc, MPI_Request *request)
{
    return rc == MPI_SUCCESS ? tmbm_request_done(request) : rc;
}

/* The int and the MPI_Count form of each. */
#define DEFINE_ACCUMULATES(suffix, count_t)                                              \
    TMBM_API int MPI_Accumulate##suffix(ORIGIN(count_t), TARGET(count_t),                \
                                        MPI_Win handle)                                  \
    {                                                                                    \
        struct tmbm_win *win = tmbm_win_find(handle);                                    \
                                                                                         \
        if (tmbm_likely(win))                                                            \
            return accumulate_put(TMBM_Accumulate, win, ORIGIN_GIVEN, TARGET_GIVEN);     \
        tmbm_note(TMBM_Accumulate, TMBM_MPICH, 0);                                       \
        return PMPI_Accumulate##suffix(ORIGIN_GIVEN, TARGET_GIVEN, handle);              \
    }                                                                                    \
    TMBM_API int MPI_Raccumulate##suffix(ORIGIN(count_t), TARGET(count_t),               \
                                         MPI_Win handle, MPI_Request *request)           \
    {                                                                                    \
        struct tmbm_win *win = tmbm_win_find(handle);                                    \
                                                                                         \
        if (tmbm_likely(win))                                                            \
            return with_request(                                                         \
                accumulate_put(TMBM_Raccumulate, win, ORIGIN_GIVEN, TARGET_GIVEN),       \
                request);                                                                \
        tmbm_note(TMBM_Raccumulate, TMBM_MPICH, 0);                                      \
        return PMPI_Raccumulate##suffix(ORIGIN_GIVEN, TARGET_GIVEN, handle, request);    \
    }                                                                                    \
    TMBM_API int MPI_Get_accumulate##suffix(ORIGIN(count_t), RESULT(count_t),            \
                                            TARGET(count_t), MPI_Win handle)             \
    {                                                                                    \
        struct tmbm_win *win = tmbm_win_find(handle);                                    \
                                                                                         \
        if (tmbm_likely(win))                                                            \
            return accumulate_get(TMBM_Get_accumulate, win, ORIGIN_GIVEN, RESULT_GIVEN,  \
                                  TARGET_GIVEN);                                         \
        tmbm_note(TMBM_Get_accumulate, TMBM_MPICH, 0);                                   \
        return PMPI_Get_accumulate##suffix(ORIGIN_GIVEN, RESULT_GIVEN, TARGET_GIVEN,     \
                                           handle);                                      \
    }                                                                                    \
    TMBM_API int MPI_Rget_accumulate##suffix(ORIGIN(count_t), RESULT(count_t),           \
                                             TARGET(count_t), MPI_Win handle,            \
                                             MPI_Request *request)                       \
    {                                                                                    \
        struct tmbm_win *win = tmbm_win_find(handle);                                    \
                                                                                         \
        if (tmbm_likely(win))                                                            \
            return with_request(accumulate_get(TMBM_Rget_accumulate, win, ORIGIN_GIVEN,  \
                                               RESULT_GIVEN, TARGET_GIVEN),              \
                                request);                                                \
        tmbm_note(TMBM_Rget_accumulate, TMBM_MPICH, 0);                                  \
        return PMPI_Rget_accumulate##suffix(ORIGIN_GIVEN, RESULT_GIVEN, TARGET_GIVEN,    \
                                            handle, request);                            \
    }

DEFINE_ACCUMULATES(, int)
DEFINE_ACCUMULATES(_c, MPI_Count)

TMBM_API int MPI_Fetch_and_op(const void *origin, void *result, MPI_Datatype type,
                              int rank, MPI_Aint displacement, MPI_Op op, MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (tmbm_likely(win))
        return fetch_and_op(win, origin, result, type, rank, displacement, op);
    tmbm_note(TMBM_Fetch_and_op, TMBM_MPICH, 0);
    return PMPI_Fetch_and_op(origin, result, type, rank, displacement, op, handle);
}

TMBM_API int MPI_Compare_and_swap(const void *origin, const void *compare, void *result,
                                  MPI_Datatype type, int rank, MPI_Aint displacement,
                                  MPI_Win handle)
{
    struct tmbm_win *win = tmbm_win_find(handle);

    if (tmbm_likely(win))
        return compare_and_swap(win, origin, compare, result, type, rank, displacement);
    tmbm_note(TMBM_Compare_and_swap, TMBM_MPICH, 0);
    return PMPI_Compare_and_swap(origin, compare, result, type, rank, displacement,
                                 handle);
}
