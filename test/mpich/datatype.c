/* SPDX-License-Identifier: BSD-3-Clause */
/* Derived types that users have, each for what it is used for (MPI-3.1, section 4.1). */
#include "suite.h"

#include <stddef.h>

/* A column of a matrix into a row, and the other way round. */
static void column(struct window *w, enum synchronization synchronization)
{
    enum { N = 50 };
    static double row[N];
    double *matrix = (double *)(void *)w->base;
    MPI_Datatype type;

    for (int i = 0; i < N; i++)
        row[i] = me * 1000 + i;
    MPI_Type_vector(N, 1, N, MPI_DOUBLE, &type);
    MPI_Type_commit(&type);
    epoch_open(w, synchronization);
    OK(MPI_Put(row, N, MPI_DOUBLE, to, at(w, to, 3 * 8), 1, type, w->win));
    MPI_Type_free(&type); /* at once: the operation keeps what it needs */
    epoch_close(w, synchronization);
    for (int i = 0; i < N * N; i++)
        CHECK(matrix[i] == (i % N == 3 ? from * 1000 + i / N : 0));
}

static void case_column(void)
{
    each_epoch(50 * 50 * 8, column);
}

/* A subarray of a 3D field, as halo exchanges put it. */
static void block(struct window *w, enum synchronization synchronization)
{
    enum { N = 12 };
    static int field[N][N][N];
    int(*theirs)[N][N] = (int(*)[N][N])(void *)w->base;
    const int all[3] = {N, N, N}, part[3] = {4, 3, 5}, begin[3] = {1, 2, 6};
    const int end[3] = {7, 8, 0};
    MPI_Datatype source, target;

    for (int i = 0; i < N * N * N; i++)
        (&field[0][0][0])[i] = me * 10000 + i;
    MPI_Type_create_subarray(3, all, part, begin, MPI_ORDER_C, MPI_INT, &source);
    MPI_Type_create_subarray(3, all, part, end, MPI_ORDER_C, MPI_INT, &target);
    MPI_Type_commit(&source);
    MPI_Type_commit(&target);
    epoch_open(w, synchronization);
    OK(MPI_Put(field, 1, source, to, at(w, to, 0), 1, target, w->win));
    epoch_close(w, synchronization);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 5; k++)
                EQUAL(theirs[7 + i][8 + j][k],
                      field[1 + i][2 + j][6 + k] + (from - me) * 10000);
    EQUAL(theirs[0][0][0], 0);
    MPI_Type_free(&source);
    MPI_Type_free(&target);
}

static void case_block(void)
{
    each_epoch(12 * 12 * 12 * 4, block);
}

struct particle {
    char kind;
    double position[3];
    int charge;
    short tag;
};

static MPI_Datatype particle_type(void)
{
    const int lengths[] = {1, 3, 1, 1};
    const MPI_Aint places[] = {
        offsetof(struct particle, kind), offsetof(struct particle, position),
        offsetof(struct particle, charge), offsetof(struct particle, tag)};
    const MPI_Datatype types[] = {MPI_CHAR, MPI_DOUBLE, MPI_INT, MPI_SHORT};
    MPI_Datatype structure, type;

    MPI_Type_create_struct(4, lengths, places, types, &structure);
    MPI_Type_create_resized(structure, 0, sizeof(struct particle), &type);
    MPI_Type_free(&structure);
    MPI_Type_commit(&type);
    return type;
}

/* Arrays of structures: the data arrives, and the gaps between members stay. */
static void structures(struct window *w, enum synchronization synchronization)
{
    enum { N = 40 };
    static struct particle mine[N];
    const struct particle *got = (const struct particle *)(void *)w->base;
    MPI_Datatype type = particle_type();

    memset(mine, 0xff, sizeof(mine));
    memset(w->base, 0x5a, sizeof(mine));
    window_meet(w->win);
    for (int i = 0; i < N; i++)
        mine[i] = (struct particle){(char)('a' + me), {i, me, -i}, i * 3, (short)-i};
    epoch_open(w, synchronization);
    OK(MPI_Put(mine, N, type, to, at(w, to, 0), N, type, w->win));
    epoch_close(w, synchronization);
    for (int i = 0; i < N; i++) {
        CHECK(got[i].kind == 'a' + from && got[i].position[0] == i);
        CHECK(got[i].position[1] == from && got[i].position[2] == -i);
        CHECK(got[i].charge == i * 3 && got[i].tag == -i);
        CHECK(all_are(&got[i].kind + 1, 7, 0x5a));
    }
    MPI_Type_free(&type);
}

