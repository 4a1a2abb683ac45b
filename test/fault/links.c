/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The network between hosts is cut; who runs this cuts it when rank 0 has printed
 * "ready". Rank 1 is behind the cut, with all ranks of its host; threads of every rank
 * work on the other side all the time.
 *
 *   links down        for good: all that is under way ends with -EHOSTDOWN
 *   links late        for good, and no silence is too long: it ends with -ETIMEDOUT
 *   links back FILE   until FILE is there: nothing fails, and nothing was lost
 *   links apart       between the hosts of ranks 0 and 1 only: rank 2 works with both
 *   links routes      no cut: tell whose memory is mapped
 *   links garbage WHAT   rank 1 sends rank 0 what is no message (garble.h)
 */
#include <pthread.h>
#include <stdatomic.h>

#include "fault.h"
#include "garble.h"

#define RANKS_MAX 16
#define PIECE     64 /* bytes of a put that is no word */

/* In each rank's part of the window. */
enum {
    ADDED = 0,
    SIGNALLED = 8,
    COUNTED = 16, /* only by who has the lock */
    NEVER = 24,
    WORDS = 64,
    PIECES = WORDS + 8 * RANKS_MAX,
    PART_BYTES = PIECES + PIECE * RANKS_MAX
};

static tmb_win *win;
static int target;
static atomic_bool over;

/* ---- what threads do ---- */

static int put_piece(uint64_t round)
{
    uint8_t piece[PIECE];
    int rc;

    memset(piece, (int)round, sizeof piece);
    rc = tmb_put(win, target, PIECES + PIECE * (uint64_t)me, piece, sizeof piece);
    return rc ? rc : tmb_flush(win, target);
}

static int put_word(uint64_t round)
{
    int rc = tmb_put(win, target, WORDS + 8 * (uint64_t)me, &round, sizeof round);

    return rc ? rc : tmb_flush(win, target);
}

static int get_word(uint64_t round)
{
    uint64_t word = 1;
    int rc = tmb_get(win, target, NEVER, &word, sizeof word);

    (void)round;
    CHECK(rc || word == 0);
    return rc;
}

/* What comes too late must not be written where nobody waits for it any more. */
static int get_many(uint64_t round)
{
    enum { GETS = 60 };
    uint64_t *words = malloc(GETS * sizeof *words);
    int rc = 0, flushed;

    (void)round;
    memset(words, 0xff, GETS * sizeof *words);
    for (int i = 0; i < GETS && rc == 0; i++)
        rc = tmb_get_nb(win, target, NEVER, &words[i], sizeof *words, NULL);
    flushed = tmb_flush(win, target);
    rc = rc ? rc : flushed;
    for (int i = 0; i < GETS && rc == 0; i++)
        CHECK(words[i] == 0);
    free(words);
    return rc;
}

static int add(uint64_t round)
{
    (void)round;
    return tmb_fetch_add_u64(win, target, ADDED, 1, NULL);
}

static int put_signal(uint64_t round)
{
    int rc = tmb_put_signal(win, target, WORDS + 8 * (uint64_t)me, NULL, 0, SIGNALLED,
                            TMB_SIGNAL_ADD, 1);

    (void)round;
    return rc ? rc : tmb_flush(win, target);
}

static int count_locked(uint64_t round)
{
    uint64_t count = 0;
    int rc = tmb_lock(win, target, TMB_LOCK_EXCLUSIVE, TMB_FOREVER), unlocked;

    (void)round;
    if (rc)
        return rc;
    rc = tmb_get(win, target, COUNTED, &count, sizeof count);
    count++;
    rc = rc ? rc : tmb_put(win, target, COUNTED, &count, sizeof count);
    unlocked = tmb_unlock(win, target);
    return rc ? rc : unlocked;
}

static int wait_never(uint64_t round)
{
    (void)round;
    return tmb_wait(win, NEVER, TMB_EQ, 1, TMB_FOREVER, NULL);
}

static int meet_all(uint64_t round)
{
    (void)round;
    return tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER);
}

static struct work {
    const char *name;
    int (*run)(uint64_t round);
    pthread_t thread;
    uint64_t rounds; /* that succeeded */
    int64_t began, gap;
    int rc;
} works[] = {{.name = "put and flush", .run = put_piece},
             {.name = "put of a word", .run = put_word},
             {.name = "get", .run = get_word},
             {.name = "gets that a flush ends", .run = get_many},
             {.name = "atomic", .run = add},
             {.name = "put with signal", .run = put_signal},
             {.name = "lock", .run = count_locked},
             {.name = "wait", .run = wait_never},
             {.name = "barrier", .run = meet_all}};

