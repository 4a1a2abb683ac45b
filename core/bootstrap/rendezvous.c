/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks that nobody started together meet at a port of rank 0's (TMB_RENDEZVOUS): it
 * serves exchanges as a launcher does, while it is in one itself. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../clock.h"
#include "../log.h"
#include "address.h"
#include "backends.h"
#include "channel.h"
#include "door.h"

/* How long ranks may take to hear an answer, and how often rank 0 is called. */
#define ANSWER_NS       INT64_C(10000000000)
#define RETRY_MS        20
#define RETRY_MAX_MS    500
#define DESCRIPTORS_FOR 512 /* all else that rank 0 has open */

static int rendezvous_detect(const struct tmbi_core_config *config)
{
    return config->rendezvous != NULL;
}

/* ---- what both sides check ---- */

static int check_variables(const struct tmbi_core_config *config)
{
    if (config->rank < 0 || config->size < 0) {
        tmbi_error("TMB_RENDEZVOUS is set, but %s is not: each rank needs TMB_RANK (from "
                   "0 on) and TMB_SIZE",
                   config->rank < 0 ? "TMB_RANK" : "TMB_SIZE");
        return -EINVAL;
    }
    if (config->rank >= config->size) {
        tmbi_error("TMB_RANK=%lld is not less than TMB_SIZE=%lld",
                   (long long)config->rank, (long long)config->size);
        return -EINVAL;
    }
    if (config->job && strlen(config->job) >= TMBI_NAME_BYTES) {
        tmbi_error("TMB_JOB=%s is longer than %u characters", config->job,
                   TMBI_NAME_BYTES - 1);
        return -EINVAL;
    }
    return 0;
}

/* Without a secret only processes of this host can come. */
static int check_open(const struct tmbi_address *address, const struct addrinfo *found,
                      const struct tmbi_secret *secret)
{
    if (secret->bytes)
        return 0;
    for (const struct addrinfo *at = found; at; at = at->ai_next) {
        if (tmbi_address_is_loopback(at))
            continue;
        tmbi_error("TMB_RENDEZVOUS=%s: %s", address->text,
                   tmbi_secret_possible()
                       ? "is no loopback address, where strangers could join: set "
                         "TMB_SECRET or TMB_SECRET_FILE to the same for all ranks"
                       : "is no loopback address, which needs a secret, which this build "
                         "of Tombolo does not know: nettle was not there (Debian: "
                         "nettle-dev)");
        return -EINVAL;
    }
    return 0;
}

/* ---- rank 0 ---- */

struct host {
    struct tmbi_loop loop;
    struct tmbi_hub *hub;
    struct tmbi_door *door;
    struct tmbi_secret secret;
    struct tmbi_ticket ticket;
    /* the exchange under way: */
    void *all;
    size_t bytes;
    bool answered;
    int rc;
};

static void host_answered(void *arg, const struct tmbi_launch_header *header,
                          const void *payload)
{
    struct host *host = arg;
    char blame[TMBI_LAUNCH_BLAME_MAX + 1];

    host->answered = true;
    if (header->kind == TMBI_LAUNCH_EXCHANGE) {
        host->rc = 0;
        if (host->bytes)
            memcpy(host->all, payload, host->bytes * (size_t)host->ticket.size);
        return;
    }
    snprintf(blame, sizeof blame, "%.*s", (int)header->bytes, (const char *)payload);
    host->rc = tmbi_channel_failed(header->code, blame);
}

static void host_garbage(void *arg, int rank, const char *what)
{
    struct host *host = arg;

    tmbi_error("rank %d sent %s: it is no longer heard", rank, what);
    if (rank)
        return tmbi_hub_gone(host->hub, rank, 1);
    host->answered = true; /* the others have sent what does not fit to ours */
    host->rc = -EPROTO;
}

/* Only a rank that runs aborts, and then nobody is in an exchange. */
static void host_abort(void *arg, int rank, int exit_code)
{
    (void)arg;
    (void)exit_code;
    tmbi_info("rank %d aborts", rank);
}

