/* SPDX-License-Identifier: BSD-3-Clause */
/* The same mistake in every call that can be told of it, one kind for each argument. Rank
 * 0 makes them and prints a line for each: the call, and the name of what it returned. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <tombolo.h>

static int me, size;
static tmb_win *win;

static void expect_ok(const char *call, int rc)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s: %s\n", call, tmb_strerror(rc));
    tmb_abort(99);
}
#define OK(call) expect_ok(#call, call)

static void report(const char *call, int rc)
{
    printf("%.*s %s\n", (int)strcspn(call, "("), call, rc ? strerrorname_np(-rc) : "0");
}
#define TRY(call) report(#call, call)

static void rank_beyond_team(void)
{
    const ptrdiff_t stride = 8;
    const size_t counts[] = {8, 1};
    struct tmb_iov piece;
    uint64_t word = 0;
    size_t bytes;
    void *ptr;
    int rank;

    piece = (struct tmb_iov){&word, 0, 8};
    TRY(tmb_put(win, size, 0, &word, 8));
    TRY(tmb_put(win, -1, 0, &word, 8));
    TRY(tmb_put(win, INT_MAX, 0, &word, 0));
    TRY(tmb_get(win, size, 0, &word, 8));
    TRY(tmb_put_nb(win, size, 0, &word, 8, NULL));
    TRY(tmb_get_nb(win, INT_MIN, 0, &word, 8, NULL));
    TRY(tmb_putv(win, size, &piece, 1));
    TRY(tmb_getv(win, size, &piece, 0));
    TRY(tmb_put_strided(win, size, 0, &stride, &word, &stride, counts, 1));
    TRY(tmb_get_strided(win, size, 0, &stride, &word, &stride, counts, 1));
    TRY(tmb_put_signal(win, size, 0, NULL, 0, 0, TMB_SIGNAL_SET, 1));
    TRY(tmb_notify(win, size));
    TRY(tmb_fetch_u64(win, size, 0, &word));
    TRY(tmb_accumulate(win, size, 0, TMB_U64, TMB_OP_ADD, &word, 1, NULL));
    TRY(tmb_flush(win, size));
    TRY(tmb_flush_local(win, size));
    TRY(tmb_lock(win, size, TMB_LOCK_SHARED, 0));
    TRY(tmb_unlock(win, size));
    TRY(tmb_lock_recover(win, size));
    TRY(tmb_win_ptr(win, size, &ptr));
    TRY(tmb_win_size(win, size, &bytes));
    TRY(tmb_peer_state(size, &rank));
    TRY(tmb_team_translate(TMB_TEAM_WORLD, size, TMB_TEAM_WORLD, &rank));
    TRY(tmb_bcast(TMB_TEAM_WORLD, size, &word, 8, 0));
}

static void offset_wraps(void)
{
    const ptrdiff_t stride = PTRDIFF_MAX, back = -8;
    const size_t counts[] = {8, 4}, huge[] = {8, SIZE_MAX};
    struct tmb_iov pieces[] = {{NULL, 0, 0}, {&pieces, UINT64_MAX - 7, 16}};
    uint64_t words[2] = {0, 0};

    TRY(tmb_put(win, 0, UINT64_MAX, words, 8));
    TRY(tmb_put(win, 0, UINT64_MAX - 7, words, 16));
    TRY(tmb_put(win, 0, 8, words, SIZE_MAX - 7));
    TRY(tmb_put(win, 0, 57, words, 8));
    TRY(tmb_put(win, 0, 65, words, 0));
    TRY(tmb_get(win, 0, UINT64_MAX - 7, words, 16));
    TRY(tmb_putv(win, 0, pieces, 2));
    TRY(tmb_getv(win, 0, pieces, 2));
    TRY(tmb_put_strided(win, 0, 0, &stride, words, &back, counts, 1));
    TRY(tmb_put_strided(win, 0, 8, &back, words, &back, counts, 1));
    TRY(tmb_get_strided(win, 0, 0, &stride, words, &back, huge, 1));
    TRY(tmb_put_signal(win, 0, 0, words, 8, UINT64_MAX - 7, TMB_SIGNAL_SET, 1));
    TRY(tmb_wait(win, UINT64_MAX - 7, TMB_EQ, 0, 0, NULL));
    TRY(tmb_fetch_u64(win, 0, UINT64_MAX - 7, words));
    TRY(tmb_accumulate(win, 0, 8, TMB_U64, TMB_OP_ADD, words, SIZE_MAX / 8, NULL));
}

/* Every call that takes a window is told of one that is gone. */
static void window_freed(tmb_win *gone)
{
    uint64_t word = 0;
    tmb_team *team;
    void *ptr;

    TRY(tmb_win_free(gone));
    TRY(tmb_put(gone, 0, 0, &word, 8));
    TRY(tmb_get(gone, 0, 0, &word, 8));
    TRY(tmb_put_signal(gone, 0, 0, NULL, 0, 0, TMB_SIGNAL_SET, 1));
    TRY(tmb_wait(gone, 0, TMB_EQ, 0, 0, NULL));
    TRY(tmb_notify(gone, 0));
    TRY(tmb_fetch_u64(gone, 0, 0, &word));
    TRY(tmb_flush(gone, 0));
    TRY(tmb_flush_all(gone));
    TRY(tmb_fence(gone));
    TRY(tmb_lock(gone, 0, TMB_LOCK_SHARED, 0));
    TRY(tmb_unlock(gone, 0));
    TRY(tmb_lock_all(gone, 0));
    TRY(tmb_unlock_all(gone));
    TRY(tmb_win_ptr(gone, 0, &ptr));
    TRY(tmb_win_team(gone, &team));
}

static void freed_twice(void)
{
    tmb_win *gone = win;

    OK(tmb_win_free(win));
    if (me == 0)
        window_freed(gone);
    OK(tmb_win_alloc(TMB_TEAM_WORLD, 64, 0, &win)); /* main frees it */
}

/* A part that does not fit on rank 0 is no window on any. */
static void part_too_large(void)
{
    tmb_win *large;
    int rc = tmb_win_alloc(TMB_TEAM_WORLD, me ? 64 : (size_t)1 << 40, 0, &large);

    if (me == 0)
        report("tmb_win_alloc", rc);
    OK(rc == -ENOMEM ? 0 : -EPROTO);
    OK(tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER));
}

static void run(const char *name)
{
    if (!strcmp(name, "rank") && me == 0)
        rank_beyond_team();
    else if (!strcmp(name, "offset") && me == 0)
        offset_wraps();
    else if (!strcmp(name, "freed"))
        freed_twice();
    else if (!strcmp(name, "large"))
        part_too_large();
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    OK(argc == 2 ? 0 : -EINVAL);
    OK(tmb_init(TMB_THREAD_SINGLE));
    OK(tmb_rank(&me));
    OK(tmb_size(&size));
    OK(tmb_win_alloc(TMB_TEAM_WORLD, 64, 0, &win));
    run(argv[1]);
    OK(tmb_win_free(win));
    return tmb_finalize() != 0;
}
