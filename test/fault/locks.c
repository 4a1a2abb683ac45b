/* SPDX-License-Identifier: BSD-3-Clause */
/* What becomes of locks whose holders or waiters die. */
#include "fault.h"

#define BOTH (-1000) /* 0 or -EOWNERDEAD */

static tmb_win *win;
static tmb_team *living;

static void begin(void)
{
    CHECK(size >= 4);
    deaths_open();
    OK(tmb_win_alloc(TMB_TEAM_WORLD, 64, 0, &win));
    living = survivors();
    gather();
}

static void end(void)
{
    int state;

    OK(tmb_barrier(living, BOUND));
    OK(tmb_peer_state(VICTIM, &state));
    CHECK(state == TMB_PEER_DEAD);
    OK(tmb_win_free(win));
    OK(tmb_team_free(living));
    deaths_close();
}

static enum tmb_lock_mode my_mode(void)
{
    return me % 2 ? TMB_LOCK_SHARED : TMB_LOCK_EXCLUSIVE;
}

static void lock_gives(enum tmb_lock_mode mode, int wanted)
{
    int rc = tmb_lock(win, 0, mode, BOUND);

    if (wanted == BOTH && rc == -EOWNERDEAD)
        wanted = rc;
    EXPECT(rc, wanted == BOTH ? 0 : wanted);
    OK(tmb_unlock(win, 0));
}

/* Every new holder is told until one recovers, and none afterwards. */
static void recover(void)
{
    OK(tmb_barrier(living, BOUND));
    EXPECT(tmb_lock_recover(win, 0), -EPERM);
    lock_gives(my_mode(), -EOWNERDEAD);
    OK(tmb_barrier(living, BOUND));
    if (me == 0) {
        EXPECT(tmb_lock(win, 0, TMB_LOCK_EXCLUSIVE, BOUND), -EOWNERDEAD);
        OK(tmb_lock_recover(win, 0));
        EXPECT(tmb_lock_recover(win, 0), -EINVAL);
        OK(tmb_unlock(win, 0));
    }
    OK(tmb_barrier(living, BOUND));
    lock_gives(my_mode(), 0);
}

/* The holder dies while some wait asleep, as readers and as writers. */
static void holder(void)
{
    begin();
    if (me == VICTIM)
        OK(tmb_lock(win, 0, TMB_LOCK_EXCLUSIVE, BOUND));
    gather();
    if (me == VICTIM) {
        pause_ms(200); /* they sleep by then */
        die();
    }
    EXPECT(tmb_lock(win, 0, my_mode(), BOUND), -EOWNERDEAD);
    death_noticed("tmb_lock");
    OK(tmb_unlock(win, 0));
    recover();
    end();
}

/* The holder has died before anybody asks. */
static void holder_before(void)
{
    begin();
    if (me == VICTIM) {
        OK(tmb_lock(win, 0, TMB_LOCK_EXCLUSIVE, BOUND));
        die();
    }
    until_dead(VICTIM);
    if (me == 0) { /* alone, it need not wait */
        EXPECT(tmb_lock(win, 0, TMB_LOCK_EXCLUSIVE, 0), -EOWNERDEAD);
        OK(tmb_unlock(win, 0));
    }
    recover();
    end();
}

/* One of two readers dies while a writer waits, who is in when the other has left. */
static void reader(void)
{
    begin();
    if (me == VICTIM || me == 2)
        OK(tmb_lock(win, 0, TMB_LOCK_SHARED, BOUND));
    gather();
    if (me == VICTIM) {
        pause_ms(200);
        die();
    }
    if (me == 2) {
        until_dead(VICTIM);
        pause_ms(50);
        OK(tmb_unlock(win, 0));
    } else if (me == 0) {
        EXPECT(tmb_lock(win, 0, TMB_LOCK_EXCLUSIVE, BOUND), -EOWNERDEAD);
        CHECK(is_dead(VICTIM));
        OK(tmb_unlock(win, 0));
    }
    recover();
    end();
}

/* A waiter dies in the queue: those behind it get the lock, and nobody held it. */
static void waiter(enum tmb_lock_mode mode, bool at_once)
{
    struct tmb_peer_info info;

    begin();
    if (me == 0)
        OK(tmb_lock(win, 0, TMB_LOCK_EXCLUSIVE, BOUND));
    gather();
    if (me == 0) {
        pause_ms(200);
        OK(tmb_peer_info(VICTIM, &info, sizeof(info)));
        CHECK(kill((pid_t)info.pid, SIGKILL) == 0);
        if (!at_once)
            until_dead(VICTIM);
        OK(tmb_unlock(win, 0));
    } else {
        pause_ms(me == VICTIM ? 0 : 50);
        /* A writer may be handed the lock in the moment that it dies. */
        lock_gives(me == VICTIM ? mode : my_mode(), at_once ? BOTH : 0);
    }
    until_dead(VICTIM);
    OK(tmb_barrier(living, BOUND));
    lock_gives(my_mode(), at_once ? BOTH : 0);
    end();
}

static void writer_waits(void)
{
    waiter(TMB_LOCK_EXCLUSIVE, false);
}

static void reader_waits(void)
{
    waiter(TMB_LOCK_SHARED, false);
}

static void writer_waits_until_now(void)
{
    waiter(TMB_LOCK_EXCLUSIVE, true);
}

static void reader_waits_until_now(void)
{
    waiter(TMB_LOCK_SHARED, true);
}

/* tmb_lock_all() holds all even if one of them was a dead rank's. */
static void all(void)
{
    begin();
    if (me == VICTIM) {
        OK(tmb_lock(win, 2, TMB_LOCK_EXCLUSIVE, BOUND));
        die();
    }
    until_dead(VICTIM);
    EXPECT(tmb_lock_all(win, BOUND), -EOWNERDEAD);
    OK(tmb_barrier(living, BOUND));
    for (int i = 0; me == 0 && i < size; i++)
        EXPECT(tmb_lock_recover(win, i), i == 2 ? 0 : -EINVAL);
    OK(tmb_barrier(living, BOUND));
    OK(tmb_unlock_all(win));
    OK(tmb_lock_all(win, BOUND));
    OK(tmb_unlock_all(win));
    end();
}

/* A dead rank's part and its lock are still there where they are mapped. */
static void target(void)
{
    uint64_t value = 7, old = 0;

    begin();
    if (me == VICTIM)
        die();
    until_dead(VICTIM);
    for (int i = 0; i < 100; i++) {
        OK(tmb_lock(win, VICTIM, my_mode(), BOUND));
        OK(tmb_put(win, VICTIM, 0, &value, 8));
        OK(tmb_get(win, VICTIM, 0, &old, 8));
        CHECK(old == value);
        OK(tmb_fetch_add_u64(win, VICTIM, 8, 1, NULL));
        OK(tmb_unlock(win, VICTIM));
    }
    end();
}

static const struct fault_case cases[] = {
    {"holder", holder, -EHOSTDOWN},
    {"holder_before", holder_before, -EHOSTDOWN},
    {"reader", reader, -EHOSTDOWN},
    {"writer_waits", writer_waits, -EHOSTDOWN},
    {"reader_waits", reader_waits, -EHOSTDOWN},
    {"writer_waits_until_now", writer_waits_until_now, -EHOSTDOWN},
    {"reader_waits_until_now", reader_waits_until_now, -EHOSTDOWN},
    {"all", all, -EHOSTDOWN},
    {"target", target, -EHOSTDOWN},
    {0}};

int main(int argc, char **argv)
{
    return fault_main(argc, argv, cases);
}
