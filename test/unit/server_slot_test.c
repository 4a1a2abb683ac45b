/* SPDX-License-Identifier: BSD-3-Clause */
/* Jobs of a server's clients end, and the server tells whose end is whose. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../core/clock.h"
#include "../../providers/ivshmem/host.h"
#include "../../providers/ivshmem/server/server.h"

#define SOON tmbi_deadline(INT64_C(10000000000))

struct fixture {
    char directory[64], socket[80];
    pid_t server;
};

static void server_start(struct fixture *f)
{
    const char *parent = getenv("TMPDIR");
    struct tmbi_server_options options = {
        .socket = f->socket, .size = TMBI_REGION_MIN, .vectors = 2, .numa = -1};
    int ready[2];
    char byte;

    snprintf(f->directory, sizeof f->directory, "%s/server.XXXXXX",
             parent && strlen(parent) < 40 ? parent : "/tmp");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->socket, sizeof f->socket, "%s/s", f->directory);
    assert_int_equal(pipe(ready), 0);
    f->server = fork();
    if (f->server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ready[0]);
        options.ready_fd = ready[1];
        _exit(tmbi_server_run(&options) ? 1 : 0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
}

static void server_stop(struct fixture *f)
{
    int status;

    kill(f->server, SIGTERM);
    assert_int_equal(waitpid(f->server, &status, 0), f->server);
    assert_int_equal(status, 0);
    assert_int_equal(access(f->socket, F_OK), -1);
    assert_int_equal(rmdir(f->directory), 0);
}

struct rank {
    struct tmbi_host host;
    uint32_t slot, epoch, job;
};

static void rank_open(struct rank *rank, const struct fixture *f, const char *job)
{
    assert_int_equal(tmbi_host_open(&rank->host, f->socket, SOON), 0);
    assert_int_equal(
        tmbi_slot_find(&rank->host.way.region, rank->host.way.id, &rank->slot), 0);
    rank->host.way.slot = rank->slot;
    tmbi_way_introduce(&rank->host.way);
    rank->epoch = rank->host.way.region.slots[rank->slot].epoch;
    if (job)
        assert_int_equal(tmbi_job_join(&rank->host.way.region, rank->slot, job, 2, 0,
                                       SOON, &rank->job),
                         0);
}

static uint32_t slot_state(const struct rank *rank, uint32_t slot)
{
    return tmbi_slot_state(&rank->host.way.region.slots[slot]);
}

/* The server hears of it a little later. */
static void deaths_await(const struct rank *rank, uint32_t deaths)
{
    int64_t deadline = SOON;

    while (atomic_load(&rank->host.way.region.header->deaths) < deaths) {
        assert_true(tmbi_clock_ns() < deadline);
        usleep(1000);
    }
}

static void state_await(const struct rank *rank, uint32_t slot, uint32_t state)
{
    int64_t deadline = SOON;

    while (slot_state(rank, slot) != state) {
        assert_true(tmbi_clock_ns() < deadline);
        usleep(1000);
    }
}

static void rings_hear(const struct rank *rank, bool expected)
{
    for (int line = 0; line < TMBI_LINES; line++) {
        struct pollfd bell = {.fd = rank->host.way.bell[line], .events = POLLIN};
        assert_int_equal(poll(&bell, 1, expected ? 10000 : 0), expected);
    }
}

/* Killed, it is DEAD, and all of its job hear the bell, nobody else. */
static void death_rings_the_job(void **state)
{
    struct rank peer, stranger;
    struct fixture f;
    int ready[2];
    uint32_t slot;
    pid_t child;

    (void)state;
    server_start(&f);
    rank_open(&peer, &f, "job");
    rank_open(&stranger, &f, "other");
    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        struct rank rank;
        rank_open(&rank, &f, "job");
        if (write(ready[1], &rank.slot, sizeof rank.slot) == sizeof rank.slot)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &slot, sizeof slot), sizeof slot);
    assert_int_equal(peer.host.way.region.slots[slot].pid, child);
    rings_hear(&peer, false);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    deaths_await(&peer, 1);
    rings_hear(&peer, true);
    rings_hear(&stranger, false);
    assert_int_equal(slot_state(&peer, slot), TMBI_SLOT_DEAD);
    tmbi_host_close(&peer.host);
    tmbi_host_close(&stranger.host);
    close(ready[0]);
    close(ready[1]);
    server_stop(&f);
}

/* A job is over while one that has left it is still connected: its slot goes to another,
 * whose it stays when that connection ends. */
static void slot_outlives_its_former_process(void **state)
{
    struct rank left, last, next, other;
    struct fixture f;

    (void)state;
    server_start(&f);
    rank_open(&left, &f, "job");
    rank_open(&last, &f, "job");
    rank_open(&other, &f, NULL);
    tmbi_slot_leave(&left.host.way.region, left.slot, left.epoch);
    tmbi_host_close(&last.host);
    deaths_await(&other, 1);
    rank_open(&next, &f, "job");
    assert_int_equal(next.slot, left.slot);
    tmbi_host_close(&left.host);
    tmbi_host_close(&other.host); /* heard of after the one before */
    state_await(&next, other.slot, TMBI_SLOT_DEAD);
    assert_int_equal(slot_state(&next, next.slot), TMBI_SLOT_LIVE);
    assert_int_equal(atomic_load(&next.host.way.region.header->deaths), 2);
    tmbi_host_close(&next.host);
    server_stop(&f);
}

static void leaving_rings_nobody(void **state)
{
    struct rank left, stays;
    struct fixture f;

    (void)state;
    server_start(&f);
    rank_open(&left, &f, "job");
    rank_open(&stays, &f, "job");
    tmbi_slot_leave(&left.host.way.region, left.slot, left.epoch);
    tmbi_host_close(&left.host);
    rank_open(&left, &f, NULL); /* heard of after that */
    assert_int_not_equal(left.slot, 0);
    assert_int_equal(slot_state(&stays, 0), TMBI_SLOT_LEFT);
    rings_hear(&stays, false);
    assert_int_equal(atomic_load(&stays.host.way.region.header->deaths), 0);
    tmbi_host_close(&left.host);
    tmbi_host_close(&stays.host);
    server_stop(&f);
}

/* A machine's connection ends: so do its processes, and their job hears of it. */
static void machine_takes_its_processes_along(void **state)
{
    struct rank machine, peer;
    struct fixture f;
    uint32_t process, job;

    (void)state;
    server_start(&f);
    rank_open(&machine, &f, NULL);
    rank_open(&peer, &f, "job");
    struct tmbi_region *region = &peer.host.way.region;
    assert_int_equal(
        tmbi_slot_claim(region, machine.host.way.id, TMBI_SLOT_OWN, 1, &process), 0);
    assert_int_equal(tmbi_job_join(region, process, "job", 2, 1, SOON, &job), 0);
    tmbi_host_close(&machine.host);
    state_await(&peer, process, TMBI_SLOT_DEAD);
    rings_hear(&peer, true);
    assert_int_equal(slot_state(&peer, peer.slot), TMBI_SLOT_LIVE);
    tmbi_host_close(&peer.host);
    server_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(death_rings_the_job),
        cmocka_unit_test(slot_outlives_its_former_process),
        cmocka_unit_test(leaving_rings_nobody),
        cmocka_unit_test(machine_takes_its_processes_along),
    };

    return cmocka_run_group_tests_name("server_slot", tests, NULL, NULL);
}
