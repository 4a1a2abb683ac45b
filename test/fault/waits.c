/* SPDX-License-Identifier: BSD-3-Clause */
/* What becomes of waits and collectives when a rank dies. */
#include "fault.h"

static tmb_win *win;

static void begin(void)
{
    deaths_open();
    OK(tmb_win_alloc(TMB_TEAM_WORLD, 64, 0, &win));
    gather();
}

static void end(void)
{
    OK(tmb_win_free(win));
    deaths_close();
}

/* A wait tells of a death until the caller has asked, and then goes on. */
static void told_until_asked(void)
{
    tmb_team *living;
    uint64_t seen = 77;
    int state, right;

    begin();
    living = survivors();
    gather();
    if (me == VICTIM) {
        pause_ms(200);
        die();
    }
    EXPECT(tmb_wait(win, 0, TMB_EQ, 1, BOUND, &seen), -EHOSTDOWN);
    death_noticed("tmb_wait");
    CHECK(seen == 0 && is_dead(VICTIM));
    EXPECT(tmb_wait(win, 0, TMB_EQ, 1, BOUND, NULL), -EHOSTDOWN);
    OK(tmb_wait(win, 0, TMB_EQ, 0, BOUND, NULL)); /* it is so, whoever died */
    OK(tmb_peer_state(VICTIM, &state));
    CHECK(state == TMB_PEER_DEAD);
    EXPECT(tmb_wait(win, 0, TMB_EQ, 1, 1000000, NULL), -ETIMEDOUT);
    EXPECT(tmb_barrier(TMB_TEAM_WORLD, BOUND), -EHOSTDOWN);
    OK(tmb_barrier(living, BOUND));
    right = (me + 1) % size == VICTIM ? (me + 2) % size : (me + 1) % size;
    OK(tmb_put_signal(win, right, 8, NULL, 0, 0, TMB_SIGNAL_ADD, 1));
    OK(tmb_wait(win, 0, TMB_EQ, 1, BOUND, NULL));
    OK(tmb_barrier(living, BOUND));
    OK(tmb_team_free(living));
    end();
}

/* Teams that the dead rank was no member of don't notice. */
static void others_team(void)
{
    tmb_team *living;
    tmb_win *theirs;
    int rank, count, one = 1, sum;

    begin();
    living = survivors();
    gather();
    if (me == VICTIM)
        die();
    until_dead(VICTIM);
    OK(tmb_team_rank(living, &rank));
    OK(tmb_team_size(living, &count));
    OK(tmb_win_alloc(living, 64, 0, &theirs));
    EXPECT(tmb_wait(theirs, 0, TMB_EQ, 1, 1000000, NULL), -ETIMEDOUT);
    OK(tmb_barrier(living, BOUND));
    OK(tmb_put_signal(theirs, (rank + 1) % count, 8, NULL, 0, 0, TMB_SIGNAL_SET, 1));
    OK(tmb_wait(theirs, 0, TMB_EQ, 1, BOUND, NULL));
    OK(tmb_allreduce(living, &one, &sum, 1, TMB_I32, TMB_OP_ADD, BOUND));
    CHECK(sum == size - 1);
    OK(tmb_win_free(theirs));
    OK(tmb_team_free(living));
    end();
}

/* ---- a member that never comes to a collective ---- */

static int call_barrier(void)
{
    return tmb_barrier(TMB_TEAM_WORLD, BOUND);
}

static int call_bcast(void)
{
    static uint8_t data[3000];

    return tmb_bcast(TMB_TEAM_WORLD, VICTIM, data, sizeof(data), BOUND);
}

static int call_allgather(void)
{
    uint64_t *all = calloc((size_t)size, sizeof(*all)), mine = 1;
    int rc = tmb_allgather(TMB_TEAM_WORLD, &mine, all, sizeof(mine), BOUND);

    free(all);
    return rc;
}

static int call_allreduce(void)
{
    double one = 1, sum;

    return tmb_allreduce(TMB_TEAM_WORLD, &one, &sum, 1, TMB_F64, TMB_OP_ADD, BOUND);
}

static int call_split(void)
{
    tmb_team *team;

    return tmb_team_split(TMB_TEAM_WORLD, 0, me, &team);
}

