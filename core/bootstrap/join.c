/* SPDX-License-Identifier: BSD-3-Clause */
/* A rank's part of greeting.h. */
#include <errno.h>
#include <string.h>

#include "../log.h"
#include "greeting.h"
#include "stream.h"

/* A message of rank 0's. One that ends in between is tried again: rank 0 lets go of the
 * oldest when too many come at once. */
static int message_receive(int fd, const struct tmbi_ticket *ticket, void *message,
                           size_t bytes, int64_t deadline)
{
    int rc = tmbi_stream_receive(fd, message, bytes, deadline);

    if (rc == -ECONNRESET)
        return -EAGAIN;
    if (rc)
        tmbi_error(
            "TMB_RENDEZVOUS=%s: there is a connection, but rank 0 says nothing: is "
            "it in tmb_init?",
            ticket->where);
    return rc;
}

static int head_receive(int fd, const struct tmbi_ticket *ticket,
                        struct tmbi_greeting_head *head, enum tmbi_greeting_kind kind,
                        int64_t deadline)
{
    struct tmbi_greeting_head mine;
    int rc = message_receive(fd, ticket, head, sizeof *head, deadline);

    if (rc)
        return rc;
    tmbi_greeting_head_fill(&mine, TMBI_HELLO);
    switch (tmbi_greeting_head_check(head, kind)) {
    case TMBI_HEAD_GOOD:
        return 0;
    case TMBI_HEAD_VERSION:
        tmbi_stream_send(fd, &mine, sizeof mine, deadline); /* rank 0 names us, too */
        tmbi_error("TMB_RENDEZVOUS=%s: rank 0 has Tombolo %u.%u.%u (wire %u), this rank "
                   "%u.%u.%u (wire %u): use one version for all",
                   ticket->where, head->version[0], head->version[1], head->version[2],
                   head->wire, mine.version[0], mine.version[1], mine.version[2],
                   mine.wire);
        return -EPROTO;
    default:
        tmbi_error(
            "TMB_RENDEZVOUS=%s: what listens there is no rank 0 of Tombolo: choose "
            "another port",
            ticket->where);
        return -EPROTO;
    }
}

static int challenge_receive(int fd, const struct tmbi_ticket *ticket,
                             struct tmbi_challenge *challenge, int64_t deadline)
{
    bool mine = ticket->secret->bytes > 0;
    int rc = head_receive(fd, ticket, &challenge->head, TMBI_CHALLENGE, deadline);

    if (!rc)
        rc = message_receive(fd, ticket, &challenge->secret,
                             sizeof *challenge - sizeof challenge->head, deadline);
    if (rc)
        return rc;
    if (mine == (challenge->secret != 0))
        return 0;
    tmbi_error("TMB_RENDEZVOUS=%s: %s: set TMB_SECRET or TMB_SECRET_FILE to the same for "
               "all ranks",
               ticket->where,
               mine ? "this rank has a secret, rank 0 has none"
                    : "rank 0 has a secret, this rank has none");
    return -EACCES;
}

static int refused(const struct tmbi_ticket *ticket, const struct tmbi_verdict *verdict)
{
    switch (verdict->code) {
    case TMBI_REFUSED_SECRET:
        tmbi_error("TMB_RENDEZVOUS=%s: rank 0 has another secret: set TMB_SECRET or "
                   "TMB_SECRET_FILE to the same for all ranks",
                   ticket->where);
        return -EACCES;
    case TMBI_REFUSED_SIZE:
        tmbi_error(
            "TMB_RENDEZVOUS=%s: TMB_SIZE=%d, but rank 0 has TMB_SIZE=%u: it must be "
            "the same for all ranks",
            ticket->where, ticket->size, verdict->value);
        return -EINVAL;
    case TMBI_REFUSED_RANK:
        tmbi_error(
            "TMB_RENDEZVOUS=%s: TMB_RANK=%d has come already: each rank is started "
            "once",
            ticket->where, ticket->rank);
        return -EEXIST;
    case TMBI_REFUSED_JOB:
        tmbi_error("TMB_RENDEZVOUS=%s: TMB_JOB=%s, but rank 0 there is of another job: "
                   "choose a port for each",
                   ticket->where, ticket->job);
        return -EINVAL;
    default:
        tmbi_error("TMB_RENDEZVOUS=%s: rank 0 refused this rank, with code %u",
                   ticket->where, verdict->code);
        return -EPROTO;
    }
}

static int verdict_receive(int fd, const struct tmbi_ticket *ticket,
                           const struct tmbi_challenge *challenge,
                           const struct tmbi_hello *hello, struct tmbi_verdict *verdict,
                           int64_t deadline)
{
    int rc = head_receive(fd, ticket, &verdict->head, TMBI_VERDICT, deadline);

    if (!rc)
        rc = message_receive(fd, ticket, &verdict->code,
                             sizeof *verdict - sizeof verdict->head, deadline);
    if (rc)
        return rc;
    if (verdict->code != TMBI_WELCOME)
        return refused(ticket, verdict);
    if (!tmbi_verdict_proved(ticket->secret, challenge, hello, verdict)) {
        tmbi_error(
            "TMB_RENDEZVOUS=%s: what listens there does not know the secret: it is "
            "no rank 0 of this job",
            ticket->where);
        return -EACCES;
    }
    if (!verdict->job[0] || !memchr(verdict->job, 0, sizeof verdict->job)) {
        tmbi_error("TMB_RENDEZVOUS=%s: rank 0 gave the job no name", ticket->where);
        return -EPROTO;
    }
    return 0;
}

int tmbi_greeting_join(int fd, const struct tmbi_ticket *ticket,
                       char job[TMBI_NAME_BYTES], int64_t deadline)
{
    struct tmbi_challenge challenge;
    struct tmbi_hello hello = {.rank = (uint32_t)ticket->rank,
                               .size = (uint32_t)ticket->size};
    struct tmbi_verdict verdict;
    int rc = challenge_receive(fd, ticket, &challenge, deadline);

    if (!rc)
        rc = tmbi_greeting_nonce(hello.nonce);
    if (rc)
        return rc;
    tmbi_greeting_head_fill(&hello.head, TMBI_HELLO);
    strncpy(hello.job, ticket->job, sizeof hello.job - 1);
    tmbi_hello_prove(ticket->secret, &challenge, &hello);
    rc = tmbi_stream_send(fd, &hello, sizeof hello, deadline);
    if (rc)
        return rc == -ECONNRESET ? -EAGAIN : rc;
    rc = verdict_receive(fd, ticket, &challenge, &hello, &verdict, deadline);
    if (!rc)
        memcpy(job, verdict.job, sizeof verdict.job);
    return rc;
}
