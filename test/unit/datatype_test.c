/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPI datatypes as the adapter takes them apart, against what MPICH makes of them: sizes
 * and bounds, packing and unpacking, of thousands of types of any shape. Each works on
 * bytes that all differ from their neighbours, so that a wrong place shows.
 */
#include <stdio.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../adapters/mpich/datatype.h"
#include "mpi_start.h"
#include "random_type.h"

#define TYPES   4000
#define COUNTS  3
#define REACH   (1 << 18) /* of any type's data from the buffer, either way */
#define THREADS 4

static MPI_Comm comm;

static const struct tmbm_type *taken_apart(MPI_Datatype handle)
{
    const struct tmbm_type *type = NULL;

    assert_int_equal(tmbm_type_get(handle, &type), MPI_SUCCESS);
    return type;
}

static void run_is(const struct tmbm_type *type, size_t i, int64_t offset, int64_t stride,
                   uint64_t bytes, uint64_t count)
{
    assert_true(i < type->runs);
    assert_int_equal(type->run[i].offset, offset);
    assert_int_equal(type->run[i].bytes, bytes);
    assert_int_equal(type->run[i].count, count);
    if (count > 1)
        assert_int_equal(type->run[i].stride, stride);
}

/* ---- runs ---- */

static void predefined_types_are_one_run(void **state)
{
    const struct tmbm_type *type = taken_apart(MPI_DOUBLE);

    (void)state;
    assert_true(type->contiguous && type->committed);
    assert_int_equal(type->element, TMBM_DOUBLE);
    assert_int_equal(type->runs, 1);
    run_is(type, 0, 0, 0, 8, 1);
    type = taken_apart(MPI_DOUBLE_INT);
    assert_false(type->contiguous);
    run_is(type, 0, 0, 0, 12, 1);
    assert_int_equal(type->extent, 16);
    run_is(taken_apart(MPI_LONG_DOUBLE), 0, 0, 0, sizeof(long double), 1);
    run_is(taken_apart(MPI_LONG_DOUBLE_INT), 0, 0, 0, sizeof(long double) + 4, 1);
    run_is(taken_apart(MPI_REAL16), 0, 0, 0, 16, 1);
    type = taken_apart(MPI_SHORT_INT);
    assert_int_equal(type->runs, 2);
    run_is(type, 1, 4, 0, 4, 1);
    assert_int_equal(taken_apart(MPI_LB)->size, 0);
}

static void regular_blocks_are_one_run(void **state)
{
    int size[] = {16, 16, 16}, length[] = {4, 5, 6}, start[] = {1, 2, 3};
    MPI_Datatype vector, all, cube;
    const struct tmbm_type *type;

    (void)state;
    MPI_Type_vector(8192, 1, 2, MPI_DOUBLE, &vector);
    type = taken_apart(vector);
    assert_int_equal(type->runs, 1);
    run_is(type, 0, 0, 16, 8, 8192);
    assert_int_equal(type->size, 65536);
    MPI_Type_create_resized(vector, 0, 8192 * 16, &all);
    MPI_Type_free(&vector);
    MPI_Type_contiguous(10, all, &vector);
    run_is(taken_apart(vector), 0, 0, 16, 8, 81920);
    MPI_Type_free(&all);
    MPI_Type_free(&vector);
    MPI_Type_create_subarray(3, size, length, start, MPI_ORDER_C, MPI_DOUBLE, &cube);
    type = taken_apart(cube);
    assert_int_equal(type->runs, 4);
    run_is(type, 3, 8 * (3 + 16 * (2 + 16 * 4)), 128, 48, 5);
    MPI_Type_free(&cube);
}

