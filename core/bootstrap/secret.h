/* SPDX-License-Identifier: BSD-3-Clause */
/* The job's secret, which is never sent: who knows it proves so, on fresh random bytes of
 * both sides (greeting.h). HMAC-SHA256, by nettle. */
#ifndef TMBI_SECRET_H
#define TMBI_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../env.h"

#define TMBI_SECRET_MIN  16u
#define TMBI_SECRET_MAX  1024u
#define TMBI_PROOF_BYTES 32u

struct tmbi_secret {
    size_t bytes; /* 0: none */
    uint8_t key[TMBI_SECRET_MAX];
};

/* Whether this build can prove anything. */
TMBI_TOOL bool tmbi_secret_possible(void);

/* Read TMB_SECRET or the file TMB_SECRET_FILE, if either is set. */
int tmbi_secret_load(struct tmbi_secret *secret, const struct tmbi_core_config *config);

/* Forget it. */
void tmbi_secret_wipe(struct tmbi_secret *secret);

/* A text in parts. */
struct tmbi_proof_part {
    const void *data;
    size_t bytes;
};

/* All zeros without a secret. */
void tmbi_secret_prove(const struct tmbi_secret *secret,
                       const struct tmbi_proof_part *parts, size_t count,
                       uint8_t proof[TMBI_PROOF_BYTES]);
bool tmbi_secret_check(const struct tmbi_secret *secret,
                       const struct tmbi_proof_part *parts, size_t count,
                       const uint8_t proof[TMBI_PROOF_BYTES]);

#endif
