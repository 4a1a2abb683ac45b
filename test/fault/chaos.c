/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All ranks do everything at once, and one is killed at a moment that the seed chooses.
 * The others go on until a collective tells them, look at what the locks protect, and
 * leave.
 *     chaos SEED
 */
#include <pthread.h>
#include <time.h>

#include "fault.h"

#define WORDS 0  /* two words that whoever holds the lock keeps equal */
#define COUNT 16 /* a word that all add to */
#define FLAG  24 /* a word that its owner waits on */
#define DATA  64
#define PART  (64u << 10)

static uint64_t common, own; /* sequences: the same on all ranks, and one's own */
static tmb_win *alloced, *created;
static uint8_t part[PART], buffer[PART];

/* xorshift64 (Marsaglia, Journal of Statistical Software 8, 2003). */
static uint64_t draw(uint64_t *state, uint64_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % below;
}

static void *killer(void *arg)
{
    int64_t ns = *(int64_t *)arg;
    struct timespec t = {ns / SECOND, ns % SECOND};

    nanosleep(&t, NULL);
    kill(getpid(), SIGKILL);
    return NULL;
}

/* The dead rank's memory may be gone or not. */
static bool fine(int rc)
{
    return rc == 0 || rc == -EHOSTDOWN;
}

/* Under the lock: set right what a dead writer left, change it, and read it back. */
static void words_change(int rank, int rc)
{
    uint64_t words[2];

    CHECK(fine(tmb_get(alloced, rank, WORDS, words, sizeof(words))));
    if (rc == -EOWNERDEAD) {
        words[0] = words[1];
        OK(tmb_lock_recover(alloced, rank));
    }
    CHECK(words[0] == words[1]);
    words[0]++;
    CHECK(fine(tmb_put(alloced, rank, WORDS, &words[0], 8)));
    words[1]++;
    CHECK(fine(tmb_put(alloced, rank, WORDS + 8, &words[1], 8)));
}

static void words_look(int rank, int rc)
{
    uint64_t words[2];

    CHECK(fine(tmb_get(alloced, rank, WORDS, words, sizeof(words))));
    CHECK(words[0] == words[1] || rc == -EOWNERDEAD);
}

static void lock(int rank)
{
    bool writes = draw(&own, 2);
    int64_t timeout = draw(&own, 4) ? BOUND : (int64_t)draw(&own, 50000);
    int rc =
        tmb_lock(alloced, rank, writes ? TMB_LOCK_EXCLUSIVE : TMB_LOCK_SHARED, timeout);

    if (rc == -ETIMEDOUT) {
        CHECK(timeout < BOUND);
        return;
    }
    CHECK(rc == 0 || rc == -EOWNERDEAD);
    (writes ? words_change : words_look)(rank, rc);
    CHECK(fine(tmb_unlock(alloced, rank)));
}

static void wait_a_little(void)
{
    int rc = tmb_wait(alloced, FLAG, TMB_EQ, draw(&own, 100), (int64_t)draw(&own, 100000),
                      NULL);

    CHECK(fine(rc) || rc == -ETIMEDOUT);
}

static void step(void)
{
    tmb_win *win = draw(&own, 2) ? alloced : created;
    int rank = (int)draw(&own, (uint64_t)size);
    size_t bytes = draw(&own, PART - DATA);

    switch (draw(&own, 6)) {
    case 0:
        CHECK(fine(tmb_put(win, rank, DATA, buffer, bytes)));
        break;
    case 1:
        CHECK(fine(tmb_get(win, rank, DATA, buffer, bytes)));
        break;
    case 2:
        CHECK(fine(tmb_fetch_add_u64(win, rank, COUNT, 1, NULL)));
        break;
    case 3:
        CHECK(fine(
            tmb_put_signal(win, rank, DATA, buffer, bytes, FLAG, TMB_SIGNAL_ADD, 1)));
        break;
    case 4:
        wait_a_little();
        break;
    default:
        lock(rank);
    }
}

static int make_and_free(bool create)
{
    static uint8_t memory[5000];
    tmb_win *win;
    int rc = create ? tmb_win_create(TMB_TEAM_WORLD, memory, sizeof(memory), 0, &win)
                    : tmb_win_alloc(TMB_TEAM_WORLD, 20000, 0, &win);

    if (rc == 0)
        OK(tmb_win_free(win));
    return rc;
}

static int meet(void)
{
    uint64_t all;
    tmb_team *team;
    int rc;

    switch (draw(&common, 5)) {
    case 0:
        return tmb_barrier(TMB_TEAM_WORLD, BOUND);
    case 1:
        return tmb_allreduce(TMB_TEAM_WORLD, &own, &all, 1, TMB_U64, TMB_OP_XOR, BOUND);
    case 2:
        return make_and_free(false);
    case 3:
        return make_and_free(true);
    default:
        rc = tmb_team_split(TMB_TEAM_WORLD, me % 2, 0, &team);
        if (rc == 0)
            rc = tmb_team_free(team);
        return rc;
    }
}

/* What every lock protects is sane, or whoever comes first is told that it may not be. */
static void look_at_all(void)
{
    int state;

    until_dead(VICTIM);
    OK(tmb_peer_state(VICTIM, &state));
    for (int i = 0; i < size; i++) {
        int rc = tmb_lock(alloced, i, TMB_LOCK_EXCLUSIVE, BOUND);

        CHECK(rc == 0 || rc == -EOWNERDEAD);
        words_change(i, rc);
        OK(tmb_unlock(alloced, i));
    }
}

static void begin(uint64_t seed)
{
    OK(tmb_rank(&me));
    OK(tmb_size(&size));
    common = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    own = common + (uint64_t)me * 1000003;
    alarm((unsigned)(2 * BOUND / SECOND));
}

static int run(void)
{
    int rc = tmb_win_alloc(TMB_TEAM_WORLD, PART, 0, &alloced);

    if (rc)
        return rc;
    rc = tmb_win_create(TMB_TEAM_WORLD, part, PART, 0, &created);
    if (rc == 0) /* and on all: a rank may have died while others left it */
        rc = tmb_barrier(TMB_TEAM_WORLD, BOUND);
    while (rc == 0) {
        for (uint64_t i = draw(&own, 40); i > 0; i--)
            step();
        rc = meet();
    }
    look_at_all();
    if (created)
        OK(tmb_win_free(created));
    OK(tmb_win_free(alloced));
    return rc;
}

int main(int argc, char **argv)
{
    const char *rank = getenv("TMB_RANK");
    uint64_t seed, random;
    pthread_t thread;
    int64_t ns;

    CHECK(argc == 2 && rank);
    seed = strtoull(argv[1], NULL, 10);
    random = seed * 77777 + 1;
    draw(&random, 2);
    ns = (int64_t)draw(&random, 150000000);
    if (atoi(rank) == VICTIM)
        CHECK(pthread_create(&thread, NULL, killer, &ns) == 0);
    if (tmb_init(seed % 2 ? TMB_THREAD_MULTIPLE : TMB_THREAD_SINGLE))
        return 0; /* it died on the way: no job, and nothing to look at */
    begin(seed);
    EXPECT(run(), -EHOSTDOWN);
    EXPECT(tmb_finalize(), -EHOSTDOWN);
    return 0;
}
