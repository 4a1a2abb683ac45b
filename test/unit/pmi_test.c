/* SPDX-License-Identifier: BSD-3-Clause */
/* PMI-1: its text, and ranks against a launcher with small limits that is made up here.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../core/bootstrap/bootstrap.h"
#include "../../core/bootstrap/pmi_text.h"
#include "../../core/clock.h"
#include "../../core/log.h"

#define SECOND INT64_C(1000000000)
#define RANKS  3

/* ---- text ---- */

static void encoding(void **state)
{
    uint8_t data[100], back[100];
    char text[TMBI_PMI_CHARS(100) + 1];

    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 151 + 7);
    for (size_t bytes = 0; bytes <= sizeof data; bytes++) {
        tmbi_pmi_encode(data, bytes, text);
        assert_int_equal(strlen(text), TMBI_PMI_CHARS(bytes));
        assert_true(TMBI_PMI_BYTES(strlen(text)) >= bytes);
        assert_int_equal(tmbi_pmi_decode(text, back, bytes), 0);
        assert_memory_equal(back, data, bytes);
        assert_int_equal(tmbi_pmi_decode(text, back, bytes + 1), -EPROTO);
    }
    tmbi_pmi_encode("\xff\xff\xfe", 3, text);
    assert_string_equal(text, "___-");
    assert_int_equal(tmbi_pmi_decode("a=bc", back, 3), -EPROTO);
}

static void fields(void **state)
{
    static const char line[] = "cmd=get_result  rc=-1 msg=a=b value=";
    char value[8];
    int64_t number;

    (void)state;
    assert_int_equal(tmbi_pmi_field(line, "msg", value, sizeof value), 0);
    assert_string_equal(value, "a=b");
    assert_int_equal(tmbi_pmi_field(line, "value", value, sizeof value), 0);
    assert_string_equal(value, "");
    assert_int_equal(tmbi_pmi_field(line, "cmd", value, sizeof value), -EMSGSIZE);
    assert_int_equal(tmbi_pmi_field(line, "m", value, sizeof value), -ENOENT);
    assert_int_equal(tmbi_pmi_field("", "m", value, sizeof value), -ENOENT);
    assert_int_equal(tmbi_pmi_number(line, "rc", &number), 0);
    assert_int_equal(number, -1);
    assert_int_equal(tmbi_pmi_number(line, "msg", &number), -EINVAL);
}

/* ---- a launcher ---- */

struct pair {
    char key[65], value[65];
};

struct launcher {
    struct pollfd fds[RANKS];
    FILE *in[RANKS];
    int waiting, left;
    size_t pairs_count;
    struct pair *pairs;
};

static void put(struct launcher *launcher, const char *line)
{
    struct pair *pair = &launcher->pairs[launcher->pairs_count++];

    assert_true(launcher->pairs_count < 40000);
    assert_int_equal(tmbi_pmi_field(line, "key", pair->key, sizeof pair->key), 0);
    assert_int_equal(tmbi_pmi_field(line, "value", pair->value, sizeof pair->value), 0);
}

static const char *get(const struct launcher *launcher, const char *line)
{
    char key[65];

    assert_int_equal(tmbi_pmi_field(line, "key", key, sizeof key), 0);
    for (size_t i = launcher->pairs_count; i-- > 0;)
        if (!strcmp(launcher->pairs[i].key, key))
            return launcher->pairs[i].value;
    return NULL;
}

static void barrier(struct launcher *launcher)
{
    if (++launcher->waiting < RANKS)
        return;
    launcher->waiting = 0;
    for (int i = 0; i < RANKS; i++)
        dprintf(launcher->fds[i].fd, "cmd=barrier_out\n");
}

