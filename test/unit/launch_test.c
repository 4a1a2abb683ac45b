/* SPDX-License-Identifier: BSD-3-Clause */
/* What ranks and their launcher say to each other: the bootstrap back end in child
 * processes against the hub in this one. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../core/bootstrap/bootstrap.h"
#include "../../core/bootstrap/launch.h"
#include "../../core/bootstrap/hub.h"
#include "../../core/clock.h"
#include "../../core/log.h"

#define SECOND INT64_C(1000000000)
#define JOB    "0123456789abcdef"

/* ---- the launcher's side ---- */

struct launcher {
    struct tmbi_loop loop;
    struct tmbi_hub *hub;
    int size;
    int fds[8]; /* the ranks' ends */
    pid_t pids[8];
    int aborted, abort_code, garbage; /* rank, or -1 */
    const char *what;
};

static void on_abort(void *arg, int rank, int exit_code)
{
    struct launcher *launcher = arg;

    launcher->aborted = rank;
    launcher->abort_code = exit_code;
}

static void on_garbage(void *arg, int rank, const char *what)
{
    struct launcher *launcher = arg;

    launcher->garbage = rank;
    launcher->what = what;
}

static const struct tmbi_hub_events events = {.abort = on_abort, .garbage = on_garbage};

static struct launcher *launcher_open(int size)
{
    struct launcher *launcher = calloc(1, sizeof *launcher);

    assert_non_null(launcher);
    launcher->size = size;
    launcher->aborted = launcher->garbage = -1;
    assert_int_equal(tmbi_loop_open(&launcher->loop), 0);
    assert_int_equal(
        tmbi_hub_open(&launcher->hub, &launcher->loop, size, &events, launcher), 0);
    for (int i = 0; i < size; i++)
        assert_int_equal(tmbi_hub_join(launcher->hub, i, &launcher->fds[i]), 0);
    return launcher;
}

static void launcher_close(struct launcher *launcher)
{
    for (int i = 0; i < launcher->size; i++)
        if (launcher->fds[i] >= 0)
            close(launcher->fds[i]);
    tmbi_hub_close(launcher->hub);
    tmbi_loop_close(&launcher->loop);
    free(launcher);
}

/* Start a rank that runs body() and exits with what it returns. */
static void launcher_start(struct launcher *launcher, int rank,
                           int (*body)(struct tmbi_bootstrap *b))
{
    pid_t pid = fork();

    if (pid == 0) {
        struct tmbi_core_config config = {.rank = rank,
                                          .size = launcher->size,
                                          .job = JOB,
                                          .launch_fd = launcher->fds[rank]};
        struct tmbi_bootstrap b;

        alarm(30);
        if (tmbi_bootstrap_open(&b, &config))
            _exit(99);
        for (int i = 0; i < launcher->size; i++)
            if (i != rank && launcher->fds[i] >= 0)
                close(launcher->fds[i]);
        _exit(body(&b));
    }
    assert_true(pid > 0);
    launcher->pids[rank] = pid;
    close(launcher->fds[rank]);
    launcher->fds[rank] = -1;
}

/* Serve until all that were started have ended; their exit codes must be `code`. */
static void launcher_serve(struct launcher *launcher, int code)
{
    int64_t deadline = tmbi_deadline(30 * SECOND);

    for (int left = 0, i = 0; tmbi_clock_ns() < deadline; i = 0, left = 0) {
        tmbi_loop_turn(&launcher->loop, tmbi_deadline(SECOND / 200));
        for (; i < launcher->size; i++) {
            int status;
            if (launcher->pids[i] <= 0)
                continue;
            left++;
            if (waitpid(launcher->pids[i], &status, WNOHANG) != launcher->pids[i])
                continue;
            assert_true(WIFEXITED(status));
            assert_int_equal(WEXITSTATUS(status), code);
            launcher->pids[i] = 0;
            tmbi_hub_ended(launcher->hub, i);
        }
        if (!left)
            return;
    }
    fail_msg("ranks did not end");
}

static void turn_until_quiet(struct launcher *launcher)
{
    for (int i = 0; i < 20; i++)
        tmbi_loop_turn(&launcher->loop, 0);
}

/* ---- exchanges ---- */

/* 0, or the line where it went wrong. */
static int exchange_round(struct tmbi_bootstrap *b, size_t bytes, int seed)
{
    size_t size = (size_t)b->job.size;
    uint8_t *mine = malloc(bytes + 1), *all = malloc(bytes * size + 1);
    int rc = 0;

    memset(mine, b->job.rank * 16 + seed, bytes);
    if (b->ops->exchange(b, mine, bytes, all, tmbi_deadline(20 * SECOND)))
        rc = __LINE__ % 100;
    for (size_t i = 0; !rc && i < bytes * size; i++)
        if (all[i] != (uint8_t)((i / bytes) * 16 + (size_t)seed))
            rc = __LINE__ % 100;
    free(mine);
    free(all);
    return rc;
}