static void case_structures(void)
{
    each_epoch(40 * sizeof(struct particle), structures);
}

/* Blocks before the buffer's address: negative displacements and lower bounds. */
static void case_negative(void)
{
    const int lengths[] = {2, 1}, places[] = {-3, 2};
    int out[16], in[16], *words;
    MPI_Datatype type;
    struct window w;

    window_open(&w, HEAP, 64);
    words = (int *)(void *)w.base;
    MPI_Type_indexed(2, lengths, places, MPI_INT, &type);
    MPI_Type_commit(&type);
    for (int i = 0; i < 16; i++)
        out[i] = me * 100 + i;
    OK(MPI_Win_fence(0, w.win));
    OK(MPI_Put(out + 8, 1, type, to, 5 * 4, 1, type, w.win));
    OK(MPI_Win_fence(0, w.win));
    for (int i = 0; i < 16; i++)
        EQUAL(words[i], i == 2 || i == 3 || i == 7 ? from * 100 + i + 3 : 0);
    memset(in, 0, sizeof(in));
    OK(MPI_Get(in + 8, 1, type, to, 5 * 4, 1, type, w.win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, w.win));
    CHECK(in[5] == out[5] && in[6] == out[6] && in[10] == out[10] && in[7] == 0);
    MPI_Type_free(&type);
    window_close(&w);
}

/* Origin data at absolute addresses: scattered variables. */
static void case_bottom(void)
{
    static int one, three[3];
    int local = 11 + me, *heap = memory_get(64), *words;
    const int lengths[] = {1, 3, 1, 1};
    MPI_Aint places[4];
    MPI_Datatype type;
    struct window w;

    one = 22 + me;
    for (int i = 0; i < 3; i++)
        three[i] = 33 + i + me;
    heap[0] = 44 + me;
    MPI_Get_address(&local, &places[0]);
    MPI_Get_address(three, &places[1]);
    MPI_Get_address(&one, &places[2]);
    MPI_Get_address(heap, &places[3]);
    MPI_Type_create_hindexed(4, lengths, places, MPI_INT, &type);
    MPI_Type_commit(&type);
    window_open(&w, ALLOCATE, 64);
    words = (int *)(void *)w.base;
    OK(MPI_Win_fence(0, w.win));
    OK(MPI_Put(MPI_BOTTOM, 1, type, to, 0, 6, MPI_INT, w.win));
    OK(MPI_Win_fence(0, w.win));
    EQUAL(words[0], 11 + from);
    EQUAL(words[2], 34 + from);
    EQUAL(words[4], 22 + from);
    EQUAL(words[5], 44 + from);
    local = one = three[0] = heap[0] = 0;
    OK(MPI_Get(MPI_BOTTOM, 1, type, me, 0, 6, MPI_INT, w.win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, w.win));
    CHECK(local == 11 + from && three[0] == 33 + from && one == 22 + from);
    CHECK(heap[0] == 44 + from);
    MPI_Type_free(&type);
    window_close(&w);
    free(heap);
}

