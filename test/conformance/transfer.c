/* SPDX-License-Identifier: BSD-3-Clause */
/* Put and get: sizes, alignments, routes, vectors. */
#include <stdio.h>
#include <time.h>

#include "suite.h"

#define PART (5u << 20)

static void pattern_fill(uint8_t *bytes, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)(seed + i * 7 + i / 251);
}

static bool pattern_is(const uint8_t *bytes, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != (uint8_t)(seed + i * 7 + i / 251))
            return false;
    return true;
}

static uint8_t *buffer(void)
{
    static uint8_t *bytes;

    if (!bytes)
        bytes = malloc(2 * PART);
    return bytes;
}

/* Put to the right neighbour, check there, get back, check; and nothing beside it. */
static void roundtrip(struct window *w, uint64_t offset, size_t bytes, size_t skew)
{
    int right = (me + 1) % ranks;
    uint8_t *out = buffer() + skew, *back = buffer() + PART + skew / 2;
    uint8_t guard;

    pattern_fill(out, bytes, offset + bytes);
    OK(tmb_put(w->win, right, offset, out, bytes));
    OK(tmb_flush(w->win, right));
    memset(back, 0, bytes);
    OK(tmb_get(w->win, right, offset, back, bytes));
    CHECK(pattern_is(back, bytes, offset + bytes));
    OK(tmb_get(w->win, right, offset + bytes, &guard, 1));
    CHECK(guard == 0);
    memset(out, 0, bytes);
    OK(tmb_put(w->win, right, offset, out, bytes));
    OK(tmb_flush(w->win, right));
}