static int body_rounds(struct tmbi_bootstrap *b)
{
    static const size_t sizes[] = {8, 0, 1, 65536, 448, 65536, 0};
    int rc = 0;

    if (strcmp(b->job.name, JOB))
        return 98;
    for (int i = 0; !rc && i < 7; i++)
        rc = exchange_round(b, sizes[i], i);
    b->ops->close(b);
    return rc;
}

static void test_exchange(void **state)
{
    struct launcher *launcher = launcher_open(6);

    (void)state;
    for (int i = 0; i < 6; i++)
        launcher_start(launcher, i, body_rounds);
    launcher_serve(launcher, 0);
    assert_int_equal(launcher->garbage, -1);
    launcher_close(launcher);
}

static int body_too_large(struct tmbi_bootstrap *b)
{
    static uint8_t part[TMBI_LAUNCH_BYTES_MAX + 1];

    return -b->ops->exchange(b, part, sizeof part, part, TMBI_NEVER);
}

static void test_exchange_too_large(void **state)
{
    struct launcher *launcher = launcher_open(1);

    (void)state;
    launcher_start(launcher, 0, body_too_large);
    launcher_serve(launcher, EMSGSIZE);
    launcher_close(launcher);
}

/* A rank that has ended fails the exchange for those that wait, and those to come. */
static int body_down(struct tmbi_bootstrap *b)
{
    int rc = -b->ops->exchange(b, "x", 1, (char[8]){0}, tmbi_deadline(20 * SECOND));

    if (rc != EHOSTDOWN)
        return rc;
    return -b->ops->exchange(b, NULL, 0, NULL, tmbi_deadline(20 * SECOND));
}

static void test_rank_ended(void **state)
{
    struct launcher *launcher = launcher_open(4);

    (void)state;
    for (int i = 0; i < 3; i++)
        launcher_start(launcher, i, body_down);
    turn_until_quiet(launcher);
    tmbi_hub_ended(launcher->hub, 3);
    launcher_serve(launcher, EHOSTDOWN);
    launcher_close(launcher);
}

static void test_rank_closed(void **state)
{
    struct launcher *launcher = launcher_open(4);

    (void)state;
    close(launcher->fds[2]);
    launcher->fds[2] = -1;
    for (int i = 0; i < 4; i++)
        if (i != 2)
            launcher_start(launcher, i, body_down);
    launcher_serve(launcher, EHOSTDOWN);
    launcher_close(launcher);
}

/* A rank's part counts although it ends before the others have come. */
static void test_rank_ends_after_its_part(void **state)
{
    struct tmbi_launch_header header = {
        .magic = TMBI_LAUNCH_MAGIC, .kind = TMBI_LAUNCH_EXCHANGE, .rank = 1};
    struct launcher *launcher = launcher_open(2);

    (void)state;
    assert_int_equal(send(launcher->fds[1], &header, sizeof header, 0), sizeof header);
    tmbi_hub_ended(launcher->hub, 1);
    header.rank = 0;
    assert_int_equal(send(launcher->fds[0], &header, sizeof header, 0), sizeof header);
    turn_until_quiet(launcher);
    assert_int_equal(recv(launcher->fds[0], &header, sizeof header, MSG_DONTWAIT),
                     sizeof header);
    assert_int_equal(header.kind, TMBI_LAUNCH_EXCHANGE);
    launcher_close(launcher);
}

static int body_late(struct tmbi_bootstrap *b)
{
    return -b->ops->exchange(b, NULL, 0, NULL, tmbi_deadline(SECOND / 10));
}

static int body_patient(struct tmbi_bootstrap *b)
{
    return -b->ops->exchange(b, NULL, 0, NULL, TMBI_NEVER);
}

/* One rank's deadline ends the wait of all. */
static void test_deadline(void **state)
{
    struct launcher *launcher = launcher_open(3);

    (void)state;
    launcher_start(launcher, 0, body_late);
    launcher_start(launcher, 1, body_patient);
    launcher_serve(launcher, ETIMEDOUT);
    launcher_close(launcher);
}

static int body_abort(struct tmbi_bootstrap *b)
{
    b->ops->abort(b, 42);
    return 0;
}

