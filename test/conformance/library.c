/* SPDX-License-Identifier: BSD-3-Clause */
/* Init, version, errors, peers, counters. */
#include "suite.h"

static void case_version(void)
{
    int major, minor, patch;

    OK(tmb_version(&major, &minor, &patch));
    CHECK(major == TMB_VERSION_MAJOR && minor == TMB_VERSION_MINOR &&
          patch == TMB_VERSION_PATCH);
    EXPECT(tmb_version(NULL, &minor, &patch), -EFAULT);
}

static void case_strerror(void)
{
    for (int err = -200; err <= 1; err++)
        CHECK(tmb_strerror(err) && *tmb_strerror(err));
    CHECK(strcmp(tmb_strerror(-EOWNERDEAD), tmb_strerror(-EHOSTDOWN)));
}

static void case_init_twice(void)
{
    EXPECT(tmb_init(TMB_THREAD_MULTIPLE), -EALREADY);
    EXPECT(tmb_init(77), -EINVAL);
}

static void case_rank_size(void)
{
    int rank, size;

    OK(tmb_rank(&rank));
    OK(tmb_size(&size));
    CHECK(rank == me && size == ranks && rank >= 0 && rank < size);
    EXPECT(tmb_rank(NULL), -EFAULT);
    EXPECT(tmb_size(NULL), -EFAULT);
}

static void case_peer_state(void)
{
    int state;

    for (int i = 0; i < ranks; i++) {
        OK(tmb_peer_state(i, &state));
        CHECK(state == TMB_PEER_ALIVE);
    }
    EXPECT(tmb_peer_state(-1, &state), -EINVAL);
    EXPECT(tmb_peer_state(ranks, &state), -EINVAL);
    EXPECT(tmb_peer_state(0, NULL), -EFAULT);
}

static void case_peer_info(void)
{
    struct tmb_peer_info info, self, told[RANKS_MAX];

    OK(tmb_peer_info(me, &self, sizeof(self)));
    CHECK(!strcmp(self.provider, "self") && self.mapped == 1 && self.pid > 0);
    OK(tmb_allgather(TMB_TEAM_WORLD, &self, told, sizeof(self), TMB_FOREVER));
    for (int i = 0; i < ranks; i++) {
        OK(tmb_peer_info(i, &info, sizeof(info)));
        CHECK(info.state == TMB_PEER_ALIVE);
        CHECK(info.host == told[i].host && info.pid == told[i].pid);
        CHECK(i == me || strcmp(info.provider, "self"));
        CHECK((info.host == self.host && info.pid == self.pid) == (i == me));
        CHECK(*info.hostname && !strcmp(info.hostname, told[i].hostname));
        CHECK(!strcmp(info.region, told[i].region));
        CHECK(i == me || !info.mapped ||
              (*info.region && !strcmp(info.region, self.region)));
    }
    EXPECT(tmb_peer_info(ranks, &info, sizeof(info)), -EINVAL);
    EXPECT(tmb_peer_info(0, &info, sizeof(info) + 1), -EINVAL);
}

static void case_stats(void)
{
    struct tmb_stats before, after;
    tmb_win *win;

    OK(tmb_stats_get(&before, sizeof(before)));
    OK(tmb_win_alloc(TMB_TEAM_WORLD, 64, 0, &win));
    OK(tmb_win_free(win));
    OK(tmb_stats_get(&after, sizeof(after)));
    CHECK(after.windows_made == before.windows_made + 1);
    CHECK(after.sleeps >= before.sleeps && after.doorbells_rung >= before.doorbells_rung);
    EXPECT(tmb_stats_get(&after, sizeof(after) + 8), -EINVAL);
    EXPECT(tmb_stats_get(NULL, sizeof(after)), -EFAULT);
}

const struct suite_case library_cases[] = {
    {"library/version", 1, case_version},       {"library/strerror", 1, case_strerror},
    {"library/init_twice", 1, case_init_twice}, {"library/rank_size", 1, case_rank_size},
    {"library/peer_state", 1, case_peer_state}, {"library/peer_info", 1, case_peer_info},
    {"library/stats", 1, case_stats},           {0}};