static void sizes_on(enum memory memory)
{
    struct window w;

    window_open(&w, memory, PART);
    for (size_t bytes = 0; bytes <= 200; bytes++)
        roundtrip(&w, bytes % 13, bytes, bytes % 11);
    for (size_t bytes = 256; bytes <= 4u << 20; bytes *= 2)
        for (size_t d = 0; d < 3; d++)
            roundtrip(&w, bytes % 3 + d, bytes + d - 1, d * 3);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

static void case_sizes_alloc(void)
{
    sizes_on(MEMORY_ALLOC);
}

static void case_sizes_heap(void)
{
    sizes_on(MEMORY_HEAP);
}

static void case_sizes_static(void)
{
    sizes_on(MEMORY_STATIC);
}

static void case_sizes_block(void)
{
    sizes_on(MEMORY_BLOCK);
}

static void case_sizes_adopted(void)
{
    sizes_on(MEMORY_ADOPTED_HEAP);
    sizes_on(MEMORY_ADOPTED_STATIC);
}

static void case_alignments(void)
{
    struct window w;

    window_open(&w, MEMORY_ALLOC, 8192);
    for (size_t to = 0; to < 64; to += 3)
        for (size_t from = 0; from < 64; from += 5)
            roundtrip(&w, to, 777, from);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

/* The stack of a rank that waits in a barrier is written and read by all others. */
static void case_stack(void)
{
    uint64_t words[64] = {0}, value = (uint64_t)me + 100;
    tmb_win *win;

    OK(tmb_win_create(TMB_TEAM_WORLD, words, sizeof(words), 0, &win));
    for (int i = 0; i < ranks; i++)
        OK(tmb_put(win, i, (uint64_t)me * 8, &value, 8));
    OK(tmb_flush_all(win));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    for (int i = 0; i < ranks; i++)
        CHECK(words[i] == (uint64_t)i + 100);
    OK(tmb_win_free(win));
}

static void all_to_all_on(enum memory memory)
{
    struct window w;
    uint32_t block[256];

    window_open(&w, memory, sizeof(block) * (size_t)ranks);
    for (int i = 0; i < ranks; i++) {
        for (uint32_t k = 0; k < 256; k++)
            block[k] = (uint32_t)(me * 1000000 + i * 1000) + k;
        OK(tmb_put(w.win, i, (uint64_t)me * sizeof(block), block, sizeof(block)));
    }
    OK(tmb_flush_all(w.win));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    for (int i = 0; i < ranks; i++) {
        memcpy(block, w.mine + (size_t)i * sizeof(block), sizeof(block));
        for (uint32_t k = 0; k < 256; k++)
            if (!CHECK(block[k] == (uint32_t)(i * 1000000 + me * 1000) + k))
                break;
    }
    window_close(&w);
}

static void case_all_to_all(void)
{
    for (int memory = 0; memory < MEMORY_KINDS; memory++)
        all_to_all_on((enum memory)memory);
}

static void case_nonblocking(void)
{
    struct window w;
    uint64_t out = 7 + (uint64_t)me, back = 0;
    int right = (me + 1) % ranks, done = 0;
    tmb_op *op = (tmb_op *)(void *)&out;

    window_open(&w, MEMORY_HEAP, 64);
    OK(tmb_put_nb(w.win, right, 0, &out, 8, &op));
    OK(tmb_op_wait(&op, TMB_FOREVER));
    CHECK(op == NULL);
    OK(tmb_flush(w.win, right));
    OK(tmb_get_nb(w.win, right, 0, &back, 8, &op));
    while (!done)
        OK(tmb_op_test(&op, &done));
    CHECK(op == NULL && back == out);
    OK(tmb_op_test(&op, &done));
    CHECK(done == 1);
    OK(tmb_put_nb(w.win, right, 8, &out, 8, NULL));
    OK(tmb_flush_local(w.win, right));
    EXPECT(tmb_op_wait(NULL, 0), -EFAULT);
    EXPECT(tmb_put_nb(w.win, right, 60, &out, 8, &op), -ERANGE);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

/* More gets under way than any provider has at a time, of all sizes, among puts; either
 * kind of flush ends them. */
static void gets_begun_on(enum memory memory)
{
    enum { GETS = 700, PIECE = 3000, LARGE = 100000 };
    int right = (me + 1) % ranks;
    uint8_t *out = buffer(), *back = out + PART;
    struct window w;

    window_open(&w, memory, GETS * PIECE);
    pattern_fill(out, GETS * PIECE, (uint64_t)me);
    OK(tmb_put(w.win, right, 0, out, GETS * PIECE));
    for (int round = 0; round < 3; round++) {
        memset(back, 0xee, GETS * PIECE);
        for (size_t i = 0; i < GETS; i++) {
            size_t bytes = (i * 37 + (size_t)round) % PIECE, at = i * PIECE;

            OK(tmb_get_nb(w.win, right, at, back + at, bytes, NULL));
            if (i % 50 == 0)
                OK(tmb_put(w.win, right, at, out + at, PIECE));
        }
        OK(round % 2 ? tmb_flush(w.win, right) : tmb_flush_local(w.win, right));
        for (size_t i = 0; i < GETS; i++) {
            size_t bytes = (i * 37 + (size_t)round) % PIECE, at = i * PIECE;

            CHECK(!memcmp(back + at, out + at, bytes) && back[at + bytes] == 0xee);
        }
    }
    for (size_t at = 0; at < 10ul * LARGE; at += LARGE)
        OK(tmb_get_nb(w.win, right, at, back + at, LARGE, NULL));
    OK(tmb_flush_all(w.win));
    CHECK(!memcmp(back, out, 10ul * LARGE));
    EXPECT(tmb_get_nb(w.win, right, GETS * PIECE, back, 1, NULL), -ERANGE);
    EXPECT(tmb_get_nb(w.win, right, 0, NULL, 1, NULL), -EFAULT);
    OK(tmb_get_nb(w.win, right, GETS * PIECE, NULL, 0, NULL));
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

static void case_gets_begun(void)
{
    for (int memory = 0; memory < MEMORY_KINDS; memory++)
        gets_begun_on((enum memory)memory);
}

static void vectored_on(enum memory memory)
{
    enum { PIECES = 37 };
    static uint8_t out[PIECES][64], back[PIECES][64];
    struct tmb_iov put[PIECES], get[PIECES];
    int right = (me + 1) % ranks;
    struct window w;

    window_open(&w, memory, PIECES * 100);
    for (size_t i = 0; i < PIECES; i++) {
        size_t bytes = i % 7 == 0 ? 0 : i + 1;

        pattern_fill(out[i], 64, i * 3);
        put[i] = (struct tmb_iov){bytes ? out[i] : NULL, (PIECES - 1 - i) * 100, bytes};
        get[i] = (struct tmb_iov){bytes ? back[i] : NULL, (PIECES - 1 - i) * 100, bytes};
    }
    OK(tmb_putv(w.win, right, put, PIECES));
    OK(tmb_flush(w.win, right));
    OK(tmb_getv(w.win, right, get, PIECES));
    for (size_t i = 0; i < PIECES; i++)
        CHECK(pattern_is(back[i], get[i].bytes, i * 3));
    OK(tmb_putv(w.win, right, NULL, 0));
    EXPECT(tmb_putv(w.win, right, NULL, 1), -EFAULT);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

static void case_vectored(void)
{
    for (int memory = 0; memory < MEMORY_KINDS; memory++)
        vectored_on((enum memory)memory);
}

/* One bad piece, the last, and nothing is moved. */
static void case_vectored_checks_first(void)
{
    uint8_t ones[8];
    struct tmb_iov iov[2] = {{ones, 0, 8}, {ones, 60, 8}};
    struct window w;

    memset(ones, 0xff, 8);
    window_open(&w, MEMORY_ALLOC, 64);
    EXPECT(tmb_putv(w.win, me, iov, 2), -ERANGE);
    CHECK(w.mine[0] == 0);
    iov[1] = (struct tmb_iov){NULL, 8, 8};
    EXPECT(tmb_putv(w.win, me, iov, 2), -EFAULT);
    CHECK(w.mine[0] == 0);
    window_close(&w);
}

/* Words that are put while others read them are old or new, never mixed. */
static void case_not_torn(void)
{
    volatile uint64_t *word;
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    word = (volatile uint64_t *)(void *)w.mine;
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t value = i % 2 ? UINT64_MAX : 0, seen;

        OK(tmb_put(w.win, (me + 1) % ranks, 0, &value, 8));
        seen = *word;
        if (!CHECK(seen == 0 || seen == UINT64_MAX))
            break;
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

/* Put, fence, put: whoever sees the second sees the first. */
static void case_fence_orders(void)
{
    struct window w;
    int right = (me + 1) % ranks;

    window_open(&w, MEMORY_ALLOC, 128);
    for (uint64_t i = 1; i <= 5000; i++) {
        uint64_t flag, data;

        OK(tmb_put(w.win, right, 64, &i, 8));
        OK(tmb_fence(w.win));
        OK(tmb_put(w.win, right, 0, &i, 8));
        OK(tmb_fetch_u64(w.win, me, 0, &flag));
        OK(tmb_get(w.win, me, 64, &data, 8));
        CHECK(data >= flag);
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

/* Of two puts to one place the later one stays, however either of them travels; and a get
 * sees both, and a signal comes after them. */
static void case_order(void)
{
    static const size_t sizes[] = {8, 3000, 40000, 300000, 2000000};
    int count = sizeof(sizes) / sizeof(sizes[0]), right = (me + 1) % ranks;
    uint8_t *first = buffer(), *second = buffer() + PART;
    struct window w;

    window_open(&w, MEMORY_ALLOC, PART);
    for (int i = 0; i < count * count; i++) {
        size_t before = sizes[i / count], after = sizes[i % count];

        pattern_fill(first, before, (uint64_t)i);
        pattern_fill(second, after, (uint64_t)i + 77);
        OK(tmb_put(w.win, right, 64, first, before));
        OK(tmb_put_signal(w.win, right, 64, second, after, 0, TMB_SIGNAL_SET,
                          (uint64_t)i + 1));
        memset(first, 0, before);
        OK(tmb_get(w.win, right, 64, first, after));
        CHECK(pattern_is(first, after, (uint64_t)i + 77));
        OK(tmb_wait(w.win, 0, TMB_GE, (uint64_t)i + 1, TMB_FOREVER, NULL));
        CHECK(pattern_is(w.mine + 64, after, (uint64_t)i + 77));
        OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    }
    window_close(&w);
}

/* A rank that computes, and calls nothing, is served all along; also if it has just asked
 * one of the others for a lot, by a link that it looked after itself. */
static void case_passive(void)
{
    int64_t start, end;
    uint64_t value = 7, got = 0;
    struct window w;

    window_open(&w, MEMORY_HEAP, 64);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    start = suite_clock();
    end = start + 1000000000;
    if (me == 1)
        while (suite_clock() < start + 5000000)
            OK(tmb_fetch_add_u64(w.win, 0, 16, 1, NULL));
    else
        nanosleep(&(struct timespec){.tv_nsec = 6000000}, NULL);
    if (me == 1) {
        while (suite_clock() < end)
            ;
        CHECK(*(volatile uint64_t *)w.mine == value);
        CHECK(*(volatile uint64_t *)(w.mine + 8) == (uint64_t)ranks - 1);
    } else {
        OK(tmb_lock(w.win, 1, TMB_LOCK_EXCLUSIVE, TMB_FOREVER));
        OK(tmb_put(w.win, 1, 0, &value, 8));
        OK(tmb_unlock(w.win, 1));
        OK(tmb_get(w.win, 1, 0, &got, 8));
        OK(tmb_fetch_add_u64(w.win, 1, 8, 1, NULL));
        CHECK(got == value && suite_clock() < end);
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
    window_close(&w);
}

const struct suite_case transfer_cases[] = {
    {"transfer/sizes_alloc", 1, case_sizes_alloc},
    {"transfer/sizes_heap", 1, case_sizes_heap},
    {"transfer/sizes_static", 1, case_sizes_static},
    {"transfer/sizes_block", 1, case_sizes_block},
    {"transfer/sizes_adopted", 1, case_sizes_adopted},
    {"transfer/order", 1, case_order},
    {"transfer/alignments", 1, case_alignments},
    {"transfer/stack", 1, case_stack},
    {"transfer/all_to_all", 1, case_all_to_all},
    {"transfer/nonblocking", 1, case_nonblocking},
    {"transfer/gets begun", 1, case_gets_begun},
    {"transfer/vectored", 1, case_vectored},
    {"transfer/vectored_checks_first", 1, case_vectored_checks_first},
    {"transfer/not_torn", 1, case_not_torn},
    {"transfer/fence", 1, case_fence_orders},
    {"transfer/passive", 2, case_passive},
    {0}};
