/* SPDX-License-Identifier: BSD-3-Clause */
/* Both ends of launch.h. An input's first byte chooses: a rank that reads any bytes for
 * the launcher's answer; or a launcher whose ranks say anything, in any order, in pieces,
 * and end at any time. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../core/bootstrap/backends.h"
#include "../../core/bootstrap/launch.h"
#include "../../core/bootstrap/hub.h"
#include "../../core/clock.h"
#include "fuzz.h"

#define RANKS 3

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

#define PART_BYTES 8

static void rank_hears(const struct input *input)
{
    struct tmbi_bootstrap b = {.job = {.rank = 1, .size = RANKS}, .server = "fuzz"};
    uint8_t mine[PART_BYTES] = {0}, all[RANKS * PART_BYTES];
    int pair[2], rc;

    FUZZ_CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    FUZZ_CHECK(send(pair[1], input->data, input->bytes, MSG_DONTWAIT) ==
               (ssize_t)input->bytes);
    shutdown(pair[1], SHUT_WR);
    b.fd = pair[0];
    rc = tmbi_bootstrap_run.exchange(&b, mine, sizeof mine, all,
                                     tmbi_deadline(1000000000));
    FUZZ_CHECK(rc <= 0 && rc >= -4095);
    tmbi_bootstrap_run.close(&b);
    close(pair[1]);
}

/* ---- a launcher ---- */

enum action { HEADER, RAW, PAYLOAD, TURN, END, READ, ACTIONS };

static void on_abort(void *arg, int rank, int exit_code)
{
    (void)arg;
    (void)exit_code;
    FUZZ_CHECK(rank >= 0 && rank < RANKS);
}

static void on_garbage(void *arg, int rank, const char *what)
{
    (void)arg;
    FUZZ_CHECK(rank >= 0 && rank < RANKS && what);
}

static void say(int fd, const void *data, size_t bytes)
{
    (void)!send(fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void say_header(int fd, int rank, struct input *input)
{
    struct tmbi_launch_header header = {.magic = TMBI_LAUNCH_MAGIC, .rank = rank};

    header.kind = next(input) % 6;
    header.bytes = next(input) % 64;
    header.code = next(input);
    say(fd, &header, sizeof header);
}

static void say_raw(int fd, struct input *input, size_t bytes)
{
    if (bytes > input->bytes)
        bytes = input->bytes;
    say(fd, input->data, bytes);
    input->data += bytes;
    input->bytes -= bytes;
}

static void act(struct tmbi_hub *hub, struct tmbi_loop *loop, int fds[RANKS],
                struct input *input)
{
    static const uint8_t payload[64];
    uint8_t word = next(input);
    int rank = word / ACTIONS % RANKS;
    uint8_t heard[256];

    switch ((enum action)(word % ACTIONS)) {
    case HEADER:
        say_header(fds[rank], rank, input);
        break;
    case RAW:
        say_raw(fds[rank], input, next(input) % 64);
        break;
    case PAYLOAD:
        say(fds[rank], payload, next(input) % sizeof payload);
        break;
    case END:
        shutdown(fds[rank], SHUT_WR);
        tmbi_hub_ended(hub, rank);
        break;
    case READ:
        (void)!recv(fds[rank], heard, sizeof heard, MSG_DONTWAIT);
        break;
    default:
        tmbi_loop_turn(loop, 0);
    }
}

static void launcher_hears(struct input *input)
{
    static const struct tmbi_hub_events events = {.abort = on_abort,
                                                  .garbage = on_garbage};
    struct tmbi_loop loop;
    struct tmbi_hub *hub;
    int fds[RANKS];

    FUZZ_CHECK(!tmbi_loop_open(&loop));
    FUZZ_CHECK(!tmbi_hub_open(&hub, &loop, RANKS, &events, NULL));
    for (int rank = 0; rank < RANKS; rank++)
        FUZZ_CHECK(!tmbi_hub_join(hub, rank, &fds[rank]));
    while (input->bytes)
        act(hub, &loop, fds, input);
    for (int i = 0; i < 4 * RANKS; i++)
        tmbi_loop_turn(&loop, 0);
    tmbi_hub_close(hub);
    tmbi_loop_close(&loop);
    for (int rank = 0; rank < RANKS; rank++)
        close(fds[rank]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct input input = {data, bytes};

    if (next(&input) % 2)
        rank_hears(&input);
    else
        launcher_hears(&input);
    return 0;
}
