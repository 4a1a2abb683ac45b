/* SPDX-License-Identifier: BSD-3-Clause */
/* Put and get (MPI-3.1, sections 11.3.1 and 11.3.2). */
#include "suite.h"

static const int sizes[] = {0,  1,  2,   3,   7,    8,    9,    15,    16,
                            31, 64, 100, 255, 1024, 4095, 8192, 65536, 100001};
#define SIZES  ((int)(sizeof(sizes) / sizeof(sizes[0])))
#define LARGE  100001
#define MARGIN 32 /* that stays as it is, before and behind each */
#define ALL    (200000 + 2 * MARGIN * 18)

static uint8_t out[ALL], in[ALL];

/* Where each size's data lies, unaligned in all ways; how far all of it goes. */
static int place_of(int number)
{
    int place = MARGIN;

    for (int i = 0; i < number; i++)
        place += sizes[i] + MARGIN + i % 9;
    return place;
}

/* All sizes have been copied, with that seed, and nothing else has changed. */
static bool sizes_are(const uint8_t *memory, unsigned seed, uint8_t margin)
{
    bool good = all_are(memory, MARGIN, margin);
    int place;

    for (int i = 0; i < SIZES; i++) {
        place = place_of(i);
        good &= pattern_is(memory + place, (size_t)sizes[i], seed + (unsigned)i);
        good &= all_are(memory + place + sizes[i], MARGIN, margin);
    }
    return good;
}

static void sizes_fill(uint8_t *memory, unsigned seed)
{
    for (int i = 0; i < SIZES; i++)
        pattern_fill(memory + place_of(i), (size_t)sizes[i], seed + (unsigned)i);
}

static void put_sizes(struct window *w, enum synchronization synchronization)
{
    memset(w->base, 0xaa, ALL);
    sizes_fill(out, (unsigned)me);
    window_meet(w->win);
    epoch_open(w, synchronization);
    for (int i = 0; i < SIZES; i++)
        OK(MPI_Put(out + place_of(i), sizes[i], MPI_BYTE, to, at(w, to, place_of(i)),
                   sizes[i], MPI_BYTE, w->win));
    epoch_close(w, synchronization);
    CHECK(sizes_are(w->base, (unsigned)from, 0xaa));
}

static void case_put(void)
{
    each_epoch(ALL, put_sizes);
}

static void get_sizes(struct window *w, enum synchronization synchronization)
{
    sizes_fill(w->base, (unsigned)me);
    memset(in, 0xbb, ALL);
    window_meet(w->win);
    epoch_open(w, synchronization);
    for (int i = 0; i < SIZES; i++)
        OK(MPI_Get(in + place_of(i), sizes[i], MPI_BYTE, to, at(w, to, place_of(i)),
                   sizes[i], MPI_BYTE, w->win));
    epoch_close(w, synchronization);
    CHECK(sizes_are(in, (unsigned)to, 0xbb));
}

static void case_get(void)
{
    each_epoch(ALL, get_sizes);
}

/* Many operations in one epoch, in both directions, at places of their own. */
static void many_in_one_epoch(struct window *w, enum synchronization synchronization)
{
    enum { PIECES = 200, PIECE = 64 };
    static uint8_t pieces[PIECES][PIECE];

    pattern_fill(w->base + PIECES * PIECE, PIECES * PIECE, (unsigned)me + 7);
    pattern_fill(out, PIECES * PIECE, (unsigned)me);
    window_meet(w->win);
    epoch_open(w, synchronization);
    for (int i = 0; i < PIECES; i++) {
        OK(MPI_Put(out + i * PIECE, PIECE, MPI_BYTE, to, at(w, to, i * PIECE), PIECE,
                   MPI_BYTE, w->win));
        OK(MPI_Get(pieces[i], PIECE, MPI_BYTE, to, at(w, to, (PIECES + i) * PIECE), PIECE,
                   MPI_BYTE, w->win));
    }
    epoch_close(w, synchronization);
    CHECK(pattern_is(w->base, PIECES * PIECE, (unsigned)from));
    CHECK(pattern_is(pieces, PIECES * PIECE, (unsigned)to + 7));
}

