/* SPDX-License-Identifier: BSD-3-Clause */
/* Rank 0 and those who come to it: addresses, proofs, and exchanges between processes. */
#include <errno.h>
#include <netinet/in.h>
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

#include "../../core/bootstrap/address.h"
#include "../../core/bootstrap/bootstrap.h"
#include "../../core/bootstrap/greeting.h"
#include "../../core/clock.h"
#include "../../core/log.h"

#define SECOND INT64_C(1000000000)

/* ---- addresses ---- */

static void addresses(void **state)
{
    static const struct {
        const char *text, *host, *port;
    } good[] = {{"node1:5555", "node1", "5555"},
                {"127.0.0.1:1", "127.0.0.1", "1"},
                {"[::1]:65535", "::1", "65535"}};
    static const char *const bad[] = {"",        "x",     ":1",    "x:",    "x:0",
                                      "x:65536", "x:1a",  "::1",   "[::1]", "[]:1",
                                      "[:1",     "a:b:1", "x: 12", "x:-1",  "[::1:1"};
    struct tmbi_address address;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(tmbi_address_parse(&address, good[i].text), 0);
        assert_string_equal(address.host, good[i].host);
        assert_string_equal(address.port, good[i].port);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(tmbi_address_parse(&address, bad[i]), -EINVAL);
}

/* ---- proofs ---- */

static void proofs(void **state)
{
    struct tmbi_secret ours = {.bytes = 16, .key = "0123456789abcdef"};
    struct tmbi_secret other = {.bytes = 16, .key = "0123456789abcdeg"};
    struct tmbi_challenge challenge = {.secret = 1, .nonce = {1}};
    struct tmbi_challenge later = {.secret = 1, .nonce = {2}};
    struct tmbi_hello hello = {.rank = 1, .size = 2, .nonce = {3}}, changed;
    struct tmbi_verdict verdict = {.job = "job"}, lie;

    (void)state;
    if (!tmbi_secret_possible()) {
        puts("nettle is not there");
        skip();
    }
    tmbi_hello_prove(&ours, &challenge, &hello);
    assert_true(tmbi_hello_proved(&ours, &challenge, &hello));
    assert_false(tmbi_hello_proved(&other, &challenge, &hello));
    assert_false(tmbi_hello_proved(&ours, &later, &hello));
    changed = hello;
    changed.rank = 0;
    assert_false(tmbi_hello_proved(&ours, &challenge, &changed));

    tmbi_verdict_prove(&ours, &challenge, &hello, &verdict);
    assert_true(tmbi_verdict_proved(&ours, &challenge, &hello, &verdict));
    assert_false(tmbi_verdict_proved(&other, &challenge, &hello, &verdict));
    changed.rank = hello.rank;
    changed.nonce[0]++;
    assert_false(tmbi_verdict_proved(&ours, &challenge, &changed, &verdict));
    lie = verdict;
    lie.job[0] = 'J';
    assert_false(tmbi_verdict_proved(&ours, &challenge, &hello, &lie));
    memcpy(lie.proof, hello.proof, sizeof lie.proof); /* sent back to its maker */
    assert_false(tmbi_verdict_proved(&ours, &challenge, &hello, &lie));
}

/* RFC 4231, test case 2, is too short for a secret; case 3. */
static void known_answer(void **state)
{
    static const uint8_t expected[TMBI_PROOF_BYTES] = {
        0x77, 0x3e, 0xa9, 0x1e, 0x36, 0x80, 0x0e, 0x46, 0x85, 0x4d, 0xb8,
        0xeb, 0xd0, 0x91, 0x81, 0xa7, 0x29, 0x59, 0x09, 0x8b, 0x3e, 0xf8,
        0xc1, 0x22, 0xd9, 0x63, 0x55, 0x14, 0xce, 0xd5, 0x65, 0xfe};
    struct tmbi_secret secret = {.bytes = 20};
    uint8_t data[50], proof[TMBI_PROOF_BYTES];
    const struct tmbi_proof_part parts[] = {{data, 1}, {data + 1, 49}};

    (void)state;
    if (!tmbi_secret_possible()) {
        puts("nettle is not there");
        skip();
    }
    memset(secret.key, 0xaa, 20);
    memset(data, 0xdd, sizeof data);
    tmbi_secret_prove(&secret, parts, 2, proof);
    assert_memory_equal(proof, expected, sizeof proof);
}