static const struct tmbi_hub_events host_events = {
    .abort = host_abort, .garbage = host_garbage, .answered = host_answered};

/* Each rank is a connection. */
static void check_descriptors(const struct tmbi_ticket *ticket)
{
    struct rlimit limit;

    if (!getrlimit(RLIMIT_NOFILE, &limit) &&
        limit.rlim_cur < (rlim_t)ticket->size + DESCRIPTORS_FOR)
        tmbi_warn("TMB_SIZE=%d: rank 0 may have %llu files open, which may be too few: "
                  "`ulimit -n %d`",
                  ticket->size, (unsigned long long)limit.rlim_cur,
                  ticket->size + DESCRIPTORS_FOR);
}

static int host_start(struct tmbi_bootstrap *b, struct host *host, int listener)
{
    int rc = tmbi_loop_open(&host->loop);

    if (rc)
        goto close_listener;
    rc = tmbi_hub_open(&host->hub, &host->loop, host->ticket.size, &host_events, host);
    if (rc)
        goto close_loop;
    tmbi_hub_expect(host->hub);
    rc = tmbi_door_open(&host->door, &host->loop, host->hub, listener, &host->ticket,
                        b->job.name);
    if (rc)
        goto close_hub;
    return 0;

close_hub:
    tmbi_hub_close(host->hub);
close_loop:
    tmbi_loop_close(&host->loop);
close_listener:
    close(listener);
    tmbi_error("rank 0 can't meet the others: %s", strerror(-rc));
    return rc;
}

static int host_open(struct tmbi_bootstrap *b, const struct tmbi_address *address,
                     const struct addrinfo *found, const struct tmbi_ticket *ticket)
{
    struct host *host = calloc(1, sizeof *host);
    int rc = host ? tmbi_bootstrap_name(b->job.name) : -ENOMEM;

    if (!rc)
        rc = tmbi_address_listen(address, found);
    if (rc < 0) {
        free(host);
        return rc;
    }
    host->secret = *ticket->secret;
    host->ticket = *ticket;
    host->ticket.secret = &host->secret;
    check_descriptors(ticket);
    rc = host_start(b, host, rc);
    if (rc) {
        tmbi_secret_wipe(&host->secret);
        free(host);
        return rc;
    }
    b->state = host;
    return 0;
}

static void host_turn(struct host *host, int64_t deadline)
{
    int64_t look = tmbi_door_expire(host->door);

    tmbi_loop_turn(&host->loop, look < deadline ? look : deadline);
}

static int host_exchange(struct host *host, const void *mine, size_t bytes, void *all,
                         int64_t deadline)
{
    int64_t enough;
    int rc = tmbi_channel_check(bytes);

    if (rc)
        return rc;
    host->all = all;
    host->bytes = bytes;
    host->answered = false;
    tmbi_hub_give(host->hub, 0, mine, (uint32_t)bytes);
    while (!host->answered && tmbi_clock_ns() < deadline)
        host_turn(host, deadline);
    if (!host->answered)
        tmbi_hub_give_up(host->hub, 0);
    enough = tmbi_deadline(ANSWER_NS);
    while (tmbi_hub_busy(host->hub) && tmbi_clock_ns() < enough)
        host_turn(host, enough);
    return host->rc;
}

static void host_close(struct host *host)
{
    tmbi_door_close(host->door);
    tmbi_hub_close(host->hub);
    tmbi_loop_close(&host->loop);
    tmbi_secret_wipe(&host->secret);
    free(host);
}

/* ---- the others ---- */

/* Once: connect, and be let in. Returns the socket. */
static int guest_try(struct tmbi_bootstrap *b, const struct addrinfo *found,
                     const struct tmbi_ticket *ticket, int64_t deadline, const char **why)
{
    int fd = tmbi_address_connect(found, deadline);
    int rc;

    if (fd < 0) {
        *why = strerror(-fd);
        return -EAGAIN;
    }
    rc = tmbi_greeting_join(fd, ticket, b->job.name, deadline);
    if (!rc)
        return fd;
    close(fd);
    *why = "the connection was closed";
    return rc;
}

