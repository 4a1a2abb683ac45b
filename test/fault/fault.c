/* SPDX-License-Identifier: BSD-3-Clause */
#include "fault.h"

#include <time.h>

int me, size, thread_level = TMB_THREAD_SINGLE;

/* On the victim: how often ranks have come to gather(), and when it died. */
enum { COME = 0, DIED = 8, DEATHS_BYTES = 16 };
static tmb_win *deaths;

void fault_fail(const char *file, int line, const char *text)
{
    fprintf(stderr, "rank %d: %s:%d: %s\n", me, file, line, text);
    _exit(1);
}

void fault_expect(int got, int wanted, const char *file, int line, const char *text)
{
    char both[256];

    if (got == wanted)
        return;
    snprintf(both, sizeof(both), "%s gave %d (%s) instead of %d (%s)", text, got,
             tmb_strerror(got), wanted, tmb_strerror(wanted));
    fault_fail(file, line, both);
}

int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

bool is_dead(int rank)
{
    struct tmb_peer_info info;

    OK(tmb_peer_info(rank, &info, sizeof(info)));
    return info.state == TMB_PEER_DEAD;
}

void until_dead(int rank)
{
    int64_t start = now();

    while (!is_dead(rank)) {
        CHECK(now() - start < BOUND);
        pause_ms(1);
    }
}

void deaths_open(void)
{
    OK(tmb_win_alloc(TMB_TEAM_WORLD, DEATHS_BYTES, 0, &deaths));
}

void gather(void)
{
    static uint64_t rounds;
    uint64_t come = 0;

    OK(tmb_fetch_add_u64(deaths, KEEPER, COME, 1, NULL));
    for (rounds++; come < rounds * (uint64_t)size; pause_ms(1))
        OK(tmb_fetch_u64(deaths, KEEPER, COME, &come));
}

void deaths_close(void)
{
    OK(tmb_win_free(deaths));
}

void die(void)
{
    if (me == VICTIM)
        OK(tmb_set_i64(deaths, KEEPER, DIED, now()));
    raise(SIGKILL);
    abort();
}

void death_noticed(const char *by)
{
    int64_t at = 0, after;

    OK(tmb_fetch_i64(deaths, KEEPER, DIED, &at));
    after = now() - at;
    CHECK(at != 0 && after < BOUND);
    printf("# rank %d: %s told of it after %.1f ms\n", me, by, (double)after / 1e6);
}

tmb_team *survivors(void)
{
    tmb_team *team;

    OK(tmb_team_split(TMB_TEAM_WORLD, me == VICTIM ? TMB_COLOR_NONE : 0, me, &team));
    return team;
}

int fault_main(int argc, char **argv, const struct fault_case *cases)
{
    const struct fault_case *c = cases;

    CHECK(argc >= 2);
    while (c->name && strcmp(argv[1], c->name) != 0)
        c++;
    CHECK(c->name);
    OK(tmb_init(thread_level));
    CHECK(tmb_rank(&me) == 0 && tmb_size(&size) == 0 && size >= 2);
    c->run();
    EXPECT(tmb_finalize(), c->end);
    return 0;
}