static void neighbours_are_one_block(void **state)
{
    int length[] = {1, 2, 0, 1}, place[] = {4, 5, 100, 7};
    MPI_Datatype indexed, negative;
    const struct tmbm_type *type;

    (void)state;
    MPI_Type_indexed(4, length, place, MPI_INT, &indexed);
    type = taken_apart(indexed);
    assert_int_equal(type->runs, 1);
    run_is(type, 0, 16, 0, 16, 1);
    assert_false(type->contiguous);
    MPI_Type_free(&indexed);
    /* Backwards there are no neighbours: the order counts. */
    MPI_Type_vector(4, 1, -1, MPI_INT, &negative);
    type = taken_apart(negative);
    run_is(type, 0, 0, -4, 4, 4);
    assert_int_equal(type->low, -12);
    assert_int_equal(type->high, 4);
    MPI_Type_free(&negative);
}

static void one_element_or_mixed(void **state)
{
    MPI_Datatype parts[] = {MPI_INT, MPI_INT32_T, MPI_DOUBLE}, type;
    MPI_Aint places[] = {0, 4, 8};
    int lengths[] = {1, 1, 0};

    (void)state;
    MPI_Type_create_struct(3, lengths, places, parts, &type);
    assert_int_equal(taken_apart(type)->element, TMBM_INT32);
    MPI_Type_free(&type);
    lengths[2] = 1;
    MPI_Type_create_struct(3, lengths, places, parts, &type);
    assert_int_equal(taken_apart(type)->element, TMBM_MIXED);
    MPI_Type_free(&type);
    MPI_Type_create_f90_real(12, MPI_UNDEFINED, &type);
    assert_int_equal(taken_apart(type)->element, TMBM_DOUBLE);
    assert_true(taken_apart(type)->committed);
}

static void bounds_hold_all_repetitions(void **state)
{
    MPI_Datatype resized;
    const struct tmbm_type *type;
    int64_t low, high;

    (void)state;
    MPI_Type_create_resized(MPI_INT, -8, -32, &resized);
    type = taken_apart(resized);
    assert_true(tmbm_type_bounds(type, 3, &low, &high));
    assert_int_equal(low, -64);
    assert_int_equal(high, 4);
    assert_true(tmbm_type_bounds(type, 0, &low, &high));
    assert_true(low == 0 && high == 0);
    assert_false(tmbm_type_bounds(type, UINT64_MAX / 4, &low, &high));
    MPI_Type_free(&resized);
}

/* ---- what is kept ---- */

static void committing_shows(void **state)
{
    MPI_Datatype type;

    (void)state;
    MPI_Type_contiguous(3, MPI_INT, &type);
    assert_false(taken_apart(type)->committed);
    MPI_Type_commit(&type);
    assert_true(taken_apart(type)->committed);
    MPI_Type_free(&type);
}

/* A handle that comes again is another type; a duplicate has parts of its own. */
static void freed_types_are_forgotten(void **state)
{
    MPI_Datatype type, copy;

    (void)state;
    for (int i = 1; i < 100; i++) {
        MPI_Type_vector(i, 1, 2, MPI_INT, &type);
        assert_int_equal(taken_apart(type)->size, 4 * i);
        assert_ptr_equal(taken_apart(type), taken_apart(type));
        MPI_Type_dup(type, &copy);
        assert_ptr_not_equal(taken_apart(type), taken_apart(copy));
        MPI_Type_free(&type);
        assert_int_equal(taken_apart(copy)->size, 4 * i);
        MPI_Type_free(&copy);
    }
}

static void what_is_no_type_is_refused(void **state)
{
    const struct tmbm_type *type;

    (void)state;
    assert_int_equal(tmbm_type_get(MPI_DATATYPE_NULL, &type), MPI_ERR_TYPE);
    assert_int_equal(tmbm_type_get((MPI_Datatype)0, &type), MPI_ERR_TYPE);
    assert_int_equal(tmbm_type_get((MPI_Datatype)MPI_COMM_WORLD, &type), MPI_ERR_TYPE);
    assert_int_equal(tmbm_type_get((MPI_Datatype)0x4c000199, &type), MPI_ERR_TYPE);
    assert_int_equal(tmbm_type_get((MPI_Datatype)0x4c000907, &type), MPI_ERR_TYPE);
}