enum {
    PIECE_WORK,
    WORD_WORK,
    GET_WORK,
    GETS_WORK,
    ADD_WORK,
    SIGNAL_WORK,
    LOCK_WORK,
    BOUNDED
};
#define WORKS ((int)(sizeof works / sizeof *works))

static void *work_main(void *arg)
{
    struct work *work = arg;

    while (work->rc == 0 && !atomic_load(&over)) {
        work->began = now();
        work->rc = work->run(work->rounds + 1);
        work->rounds += work->rc == 0;
        if (now() - work->began > work->gap)
            work->gap = now() - work->began;
        pause_ms(1);
    }
    return NULL;
}

/* The first `count` of them, until one fails or all are over. */
static void works_start(int count)
{
    for (int i = 0; i < count; i++)
        CHECK(pthread_create(&works[i].thread, NULL, work_main, &works[i]) == 0);
    if (me == 0)
        puts("ready");
    fflush(stdout);
}

static void works_end(int count)
{
    for (int i = 0; i < count; i++)
        CHECK(pthread_join(works[i].thread, NULL) == 0);
}

/* ---- sides ---- */

static bool beside(int a, int b)
{
    struct tmb_peer_info one, other;

    OK(tmb_peer_info(a, &one, sizeof one));
    OK(tmb_peer_info(b, &other, sizeof other));
    return one.host == other.host;
}

static void begin(void)
{
    CHECK(size <= RANKS_MAX);
    target = beside(me, VICTIM) ? 0 : VICTIM;
    OK(tmb_win_alloc(TMB_TEAM_WORLD, PART_BYTES, 0, &win));
    OK(tmb_set_u64(win, me, NEVER, 0));
    for (uint64_t at = 0; at < NEVER; at += 8)
        OK(tmb_set_u64(win, me, at, 0));
    OK(tmb_barrier(TMB_TEAM_WORLD, BOUND));
}

static void ended_with(int count, int wanted)
{
    for (int i = 0; i < count; i++) {
        int64_t after = works[i].gap;

        EXPECT(works[i].rc, wanted);
        CHECK(after < BOUND);
        printf("# %s: %s after %.1f ms\n", works[i].name, tmb_strerror(works[i].rc),
               (double)after / 1e6);
    }
}

/* Who is on the other side is dead, and who is on this one lives and serves. */
static void sides_are_told(void)
{
    for (int i = 0; i < size; i++) {
        if (beside(i, VICTIM) != beside(me, VICTIM)) {
            until_dead(i);
            EXPECT(tmb_fetch_add_u64(win, i, ADDED, 1, NULL), -EHOSTDOWN);
        } else {
            OK(tmb_fetch_add_u64(win, i, ADDED, 1, NULL));
        }
    }
}

static void down(void)
{
    begin();
    works_start(WORKS);
    works_end(WORKS);
    ended_with(WORKS, -EHOSTDOWN);
    sides_are_told();
    EXPECT(tmb_barrier(TMB_TEAM_WORLD, BOUND), -EHOSTDOWN);
    OK(tmb_win_free(win));
}

/* Nobody is dead then: a wait would go on, and a collective, for ever. */
static void late(void)
{
    begin();
    works_start(BOUNDED);
    works_end(BOUNDED);
    ended_with(BOUNDED, -ETIMEDOUT);
    fflush(stdout);
    _exit(0); /* there is no end in good order: the others don't hear of it */
}

/* ---- and back ---- */

static const char *healed;

static void until_healed(void)
{
    while (access(healed, F_OK))
        pause_ms(10);
    pause_ms(100);
    atomic_store(&over, true);
}

/* What all have done to a target is what it has. */
static void is_exact(uint64_t offset, const struct work *work)
{
    uint64_t mine[2] = {0}, all[2], there[2] = {0};

    mine[target != VICTIM] = work->rounds;
    OK(tmb_allreduce(TMB_TEAM_WORLD, mine, all, 2, TMB_U64, TMB_OP_ADD, 3 * BOUND));
    OK(tmb_fetch_u64(win, VICTIM, offset, &there[0]));
    OK(tmb_fetch_u64(win, 0, offset, &there[1]));
    CHECK(there[0] == all[0] && there[1] == all[1]);
}

