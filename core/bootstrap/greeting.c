/* SPDX-License-Identifier: BSD-3-Clause */
#include "greeting.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include "../include/tombolo.h"
#include "../log.h"

static const uint16_t own_version[3] = {TMB_VERSION_MAJOR, TMB_VERSION_MINOR,
                                        TMB_VERSION_PATCH};

void tmbi_greeting_head_fill(struct tmbi_greeting_head *head,
                             enum tmbi_greeting_kind kind)
{
    *head = (struct tmbi_greeting_head){
        .magic = TMBI_GREETING_MAGIC, .wire = TMBI_GREETING_WIRE, .kind = (uint16_t)kind};
    memcpy(head->version, own_version, sizeof own_version);
}

enum tmbi_head_fault tmbi_greeting_head_check(const struct tmbi_greeting_head *head,
                                              enum tmbi_greeting_kind kind)
{
    if (head->magic != TMBI_GREETING_MAGIC)
        return TMBI_HEAD_GARBAGE;
    if (memcmp(head->version, own_version, sizeof own_version) ||
        head->wire != TMBI_GREETING_WIRE)
        return TMBI_HEAD_VERSION;
    return head->kind == kind ? TMBI_HEAD_GOOD : TMBI_HEAD_GARBAGE;
}

int tmbi_greeting_nonce(uint8_t nonce[TMBI_NONCE_BYTES])
{
    if (getrandom(nonce, TMBI_NONCE_BYTES, 0) == (ssize_t)TMBI_NONCE_BYTES)
        return 0;
    tmbi_error("no random bytes to meet other ranks with: %s", strerror(errno));
    return -EIO;
}

/* ---- proofs ---- */

#define HELLO_TEXT   offsetof(struct tmbi_hello, proof)
#define VERDICT_TEXT offsetof(struct tmbi_verdict, proof)

void tmbi_hello_prove(const struct tmbi_secret *secret,
                      const struct tmbi_challenge *challenge, struct tmbi_hello *hello)
{
    const struct tmbi_proof_part parts[] = {{challenge, sizeof *challenge},
                                            {hello, HELLO_TEXT}};

    tmbi_secret_prove(secret, parts, 2, hello->proof);
}

bool tmbi_hello_proved(const struct tmbi_secret *secret,
                       const struct tmbi_challenge *challenge,
                       const struct tmbi_hello *hello)
{
    const struct tmbi_proof_part parts[] = {{challenge, sizeof *challenge},
                                            {hello, HELLO_TEXT}};

    return tmbi_secret_check(secret, parts, 2, hello->proof);
}

void tmbi_verdict_prove(const struct tmbi_secret *secret,
                        const struct tmbi_challenge *challenge,
                        const struct tmbi_hello *hello, struct tmbi_verdict *verdict)
{
    const struct tmbi_proof_part parts[] = {
        {challenge, sizeof *challenge}, {hello, sizeof *hello}, {verdict, VERDICT_TEXT}};

    tmbi_secret_prove(secret, parts, 3, verdict->proof);
}

bool tmbi_verdict_proved(const struct tmbi_secret *secret,
                         const struct tmbi_challenge *challenge,
                         const struct tmbi_hello *hello,
                         const struct tmbi_verdict *verdict)
{
    const struct tmbi_proof_part parts[] = {
        {challenge, sizeof *challenge}, {hello, sizeof *hello}, {verdict, VERDICT_TEXT}};

    return tmbi_secret_check(secret, parts, 3, verdict->proof);
}