static void *thread_takes_apart(void *types)
{
    const struct tmbm_type *type;

    for (MPI_Datatype *next = types; *next != MPI_DATATYPE_NULL; next++)
        if (tmbm_type_get(*next, &type) != MPI_SUCCESS || type->size != 12)
            return types;
    return NULL;
}

static void threads_may_ask_at_once(void **state)
{
    MPI_Datatype types[65];
    pthread_t threads[THREADS];
    void *failed;

    (void)state;
    for (int i = 0; i < 64; i++)
        MPI_Type_vector(3, 1, 2 + i, MPI_INT, &types[i]);
    types[64] = MPI_DATATYPE_NULL;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread_takes_apart, types), 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    for (int i = 0; i < 64; i++)
        MPI_Type_free(&types[i]);
}

/* ---- against MPICH ---- */

static void fill(uint8_t *bytes, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)((i * 167 + seed) ^ i >> 8);
}

/* MPICH takes parts of no bytes for something that lies where they are. */
static unsigned loose_bounds;

static void measures_agree(MPI_Datatype handle, const struct tmbm_type *type)
{
    MPI_Count size, low, extent, true_low, true_extent;

    MPI_Type_size_c(handle, &size);
    MPI_Type_get_extent_c(handle, &low, &extent);
    MPI_Type_get_true_extent_c(handle, &true_low, &true_extent);
    assert_int_equal(type->size, size);
    assert_int_equal(type->extent, extent);
    if (size == 0)
        return;
    assert_true(type->low >= true_low && type->high <= true_low + true_extent);
    loose_bounds += type->low != true_low || type->high != true_low + true_extent;
}

/* Whether no byte is in the type twice: else the order of stores shows. All lie between
 * the bounds, and at both. */
static bool disjoint(const struct tmbm_type *type, uint64_t count)
{
    uint8_t *seen = calloc(1, 2 * REACH), *buffer = seen + REACH, *piece;
    struct tmbm_cursor cursor = tmbm_cursor_make(type, buffer, count);
    int64_t low = INT64_MAX, high = INT64_MIN, expected_low, expected_high;
    bool twice = false;

    while (tmbm_cursor_next(&cursor, 1, &piece) > 0) {
        twice |= (*piece)++ > 0;
        low = piece - buffer < low ? piece - buffer : low;
        high = piece - buffer >= high ? piece - buffer + 1 : high;
    }
    free(seen);
    assert_true(tmbm_type_bounds(type, count, &expected_low, &expected_high));
    if (low < high)
        assert_true(low == expected_low && high == expected_high);
    else
        assert_true(expected_low == 0 && expected_high == 0);
    return !twice;
}

struct buffers {
    uint8_t *typed, *other, *packed, *expected;
    size_t bytes; /* packed */
};

static void pieces_agree(struct random *random, const struct tmbm_type *type, int count,
                         const struct buffers *b)
{
    struct tmbm_cursor cursor = tmbm_cursor_make(type, b->typed + REACH, (uint64_t)count);
    uint64_t done = 0, bytes, most = (uint64_t)random_between(random, 1, 37);
    uint8_t *piece;

    while ((bytes = tmbm_cursor_next(&cursor, most, &piece)) > 0) {
        assert_true(bytes <= most && done + bytes <= b->bytes);
        assert_memory_equal(piece, b->expected + done, bytes);
        done += bytes;
        bytes = (uint64_t)random_between(random, 0, 50);
        tmbm_cursor_skip(&cursor, bytes);
        done += bytes < b->bytes - done ? bytes : b->bytes - done;
        most = (uint64_t)random_between(random, 1, 37);
    }
    assert_int_equal(done, b->bytes);
}

