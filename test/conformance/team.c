/* SPDX-License-Identifier: BSD-3-Clause */
/* Teams. */
#include "suite.h"

static void case_world(void)
{
    int rank, size, to;

    OK(tmb_team_rank(TMB_TEAM_WORLD, &rank));
    OK(tmb_team_size(TMB_TEAM_WORLD, &size));
    CHECK(rank == me && size == ranks);
    OK(tmb_team_translate(TMB_TEAM_WORLD, me, TMB_TEAM_WORLD, &to));
    CHECK(to == me);
    EXPECT(tmb_team_translate(TMB_TEAM_WORLD, ranks, TMB_TEAM_WORLD, &to), -EINVAL);
    EXPECT(tmb_team_free(TMB_TEAM_WORLD), -EINVAL);
    EXPECT(tmb_team_rank(TMB_TEAM_NONE, &rank), -EBADF);
    EXPECT(tmb_team_rank(TMB_TEAM_WORLD, NULL), -EFAULT);
}

static void case_split_parity(void)
{
    int rank, size, sum = me, total, expected = 0, to;
    tmb_team *team;

    OK(tmb_team_split(TMB_TEAM_WORLD, me % 2, 0, &team));
    OK(tmb_team_rank(team, &rank));
    OK(tmb_team_size(team, &size));
    CHECK(rank == me / 2 && size == (ranks + 1 - me % 2) / 2);
    OK(tmb_allreduce(team, &sum, &total, 1, TMB_I32, TMB_OP_ADD, TMB_FOREVER));
    for (int i = me % 2; i < ranks; i += 2)
        expected += i;
    CHECK(total == expected);
    OK(tmb_team_translate(team, rank, TMB_TEAM_WORLD, &to));
    CHECK(to == me);
    if (ranks > 1)
        EXPECT(tmb_team_translate(TMB_TEAM_WORLD, me % 2 ? 0 : 1, team, &to), -ENOENT);
    OK(tmb_team_free(team));
    EXPECT(tmb_team_rank(team, &rank), -EBADF);
}

static void case_split_key_reverses(void)
{
    int rank;
    tmb_team *team;

    OK(tmb_team_split(TMB_TEAM_WORLD, 5, -me, &team));
    OK(tmb_team_rank(team, &rank));
    CHECK(rank == ranks - 1 - me);
    OK(tmb_team_free(team));
}

static void case_split_none(void)
{
    tmb_team *team = TMB_TEAM_WORLD;

    OK(tmb_team_split(TMB_TEAM_WORLD, me == 0 ? 0 : TMB_COLOR_NONE, 0, &team));
    CHECK((team == TMB_TEAM_NONE) == (me != 0));
    if (me == 0)
        OK(tmb_team_free(team));
    EXPECT(tmb_team_split(TMB_TEAM_WORLD, -7, 0, &team), -EINVAL);
}

static void case_create_reversed(void)
{
    int list[RANKS_MAX], rank;
    tmb_team *team;

    for (int i = 0; i < ranks; i++)
        list[i] = ranks - 1 - i;
    OK(tmb_team_create(TMB_TEAM_WORLD, ranks, list, &team));
    OK(tmb_team_rank(team, &rank));
    CHECK(rank == ranks - 1 - me);
    OK(tmb_barrier(team, TMB_FOREVER));
    OK(tmb_team_free(team));
}

static void case_create_some(void)
{
    int list[2] = {ranks - 1, 0}, rank;
    bool member = me == 0 || me == ranks - 1;
    tmb_team *team;

    OK(tmb_team_create(TMB_TEAM_WORLD, member ? 2 : 0, list, &team));
    CHECK((team != TMB_TEAM_NONE) == member);
    if (!member)
        return;
    OK(tmb_team_rank(team, &rank));
    CHECK(rank == (me == 0 ? 1 : 0));
    OK(tmb_team_free(team));
}

static void case_create_errors(void)
{
    int twice[2] = {0, 0}, far[1] = {ranks}, mine[1] = {me};
    tmb_team *team;

    EXPECT(tmb_team_create(TMB_TEAM_WORLD, 2, twice, &team), -EINVAL);
    EXPECT(tmb_team_create(TMB_TEAM_WORLD, 1, far, &team), -EINVAL);
    EXPECT(tmb_team_create(TMB_TEAM_WORLD, -1, mine, &team), -EINVAL);
    EXPECT(tmb_team_create(TMB_TEAM_WORLD, 1, NULL, &team), -EINVAL);
    EXPECT(tmb_team_create(TMB_TEAM_WORLD, 1, mine, NULL), -EFAULT);
}

/* Rank 0 names rank 1, which names nobody: both are told. */
static void case_create_disagree(void)
{
    int list[2] = {0, 1};
    tmb_team *team;

    EXPECT(tmb_team_create(TMB_TEAM_WORLD, me == 0 ? 2 : 0, list, &team),
           me == 0 ? -EINVAL : 0);
    CHECK(team == TMB_TEAM_NONE);
}

static void case_nested(void)
{
    tmb_team *half, *quarter;
    int one = 1, count, size;

    OK(tmb_team_split(TMB_TEAM_WORLD, me % 2, 0, &half));
    OK(tmb_team_split(half, me / 2 % 2, 0, &quarter));
    OK(tmb_allreduce(quarter, &one, &count, 1, TMB_I32, TMB_OP_ADD, TMB_FOREVER));
    OK(tmb_team_size(quarter, &size));
    CHECK(count == size);
    OK(tmb_team_free(quarter));
    OK(tmb_team_free(half));
}

static void case_window_of_team(void)
{
    tmb_team *team, *of_window;
    uint64_t old = 0;
    tmb_win *win;

    OK(tmb_team_split(TMB_TEAM_WORLD, me % 2, 0, &team));
    OK(tmb_win_alloc(team, 64, 0, &win));
    OK(tmb_win_team(win, &of_window));
    CHECK(of_window == team);
    EXPECT(tmb_team_free(team), -EBUSY);
    OK(tmb_fetch_add_u64(win, 0, 0, 1, &old));
    OK(tmb_barrier(team, TMB_FOREVER));
    OK(tmb_fetch_u64(win, 0, 0, &old));
    CHECK(old == (uint64_t)(ranks + 1 - me % 2) / 2);
    OK(tmb_win_free(win));
    OK(tmb_team_free(team));
}

const struct suite_case team_cases[] = {{"team/world", 1, case_world},
                                        {"team/split_parity", 1, case_split_parity},
                                        {"team/split_key", 1, case_split_key_reverses},
                                        {"team/split_none", 1, case_split_none},
                                        {"team/create_reversed", 1, case_create_reversed},
                                        {"team/create_some", 3, case_create_some},
                                        {"team/create_errors", 1, case_create_errors},
                                        {"team/create_disagree", 2, case_create_disagree},
                                        {"team/nested", 1, case_nested},
                                        {"team/window", 1, case_window_of_team},
                                        {0}};