static void is_the_last(void)
{
    uint8_t piece[PIECE];
    uint64_t word;

    OK(tmb_get(win, target, WORDS + 8 * (uint64_t)me, &word, sizeof word));
    CHECK(word == works[WORD_WORK].rounds);
    OK(tmb_get(win, target, PIECES + PIECE * (uint64_t)me, piece, sizeof piece));
    for (int i = 0; i < PIECE; i++)
        CHECK(piece[i] == (uint8_t)works[PIECE_WORK].rounds);
}

static void back(void)
{
    begin();
    works_start(BOUNDED);
    until_healed();
    works_end(BOUNDED);
    for (int i = 0; i < BOUNDED; i++) {
        EXPECT(works[i].rc, 0);
        printf("# %s: %llu times, %.1f ms at most\n", works[i].name,
               (unsigned long long)works[i].rounds, (double)works[i].gap / 1e6);
    }
    OK(tmb_barrier(TMB_TEAM_WORLD, 3 * BOUND));
    is_exact(ADDED, &works[ADD_WORK]);
    is_exact(SIGNALLED, &works[SIGNAL_WORK]);
    is_exact(COUNTED, &works[LOCK_WORK]);
    is_the_last();
    OK(tmb_win_free(win));
}

/* ---- a cut that not all see ---- */

/* Rank 2 is told nothing while it works with both, and of their ends when they end. */
static void between(void)
{
    uint64_t ends = 0;

    for (uint64_t i = 1; ends < 2; i++) {
        OK(tmb_fetch_add_u64(win, 0, ADDED, 1, NULL));
        OK(tmb_fetch_add_u64(win, 1, ADDED, 1, NULL));
        OK(tmb_fetch_u64(win, 2, COUNTED, &ends));
        CHECK(!is_dead(0) && !is_dead(1));
        pause_ms(10);
    }
    OK(tmb_set_u64(win, 0, NEVER, 1));
    OK(tmb_set_u64(win, 1, NEVER, 1));
}

static void beyond(void)
{
    works_start(BOUNDED);
    works_end(BOUNDED);
    ended_with(BOUNDED, -EHOSTDOWN);
    CHECK(is_dead(1 - me) && !is_dead(2));
    EXPECT(tmb_barrier(TMB_TEAM_WORLD, BOUND), -EHOSTDOWN);
    OK(tmb_fetch_add_u64(win, 2, COUNTED, 1, NULL));
    for (uint64_t told = 0; !told; pause_ms(10))
        OK(tmb_fetch_u64(win, me, NEVER, &told));
}

static void apart(void)
{
    begin();
    if (me == 2)
        between();
    else
        beyond();
    OK(tmb_win_free(win));
}

/* ---- no message ---- */

static const char *argument;

static void garbage(void)
{
    begin();
    if (me == VICTIM) {
        pause_ms(300); /* others may need of it what begin() needs */
        garble(argument);
        EXPECT(tmb_fetch_add_u64(win, 0, ADDED, 1, NULL), -EHOSTDOWN);
    } else {
        until_dead(VICTIM);
        EXPECT(tmb_fetch_add_u64(win, VICTIM, ADDED, 1, NULL), -EHOSTDOWN);
    }
}

/* ---- no cut ---- */

/* Only who is on one host may share memory. */
static void routes(void)
{
    struct tmb_peer_info info;

    for (int i = 0; i < size; i++) {
        OK(tmb_peer_info(i, &info, sizeof info));
        CHECK(i == me || !info.mapped || beside(i, me));
        if (i != me && info.mapped)
            printf("mapped: rank %d by %s\n", i, info.provider);
    }
}

static const struct fault_case cases[] = {{"down", down, -EHOSTDOWN},
                                          {"late", late, 0},
                                          {"back", back, 0},
                                          {"apart", apart, -EHOSTDOWN},
                                          {"routes", routes, 0},
                                          {"garbage", garbage, -EHOSTDOWN},
                                          {0}};

int main(int argc, char **argv)
{
    healed = argument = argc > 2 ? argv[2] : "";
    garble_begin();
    thread_level = TMB_THREAD_MULTIPLE;
    return fault_main(argc, argv, cases);
}