static int guest_open(struct tmbi_bootstrap *b, const struct addrinfo *found,
                      const struct tmbi_ticket *ticket, int64_t deadline)
{
    const char *why;
    int pause = RETRY_MS;

    for (;;) {
        int rc = guest_try(b, found, ticket, deadline, &why);

        if (rc >= 0) {
            b->fd = rc;
            b->server = "rank 0";
            return 0;
        }
        if (rc != -EAGAIN)
            return rc;
        if (tmbi_clock_ns() >= deadline)
            break;
        poll(NULL, 0, pause);
        pause = pause * 2 < RETRY_MAX_MS ? pause * 2 : RETRY_MAX_MS;
    }
    tmbi_error("TMB_RENDEZVOUS=%s: rank 0 did not come in time: %s (TMB_INIT_TIMEOUT is "
               "how long to wait)",
               ticket->where, why);
    return -ETIMEDOUT;
}

/* ---- the back end ---- */

static int open_at(struct tmbi_bootstrap *b, const struct tmbi_address *address,
                   const struct tmbi_ticket *ticket, int64_t deadline)
{
    struct addrinfo *found;
    int rc = tmbi_address_resolve(address, &found);

    if (rc)
        return rc;
    rc = check_open(address, found, ticket->secret);
    if (!rc && ticket->rank == 0)
        rc = host_open(b, address, found, ticket);
    else if (!rc)
        rc = guest_open(b, found, ticket, deadline);
    freeaddrinfo(found);
    return rc;
}

static int rendezvous_open(struct tmbi_bootstrap *b,
                           const struct tmbi_core_config *config)
{
    int64_t deadline = tmbi_deadline(config->init_timeout_ns);
    struct tmbi_address address;
    struct tmbi_secret secret = {0};
    struct tmbi_ticket ticket = {.rank = (int)config->rank,
                                 .size = (int)config->size,
                                 .job = config->job ? config->job : "",
                                 .where = config->rendezvous,
                                 .secret = &secret};
    int rc = check_variables(config);

    if (!rc && ticket.size > 1)
        tmbi_log_set_rank(ticket.rank); /* refusals name it */
    if (!rc)
        rc = tmbi_address_parse(&address, config->rendezvous);
    if (!rc)
        rc = tmbi_secret_load(&secret, config);
    b->job.rank = ticket.rank;
    b->job.size = ticket.size;
    if (!rc)
        rc = open_at(b, &address, &ticket, deadline);
    tmbi_secret_wipe(&secret);
    return rc;
}

static int rendezvous_exchange(struct tmbi_bootstrap *b, const void *mine, size_t bytes,
                               void *all, int64_t deadline)
{
    int rc;

    if (b->state)
        return host_exchange(b->state, mine, bytes, all, deadline);
    rc = tmbi_channel_exchange(b, mine, bytes, all, deadline);
    return rc == -ECONNRESET ? -EHOSTDOWN : rc;
}

/* There is no launcher that could end the others: they see that this process has ended,
 * by their providers. */
static void rendezvous_abort(struct tmbi_bootstrap *b, int exit_code)
{
    (void)b;
    (void)exit_code;
}

static void rendezvous_close(struct tmbi_bootstrap *b)
{
    if (b->state)
        host_close(b->state);
    else
        tmbi_channel_close(b);
    b->state = NULL;
}

const struct tmbi_bootstrap_ops tmbi_bootstrap_rendezvous = {
    .name = "rendezvous",
    .meaning = "ranks meet at a port of rank 0's (TMB_RENDEZVOUS)",
    .needs = "TMB_RENDEZVOUS is not set: HOST:PORT of rank 0",
    .detect = rendezvous_detect,
    .open = rendezvous_open,
    .exchange = rendezvous_exchange,
    .abort = rendezvous_abort,
    .close = rendezvous_close};
