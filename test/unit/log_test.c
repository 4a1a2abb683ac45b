/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../core/log.h"

/* stderr as a socket that keeps writes apart. */
static int sink, saved_stderr;

static int sink_open(void **state)
{
    int pair[2];

    (void)state;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return -1;
    saved_stderr = dup(STDERR_FILENO);
    dup2(pair[1], STDERR_FILENO);
    close(pair[1]);
    sink = pair[0];
    tmbi_log_set_level(TMBI_LOG_WARN);
    tmbi_log_set_rank(-1);
    return 0;
}

static int sink_close(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(sink);
    return 0;
}

/* The next write, or "" if there was none. */
static const char *written(void)
{
    static char text[4096];
    ssize_t got = recv(sink, text, sizeof text - 1, MSG_DONTWAIT);

    text[got > 0 ? got : 0] = '\0';
    return text;
}

static void test_line(void **state)
{
    (void)state;
    tmbi_error("window %d: %s", 7, "gone");
    assert_string_equal(written(), "tombolo: error: window 7: gone\n");
    tmbi_log_set_rank(12);
    tmbi_warn("x");
    assert_string_equal(written(), "tombolo: [12] warn: x\n");
    assert_string_equal(written(), "");
}

static void test_level(void **state)
{
    (void)state;
    tmbi_info("not wanted");
    assert_string_equal(written(), "");
    assert_false(tmbi_log_wants(TMBI_LOG_INFO));
    tmbi_log_set_level(TMBI_LOG_DEBUG);
    tmbi_info("a");
    assert_string_equal(written(), "tombolo: info: a\n");
    tmbi_debug("b");
    assert_string_equal(written(), "tombolo: debug: b\n");
    tmbi_log_set_level(TMBI_LOG_ERROR);
    tmbi_warn("c");
    assert_string_equal(written(), "");
}

static void test_one_event_is_one_line(void **state)
{
    (void)state;
    tmbi_error("TMB_JOB=%s", "a\nb\033[2Jc\x7f");
    assert_string_equal(written(), "tombolo: error: TMB_JOB=a?b?[2Jc?\n");
}

static void test_long_line(void **state)
{
    char long_text[5000];
    const char *line;

    (void)state;
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    tmbi_error("%s", long_text);
    line = written();
    assert_int_equal(strlen(line), 1023);
    assert_string_equal(line + 1023 - 5, "x...\n");
    assert_string_equal(written(), "");
}

static void test_longest_line_that_fits(void **state)
{
    char text[1024];
    size_t room = 1022 - strlen("tombolo: error: ");
    const char *line;

    (void)state;
    memset(text, 'y', room);
    text[room] = '\0';
    tmbi_error("%s", text);
    line = written();
    assert_int_equal(strlen(line), 1023);
    assert_string_equal(line + 1023 - 4, "yyy\n");
}

static void test_errno_kept(void **state)
{
    int kept = dup(STDERR_FILENO);

    (void)state;
    errno = EXDEV;
    tmbi_error("x");
    assert_int_equal(errno, EXDEV);
    close(STDERR_FILENO); /* its write fails */
    errno = EXDEV;
    tmbi_error("y");
    assert_int_equal(errno, EXDEV);
    dup2(kept, STDERR_FILENO);
    close(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_line, sink_open, sink_close),
        cmocka_unit_test_setup_teardown(test_level, sink_open, sink_close),
        cmocka_unit_test_setup_teardown(test_one_event_is_one_line, sink_open,
                                        sink_close),
        cmocka_unit_test_setup_teardown(test_long_line, sink_open, sink_close),
        cmocka_unit_test_setup_teardown(test_longest_line_that_fits, sink_open,
                                        sink_close),
        cmocka_unit_test_setup_teardown(test_errno_kept, sink_open, sink_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
