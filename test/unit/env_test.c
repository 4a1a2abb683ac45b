/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../core/env.h"
#include "../../core/log.h"

static int capture, saved_stderr;

static int setup(void **state)
{
    int ends[2];

    (void)state;
    for (int i = 0; environ[i];) {
        char name[128] = "";
        if (strncmp(environ[i], "TMB_", 4)) {
            i++;
            continue;
        }
        strncpy(name, environ[i], sizeof name - 1);
        *strchr(name, '=') = '\0';
        unsetenv(name);
    }
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
        return -1;
    capture = ends[0];
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    tmbi_log_set_level(TMBI_LOG_WARN);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(capture);
    return 0;
}

static const char *logged(void)
{
    static char text[4096];
    ssize_t got = read(capture, text, sizeof text - 1);

    text[got > 0 ? got : 0] = '\0';
    return text;
}

static void assert_logged(const char *part)
{
    const char *text = logged();

    if (!strstr(text, part))
        fail_msg("\"%s\" is not in the log: %s", part, text);
}

static void test_parse_size(void **state)
{
    static const struct {
        const char *text;
        int rc;
        uint64_t bytes;
    } cases[] = {{"0", 0, 0},
                 {"4096", 0, 4096},
                 {"64K", 0, 65536},
                 {"2M", 0, 2097152},
                 {"1g", 0, 1073741824},
                 {"3T", 0, UINT64_C(3) << 40},
                 {"18446744073709551615", 0, UINT64_MAX},
                 {"18446744073709551616", -ERANGE, 0},
                 {"16777216T", -ERANGE, 0},
                 {"16777215T", 0, UINT64_C(16777215) << 40},
                 {"", -EINVAL, 0},
                 {"K", -EINVAL, 0},
                 {"-1", -EINVAL, 0},
                 {"+1", -EINVAL, 0},
                 {" 1", -EINVAL, 0},
                 {"1 ", -EINVAL, 0},
                 {"1KB", -EINVAL, 0},
                 {"1.5M", -EINVAL, 0},
                 {"0x10", -EINVAL, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t bytes = 0;
        assert_int_equal(tmbi_parse_size(cases[i].text, &bytes), cases[i].rc);
        assert_int_equal(bytes, cases[i].bytes);
    }
}

static void test_parse_duration(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t ns;
    } cases[] = {{"0", 0, 0},
                 {"250ns", 0, 250},
                 {"20us", 0, 20000},
                 {"5ms", 0, 5000000},
                 {"10s", 0, 10000000000},
                 {"0s", 0, 0},
                 {"forever", 0, -1},
                 {"9223372036s", 0, 9223372036000000000},
                 {"9223372037s", -ERANGE, 0},
                 {"99999999999999999999s", -ERANGE, 0},
                 {"5", -EINVAL, 0},
                 {"5 ms", -EINVAL, 0},
                 {"-5ms", -EINVAL, 0},
                 {"ms", -EINVAL, 0},
                 {"5m", -EINVAL, 0},
                 {"5S", -EINVAL, 0},
                 {"auto", -EINVAL, 0},
                 {"", -EINVAL, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ns = 0;
        assert_int_equal(tmbi_parse_duration(cases[i].text, &ns), cases[i].rc);
        if (!cases[i].rc)
            assert_true(ns == cases[i].ns);
    }
}

static void test_parse_int(void **state)
{
    int64_t value = 77;

    (void)state;
    assert_int_equal(tmbi_parse_int("-3", -5, 5, &value), 0);
    assert_int_equal(value, -3);
    assert_int_equal(tmbi_parse_int("5", -5, 5, &value), 0);
    assert_int_equal(tmbi_parse_int("6", -5, 5, &value), -ERANGE);
    assert_int_equal(tmbi_parse_int("-6", -5, 5, &value), -ERANGE);
    assert_int_equal(tmbi_parse_int("99999999999999999999", 0, INT64_MAX, &value),
                     -ERANGE);
    assert_int_equal(tmbi_parse_int("", 0, 5, &value), -EINVAL);
    assert_int_equal(tmbi_parse_int("-", -5, 5, &value), -EINVAL);
    assert_int_equal(tmbi_parse_int("1x", 0, 5, &value), -EINVAL);
    assert_int_equal(tmbi_parse_int(" 1", 0, 5, &value), -EINVAL);
    assert_int_equal(value, 5);
}

static void test_defaults(void **state)
{
    struct tmbi_core_config config;

    (void)state;
    assert_int_equal(tmbi_env_load(&tmbi_core_env, &config), 0);
    assert_string_equal(config.provider, "auto");
    assert_int_equal(config.log, TMBI_LOG_WARN);
    assert_int_equal(config.spin_ns, -1);
    assert_true(config.op_timeout_ns == 10000000000);
    assert_true(config.init_timeout_ns == 60000000000);
    assert_int_equal(config.rank, -1);
    assert_int_equal(config.size, -1);
    assert_null(config.job);
    assert_int_equal(config.launch_fd, -1);
    assert_string_equal(logged(), "");
}

static void test_values(void **state)
{
    struct tmbi_core_config config;

    (void)state;
    setenv("TMB_PROVIDER", "ivshmem", 1);
    setenv("TMB_LOG", "debug", 1);
    setenv("TMB_SPIN", "7us", 1);
    setenv("TMB_OP_TIMEOUT", "forever", 1);
    setenv("TMB_RANK", "3", 1);
    setenv("TMB_SIZE", "4", 1);
    setenv("TMB_JOB", "j", 1);
    setenv("TMB_LAUNCH_FD", "0", 1);
    setenv("TMB_INIT_TIMEOUT", "", 1); /* counts as unset */
    assert_int_equal(tmbi_env_load(&tmbi_core_env, &config), 0);
    assert_string_equal(config.provider, "ivshmem");
    assert_int_equal(config.log, TMBI_LOG_DEBUG);
    assert_int_equal(config.spin_ns, 7000);
    assert_int_equal(config.op_timeout_ns, -1);
    assert_true(config.init_timeout_ns == 60000000000);
    assert_int_equal(config.rank, 3);
    assert_int_equal(config.size, 4);
    assert_string_equal(config.job, "j");
    assert_int_equal(config.launch_fd, 0);
}

/* A wrong value is refused, and the log names the variable, the value and what is
 * allowed. */
static void test_wrong_values(void **state)
{
    static const char *const cases[][3] = {
        {"TMB_LOG", "loud", "TMB_LOG=loud: must be one of error|warn|info|debug"},
        {"TMB_LOG", "warn|info", "TMB_LOG=warn|info: must be one of"},
        {"TMB_SPIN", "forever", "or auto"},
        {"TMB_SPIN", "20", "TMB_SPIN=20: must be a duration"},
        {"TMB_OP_TIMEOUT", "auto", "or forever"},
        {"TMB_OP_TIMEOUT", "-1s", "TMB_OP_TIMEOUT=-1s"},
        {"TMB_RANK", "-1", "TMB_RANK=-1: must be an integer from 0 to 65534"},
        {"TMB_RANK", "three", "TMB_RANK=three"},
        {"TMB_SIZE", "0", "TMB_SIZE=0: must be an integer from 1 to 65535"},
        {"TMB_SIZE", "65536", "TMB_SIZE=65536"},
        {"TMB_LAUNCH_FD", "4294967296", "TMB_LAUNCH_FD=4294967296"}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tmbi_core_config config;
        setenv(cases[i][0], cases[i][1], 1);
        assert_int_equal(tmbi_env_load(&tmbi_core_env, &config), -EINVAL);
        assert_logged(cases[i][2]);
        assert_int_equal(tmbi_env_load(&tmbi_core_env, NULL), -EINVAL);
        assert_logged(cases[i][2]);
        unsetenv(cases[i][0]);
    }
}

static void test_every_wrong_value_is_named(void **state)
{
    const char *text;

    (void)state;
    setenv("TMB_LOG", "loud", 1);
    setenv("TMB_SPIN", "long", 1);
    assert_int_equal(tmbi_env_load(&tmbi_core_env, NULL), -EINVAL);
    text = logged();
    assert_non_null(strstr(text, "TMB_LOG=loud"));
    assert_non_null(strstr(text, "TMB_SPIN=long"));
}

/* Bounds of sizes and durations, which core's own table does not have. */
static void test_bounds(void **state)
{
    struct {
        uint64_t bytes;
        int64_t ns;
    } config;
    const struct tmbi_env_var vars[] = {
        {"TMB_A", TMBI_ENV_SIZE, "1M", "A.", NULL, 0, 1 << 20, 4 << 20, false},
        {"TMB_B", TMBI_ENV_DURATION, "1ms", "B.", NULL, 8, 1000, 1000000000, false}};
    const struct tmbi_env_table table = {"test", vars, 2};

    (void)state;
    assert_int_equal(tmbi_env_load(&table, &config), 0);
    assert_int_equal(config.bytes, 1 << 20);
    assert_int_equal(config.ns, 1000000);
    setenv("TMB_A", "4M", 1);
    setenv("TMB_B", "forever", 1);
    assert_int_equal(tmbi_env_load(&table, &config), 0);
    assert_int_equal(config.ns, -1);
    setenv("TMB_A", "5M", 1);
    assert_int_equal(tmbi_env_load(&table, &config), -EINVAL);
    assert_logged("TMB_A=5M: must be a size");
    setenv("TMB_A", "17179869183G", 1); /* over INT64_MAX */
    assert_int_equal(tmbi_env_load(&table, &config), -EINVAL);
    unsetenv("TMB_A");
    setenv("TMB_B", "999ns", 1);
    assert_int_equal(tmbi_env_load(&table, &config), -EINVAL);
}

/* Every table that is built: names, sentences, and defaults that parse. */
static void test_tables(void **state)
{
    size_t count;
    const struct tmbi_env_table *const *tables = tmbi_env_tables(&count);

    (void)state;
    assert_true(count >= 2);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(tmbi_env_load(tables[i], NULL), 0);
        for (size_t v = 0; v < tables[i]->count; v++) {
            const struct tmbi_env_var *var = &tables[i]->vars[v];
            assert_int_equal(strncmp(var->name, "TMB_", 4), 0);
            assert_true(strlen(var->meaning) > 10);
            assert_int_equal(var->meaning[strlen(var->meaning) - 1], '.');
        }
    }
}