static void packing_agrees(struct random *random, MPI_Datatype handle,
                           const struct tmbm_type *type, int count, struct buffers *b)
{
    uint64_t skip, bytes;
    int position = 0;

    MPI_Pack(b->typed + REACH, count, handle, b->expected, (int)b->bytes, &position,
             comm);
    assert_int_equal(position, b->bytes);
    memset(b->packed, 0x5a, b->bytes + 8);
    for (skip = 0; skip < b->bytes; skip += bytes) {
        bytes = (uint64_t)random_between(random, 1, (int64_t)(b->bytes - skip));
        tmbm_type_pack(b->packed + skip, b->typed + REACH, type, (uint64_t)count, skip,
                       bytes);
    }
    assert_memory_equal(b->packed, b->expected, b->bytes);
    assert_int_equal(b->packed[b->bytes], 0x5a);
    pieces_agree(random, type, count, b);
}

static void unpacking_agrees(struct random *random, MPI_Datatype handle,
                             const struct tmbm_type *type, int count, struct buffers *b)
{
    uint64_t skip, bytes;
    int position = 0;

    fill(b->packed, b->bytes, 77);
    memset(b->typed, 0xa5, 2 * REACH);
    memset(b->other, 0xa5, 2 * REACH);
    MPI_Unpack(b->packed, (int)b->bytes, &position, b->other + REACH, count, handle,
               comm);
    for (skip = 0; skip < b->bytes; skip += bytes) {
        bytes = (uint64_t)random_between(random, 1, (int64_t)(b->bytes - skip));
        tmbm_type_unpack(b->typed + REACH, type, (uint64_t)count, skip, b->packed + skip,
                         bytes);
    }
    assert_memory_equal(b->typed, b->other, 2 * REACH);
}

/* From one layout to another of as many bytes, and packed from there. */
static void copying_agrees(struct random *random, const struct tmbm_type *type, int count,
                           struct buffers *b)
{
    static const int blocks[] = {1, 2, 3, 4, 8, 12, 16, 24};
    int block = blocks[random_between(random, 0, 7)];
    MPI_Datatype block_type, handle;
    const struct tmbm_type *to;
    uint64_t to_count;

    if (b->bytes % (size_t)block)
        block = 1;
    to_count = b->bytes / (size_t)block;
    MPI_Type_contiguous(block, MPI_BYTE, &block_type);
    MPI_Type_create_resized(block_type, 0, block + random_between(random, 0, 5), &handle);
    MPI_Type_free(&block_type);
    to = taken_apart(handle);
    tmbm_type_copy(b->other, to, to_count, b->typed + REACH, type, (uint64_t)count);
    for (uint64_t i = 0; i < b->bytes; i++)
        assert_int_equal(
            b->other[i / (uint64_t)block * (uint64_t)to->extent + i % (uint64_t)block],
            b->expected[i]);
    MPI_Type_free(&handle);
}

static void type_agrees(struct random *random, MPI_Datatype handle, struct buffers *b)
{
    const struct tmbm_type *type = taken_apart(handle);
    int count = (int)random_between(random, 0, COUNTS);

    measures_agree(handle, type);
    if (!type->committed)
        MPI_Type_commit(&handle);
    assert_true(taken_apart(handle)->committed);
    b->bytes = (size_t)type->size * (size_t)count;
    fill(b->typed, 2 * REACH, 1);
    packing_agrees(random, handle, type, count, b);
    copying_agrees(random, type, count, b);
    if (disjoint(type, (uint64_t)count))
        unpacking_agrees(random, handle, type, count, b);
}

static void buffers_make(struct buffers *b)
{
    b->typed = malloc(2 * REACH);
    b->other = malloc(2 * REACH);
    b->packed = malloc(REACH);
    b->expected = malloc(REACH);
    assert_true(b->typed && b->other && b->packed && b->expected);
}

static void buffers_free(struct buffers *b)
{
    free(b->typed);
    free(b->other);
    free(b->packed);
    free(b->expected);
}

