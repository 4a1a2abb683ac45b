/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How a rank comes to rank 0, over TCP. Rank 0 sends a CHALLENGE, the rank a HELLO, rank
 * 0 a VERDICT; if it is WELCOME, what follows is launch.h with rank 0 as the launcher.
 *
 * The secret is never sent. Each side proves that it knows it, by an HMAC over what both
 * have sent so far; in there are fresh random bytes of both, so that no proof can be used
 * twice, and the messages' kinds, so that none can be sent back to its maker. Without a
 * secret, which is possible on loopback addresses only, proofs are zeros.
 *
 * All is little-endian. The head stays as it is in all versions, so that two of them can
 * always name each other.
 */
#ifndef TMBI_GREETING_H
#define TMBI_GREETING_H

#include <stdbool.h>
#include <stdint.h>

#include "secret.h"

#define TMBI_GREETING_MAGIC 0x52424d54u /* "TMBR" */
#define TMBI_GREETING_WIRE  1u
#define TMBI_NONCE_BYTES    32u
#define TMBI_NAME_BYTES     40u /* as tmbi_job's */

enum tmbi_greeting_kind { TMBI_CHALLENGE = 1, TMBI_HELLO = 2, TMBI_VERDICT = 3 };

enum tmbi_verdict_code {
    TMBI_WELCOME = 0,
    TMBI_REFUSED_SECRET = 1,
    TMBI_REFUSED_SIZE = 2, /* value: rank 0's TMB_SIZE */
    TMBI_REFUSED_RANK = 3, /* the rank is there already */
    TMBI_REFUSED_JOB = 4,  /* TMB_JOB is another */
    TMBI_REFUSED_HELLO = 5 /* the hello makes no sense */
};

struct tmbi_greeting_head {
    uint32_t magic;
    uint16_t wire; /* of the messages; launch.h's is in its own magic */
    uint16_t kind;
    uint16_t version[3]; /* of the library */
    uint16_t reserved;
};
_Static_assert(sizeof(struct tmbi_greeting_head) == 16, "greeting head layout");

struct tmbi_challenge {
    struct tmbi_greeting_head head;
    uint32_t secret; /* 1: a secret is needed; 0: there is none */
    uint32_t reserved;
    uint8_t nonce[TMBI_NONCE_BYTES];
};
_Static_assert(sizeof(struct tmbi_challenge) == 56, "challenge layout");

struct tmbi_hello {
    struct tmbi_greeting_head head;
    uint32_t rank;
    uint32_t size;
    uint8_t nonce[TMBI_NONCE_BYTES];
    char job[TMBI_NAME_BYTES]; /* TMB_JOB, NUL-terminated; may be empty */
    uint8_t proof[TMBI_PROOF_BYTES];
};
_Static_assert(sizeof(struct tmbi_hello) == 128, "hello layout");

struct tmbi_verdict {
    struct tmbi_greeting_head head;
    uint32_t code; /* enum tmbi_verdict_code */
    uint32_t value;
    char job[TMBI_NAME_BYTES]; /* the job's own name; of a refusal: empty */
    uint8_t proof[TMBI_PROOF_BYTES];
};
_Static_assert(sizeof(struct tmbi_verdict) == 96, "verdict layout");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "messages are little-endian");

/* Who this process is. */
struct tmbi_ticket {
    int rank, size;
    const char *job;   /* TMB_JOB, or "" */
    const char *where; /* TMB_RENDEZVOUS */
    const struct tmbi_secret *secret;
};

/* What was expected and what came. */
enum tmbi_head_fault { TMBI_HEAD_GOOD, TMBI_HEAD_GARBAGE, TMBI_HEAD_VERSION };

void tmbi_greeting_head_fill(struct tmbi_greeting_head *head,
                             enum tmbi_greeting_kind kind);
enum tmbi_head_fault tmbi_greeting_head_check(const struct tmbi_greeting_head *head,
                                              enum tmbi_greeting_kind kind);

/* 0, or a negative errno, which is logged. */
int tmbi_greeting_nonce(uint8_t nonce[TMBI_NONCE_BYTES]);

/* The two proofs. */
void tmbi_hello_prove(const struct tmbi_secret *secret,
                      const struct tmbi_challenge *challenge, struct tmbi_hello *hello);
bool tmbi_hello_proved(const struct tmbi_secret *secret,
                       const struct tmbi_challenge *challenge,
                       const struct tmbi_hello *hello);
void tmbi_verdict_prove(const struct tmbi_secret *secret,
                        const struct tmbi_challenge *challenge,
                        const struct tmbi_hello *hello, struct tmbi_verdict *verdict);
bool tmbi_verdict_proved(const struct tmbi_secret *secret,
                         const struct tmbi_challenge *challenge,
                         const struct tmbi_hello *hello,
                         const struct tmbi_verdict *verdict);

/* A rank's part, over a socket that is connected to rank 0: 0 with the job's own name.
 * -EAGAIN: the connection ended, it may be tried again; all else is logged. */
int tmbi_greeting_join(int fd, const struct tmbi_ticket *ticket,
                       char job[TMBI_NAME_BYTES], int64_t deadline);

#endif
