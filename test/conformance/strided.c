/* SPDX-License-Identifier: BSD-3-Clause */
/* Strided sections, against a plain nested loop. */
#include "suite.h"

#define PART 65536

/* What the transfer should do, block by block, on local arrays. */
static void reference(uint8_t *to, const ptrdiff_t *to_strides, const uint8_t *from,
                      const ptrdiff_t *from_strides, const size_t *counts, int levels)
{
    if (levels == 0) {
        memcpy(to, from, counts[0]);
        return;
    }
    for (size_t i = 0; i < counts[levels]; i++)
        reference(to + (ptrdiff_t)i * to_strides[levels - 1], to_strides,
                  from + (ptrdiff_t)i * from_strides[levels - 1], from_strides, counts,
                  levels - 1);
}

struct section {
    int levels;
    size_t counts[TMB_STRIDED_MAX + 1];
    ptrdiff_t target[TMB_STRIDED_MAX], local[TMB_STRIDED_MAX];
    uint64_t target_start, local_start;
};

static const struct section sections[] = {
    {0, {100}, {0}, {0}, 5, 9},
    {1, {8, 64}, {32}, {8}, 0, 0},
    {1, {8, 64}, {8}, {24}, 16, 3},
    {1, {16, 10}, {-64}, {16}, 1000, 0},
    {2, {4, 5, 6}, {16, 200}, {4, 20}, 8, 1},
    {2, {7, 3, 5}, {-9, 100}, {11, -60}, 300, 900},
    {3, {1, 2, 3, 4}, {2, 10, 50}, {1, 2, 6}, 0, 0},
    {8,
     {1, 2, 2, 2, 2, 2, 2, 2, 2},
     {2, 4, 8, 16, 32, 64, 128, 256},
     {1, 2, 4, 8, 16, 32, 64, 128},
     0,
     0},
    {1, {0, 5}, {8}, {8}, 0, 0},
    {2, {8, 0, 3}, {8, 8}, {8, 8}, 0, 0},
};

static void section_check(struct window *w, const struct section *s)
{
    static uint8_t local[PART], expected[PART], got[PART];
    int right = (me + 1) % ranks;

    memset(expected, 0, PART);
    for (size_t i = 0; i < PART; i++)
        local[i] = (uint8_t)(i * 13 + 1);
    OK(tmb_put(w->win, right, 0, expected, PART));
    OK(tmb_put_strided(w->win, right, s->target_start, s->target, local + s->local_start,
                       s->local, s->counts, s->levels));
    OK(tmb_flush(w->win, right));
    reference(expected + s->target_start, s->target, local + s->local_start, s->local,
              s->counts, s->levels);
    OK(tmb_get(w->win, right, 0, got, PART));
    CHECK(!memcmp(got, expected, PART));

    memset(got, 0, PART);
    memset(expected, 0, PART);
    OK(tmb_put(w->win, right, 0, local, PART));
    OK(tmb_flush(w->win, right));
    OK(tmb_get_strided(w->win, right, s->target_start, s->target, got + s->local_start,
                       s->local, s->counts, s->levels));
    reference(expected + s->local_start, s->local, local + s->target_start, s->target,
              s->counts, s->levels);
    CHECK(!memcmp(got, expected, PART));
}

static void case_sections(void)
{
    struct window w;

    for (int memory = 0; memory < MEMORY_KINDS; memory++) {
        window_open(&w, (enum memory)memory, PART);
        for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
            section_check(&w, &sections[i]);
        OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
        window_close(&w);
    }
}

static void case_errors(void)
{
    ptrdiff_t huge[2] = {PTRDIFF_MAX, PTRDIFF_MIN}, step[2] = {8, 8}, back[1] = {-8};
    size_t counts[3] = {8, 4, 4}, many[2] = {8, SIZE_MAX};
    uint8_t local[256] = {0};
    struct window w;

    window_open(&w, MEMORY_ALLOC, 64);
    EXPECT(tmb_put_strided(w.win, me, 0, step, local, step, counts, 9), -EINVAL);
    EXPECT(tmb_put_strided(w.win, me, 0, step, local, step, counts, -1), -EINVAL);
    EXPECT(tmb_put_strided(w.win, me, 0, huge, local, step, counts, 2), -ERANGE);
    EXPECT(tmb_put_strided(w.win, me, 0, huge + 1, local, step, counts, 1), -ERANGE);
    EXPECT(tmb_put_strided(w.win, me, 0, step, local, step, many, 1), -ERANGE);
    EXPECT(tmb_put_strided(w.win, me, 40, step, local, step, counts, 1), -ERANGE);
    EXPECT(tmb_put_strided(w.win, me, 16, back, local, step, counts, 1), -ERANGE);
    EXPECT(tmb_put_strided(w.win, me, 65, step, local, step, counts, 1), -ERANGE);
    EXPECT(tmb_put_strided(w.win, me, 0, NULL, local, step, counts, 1), -EFAULT);
    EXPECT(tmb_put_strided(w.win, me, 0, step, NULL, step, counts, 1), -EFAULT);
    EXPECT(tmb_get_strided(w.win, ranks, 0, step, local, step, counts, 1), -EINVAL);
    OK(tmb_put_strided(w.win, me, 24, back, local, step, counts, 1));
    window_close(&w);
}

const struct suite_case strided_cases[] = {
    {"strided/sections", 1, case_sections}, {"strided/errors", 1, case_errors}, {0}};
