/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that does one thing wrong, named by its argument, and prints what errno it
 * got: bad_input.sh knows which it must be. Rank 0 is the one that errs.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <tombolo.h>

#define PART_BYTES 4096

static tmb_win *win;
static uint64_t word;

static int rank_beyond(void)
{
    int size = 0;

    tmb_size(&size);
    return tmb_put(win, size, 0, &word, sizeof word);
}

static int rank_negative(void)
{
    return tmb_get(win, -1, 0, &word, sizeof word);
}

/* Offset and size add up to 4, which would lie in the part. */
static int offset_wraps_put(void)
{
    return tmb_put(win, 0, UINT64_MAX - 3, &word, sizeof word);
}

static int offset_wraps_get(void)
{
    return tmb_get(win, 0, UINT64_MAX - 3, &word, sizeof word);
}

static int size_wraps(void)
{
    return tmb_put(win, 0, 64, &word, SIZE_MAX - 31);
}

static int offset_beyond(void)
{
    return tmb_put(win, 0, PART_BYTES - 4, &word, sizeof word);
}

static int team_rank_beyond(void)
{
    int size = 0, rank;

    tmb_size(&size);
    return tmb_team_translate(TMB_TEAM_WORLD, size, TMB_TEAM_WORLD, &rank);
}

static int free_twice(void)
{
    tmb_win *freed = win;
    int rc = tmb_win_free(win);

    win = NULL;
    return rc ? rc : tmb_win_free(freed);
}

static const struct {
    const char *name;
    int (*run)(void);
    int collective; /* all ranks do it */
} errors[] = {
    {"rank-beyond", rank_beyond, 0},
    {"rank-negative", rank_negative, 0},
    {"offset-wraps-put", offset_wraps_put, 0},
    {"offset-wraps-get", offset_wraps_get, 0},
    {"size-wraps", size_wraps, 0},
    {"offset-beyond", offset_beyond, 0},
    {"team-rank-beyond", team_rank_beyond, 0},
    {"free-twice", free_twice, 1},
};

static int errno_print(int rc)
{
    printf("%s\n", rc ? strerrorname_np(-rc) : "0");
    return 0;
}

/* The error, and then the end in good order that it must not prevent. */
static int err(int (*run)(void), int collective)
{
    int rank = 0, rc;

    tmb_rank(&rank);
    rc = tmb_win_alloc(TMB_TEAM_WORLD, PART_BYTES, 0, &win);
    if (rc)
        return 3;
    if (rank == 0 || collective) {
        rc = run();
        if (rank == 0)
            errno_print(rc);
    }
    if (win && tmb_win_free(win))
        return 4;
    return tmb_finalize() ? 5 : 0;
}

static int finalize_with_windows(void)
{
    int rc = tmb_win_alloc(TMB_TEAM_WORLD, PART_BYTES, 0, &win);

    return rc ? 3 : errno_print(tmb_finalize());
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    int rc = tmb_init(TMB_THREAD_SINGLE);

    if (!strcmp(mode, "init"))
        return errno_print(rc);
    if (rc)
        return 2;
    if (!strcmp(mode, "finalize-with-windows"))
        return finalize_with_windows();
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (!strcmp(mode, errors[i].name))
            return err(errors[i].run, errors[i].collective);
    fprintf(stderr, "bad_input: there is no error %s\n", mode);
    return 2;
}
