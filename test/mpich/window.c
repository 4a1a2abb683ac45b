/* SPDX-License-Identifier: BSD-3-Clause */
/* Windows: making and freeing them (MPI-3.1, section 11.2). */
#include "suite.h"

/* Each rank writes its number to the next one. */
static void hand_round(MPI_Win win, const int *mine)
{
    OK(MPI_Win_fence(0, win));
    OK(MPI_Put(&me, 1, MPI_INT, to, 0, 1, MPI_INT, win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, win));
    EQUAL(*mine, from);
}

static void case_create(void)
{
    static _Alignas(16) int words[2]; /* static memory */
    _Alignas(16) int stack[2] = {-1, -1};
    int *heap = memory_get(64);
    int *const parts[] = {words, stack, heap};
    MPI_Win win;

    for (int i = 0; i < 3; i++) {
        suite_note("memory %d", i);
        OK(MPI_Win_create(parts[i], 2 * sizeof(int), sizeof(int), MPI_INFO_NULL,
                          MPI_COMM_WORLD, &win));
        hand_round(win, parts[i]);
        OK(MPI_Win_free(&win));
        CHECK(win == MPI_WIN_NULL);
        EQUAL(parts[i][0], from); /* it is the user's memory, still */
    }
    free(heap);
}

static void allocate(MPI_Aint bytes)
{
    int *base;
    MPI_Win win;

    suite_note("%ld bytes", (long)bytes);
    OK(MPI_Win_allocate(bytes, 4, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
    EQUAL((uintptr_t)base % _Alignof(long double), 0);
    memset(base, 0x55, (size_t)bytes);
    hand_round(win, base);
    CHECK(all_are(base + 1, (size_t)bytes - 4, 0x55));
    OK(MPI_Win_free(&win));
}

static void case_allocate(void)
{
    const MPI_Aint sizes[] = {64, 128, 4096, 65536 + 64, 3 << 20};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        allocate(sizes[i]);
}

/* Memory for any type, and each byte of it, also where parts are of an odd size: with
 * UCX 1.13.1, MPICH 4.0.2 makes parts follow each other unaligned, and then accesses
 * others than those. */
static void case_allocate_odd(void)
{
    for (MPI_Aint bytes = 4; bytes < 70; bytes += 3)
        allocate(bytes);
}

/* Ranks whose part is empty, and a window with no part at all. */
static void case_empty_parts(void)
{
    int *base = NULL, value = -1;
    MPI_Win win;

    OK(MPI_Win_allocate(me ? 0 : 64, 4, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
    if (me == 0)
        base[0] = 77;
    window_meet(win);
    OK(MPI_Win_lock_all(0, win));
    OK(MPI_Get(&value, 1, MPI_INT, 0, 0, 1, MPI_INT, win));
    OK(MPI_Get(NULL, 0, MPI_INT, to, 0, 0, MPI_INT, win));
    OK(MPI_Win_unlock_all(win));
    EQUAL(value, 77);
    OK(MPI_Win_free(&win));

    OK(MPI_Win_create(NULL, 0, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &win));
    OK(MPI_Win_fence(0, win));
    OK(MPI_Put(NULL, 0, MPI_INT, to, 0, 0, MPI_INT, win));
    OK(MPI_Win_fence(0, win));
    OK(MPI_Win_free(&win));
}

/* Each rank's own size and displacement unit, by which its displacements count. */
static void case_units(void)
{
    const int units[] = {1, 8, 4, 24, 3};
    int mine = units[me % 5], its = units[to % 5], value = 1000 + me, got = 0;
    MPI_Aint bytes = 24 * 16 + me * 24;
    uint8_t *base;
    MPI_Win win;

    for (int i = 0; i < 2; i++) {
        if (i == 0)
            OK(MPI_Win_allocate(bytes, mine, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
        else
            OK(MPI_Win_create(base = memory_get((size_t)bytes), bytes, mine,
                              MPI_INFO_NULL, MPI_COMM_WORLD, &win));
        OK(MPI_Win_fence(0, win));
        OK(MPI_Put(&value, 1, MPI_INT, to, 5, 1, MPI_INT, win));
        OK(MPI_Win_fence(0, win));
        OK(MPI_Get(&got, 1, MPI_INT, to, 5, 1, MPI_INT, win));
        OK(MPI_Accumulate(&value, 1, MPI_INT, to, 24 * 8 / its, 1, MPI_INT, MPI_REPLACE,
                          win));
        OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, win));
        EQUAL(got, value);
        memcpy(&got, base + 5 * mine, sizeof(got));
        EQUAL(got, 1000 + from);
        memcpy(&got, base + 24 * 8, sizeof(got));
        EQUAL(got, 1000 + from);
        OK(MPI_Win_free(&win));
        if (i)
            free(base);
    }
}

/* Windows on the same memory, and on a part of it. They are locked independently. MPICH
 * 4.0.2 with UCX 1.13.1 takes the first one's base for all. */
static void case_overlapping(void)
{
    uint8_t *memory = memory_get(4096);
    MPI_Win whole, upper, again;
    int value = 40 + me, got = 0;

    OK(MPI_Win_create(memory, 4096, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &whole));
    OK(MPI_Win_create(memory + 2048, 2048, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &upper));
    OK(MPI_Win_create(memory, 4096, 4, MPI_INFO_NULL, MPI_COMM_WORLD, &again));
    OK(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, to, 0, whole));
    OK(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, to, 0, upper));
    OK(MPI_Put(&value, 1, MPI_INT, to, 8, 1, MPI_INT, upper));
    OK(MPI_Win_unlock(to, upper));
    OK(MPI_Get(&got, 1, MPI_INT, to, 2056, 1, MPI_INT, whole));
    OK(MPI_Win_unlock(to, whole));
    EQUAL(got, value);
    OK(MPI_Win_lock(MPI_LOCK_SHARED, to, 0, again));
    OK(MPI_Get(&got, 1, MPI_INT, to, 514, 1, MPI_INT, again));
    OK(MPI_Win_unlock(to, again));
    EQUAL(got, value);
    OK(MPI_Win_free(&whole));
    OK(MPI_Win_free(&again));
    OK(MPI_Win_free(&upper));
    free(memory);
}

/* A base of any alignment, with no byte beside the window touched. MPICH 4.0.2 with UCX
 * 1.13.1 accesses the base rounded down. */
static void case_unaligned_base(void)
{
    uint8_t *memory = memory_get(4096);
    const int bytes = 1000;
    uint8_t out[1000], in[1000];
    MPI_Win win;

    for (int shift = 1; shift < 16; shift += 2) {
        suite_note("base at 64 + %d", shift);
        memset(memory, 0xee, 4096);
        OK(MPI_Win_create(memory + 64 + shift, bytes, 1, MPI_INFO_NULL, MPI_COMM_WORLD,
                          &win));
        pattern_fill(out, sizeof(out), (unsigned)me);
        OK(MPI_Win_fence(0, win));
        OK(MPI_Put(out, bytes, MPI_BYTE, to, 0, bytes, MPI_BYTE, win));
        OK(MPI_Win_fence(0, win));
        OK(MPI_Get(in, bytes, MPI_BYTE, to, 0, bytes, MPI_BYTE, win));
        OK(MPI_Win_fence(0, win));
        CHECK(!memcmp(in, out, sizeof(in)));
        CHECK(pattern_is(memory + 64 + shift, (size_t)bytes, (unsigned)from));
        CHECK(all_are(memory, 64 + (size_t)shift, 0xee));
        CHECK(all_are(memory + 64 + shift + bytes, 1000, 0xee));
        OK(MPI_Win_free(&win));
    }
    free(memory);
}

#define MANY 100

/* Many windows alive, freed in another order than they were made. */
static void case_many_alive(void)
{
    static MPI_Win wins[MANY];
    int *bases[MANY], value, many = rounds(MANY);

    for (int i = 0; i < many; i++)
        OK(MPI_Win_allocate(256, 4, MPI_INFO_NULL, MPI_COMM_WORLD, &bases[i], &wins[i]));
    for (int i = 0; i < many; i++) {
        value = me * 1000 + i;
        OK(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, to, 0, wins[i]));
        OK(MPI_Put(&value, 1, MPI_INT, to, i % 64, 1, MPI_INT, wins[i]));
        OK(MPI_Win_unlock(to, wins[i]));
    }
    MPI_Barrier(MPI_COMM_WORLD);
    for (int i = 0; i < many; i++) {
        OK(MPI_Win_lock(MPI_LOCK_SHARED, me, 0, wins[i]));
        EQUAL(bases[i][i % 64], from * 1000 + i);
        OK(MPI_Win_unlock(me, wins[i]));
    }
    for (int i = 0; i < many; i++) /* 37 and many have no common factor */
        OK(MPI_Win_free(&wins[i * 37 % many]));
}

/* A Win_allocate, a lock_all for its life, some accesses, and a Win_free, again and
 * again: what Global Arrays does. */
static void case_thousand_lives(void)
{
    double value, *base;
    MPI_Win win;

    for (int i = 0; i < rounds(1000); i++) {
        OK(MPI_Win_allocate(8192, 8, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
        OK(MPI_Win_lock_all(MPI_MODE_NOCHECK, win));
        base[1] = -1;
        OK(MPI_Win_sync(win));
        MPI_Barrier(MPI_COMM_WORLD);
        value = i * 100 + me;
        OK(MPI_Accumulate(&value, 1, MPI_DOUBLE, to, 1, 1, MPI_DOUBLE, MPI_REPLACE, win));
        OK(MPI_Win_flush_all(win));
        MPI_Barrier(MPI_COMM_WORLD);
        OK(MPI_Get_accumulate(NULL, 0, MPI_DOUBLE, &value, 1, MPI_DOUBLE, me, 1, 1,
                              MPI_DOUBLE, MPI_NO_OP, win));
        OK(MPI_Win_flush_local_all(win));
        EQUAL(value, i * 100 + from);
        OK(MPI_Win_unlock_all(win));
        OK(MPI_Win_free(&win));
    }
}

/* Created windows, too, on the same memory again and again. */
static void case_create_lives(void)
{
    uint8_t *memory = memory_get(65536);
    MPI_Win win;

    for (int i = 0; i < rounds(200); i++) {
        OK(MPI_Win_create(memory + i % 7 * 64, 4096, 1, MPI_INFO_NULL, MPI_COMM_WORLD,
                          &win));
        hand_round(win, (int *)(memory + i % 7 * 64));
        OK(MPI_Win_free(&win));
    }
    free(memory);
}

/* Memory of MPI_Alloc_mem, used in part, by a window and without one. */
static void case_alloc_mem(void)
{
    uint8_t *memory[20], *none = NULL;
    MPI_Win win;

    for (size_t i = 0; i < 20; i++) {
        OK(MPI_Alloc_mem((MPI_Aint)(i * i * 400 + 64), MPI_INFO_NULL, &memory[i]));
        memset(memory[i], (int)i, i * i * 400 + 64);
    }
    for (size_t i = 0; i < 20; i++)
        CHECK(all_are(memory[i], i * i * 400 + 64, (uint8_t)i));
    OK(MPI_Win_create(memory[19] + 128, 4096, 4, MPI_INFO_NULL, MPI_COMM_WORLD, &win));
    hand_round(win, (int *)(memory[19] + 128));
    OK(MPI_Win_free(&win));
    CHECK(all_are(memory[19], 128, 19) && all_are(memory[19] + 132, 4000, 19));
    for (int i = 0; i < 20; i++)
        OK(MPI_Free_mem(memory[(i * 7) % 20]));
    OK(MPI_Alloc_mem(0, MPI_INFO_NULL, &none));
    if (none)
        OK(MPI_Free_mem(none));
}

/* MPI_Win_free waits until all have come: what others still put, has arrived. */
static void case_free_is_collective(void)
{
    int *base, out[256];
    MPI_Win win;

    for (int i = 0; i < 256; i++)
        out[i] = me + i;
    OK(MPI_Win_create(base = memory_get(sizeof(out)), sizeof(out), 4, MPI_INFO_NULL,
                      MPI_COMM_WORLD, &win));
    if (me == 0)
        compute(0.01);
    OK(MPI_Win_lock(MPI_LOCK_SHARED, to, 0, win));
    OK(MPI_Put(out, 256, MPI_INT, to, 0, 256, MPI_INT, win));
    OK(MPI_Win_unlock(to, win));
    OK(MPI_Win_free(&win));
    for (int i = 0; i < 256; i++)
        EQUAL(base[i], from + i);
    free(base);
}

const struct suite_case window_cases[] = {
    {"window: create on static, stack and heap memory", 1, case_create, ALWAYS},
    {"window: allocate", 1, case_allocate, ALWAYS},
    {"window: allocate odd sizes", 1, case_allocate_odd, MPICH_WRONG},
    {"window: empty parts", 1, case_empty_parts, ALWAYS},
    {"window: displacement units of each rank", 1, case_units, ALWAYS},
    {"window: overlapping windows", 1, case_overlapping, MPICH_WRONG},
    {"window: unaligned base", 1, case_unaligned_base, MPICH_WRONG},
    {"window: many alive", 1, case_many_alive, ALWAYS},
    {"window: a thousand lives", 1, case_thousand_lives, ALWAYS},
    {"window: created again and again", 1, case_create_lives, ALWAYS},
    {"window: alloc_mem", 1, case_alloc_mem, ALWAYS},
    {"window: free is collective", 1, case_free_is_collective, ALWAYS},
    {0}};
