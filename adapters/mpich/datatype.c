/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which types have been taken apart. A derived type has its parts as an attribute, which
 * MPICH deletes when the last use of the type ends, and which a duplicate does not get;
 * predefined types are in a table.
 */
#include "datatype.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "flatten.h"

struct kept {
    struct tmbm_type type;
    MPI_Datatype handle;
    struct kept *next, **to_this; /* of all that are attributes */
};

#define PREDEFINED 0x100 /* the lowest byte tells them apart, within each kind */
static _Atomic(struct kept *) plain_types[PREDEFINED], pair_types[PREDEFINED];

/* One thread takes types apart; inside of it MPICH and `list_lock` are locked. */
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
/* The innermost: MPICH may hold its own when it deletes an attribute. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kept *list;
static int keyval = MPI_KEYVAL_INVALID;
static MPI_Comm prober = MPI_COMM_NULL;

static void kept_free(struct kept *kept)
{
    if (!kept)
        return;
    free((void *)(uintptr_t)kept->type.run);
    free((void *)(uintptr_t)kept->type.before);
    free(kept);
}

/* Size and bounds of runs; false if they are beyond what an address space holds. */
static bool run_measure(const struct tmbm_run *run, struct tmbm_type *type)
{
    uint64_t bytes;
    int64_t last, end;

    if (run->bytes == 0 || run->bytes > INT64_MAX ||
        __builtin_mul_overflow(run->stride, run->count - 1, &last) ||
        __builtin_add_overflow(run->offset, last, &last) ||
        __builtin_add_overflow(run->offset > last ? run->offset : last,
                               (int64_t)run->bytes, &end) ||
        __builtin_mul_overflow(run->bytes, run->count, &bytes) ||
        __builtin_add_overflow(type->size, bytes, &bytes))
        return false;
    if (last > run->offset)
        last = run->offset;
    if (type->size == 0 || last < type->low)
        type->low = last;
    if (type->size == 0 || end > type->high)
        type->high = end;
    type->size = bytes;
    return true;
}

static int type_measure(struct tmbm_type *type, uint64_t *before)
{
    for (size_t i = 0; i < type->runs; i++) {
        before[i] = type->size;
        if (!run_measure(&type->run[i], type))
            return MPI_ERR_TYPE;
    }
    type->contiguous = type->runs == 1 && type->run[0].count == 1 && type->low == 0 &&
                       (int64_t)type->size == type->extent;
    return MPI_SUCCESS;
}

static int type_make(MPI_Datatype handle, struct tmbm_type *type)
{
    struct tmbm_map map;
    MPI_Count low, extent;
    uint64_t *before;
    int rc;

    if (PMPI_Type_get_extent_c(handle, &low, &extent) != MPI_SUCCESS)
        return MPI_ERR_TYPE;
    rc = tmbm_flatten(handle, &map);
    if (rc != MPI_SUCCESS)
        return rc;
    before = calloc(map.runs + 1, sizeof(*before));
    type->extent = extent;
    type->element = map.empty ? TMBM_MIXED : map.element;
    type->runs = map.runs;
    type->run = map.run;
    type->before = before;
    return before ? type_measure(type, before) : MPI_ERR_NO_MEM;
}

static int kept_make(MPI_Datatype handle, struct kept **result)
{
    struct kept *kept = calloc(1, sizeof(*kept));
    int rc;

    if (!kept)
        return MPI_ERR_NO_MEM;
    kept->handle = handle;
    rc = type_make(handle, &kept->type);
    if (rc == MPI_SUCCESS)
        *result = kept;
    else
        kept_free(kept);
    return rc;
}

static void list_add(struct kept *kept)
{
    pthread_mutex_lock(&list_lock);
    kept->next = list;
    kept->to_this = &list;
    if (list)
        list->to_this = &kept->next;
    list = kept;
    pthread_mutex_unlock(&list_lock);
}

static void list_remove(struct kept *kept)
{
    pthread_mutex_lock(&list_lock);
    *kept->to_this = kept->next;
    if (kept->next)
        kept->next->to_this = kept->to_this;
    pthread_mutex_unlock(&list_lock);
}

static int attribute_delete(MPI_Datatype handle, int key, void *value, void *extra)
{
    struct kept *kept = value;

    (void)handle;
    (void)key;
    (void)extra;
    list_remove(kept);
    kept_free(kept);
    return MPI_SUCCESS;
}

static int attribute_get(MPI_Datatype handle, struct kept **kept)
{
    int found = 0;

    if (PMPI_Type_get_attr(handle, keyval, kept, &found) != MPI_SUCCESS)
        return MPI_ERR_TYPE;
    if (!found)
        *kept = NULL;
    return MPI_SUCCESS;
}

