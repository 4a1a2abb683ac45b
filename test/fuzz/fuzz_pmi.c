/* SPDX-License-Identifier: BSD-3-Clause */
/* A rank that hears any bytes from a launcher that should speak PMI-1. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../core/bootstrap/backends.h"
#include "../../core/bootstrap/pmi_text.h"
#include "../../core/clock.h"
#include "fuzz.h"

#define RANKS      2
#define PART_BYTES 100

/* What is written is read as the same. */
static void text_round(const uint8_t *data, size_t bytes)
{
    char text[TMBI_PMI_CHARS(64) + 1];
    uint8_t back[64];

    if (bytes > sizeof back)
        bytes = sizeof back;
    tmbi_pmi_encode(data, bytes, text);
    FUZZ_CHECK(!tmbi_pmi_decode(text, back, bytes) && !memcmp(back, data, bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const struct tmbi_core_config config = {
        .rank = -1, .size = -1, .launch_fd = -1, .init_timeout_ns = 1000000000};
    struct tmbi_bootstrap b = {.ops = &tmbi_bootstrap_pmi, .fd = -1};
    uint8_t mine[PART_BYTES] = {0}, all[RANKS * PART_BYTES];
    char text[16];
    int pair[2], rc;

    text_round(data, bytes);
    FUZZ_CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    FUZZ_CHECK(send(pair[1], data, bytes, MSG_DONTWAIT) == (ssize_t)bytes);
    shutdown(pair[1], SHUT_WR);
    snprintf(text, sizeof text, "%d", pair[0]);
    setenv("PMI_FD", text, 1);
    setenv("PMI_RANK", "1", 1);
    setenv("PMI_SIZE", "2", 1);
    rc = tmbi_bootstrap_pmi.open(&b, &config);
    FUZZ_CHECK(rc <= 0 && rc >= -4095);
    if (!rc) {
        FUZZ_CHECK(strlen(b.job.name) <= 32);
        rc = tmbi_bootstrap_pmi.exchange(&b, mine, sizeof mine, all,
                                         tmbi_deadline(1000000000));
        FUZZ_CHECK(rc <= 0 && rc >= -4095);
        tmbi_bootstrap_pmi.close(&b);
    }
    close(pair[1]);
    return 0;
}