static void case_many_in_one_epoch(void)
{
    each_epoch(200 * 64 * 2, many_in_one_epoch);
}

/* What a rank reads and writes at random in its own stripe of others' memory is what it
 * wrote there. */
static void random_accesses(struct window *w)
{
    enum { STRIPE = 4096 };
    static uint8_t shadow[RANKS_MAX][STRIPE];
    uint64_t state = (uint64_t)me * 1234567 + 89;
    int target, start, bytes;

    memset(shadow, 0, sizeof(shadow));
    OK(MPI_Win_lock_all(0, w->win));
    for (int i = 0; i < rounds(600); i++) {
        target = (int)(suite_random(&state) % (unsigned)ranks);
        start = (int)(suite_random(&state) % STRIPE);
        bytes = (int)(suite_random(&state) % (unsigned)(STRIPE - start));
        if (suite_random(&state) % 2) {
            pattern_fill(shadow[target] + start, (size_t)bytes, (unsigned)i);
            OK(MPI_Put(shadow[target] + start, bytes, MPI_BYTE, target,
                       at(w, target, me * STRIPE + start), bytes, MPI_BYTE, w->win));
            OK(MPI_Win_flush(target, w->win));
        } else {
            OK(MPI_Get(in, bytes, MPI_BYTE, target, at(w, target, me * STRIPE + start),
                       bytes, MPI_BYTE, w->win));
            OK(MPI_Win_flush(target, w->win));
            CHECK(!memcmp(in, shadow[target] + start, (size_t)bytes));
        }
    }
    OK(MPI_Win_unlock_all(w->win));
}

static void case_random(void)
{
    each_memory(4096 * ranks, random_accesses);
}

/* To and from oneself, of the window's own memory, too. */
static void own_memory(struct window *w)
{
    pattern_fill(w->base, 1000, 5);
    window_meet(w->win);
    OK(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, me, 0, w->win));
    OK(MPI_Put(w->base, 1000, MPI_BYTE, me, at(w, me, 2000), 1000, MPI_BYTE, w->win));
    OK(MPI_Win_flush(me, w->win));
    CHECK(pattern_is(w->base + 2000, 1000, 5));
    OK(MPI_Get(w->base + 4000, 1000, MPI_BYTE, me, at(w, me, 2000), 1000, MPI_BYTE,
               w->win));
    OK(MPI_Win_unlock(me, w->win));
    CHECK(pattern_is(w->base + 4000, 1000, 5));
}

static void case_own_memory(void)
{
    each_memory(8192, own_memory);
}

/* Origin buffers that lie in windows: what was got is handed on. */
static void window_to_window(struct window *w)
{
    pattern_fill(w->base, 4096, (unsigned)me);
    window_meet(w->win);
    OK(MPI_Win_lock_all(0, w->win));
    OK(MPI_Get(w->base + 4096, 4096, MPI_BYTE, to, at(w, to, 0), 4096, MPI_BYTE, w->win));
    OK(MPI_Win_flush(to, w->win));
    OK(MPI_Put(w->base + 4096, 4096, MPI_BYTE, to, at(w, to, 8192), 4096, MPI_BYTE,
               w->win));
    OK(MPI_Win_unlock_all(w->win));
    window_meet(w->win);
    CHECK(pattern_is(w->base + 4096, 4096, (unsigned)to));
    CHECK(pattern_is(w->base + 8192, 4096, (unsigned)me));
}

static void case_window_to_window(void)
{
    each_memory(3 * 4096, window_to_window);
}

/* Large transfers, all ranks to all. */
static void large(struct window *w)
{
    int part = (int)(STATIC_BYTES / ranks);
    uint8_t *data = memory_get((size_t)part);

    pattern_fill(data, (size_t)part, (unsigned)me);
    OK(MPI_Win_fence(0, w->win));
    for (int i = 0; i < ranks; i++)
        OK(MPI_Put(data, part, MPI_BYTE, i, at(w, i, (MPI_Aint)me * part), part, MPI_BYTE,
                   w->win));
    OK(MPI_Win_fence(0, w->win));
    for (int i = 0; i < ranks; i++)
        CHECK(pattern_is(w->base + (MPI_Aint)i * part, (size_t)part, (unsigned)i));
    memset(data, 0, (size_t)part);
    OK(MPI_Get(data, part, MPI_BYTE, to, at(w, to, (MPI_Aint)from * part), part, MPI_BYTE,
               w->win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, w->win));
    CHECK(pattern_is(data, (size_t)part, (unsigned)from));
    free(data);
}

