/* SPDX-License-Identifier: BSD-3-Clause */
/* Both ends of greeting.h. An input's first byte chooses: a rank that reads any bytes
 * from rank 0; or rank 0, to whom several come that say anything in pieces, or what a
 * rank would. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../core/bootstrap/door.h"
#include "../../core/bootstrap/greeting.h"
#include "../../core/clock.h"
#include "fuzz.h"

#define RANKS  4
#define COMERS 6

static struct tmbi_secret secret;

struct input {
    const uint8_t *data;
    size_t bytes;
};

static uint8_t next(struct input *input)
{
    if (!input->bytes)
        return 0;
    input->bytes--;
    return *input->data++;
}

/* ---- a rank ---- */

static void rank_hears(const struct input *input)
{
    struct tmbi_ticket ticket = {
        .rank = 1, .size = RANKS, .job = "job", .where = "here", .secret = &secret};
    char job[TMBI_NAME_BYTES];
    int pair[2], rc;

    FUZZ_CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    FUZZ_CHECK(send(pair[1], input->data, input->bytes, MSG_DONTWAIT) ==
               (ssize_t)input->bytes);
    shutdown(pair[1], SHUT_WR);
    rc = tmbi_greeting_join(pair[0], &ticket, job, tmbi_deadline(1000000000));
    FUZZ_CHECK(rc <= 0 && rc >= -4095);
    FUZZ_CHECK(rc || (job[0] && memchr(job, 0, sizeof job)));
    close(pair[0]);
    close(pair[1]);
}

/* ---- rank 0 ---- */

static void on_abort(void *arg, int rank, int exit_code)
{
    (void)arg;
    (void)exit_code;
    FUZZ_CHECK(rank > 0 && rank < RANKS);
}

static void on_garbage(void *arg, int rank, const char *what)
{
    struct tmbi_hub **hub = arg;

    FUZZ_CHECK(rank >= 0 && rank < RANKS && what);
    if (rank)
        tmbi_hub_gone(*hub, rank, 1);
}

static void on_answered(void *arg, const struct tmbi_launch_header *header,
                        const void *payload)
{
    (void)arg;
    FUZZ_CHECK(header && payload);
}

static void say(int fd, const void *data, size_t bytes)
{
    (void)!send(fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* What a rank says that is welcome; the fuzzer can't forge a proof where there is one. */
static void say_hello(int fd, struct input *input)
{
    struct tmbi_hello hello = {.rank = next(input) % (RANKS + 1u),
                               .size = RANKS + next(input) % 8 / 7u,
                               .job = "job"};

    tmbi_greeting_head_fill(&hello.head, TMBI_HELLO);
    say(fd, &hello, sizeof hello);
}

static void say_part(int fd, struct input *input)
{
    struct tmbi_launch_header header = {.magic = TMBI_LAUNCH_MAGIC,
                                        .kind = next(input) % 6u,
                                        .rank = next(input) % RANKS};

    say(fd, &header, sizeof header);
}

static void say_raw(int fd, struct input *input)
{
    size_t bytes = next(input);

    if (bytes > input->bytes)
        bytes = input->bytes;
    say(fd, input->data, bytes);
    input->data += bytes;
    input->bytes -= bytes;
}

static void comer_acts(struct tmbi_door *door, int *fd, uint8_t action,
                       struct input *input)
{
    int pair[2];

    if (*fd < 0) {
        FUZZ_CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
        *fd = pair[0];
        tmbi_door_admit(door, pair[1]);
    }
    if (action == 0)
        say_hello(*fd, input);
    else if (action == 1)
        say_part(*fd, input);
    else if (action == 2)
        say_raw(*fd, input);
    else
        shutdown(*fd, SHUT_WR);
}

static void host_hears(struct input *input)
{
    struct tmbi_ticket ticket = {
        .size = RANKS, .job = "job", .where = "here", .secret = &secret};
    struct tmbi_hub *hub;
    const struct tmbi_hub_events events = {
        .abort = on_abort, .garbage = on_garbage, .answered = on_answered};
    struct tmbi_loop loop;
    struct tmbi_door *door;
    int fds[COMERS] = {-1, -1, -1, -1, -1, -1};

    FUZZ_CHECK(!tmbi_loop_open(&loop));
    FUZZ_CHECK(!tmbi_hub_open(&hub, &loop, RANKS, &events, &hub));
    tmbi_hub_expect(hub);
    FUZZ_CHECK(!tmbi_door_open(&door, &loop, hub, -1, &ticket, "name"));
    tmbi_hub_give(hub, 0, NULL, 0);
    while (input->bytes) {
        uint8_t word = next(input);
        if (word % 5 == 4)
            tmbi_loop_turn(&loop, 0);
        else
            comer_acts(door, &fds[word / 5 % COMERS], word % 5, input);
    }
    for (int i = 0; i < 4 * COMERS; i++)
        tmbi_loop_turn(&loop, 0);
    tmbi_door_expire(door);
    tmbi_door_close(door);
    tmbi_hub_close(hub);
    tmbi_loop_close(&loop);
    for (int i = 0; i < COMERS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct input input = {data, bytes};
    uint8_t choice = next(&input);

    memset(&secret, 0, sizeof secret);
    if (choice & 2)
        secret.bytes = TMBI_SECRET_MIN; /* of zeros */
    if (choice & 1)
        rank_hears(&input);
    else
        host_hears(&input);
    return 0;
}