/* With `making`. */
static int attribute_make(MPI_Datatype handle, struct kept **kept)
{
    int rc = attribute_get(handle, kept);

    if (rc != MPI_SUCCESS || *kept)
        return rc;
    rc = kept_make(handle, kept);
    if (rc != MPI_SUCCESS)
        return rc;
    list_add(*kept);
    if (PMPI_Type_set_attr(handle, keyval, *kept) == MPI_SUCCESS)
        return MPI_SUCCESS;
    list_remove(*kept);
    kept_free(*kept);
    return MPI_ERR_NO_MEM;
}

/* Packing nothing is refused for what is not committed. */
static bool committed(MPI_Datatype handle)
{
    int position = 0;

    return PMPI_Pack(NULL, 0, handle, NULL, 0, &position, prober) == MPI_SUCCESS;
}

static int derived_get(MPI_Datatype handle, struct kept **kept)
{
    int rc = attribute_get(handle, kept);

    if (rc != MPI_SUCCESS || (*kept && (*kept)->type.committed))
        return rc;
    pthread_mutex_lock(&making);
    rc = attribute_make(handle, kept);
    if (rc == MPI_SUCCESS && !(*kept)->type.committed)
        (*kept)->type.committed = committed(handle);
    pthread_mutex_unlock(&making);
    return rc;
}

/* MPICH crashes on handles that it has never given. */
static bool plain_exists(MPI_Datatype handle)
{
    if (handle == MPI_LB || handle == MPI_UB)
        return true;
    return tmbm_element_of(handle) != TMBM_MIXED &&
           tmbm_type_plain_bytes(handle) == tmbm_element_bytes(tmbm_element_of(handle));
}

static int predefined_get(MPI_Datatype handle, _Atomic(struct kept *) *place,
                          struct kept **kept)
{
    int rc = MPI_SUCCESS;

    /* Pairs with the release below. */
    *kept = atomic_load_explicit(place, memory_order_acquire);
    if (*kept)
        return MPI_SUCCESS;
    pthread_mutex_lock(&making);
    *kept = atomic_load_explicit(place, memory_order_relaxed);
    if (!*kept) {
        rc = kept_make(handle, kept);
        if (rc == MPI_SUCCESS) {
            (*kept)->type.committed = true;
            atomic_store_explicit(place, *kept, memory_order_release);
        }
    }
    pthread_mutex_unlock(&making);
    return rc;
}

/* The kind of an object is in bits 26 to 29 of its handle; how it is kept is above. */
static bool is_type(MPI_Datatype handle)
{
    const unsigned kind = 0xfu << 26, kept = 3u << 30;

    return ((unsigned)handle & kind) == ((unsigned)MPI_DATATYPE_NULL & kind) &&
           ((unsigned)handle & kept) != 0;
}

int tmbm_type_get(MPI_Datatype handle, const struct tmbm_type **result)
{
    struct kept *kept = NULL;
    int rc;

    if (!is_type(handle))
        return MPI_ERR_TYPE;
    if (tmbm_type_plain(handle))
        rc = plain_exists(handle)
                 ? predefined_get(handle, &plain_types[handle & 0xff], &kept)
                 : MPI_ERR_TYPE;
    else if (tmbm_element_of(handle) != TMBM_MIXED)
        rc = predefined_get(handle, &pair_types[handle & 0xff], &kept);
    else
        rc = derived_get(handle, &kept);
    if (rc == MPI_SUCCESS)
        *result = &kept->type;
    return rc;
}

int tmbm_types_open(MPI_Comm comm)
{
    int rc =
        PMPI_Type_create_keyval(MPI_TYPE_NULL_COPY_FN, attribute_delete, &keyval, NULL);

    if (rc == MPI_SUCCESS)
        prober = comm;
    return rc;
}

static void predefined_close(_Atomic(struct kept *) *types)
{
    for (size_t i = 0; i < PREDEFINED; i++)
        kept_free(atomic_exchange_explicit(&types[i], NULL, memory_order_relaxed));
}

/* Types that the user never frees still have their attributes, and MPICH itself frees
 * some: none may be left. */
void tmbm_types_close(void)
{
    if (keyval == MPI_KEYVAL_INVALID)
        return;
    while (list)
        if (PMPI_Type_delete_attr(list->handle, keyval) != MPI_SUCCESS)
            break;
    PMPI_Type_free_keyval(&keyval);
    predefined_close(plain_types);
    predefined_close(pair_types);
    prober = MPI_COMM_NULL;
}
