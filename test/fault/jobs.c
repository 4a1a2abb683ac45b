/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Jobs that take much of a server's region, and end in every way.
 *     jobs fill BYTES well|open|one|all   take BYTES in all, and end
 *     jobs full                           take all there is, several times
 *     jobs hold BYTES FILE                take BYTES, add a line to FILE, and keep them
 *                                         while it is there
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "fault.h"

/* Memory of the library's, or, with FAULT_ADOPT, of ours, which takes as much of the
 * region. */
static tmb_win *part_make(size_t bytes)
{
    tmb_win *win;
    void *part;

    if (!getenv("FAULT_ADOPT")) {
        OK(tmb_win_alloc(TMB_TEAM_WORLD, bytes, 0, &win));
        return win;
    }
    part = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(part != MAP_FAILED);
    OK(tmb_win_create(TMB_TEAM_WORLD, part, bytes, TMB_WIN_ADOPT, &win));
    for (int i = 0; i < size; i++)
        OK(tmb_win_ptr(win, i, &part));
    return win;
}

/* Each rank's share, written to in every page. */
static tmb_win *fill(size_t bytes)
{
    tmb_win *win = part_make(bytes / (size_t)size);
    void *part;

    OK(tmb_win_ptr(win, me, &part));
    for (size_t at = 0; at + 8 <= bytes / (size_t)size; at += 4096) {
        CHECK(((uint8_t *)part)[at] == 0);
        ((uint8_t *)part)[at] = (uint8_t)(at >> 12 | 1);
    }
    return win;
}

static int fill_and_end(size_t bytes, const char *end)
{
    tmb_win *win = fill(bytes);
    int rc = tmb_barrier(TMB_TEAM_WORLD, BOUND);

    /* A rank may die while others leave the barrier, which then fails for them. */
    CHECK(rc == 0 || (rc == -EHOSTDOWN && (!strcmp(end, "all") || !strcmp(end, "one"))));
    if (!strcmp(end, "all") || (!strcmp(end, "one") && me == VICTIM))
        raise(SIGKILL);
    if (!strcmp(end, "one"))
        EXPECT(tmb_barrier(TMB_TEAM_WORLD, BOUND), -EHOSTDOWN);
    if (!strcmp(end, "well"))
        OK(tmb_win_free(win));
    EXPECT(tmb_finalize(), !strcmp(end, "one") ? -EHOSTDOWN : 0);
    return 0;
}

/* As many windows of a team as fit; all members agree how many. */
static int take_all(tmb_team *team, size_t bytes, tmb_win **wins, int most)
{
    int count = 0, low, high, rc;

    while ((rc = tmb_win_alloc(team, bytes, TMB_WIN_UNINIT, &wins[count])) == 0)
        CHECK(++count < most);
    EXPECT(rc, -ENOMEM);
    OK(tmb_allreduce(team, &count, &low, 1, TMB_I32, TMB_OP_MIN, BOUND));
    OK(tmb_allreduce(team, &count, &high, 1, TMB_I32, TMB_OP_MAX, BOUND));
    CHECK(low == high && count > 0);
    for (int i = 0; i < count; i++)
        OK(tmb_win_free(wins[i]));
    return count;
}

/* A full region says so on all ranks, and nothing is lost by that. How many windows fit
 * depends on how the ranks' allocations meet, but not for a rank that allocates alone. */
static int full(void)
{
    enum { MOST = 20000, PAGE = 16384 };
    static const size_t sizes[] = {1 << 20, 100000, 40000};
    static tmb_win *wins[MOST];
    int first = 0;
    tmb_team *alone;

    OK(tmb_team_split(TMB_TEAM_WORLD, me, 0, &alone));
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 3; i++)
            take_all(TMB_TEAM_WORLD, sizes[i], wins, MOST);
        if (me == 0) {
            int count = take_all(alone, PAGE, wins, MOST);

            first = round ? first : count;
            /* Memory for small things stays with the job: a page or two in all. */
            CHECK(count >= first - 2 && count <= first);
        }
        OK(tmb_barrier(TMB_TEAM_WORLD, BOUND));
    }
    OK(tmb_team_free(alone));
    OK(tmb_finalize());
    return 0;
}

static int hold(size_t bytes, const char *file)
{
    tmb_win *win = fill(bytes);

    OK(tmb_barrier(TMB_TEAM_WORLD, BOUND));
    if (me == 0) {
        int fd = open(file, O_WRONLY | O_APPEND);

        CHECK(fd >= 0 && write(fd, "held\n", 5) == 5 && close(fd) == 0);
    }
    while (access(file, F_OK) == 0)
        pause_ms(5);
    OK(tmb_win_free(win));
    OK(tmb_finalize());
    return 0;
}

int main(int argc, char **argv)
{
    OK(tmb_init(TMB_THREAD_SINGLE));
    OK(tmb_rank(&me));
    OK(tmb_size(&size));
    if (argc == 4 && !strcmp(argv[1], "fill"))
        return fill_and_end(strtoull(argv[2], NULL, 10), argv[3]);
    if (argc == 2 && !strcmp(argv[1], "full"))
        return full();
    if (argc == 4 && !strcmp(argv[1], "hold"))
        return hold(strtoull(argv[2], NULL, 10), argv[3]);
    fault_fail(__FILE__, __LINE__, "wrong usage");
}