static void serve(struct launcher *launcher, int rank, const char *line)
{
    int fd = launcher->fds[rank].fd;
    const char *value;
    char command[32];

    assert_int_equal(tmbi_pmi_field(line, "cmd", command, sizeof command), 0);
    if (!strcmp(command, "init")) {
        dprintf(fd, "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n");
    } else if (!strcmp(command, "get_maxes")) {
        dprintf(fd, "cmd=maxes kvsname_max=256 keylen_max=64 vallen_max=65\n");
    } else if (!strcmp(command, "get_my_kvsname")) {
        dprintf(fd, "cmd=my_kvsname kvsname=kvs_1\n");
    } else if (!strcmp(command, "put")) {
        put(launcher, line);
        dprintf(fd, "cmd=put_result rc=0 msg=success\n");
    } else if (!strcmp(command, "get")) {
        value = get(launcher, line);
        dprintf(fd, "cmd=get_result rc=%d msg=%s value=%s\n", value ? 0 : -1,
                value ? "success" : "not_found", value ? value : "unknown");
    } else if (!strcmp(command, "barrier_in")) {
        barrier(launcher);
    } else {
        assert_string_equal(command, "finalize");
        dprintf(fd, "cmd=finalize_ack\n");
    }
}

static void launcher_run(struct launcher *launcher)
{
    char line[512];

    while (launcher->left) {
        assert_true(poll(launcher->fds, RANKS, 30000) > 0);
        for (int i = 0; i < RANKS; i++) {
            if (!launcher->fds[i].revents)
                continue;
            if (fgets(line, sizeof line, launcher->in[i])) {
                line[strcspn(line, "\n")] = '\0';
                serve(launcher, i, line);
            } else {
                launcher->left--;
                fclose(launcher->in[i]);
                launcher->fds[i].fd = -1;
            }
        }
    }
}

/* ---- ranks ---- */

/* 0, or what went wrong. */
static int exchange_round(struct tmbi_bootstrap *b, size_t bytes, int seed)
{
    uint8_t *mine = malloc(bytes + 1), *all = malloc(bytes * RANKS + 1);
    int rc = 0;

    memset(mine, b->job.rank * 16 + seed, bytes);
    if (b->ops->exchange(b, mine, bytes, all, tmbi_deadline(20 * SECOND)))
        rc = 10;
    for (size_t i = 0; !rc && i < bytes * RANKS; i++)
        if (all[i] != (uint8_t)(i / bytes * 16 + (size_t)seed))
            rc = 11;
    free(mine);
    free(all);
    return rc;
}

static void set_number(const char *name, int value)
{
    char text[16];

    snprintf(text, sizeof text, "%d", value);
    setenv(name, text, 1);
}

static void rank_run(int rank, int fd)
{
    static const size_t sizes[] = {360, 0, 47, 48, 49, 64 << 10, 4};
    const struct tmbi_core_config config = {
        .rank = -1, .size = -1, .launch_fd = -1, .init_timeout_ns = 20 * SECOND};
    struct tmbi_bootstrap b;
    int rc = 0;

    alarm(60);
    set_number("PMI_FD", fd);
    set_number("PMI_RANK", rank);
    set_number("PMI_SIZE", RANKS);
    if (tmbi_bootstrap_open(&b, &config) || b.job.rank != rank || b.job.size != RANKS)
        _exit(99);
    for (int i = 0; !rc && i < 7; i++)
        rc = exchange_round(&b, sizes[i], i);
    b.ops->close(&b);
    _exit(rc);
}

static void exchanges(void **state)
{
    struct launcher launcher = {.left = RANKS,
                                .pairs = calloc(40000, sizeof(struct pair))};
    int pair[2], status;

    (void)state;
    for (int rank = 0; rank < RANKS; rank++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        if (fork() == 0)
            rank_run(rank, pair[1]);
        close(pair[1]);
        launcher.fds[rank] = (struct pollfd){.fd = pair[0], .events = POLLIN};
        launcher.in[rank] = fdopen(pair[0], "r");
    }
    launcher_run(&launcher);
    for (int rank = 0; rank < RANKS; rank++) {
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    free(launcher.pairs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding),
        cmocka_unit_test(fields),
        cmocka_unit_test(exchanges),
    };

    tmbi_log_set_level(TMBI_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
