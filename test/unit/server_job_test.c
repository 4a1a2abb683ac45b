/* SPDX-License-Identifier: BSD-3-Clause */
/* A server for one job, at an abstract socket: it ends when who started it lets go and
 * no client is left. */
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
    char socket[80];
    pid_t server;
    int hold;
};

static void options_fill(struct tmbi_server_options *options, const char *socket)
{
    *options = (struct tmbi_server_options){.socket = socket,
                                            .size = TMBI_REGION_MIN,
                                            .vectors = 2,
                                            .max_clients = 8,
                                            .numa = -1,
                                            .ready_fd = -1};
}

static void serve(const struct fixture *f, int job_fd)
{
    struct tmbi_server_options options;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    options_fill(&options, f->socket);
    options.job_fd = job_fd;
    _exit(tmbi_server_run(&options) ? 1 : 0);
}

static int server_start(void **state)
{
    static struct fixture f;
    static int number;
    int pair[2];

    snprintf(f.socket, sizeof f.socket, "@tombolo-unit-%d-%d", (int)getpid(), number++);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    f.server = fork();
    if (f.server == 0) {
        close(pair[0]);
        serve(&f, pair[1]);
    }
    close(pair[1]);
    f.hold = pair[0];
    assert_int_equal(tmbi_server_await(f.hold), 0);
    *state = &f;
    return 0;
}

/* By itself, in good order. */
static void server_ends(const struct fixture *f)
{
    int status;

    assert_int_equal(waitpid(f->server, &status, 0), f->server);
    assert_int_equal(status, 0);
}

static bool server_runs(const struct fixture *f)
{
    usleep(50000);
    return waitpid(f->server, NULL, WNOHANG) == 0;
}

static void test_nobody_came(void **state)
{
    struct fixture *f = *state;

    assert_true(server_runs(f));
    close(f->hold);
    server_ends(f);
}

static void test_last_client(void **state)
{
    struct fixture *f = *state;
    struct tmbi_host a, b;

    assert_int_equal(tmbi_host_open(&a, f->socket, SOON), 0);
    close(f->hold);
    assert_true(server_runs(f));
    assert_int_equal(tmbi_host_open(&b, f->socket, SOON), 0);
    tmbi_host_close(&a);
    assert_true(server_runs(f));
    tmbi_host_close(&b);
    server_ends(f);
    assert_int_equal(tmbi_host_open(&a, f->socket, SOON), -ECONNREFUSED);
}

/* While it is held a job may begin when all have gone. */
static void test_held(void **state)
{
    struct fixture *f = *state;
    struct tmbi_host a;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(tmbi_host_open(&a, f->socket, SOON), 0);
        tmbi_host_close(&a);
        assert_true(server_runs(f));
    }
    close(f->hold);
    server_ends(f);
}

static void test_name_taken(void **state)
{
    struct fixture *f = *state;
    struct tmbi_server_options options;

    options_fill(&options, f->socket);
    assert_int_equal(tmbi_server_run(&options), -EADDRINUSE);
    options.socket = "@tombolo-unit-group";
    options.group = "root";
    assert_int_equal(tmbi_server_run(&options), -EINVAL);
    close(f->hold);
    server_ends(f);
}

/* Another user is refused, by both sides. */
static void test_other_user(void **state)
{
    struct fixture *f = *state;
    int status;
    pid_t other;

    if (geteuid() != 0) {
        print_message("only root can be somebody else\n");
        close(f->hold);
        server_ends(f);
        skip();
    }
    other = fork();
    if (other == 0) {
        struct tmbi_host a;

        if (seteuid(65534))
            _exit(1);
        /* The server is root's, which the client trusts. */
        _exit(tmbi_host_open(&a, f->socket, SOON) == -ECONNRESET ? 0 : 2);
    }
    assert_int_equal(waitpid(other, &status, 0), other);
    assert_int_equal(status, 0);
    assert_true(server_runs(f));
    close(f->hold);
    server_ends(f);
}

static void test_failed(void **state)
{
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    close(pair[1]);
    assert_int_equal(tmbi_server_await(pair[0]), -ECONNREFUSED);
    close(pair[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nobody_came, server_start),
        cmocka_unit_test_setup(test_last_client, server_start),
        cmocka_unit_test_setup(test_held, server_start),
        cmocka_unit_test_setup(test_name_taken, server_start),
        cmocka_unit_test_setup(test_other_user, server_start),
        cmocka_unit_test(test_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