/* Pair types have gaps, which no transfer touches. */
static void case_pairs(void)
{
    struct {
        short a;
        int b;
    } out[4], *got;
    struct window w;

    window_open(&w, HEAP, sizeof(out));
    memset(w.base, 0x5a, sizeof(out));
    memset(out, 0xff, sizeof(out));
    for (int i = 0; i < 4; i++) {
        out[i].a = (short)(me + i);
        out[i].b = i;
    }
    window_meet(w.win);
    OK(MPI_Win_fence(0, w.win));
    OK(MPI_Put(out, 2, MPI_SHORT_INT, to, 0, 2, MPI_SHORT_INT, w.win));
    OK(MPI_Accumulate(out + 2, 2, MPI_SHORT_INT, to, 2 * sizeof(out[0]), 2, MPI_SHORT_INT,
                      MPI_REPLACE, w.win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, w.win));
    got = (void *)w.base;
    for (int i = 0; i < 4; i++) {
        CHECK(got[i].a == from + i && got[i].b == i);
        CHECK(all_are((uint8_t *)&got[i] + 2, 2, 0x5a));
    }
    window_close(&w);
}

/* The same data, cut in other ways on each side: bytes, ints of other blocks, nested. */
static void case_equal_signature(void)
{
    int out[24], *words;
    MPI_Datatype pairs, threes, nested;
    struct window w;

    window_open(&w, ALLOCATE, 400);
    words = (int *)(void *)w.base;
    for (int i = 0; i < 24; i++)
        out[i] = me * 100 + i;
    MPI_Type_vector(6, 2, 4, MPI_INT, &pairs); /* 0 1 4 5 8 9 .. */
    MPI_Type_vector(2, 3, 5, MPI_INT, &threes);
    MPI_Type_create_hvector(2, 1, 60, threes, &nested); /* 0 1 2 5 6 7 15 .. */
    MPI_Type_commit(&pairs);
    MPI_Type_commit(&nested);
    OK(MPI_Win_fence(0, w.win));
    OK(MPI_Put(out, 1, pairs, to, 8, 1, nested, w.win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, w.win));
    for (int i = 0; i < 12; i++) {
        int place = i / 6 * 15 + i % 6 / 3 * 5 + i % 3;

        EQUAL(words[2 + place], from * 100 + i / 2 * 4 + i % 2);
    }
    MPI_Type_free(&pairs);
    MPI_Type_free(&threes);
    MPI_Type_free(&nested);
    window_close(&w);
}

/* Sums into every other element, of a type made of one predefined type; by all ranks. */
static void case_accumulate(void)
{
    enum { N = 500 };
    static int64_t ones[N];
    const int64_t *sums;
    MPI_Datatype type;
    struct window w;

    for (int i = 0; i < N; i++)
        ones[i] = i;
    MPI_Type_vector(N, 1, 2, MPI_INT64_T, &type);
    MPI_Type_commit(&type);
    window_open(&w, ALLOCATE, 2 * N * 8);
    sums = (const int64_t *)(void *)w.base;
    OK(MPI_Win_fence(0, w.win));
    for (int i = 0; i < ranks; i++)
        OK(MPI_Accumulate(ones, N, MPI_INT64_T, i, 0, 1, type, MPI_SUM, w.win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, w.win));
    for (int i = 0; i < N; i++)
        CHECK(sums[2 * i] == i * ranks && sums[2 * i + 1] == 0);
    MPI_Type_free(&type);
    window_close(&w);
}

/* Many types come and go; a handle's next type is another. */
static void case_reused_handles(void)
{
    int value[8], *words;
    MPI_Datatype type;
    struct window w;

    window_open(&w, ALLOCATE, 4096);
    words = (int *)(void *)w.base;
    OK(MPI_Win_fence(0, w.win));
    for (int i = 1; i <= rounds(100); i++) {
        for (int k = 0; k < 8; k++)
            value[k] = i * 10 + k;
        MPI_Type_vector(8, 1, i, MPI_INT, &type);
        MPI_Type_commit(&type);
        OK(MPI_Put(value, 8, MPI_INT, to, 0, 1, type, w.win));
        MPI_Type_free(&type);
        OK(MPI_Win_fence(0, w.win));
        for (int k = 0; k < 8; k++)
            EQUAL(words[k * i], i * 10 + k);
        OK(MPI_Win_fence(0, w.win));
    }
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, w.win));
    window_close(&w);
}