static void case_large(void)
{
    each_memory(STATIC_BYTES, large);
}

/* MPI_PROC_NULL takes part in everything, and nothing happens. */
static void no_process(struct window *w, enum synchronization synchronization)
{
    const int none = MPI_PROC_NULL;
    int32_t value = 7, old = 8, wanted = 0;

    epoch_open(w, synchronization);
    OK(MPI_Put(&value, 1, MPI_INT, none, 0, 1, MPI_INT, w->win));
    OK(MPI_Get(&value, 1, MPI_INT, none, 1 << 30, 1, MPI_INT, w->win));
    OK(MPI_Accumulate(&value, 1, MPI_INT, none, 1 << 20, 1, MPI_INT, MPI_SUM, w->win));
    OK(MPI_Get_accumulate(&value, 1, MPI_INT, &old, 1, MPI_INT, none, 0, 1, MPI_INT,
                          MPI_SUM, w->win));
    OK(MPI_Fetch_and_op(&value, &old, MPI_INT, none, 0, MPI_SUM, w->win));
    OK(MPI_Compare_and_swap(&value, &wanted, &old, MPI_INT, none, 0, w->win));
    epoch_close(w, synchronization);
    EQUAL(value, 7);
    EQUAL(old, 8);
    CHECK(all_are(w->base, 64, 0));
}

static void case_no_process(void)
{
    each_epoch(64, no_process);
}

static void lock_nobody(struct window *w)
{
    OK(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, MPI_PROC_NULL, 0, w->win));
    OK(MPI_Put(w->base, 1, MPI_INT, MPI_PROC_NULL, 0, 1, MPI_INT, w->win));
    OK(MPI_Win_flush(MPI_PROC_NULL, w->win));
    OK(MPI_Win_flush_local(MPI_PROC_NULL, w->win));
    OK(MPI_Win_unlock(MPI_PROC_NULL, w->win));
}

static void case_lock_nobody(void)
{
    each_memory(64, lock_nobody);
}

/* Zero counts are allowed, with no buffer. */
static void nothing(struct window *w, enum synchronization synchronization)
{
    MPI_Aint there = at(w, to, 0);

    epoch_open(w, synchronization);
    OK(MPI_Put(NULL, 0, MPI_INT, to, there, 0, MPI_INT, w->win));
    OK(MPI_Get(NULL, 0, MPI_DOUBLE, to, there, 0, MPI_DOUBLE, w->win));
    OK(MPI_Accumulate(NULL, 0, MPI_INT, to, there, 0, MPI_INT, MPI_SUM, w->win));
    OK(MPI_Get_accumulate(NULL, 0, MPI_INT, NULL, 0, MPI_INT, to, there, 0, MPI_INT,
                          MPI_SUM, w->win));
    epoch_close(w, synchronization);
    CHECK(all_are(w->base, 64, 0));
}

static void case_nothing(void)
{
    each_epoch(64, nothing);
}

const struct suite_case communication_cases[] = {
    {"communication: put, all sizes, memories, epochs", 1, case_put, ALWAYS},
    {"communication: get, all sizes, memories, epochs", 1, case_get, ALWAYS},
    {"communication: many in one epoch", 1, case_many_in_one_epoch, ALWAYS},
    {"communication: random accesses", 1, case_random, ALWAYS},
    {"communication: own memory", 1, case_own_memory, ALWAYS},
    {"communication: from window to window", 1, case_window_to_window, ALWAYS},
    {"communication: large, all to all", 1, case_large, ALWAYS},
    {"communication: MPI_PROC_NULL", 1, case_no_process, ALWAYS},
    {"communication: locking MPI_PROC_NULL", 1, case_lock_nobody, ALWAYS},
    {"communication: zero counts", 1, case_nothing, ALWAYS},
    {0}};
