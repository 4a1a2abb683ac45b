/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What becomes of operations on a peer's own memory when that peer, or the server, ends
 * or stops. Rank 1 is the one that suffers; the others look at the clock.
 *
 *   routes killed    rank 1 dies while all others put to it
 *   routes stopped   rank 1 stops for longer than an operation may take, and goes on
 *   routes server    the server dies, and then rank 1
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "fault.h"

#define PUT_BYTES  (UINT64_C(1) << 20)
#define PART_BYTES (PUT_BYTES * 8)
#define COUNTER    64 /* offset of a word that every other rank adds to once */

static tmb_win *win;
static uint8_t part[PART_BYTES], source[PART_BYTES];

static void begin(void)
{
    OK(tmb_win_create(TMB_TEAM_WORLD, part, PART_BYTES, 0, &win));
}

/* Where this rank alone puts in another's memory. */
static uint64_t mine(void)
{
    return 4096 + (uint64_t)me * PUT_BYTES;
}

/* Whoever is neither the victim nor we. */
static int bystander(void)
{
    int other = 0;

    while (other == VICTIM || other == me)
        other++;
    return other;
}

static void bystander_is_served(void)
{
    CHECK(tmb_put(win, bystander(), mine(), source, PUT_BYTES) == 0);
    CHECK(tmb_fetch_add_u32(win, bystander(), 0, 1, NULL) == 0);
}

static void death_is_seen(int64_t since)
{
    int state;

    int64_t after = now() - since;

    CHECK(after < BOUND);
    printf("# rank %d: told of it after %.1f ms\n", me, (double)after / 1e6);
    CHECK(tmb_barrier(TMB_TEAM_WORLD, 10 * SECOND) == -EHOSTDOWN);
    CHECK(tmb_peer_state(VICTIM, &state) == 0 && state == TMB_PEER_DEAD);
    CHECK(tmb_put(win, VICTIM, mine(), source, 8) == -EHOSTDOWN);
    CHECK(tmb_fetch_add_u32(win, VICTIM, 0, 1, NULL) == -EHOSTDOWN);
    bystander_is_served();
}

static void killed(void)
{
    int64_t last = now();
    int rc;

    begin();
    if (me == VICTIM) {
        pause_ms(300);
        raise(SIGKILL);
    }
    while ((rc = tmb_put(win, VICTIM, mine(), source, 100000)) == 0)
        last = now();
    CHECK(rc == -EHOSTDOWN);
    death_is_seen(last);
    OK(tmb_win_free(win));
}

static void stop_for_a_while(void)
{
    if (fork() == 0) {
        pause_ms(2500);
        kill(getppid(), SIGCONT);
        _exit(0);
    }
    raise(SIGSTOP);
}

/* TMB_OP_TIMEOUT is 500 ms, and the kernel's copy is off. */
static void stopped(void)
{
    int64_t start;
    uint32_t sum = 0;
    int rc;

    begin();
    if (me == VICTIM) {
        pause_ms(200); /* others may need of it what begin() needs */
        stop_for_a_while();
    } else {
        pause_ms(400);
        for (int i = 0; i < 2; i++) {
            start = now();
            rc = tmb_put(win, VICTIM, mine(), source, 8);
            CHECK((rc ? rc : tmb_flush(win, VICTIM)) == -ETIMEDOUT);
            CHECK(now() - start >= SECOND / 2 && now() - start < SECOND);
            bystander_is_served();
        }
        while ((rc = tmb_fetch_add_u32(win, VICTIM, COUNTER, 1, NULL)) == -ETIMEDOUT)
            ;
        CHECK(rc == 0);
    }
    CHECK(tmb_barrier(TMB_TEAM_WORLD, 30 * SECOND) == 0);
    CHECK(tmb_fetch_u32(win, VICTIM, COUNTER, &sum) == 0);
    /* An operation that timed out may still be done, late: never fewer. */
    CHECK(sum >= (uint32_t)size - 1);
    OK(tmb_win_free(win));
}

static pid_t server_pid(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred server = {0};
    socklen_t bytes = sizeof server;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", getenv("TMB_SERVER"));
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &server, &bytes) == 0);
    close(fd);
    return server.pid;
}

static void server(void)
{
    int64_t start;

    begin();
    CHECK(tmb_barrier(TMB_TEAM_WORLD, 10 * SECOND) == 0);
    if (me == 0)
        CHECK(kill(server_pid(), SIGKILL) == 0);
    pause_ms(300);
    CHECK(tmb_barrier(TMB_TEAM_WORLD, 10 * SECOND) == 0);
    bystander_is_served();
    start = now();
    if (me == VICTIM) {
        pause_ms(300); /* the others have left the barrier */
        raise(SIGKILL);
    }
    CHECK(tmb_barrier(TMB_TEAM_WORLD, 10 * SECOND) == -EHOSTDOWN);
    death_is_seen(start);
    OK(tmb_win_free(win));
}

static const struct fault_case cases[] = {{"killed", killed, -EHOSTDOWN},
                                          {"stopped", stopped, 0},
                                          {"server", server, -EHOSTDOWN},
                                          {0}};

int main(int argc, char **argv)
{
    return fault_main(argc, argv, cases);
}