/* Types of no data; of many tiny blocks; and of a large extent. */
static void case_odd_sizes(void)
{
    enum { N = 20000 };
    uint8_t *out = memory_get(N);
    MPI_Datatype none, bytes, far;
    const int far_places[] = {0, 900000};
    struct window w;

    window_open(&w, HEAP, 1 << 20);
    MPI_Type_contiguous(0, MPI_INT, &none);
    MPI_Type_vector(N, 1, 3, MPI_BYTE, &bytes);
    MPI_Type_create_indexed_block(2, 1, far_places, MPI_BYTE, &far);
    MPI_Type_commit(&none);
    MPI_Type_commit(&bytes);
    MPI_Type_commit(&far);
    pattern_fill(out, N, (unsigned)me);
    OK(MPI_Win_fence(0, w.win));
    OK(MPI_Put(out, 3, none, to, 0, 5, none, w.win));
    OK(MPI_Put(out, N, MPI_BYTE, to, 1, 1, bytes, w.win));
    OK(MPI_Put(out + 100, 2, MPI_BYTE, to, 100000, 1, far, w.win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, w.win));
    pattern_fill(out, N, (unsigned)from);
    CHECK(w.base[100000] == out[100] && w.base[1000000] == out[101]);
    for (int i = 0; i < N; i++)
        CHECK(w.base[1 + 3 * i] == out[i] && w.base[2 + 3 * i] == 0);
    MPI_Type_free(&none);
    MPI_Type_free(&bytes);
    MPI_Type_free(&far);
    window_close(&w);
    free(out);
}

/* Distributed arrays, and what Fortran makes of parameters. */
static void case_darray_and_f90(void)
{
    const int all[] = {8, 8}, how[] = {MPI_DISTRIBUTE_CYCLIC, MPI_DISTRIBUTE_BLOCK};
    const int blocks[] = {MPI_DISTRIBUTE_DFLT_DARG, MPI_DISTRIBUTE_DFLT_DARG};
    const int grid[] = {2, 1};
    int out[32], *words;
    double real = 0.25 + me;
    MPI_Datatype type, f90;
    struct window w;

    window_open(&w, ALLOCATE, 8 * 8 * 4 + 8);
    words = (int *)(void *)w.base;
    MPI_Type_create_darray(2, 1, 2, all, how, blocks, grid, MPI_ORDER_C, MPI_INT, &type);
    MPI_Type_create_f90_real(15, MPI_UNDEFINED, &f90);
    MPI_Type_commit(&type);
    for (int i = 0; i < 32; i++)
        out[i] = me * 100 + i + 1;
    OK(MPI_Win_fence(0, w.win));
    OK(MPI_Put(out, 32, MPI_INT, to, 0, 1, type, w.win));
    OK(MPI_Put(&real, 1, f90, to, 256, 1, f90, w.win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, w.win));
    for (int i = 0; i < 64; i++) /* every second row, from the second on */
        EQUAL(words[i], i / 8 % 2 ? from * 100 + i / 16 * 8 + i % 8 + 1 : 0);
    CHECK(*(double *)(void *)(w.base + 256) == 0.25 + from);
    MPI_Type_free(&type);
    window_close(&w);
}

const struct suite_case datatype_cases[] = {
    {"datatype: a matrix's column", 1, case_column, ALWAYS},
    {"datatype: subarrays", 1, case_block, ALWAYS},
    {"datatype: structures", 1, case_structures, ALWAYS},
    {"datatype: negative displacements", 1, case_negative, ALWAYS},
    {"datatype: MPI_BOTTOM", 1, case_bottom, ALWAYS},
    {"datatype: pairs and their gaps", 1, case_pairs, ALWAYS},
    {"datatype: other types of equal signature", 1, case_equal_signature, ALWAYS},
    {"datatype: accumulate to a vector", 1, case_accumulate, ALWAYS},
    {"datatype: reused handles", 1, case_reused_handles, ALWAYS},
    {"datatype: odd sizes", 1, case_odd_sizes, ALWAYS},
    {"datatype: distributed arrays, Fortran's parameters", 1, case_darray_and_f90,
     ALWAYS},
    {0}};