/* ---- exchanges ---- */

/* A port that is free now; nothing else on this machine asks for it in between. */
static int port_choose(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
    close(fd);
    return ntohs(at.sin_port);
}

/* 0, or what went wrong. */
static int exchange_round(struct tmbi_bootstrap *b, size_t bytes, int seed)
{
    size_t size = (size_t)b->job.size;
    uint8_t *mine = malloc(bytes + 1), *all = malloc(bytes * size + 1);
    int rc = 0;

    memset(mine, b->job.rank * 16 + seed, bytes);
    if (b->ops->exchange(b, mine, bytes, all, tmbi_deadline(20 * SECOND)))
        rc = 10;
    for (size_t i = 0; !rc && i < bytes * size; i++)
        if (all[i] != (uint8_t)(i / bytes * 16 + (size_t)seed))
            rc = 11;
    free(mine);
    free(all);
    return rc;
}

static int rounds(struct tmbi_bootstrap *b)
{
    static const size_t sizes[] = {360, 0, 1, 64 << 10, 4};
    int rc = 0;

    for (int i = 0; !rc && i < 5; i++)
        rc = exchange_round(b, sizes[i], i);
    if (!rc && b->ops->exchange(b, NULL, (64 << 10) + 1, NULL, 0) != -EMSGSIZE)
        rc = 12;
    return rc;
}

/* Rank 1 comes to its second exchange when the others have given up. */
static int late(struct tmbi_bootstrap *b)
{
    uint8_t all[8];
    int64_t patience = b->job.rank ? 10 * SECOND : SECOND / 5;

    if (exchange_round(b, 1, 0))
        return 10;
    if (b->job.rank == 1)
        usleep(600000);
    return b->ops->exchange(b, "x", 1, all, tmbi_deadline(patience)) == -ETIMEDOUT ||
                   b->job.rank == 1
               ? 0
               : 13;
}

static pid_t rank_start(const struct tmbi_core_config *config, int rank,
                        int (*body)(struct tmbi_bootstrap *b))
{
    struct tmbi_core_config own = *config;
    struct tmbi_bootstrap b;
    pid_t pid = fork();
    int rc;

    if (pid)
        return pid;
    alarm(60);
    own.rank = rank;
    if (tmbi_bootstrap_open(&b, &own) || b.job.rank != rank || strlen(b.job.name) != 32)
        _exit(99);
    rc = body(&b);
    b.ops->close(&b);
    _exit(rc);
}

static void job_run(int size, const char *secret, int (*body)(struct tmbi_bootstrap *b))
{
    char where[32];
    struct tmbi_core_config config = {.size = size,
                                      .launch_fd = -1,
                                      .rendezvous = where,
                                      .secret = secret,
                                      .init_timeout_ns = 30 * SECOND};
    pid_t pids[16];
    int status;

    snprintf(where, sizeof where, "127.0.0.1:%d", port_choose());
    for (int rank = size - 1; rank >= 0; rank--)
        pids[rank] = rank_start(&config, rank, body);
    for (int rank = 0; rank < size; rank++) {
        assert_int_equal(waitpid(pids[rank], &status, 0), pids[rank]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static void exchanges(void **state)
{
    (void)state;
    job_run(1, NULL, rounds);
    job_run(2, NULL, rounds);
    job_run(7, NULL, rounds);
    if (tmbi_secret_possible())
        job_run(5, "0123456789abcdef", rounds);
}

static void one_is_late(void **state)
{
    (void)state;
    job_run(3, NULL, late);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),    cmocka_unit_test(proofs),
        cmocka_unit_test(known_answer), cmocka_unit_test(exchanges),
        cmocka_unit_test(one_is_late),
    };

    tmbi_log_set_level(TMBI_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