static void test_abort(void **state)
{
    struct launcher *launcher = launcher_open(2);

    (void)state;
    launcher_start(launcher, 1, body_abort);
    launcher_serve(launcher, 0);
    assert_int_equal(launcher->aborted, 1);
    assert_int_equal(launcher->abort_code, 42);
    launcher_close(launcher);
}

/* ---- ranks that send garbage ---- */

static void test_garbage(void **state)
{
    static const struct tmbi_launch_header wrong[] = {
        {0, TMBI_LAUNCH_EXCHANGE, 0, 0, 1, 0},
        {TMBI_LAUNCH_MAGIC, TMBI_LAUNCH_EXCHANGE, 0, 0, 0, 0},
        {TMBI_LAUNCH_MAGIC, TMBI_LAUNCH_EXCHANGE, 0, 0, -1, 0},
        {TMBI_LAUNCH_MAGIC, TMBI_LAUNCH_EXCHANGE, TMBI_LAUNCH_BYTES_MAX + 1, 0, 1, 0},
        {TMBI_LAUNCH_MAGIC, TMBI_LAUNCH_EXCHANGE, UINT32_MAX, 0, 1, 0},
        {TMBI_LAUNCH_MAGIC, TMBI_LAUNCH_ABORT, 1, 0, 1, 0},
        {TMBI_LAUNCH_MAGIC, TMBI_LAUNCH_GIVE_UP, 1, 0, 1, 0},
        {TMBI_LAUNCH_MAGIC, TMBI_LAUNCH_FAILED, 0, 0, 1, 0},
        {TMBI_LAUNCH_MAGIC, 0, 0, 0, 1, 0},
        {TMBI_LAUNCH_MAGIC, 5, 0, 0, 1, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct launcher *launcher = launcher_open(2);
        assert_int_equal(send(launcher->fds[1], &wrong[i], sizeof wrong[i], 0),
                         sizeof wrong[i]);
        turn_until_quiet(launcher);
        assert_int_equal(launcher->garbage, 1);
        assert_int_equal(launcher->aborted, -1);
        assert_non_null(launcher->what);
        launcher_close(launcher);
    }
}

static void send_part(struct launcher *launcher, int rank, uint32_t bytes)
{
    uint8_t message[sizeof(struct tmbi_launch_header) + 64] = {0};
    struct tmbi_launch_header header = {.magic = TMBI_LAUNCH_MAGIC,
                                        .kind = TMBI_LAUNCH_EXCHANGE,
                                        .bytes = bytes,
                                        .rank = rank};

    memcpy(message, &header, sizeof header);
    assert_int_equal(send(launcher->fds[rank], message, sizeof header + bytes, 0),
                     sizeof header + bytes);
    turn_until_quiet(launcher);
}

static void test_parts_of_different_size(void **state)
{
    struct launcher *launcher = launcher_open(3);

    (void)state;
    send_part(launcher, 0, 16);
    send_part(launcher, 2, 24);
    assert_int_equal(launcher->garbage, 2);
    launcher_close(launcher);
}

static void test_two_parts_at_once(void **state)
{
    struct launcher *launcher = launcher_open(2);

    (void)state;
    send_part(launcher, 0, 16);
    send_part(launcher, 0, 16);
    assert_int_equal(launcher->garbage, 0);
    launcher_close(launcher);
}

/* Any bytes, in pieces of any size: the hub names the rank or waits for more. */
static void test_random_bytes(void **state)
{
    unsigned seed = 7;

    (void)state;
    for (int round = 0; round < 500; round++) {
        struct launcher *launcher = launcher_open(2);
        for (int i = 0; i < 8 && launcher->garbage < 0; i++) {
            uint8_t bytes[64];
            struct tmbi_launch_header header = {.magic = TMBI_LAUNCH_MAGIC,
                                                .kind = (uint32_t)rand_r(&seed) % 6,
                                                .bytes = (uint32_t)rand_r(&seed) % 80,
                                                .rank = rand_r(&seed) % 2};
            for (size_t b = 0; b < sizeof bytes; b++)
                bytes[b] = (uint8_t)rand_r(&seed);
            if (rand_r(&seed) % 2)
                memcpy(bytes, &header, sizeof header);
            send(launcher->fds[0], bytes, (size_t)rand_r(&seed) % sizeof bytes,
                 MSG_NOSIGNAL);
            turn_until_quiet(launcher);
        }
        tmbi_hub_ended(launcher->hub, 0);
        assert_true(launcher->garbage <= 0);
        launcher_close(launcher);
    }
}

/* ---- a launcher that is gone, or sends garbage ---- */

static void answer_with(const void *answer, size_t bytes, int expected)
{
    struct tmbi_core_config config = {.rank = 0, .size = 2, .job = JOB};
    struct tmbi_bootstrap b;
    uint8_t all[16];
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    config.launch_fd = pair[0];
    assert_int_equal(tmbi_bootstrap_open(&b, &config), 0);
    assert_int_equal(send(pair[1], answer, bytes, 0), bytes);
    shutdown(pair[1], SHUT_WR);
    assert_int_equal(b.ops->exchange(&b, "12345678", 8, all, tmbi_deadline(5 * SECOND)),
                     expected);
    b.ops->close(&b);
    close(pair[1]);
}

static void test_launcher_garbage(void **state)
{
    static const struct tmbi_launch_header wrong[] = {
        {0, TMBI_LAUNCH_EXCHANGE, 8, 0, 0, 0},
        {TMBI_LAUNCH_MAGIC, TMBI_LAUNCH_EXCHANGE, 9, 0, 0, 0},
        {TMBI_LAUNCH_MAGIC, TMBI_LAUNCH_ABORT, 8, 0, 0, 0},
        {TMBI_LAUNCH_MAGIC, TMBI_LAUNCH_FAILED, 0, 0, 0, 0},
        {TMBI_LAUNCH_MAGIC, TMBI_LAUNCH_FAILED, 0, -5000, 0, 0},
        {TMBI_LAUNCH_MAGIC, TMBI_LAUNCH_FAILED, 0, 1, 0, 0},
        {TMBI_LAUNCH_MAGIC, TMBI_LAUNCH_FAILED, TMBI_LAUNCH_BLAME_MAX + 1, -5, 0, 0}};
    struct tmbi_launch_header short_answer = {
        TMBI_LAUNCH_MAGIC, TMBI_LAUNCH_EXCHANGE, 8, 0, 0, 0};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        answer_with(&wrong[i], sizeof wrong[i], -EPROTO);
    answer_with(&short_answer, sizeof short_answer, -ECONNRESET);
    answer_with(&short_answer, 5, -ECONNRESET);
    answer_with(NULL, 0, -ECONNRESET);
}

/* ---- the environment ---- */

static void test_open_refuses(void **state)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC), pair[2];
    struct tmbi_bootstrap b;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct tmbi_core_config wrong[] = {
        {.rank = -1, .size = 2, .job = JOB, .launch_fd = pair[0]},
        {.rank = 0, .size = -1, .job = JOB, .launch_fd = pair[0]},
        {.rank = 0, .size = 2, .launch_fd = pair[0]},
        {.rank = 2, .size = 2, .job = JOB, .launch_fd = pair[0]},
        {.rank = 0,
         .size = 2,
         .job = "0123456789012345678901234567890123456789",
         .launch_fd = pair[0]},
        {.rank = 0, .size = 2, .job = JOB, .launch_fd = fd},
        {.rank = 0, .size = 2, .job = JOB, .launch_fd = 999999},
        {.rank = 0, .size = -1, .launch_fd = -1},
        {.rank = -1, .size = 2, .launch_fd = -1},
        {.rank = 0, .size = 2, .job = JOB, .launch_fd = -1},
        {.rank = -1, .size = -1, .job = JOB, .launch_fd = -1}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(tmbi_bootstrap_open(&b, &wrong[i]), -EINVAL);
    close(fd);
    close(pair[0]);
    close(pair[1]);
}

static void test_single(void **state)
{
    struct tmbi_core_config config = {.rank = -1, .size = -1, .launch_fd = -1};
    struct tmbi_bootstrap a, b;
    char all[4] = "";

    (void)state;
    assert_int_equal(tmbi_bootstrap_open(&a, &config), 0);
    assert_int_equal(tmbi_bootstrap_open(&b, &config), 0);
    assert_int_equal(a.job.rank, 0);
    assert_int_equal(a.job.size, 1);
    assert_int_equal(strlen(a.job.name), 32);
    assert_string_not_equal(a.job.name, b.job.name);
    assert_int_equal(a.ops->exchange(&a, "abc", 4, all, 0), 0);
    assert_string_equal(all, "abc");
    assert_int_equal(a.ops->exchange(&a, NULL, 0, NULL, 0), 0);
    a.ops->close(&a);
    b.ops->close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_exchange_too_large),
        cmocka_unit_test(test_rank_ended),
        cmocka_unit_test(test_rank_closed),
        cmocka_unit_test(test_rank_ends_after_its_part),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_abort),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_parts_of_different_size),
        cmocka_unit_test(test_two_parts_at_once),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_launcher_garbage),
        cmocka_unit_test(test_open_refuses),
        cmocka_unit_test(test_single),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