static int call_create(void)
{
    tmb_team *team;

    return tmb_team_create(TMB_TEAM_WORLD, 1, &me, &team);
}

static int call_win_alloc(void)
{
    tmb_win *more;

    return tmb_win_alloc(TMB_TEAM_WORLD, 4096, 0, &more);
}

static int call_win_create(void)
{
    static uint8_t memory[4096];
    tmb_win *more;

    return tmb_win_create(TMB_TEAM_WORLD, memory, sizeof(memory), 0, &more);
}

static const struct call {
    const char *name;
    int (*run)(void);
} calls[] = {{"tmb_barrier", call_barrier},     {"tmb_bcast", call_bcast},
             {"tmb_allgather", call_allgather}, {"tmb_allreduce", call_allreduce},
             {"tmb_team_split", call_split},    {"tmb_team_create", call_create},
             {"tmb_win_alloc", call_win_alloc}, {"tmb_win_create", call_win_create}};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* One of them is under way when the rank dies; all fail, then and later. */
static void collective(const char *name)
{
    int state;

    begin();
    if (me == VICTIM) {
        pause_ms(200);
        die();
    }
    for (size_t i = 0; i < CALLS; i++)
        if (!strcmp(calls[i].name, name)) {
            EXPECT(calls[i].run(), -EHOSTDOWN);
            death_noticed(name);
        }
    for (size_t i = 0; i < CALLS; i++)
        EXPECT(calls[i].run(), -EHOSTDOWN);
    OK(tmb_peer_state(VICTIM, &state));
    for (size_t i = 0; i < CALLS; i++)
        EXPECT(calls[i].run(), -EHOSTDOWN);
    end();
}

static const char *wanted;

static void named(void)
{
    collective(wanted);
}

/* Freeing a window waits for the living only. */
static void win_free(void)
{
    begin();
    if (me == VICTIM) {
        pause_ms(200);
        die();
    }
    OK(tmb_win_free(win));
    death_noticed("tmb_win_free");
    deaths_close();
}

static void finalize(void)
{
    begin();
    if (me == VICTIM) {
        pause_ms(200);
        die();
    }
}

/* A process that ends without tmb_finalize() is dead, however well it ended. */
static void exits(void)
{
    begin();
    if (me == VICTIM)
        exit(0);
    EXPECT(tmb_barrier(TMB_TEAM_WORLD, BOUND), -EHOSTDOWN);
    until_dead(VICTIM);
    end();
}

/* All but rank 0 die, one after the other. */
static void all_but_one(void)
{
    int state;

    begin();
    if (me != 0) {
        pause_ms(50 * me);
        raise(SIGKILL);
    }
    for (int i = 1; i < size; i++) {
        EXPECT(tmb_wait(win, 0, TMB_EQ, 1, BOUND, NULL), -EHOSTDOWN);
        until_dead(i);
        OK(tmb_peer_state(i, &state));
    }
    EXPECT(tmb_wait(win, 0, TMB_EQ, 1, 0, NULL), -ETIMEDOUT);
    end();
}

static const struct fault_case cases[] = {{"wait", told_until_asked, -EHOSTDOWN},
                                          {"others_team", others_team, -EHOSTDOWN},
                                          {"tmb_barrier", named, -EHOSTDOWN},
                                          {"tmb_bcast", named, -EHOSTDOWN},
                                          {"tmb_allgather", named, -EHOSTDOWN},
                                          {"tmb_allreduce", named, -EHOSTDOWN},
                                          {"tmb_team_split", named, -EHOSTDOWN},
                                          {"tmb_team_create", named, -EHOSTDOWN},
                                          {"tmb_win_alloc", named, -EHOSTDOWN},
                                          {"tmb_win_create", named, -EHOSTDOWN},
                                          {"win_free", win_free, -EHOSTDOWN},
                                          {"finalize", finalize, -EHOSTDOWN},
                                          {"exits", exits, -EHOSTDOWN},
                                          {"all_but_one", all_but_one, -EHOSTDOWN},
                                          {0}};

int main(int argc, char **argv)
{
    wanted = argc > 1 ? argv[1] : "";
    return fault_main(argc, argv, cases);
}