static void types_of_any_shape(void **state)
{
    struct buffers b;
    MPI_Datatype type;

    (void)state;
    buffers_make(&b);
    for (unsigned seed = 0; seed < TYPES; seed++) {
        struct random random = {seed};

        type = random_type(&random, (int)random_between(&random, 0, 4));
        type_agrees(&random, type, &b);
        random_type_free(&type);
    }
    assert_true(loose_bounds < TYPES / 50);
    for (int i = MPI_COMBINER_NAMED; i <= MPI_COMBINER_HINDEXED_BLOCK; i++)
        if (i != MPI_COMBINER_HVECTOR_INTEGER && i != MPI_COMBINER_HINDEXED_INTEGER &&
            i != MPI_COMBINER_STRUCT_INTEGER) /* of MPI-1's functions, which are gone */
            assert_true(random_type_combiners[i] > 10);
    buffers_free(&b);
}

static void absolute_addresses(void **state)
{
    int a[4] = {1, 2, 3, 4}, b[2] = {5, 6}, packed[4] = {0};
    int lengths[] = {2, 2};
    MPI_Aint addresses[2];
    MPI_Datatype type;

    (void)state;
    MPI_Get_address(b, &addresses[0]);
    MPI_Get_address(&a[1], &addresses[1]);
    MPI_Type_create_hindexed(2, lengths, addresses, MPI_INT, &type);
    tmbm_type_pack(packed, MPI_BOTTOM, taken_apart(type), 1, 0, sizeof(packed));
    assert_true(packed[0] == 5 && packed[1] == 6 && packed[2] == 2 && packed[3] == 3);
    packed[0] = 9;
    tmbm_type_unpack(MPI_BOTTOM, taken_apart(type), 1, 0, packed, sizeof(int));
    assert_true(b[0] == 9 && b[1] == 6);
    MPI_Type_free(&type);
}

static void nothing_is_copied_of_nothing(void **state)
{
    const struct tmbm_type *type = taken_apart(MPI_INT);
    struct tmbm_cursor cursor = tmbm_cursor_make(type, NULL, 0);
    uint8_t *piece;

    (void)state;
    assert_int_equal(tmbm_cursor_next(&cursor, 10, &piece), 0);
    tmbm_cursor_skip(&cursor, 10);
    tmbm_type_copy(NULL, type, 0, NULL, type, 0);
    tmbm_type_pack(NULL, NULL, type, 0, 0, 0);
}

/* ---- */

static int start(void **state)
{
    (void)state;
    if (mpi_start(MPI_THREAD_MULTIPLE) != 0 ||
        MPI_Comm_dup(MPI_COMM_SELF, &comm) != MPI_SUCCESS)
        return -1;
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    return tmbm_types_open(comm) == MPI_SUCCESS ? 0 : -1;
}

/* A type that is never freed goes with the rest. */
static int stop(void **state)
{
    MPI_Datatype type;

    (void)state;
    MPI_Type_vector(3, 1, 2, MPI_INT, &type);
    taken_apart(type);
    tmbm_types_close();
    MPI_Type_free(&type);
    MPI_Comm_free(&comm);
    return MPI_Finalize() == MPI_SUCCESS ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predefined_types_are_one_run),
        cmocka_unit_test(regular_blocks_are_one_run),
        cmocka_unit_test(neighbours_are_one_block),
        cmocka_unit_test(one_element_or_mixed),
        cmocka_unit_test(bounds_hold_all_repetitions),
        cmocka_unit_test(committing_shows),
        cmocka_unit_test(freed_types_are_forgotten),
        cmocka_unit_test(what_is_no_type_is_refused),
        cmocka_unit_test(threads_may_ask_at_once),
        cmocka_unit_test(types_of_any_shape),
        cmocka_unit_test(absolute_addresses),
        cmocka_unit_test(nothing_is_copied_of_nothing),
    };

    if (mpi_watched_threads()) {
        puts("MPICH and what it is linked with crash under ThreadSanitizer");
        return 77;
    }
    return cmocka_run_group_tests(tests, start, stop);
}