static void test_unknown(void **state)
{
    static const char *const cases[][2] = {
        {"TMB_PROVIDR", "TMB_PROVIDR is no variable of Tombolo's: did you mean "
                        "TMB_PROVIDER?"},
        {"TMB_OPTIMEOUT", "did you mean TMB_OP_TIMEOUT?"},
        {"TMB_XYZZYPLUGH", "TMB_XYZZYPLUGH is no variable of Tombolo's: `tombolo info`"},
        {"TMB_", "TMB_ is no variable of Tombolo's: `tombolo info`"},
        {"TMB_RANKS", "did you mean TMB_RANK?"}};
    size_t count;
    const struct tmbi_env_table *const *tables = tmbi_env_tables(&count);

    (void)state;
    setenv("TMB_LOG", "warn", 1);
    tmbi_env_warn_unknown(tables, count);
    assert_string_equal(logged(), "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv(cases[i][0], "x", 1);
        tmbi_env_warn_unknown(tables, count);
        assert_logged(cases[i][1]);
        unsetenv(cases[i][0]);
    }
}

static void test_unknown_long_name(void **state)
{
    char name[300] = "TMB_";
    size_t count;
    const struct tmbi_env_table *const *tables = tmbi_env_tables(&count);

    (void)state;
    memset(name + 4, 'Q', sizeof name - 5);
    setenv(name, "x", 1);
    tmbi_env_warn_unknown(tables, count);
    assert_logged("QQQ is no variable of Tombolo's");
    unsetenv(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_size),
        cmocka_unit_test(test_parse_duration),
        cmocka_unit_test(test_parse_int),
        cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_wrong_value_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_long_name, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
