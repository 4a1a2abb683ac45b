/* SPDX-License-Identifier: BSD-3-Clause */
#include "door.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../clock.h"
#include "../log.h"
#include "address.h"

#define GUESTS_MAX 256
#define GUEST_NS   INT64_C(5000000000)
#define WARNINGS   10 /* about strangers: enough to see what goes on */

/* Somebody who has not proved to be a rank. */
struct guest {
    struct tmbi_watch watch; /* first */
    struct tmbi_door *door;
    int64_t until;
    size_t received; /* of hello */
    struct tmbi_challenge challenge;
    struct tmbi_hello hello;
};

struct tmbi_door {
    struct tmbi_watch watch; /* first; the listener; fd -1: all have come */
    struct tmbi_loop *loop;
    struct tmbi_hub *hub;
    const struct tmbi_ticket *ticket;
    const char *name; /* the job's own */
    int joined, warnings;
    int guests_count;
    struct guest *guests[GUESTS_MAX]; /* the oldest first */
    bool came[];                      /* by rank */
};

/* ---- guests ---- */

static void guest_forget(struct guest *guest)
{
    struct tmbi_door *door = guest->door;
    int i = 0;

    while (door->guests[i] != guest)
        i++;
    door->guests_count--;
    memmove(&door->guests[i], &door->guests[i + 1],
            (size_t)(door->guests_count - i) * sizeof *door->guests);
    free(guest);
}

static void guest_dismiss(struct guest *guest)
{
    tmbi_loop_remove(guest->door->loop, &guest->watch);
    close(guest->watch.fd);
    guest_forget(guest);
}

static void warn_of(const struct guest *guest, const char *what)
{
    struct tmbi_door *door = guest->door;
    char peer[80];

    if (++door->warnings > WARNINGS)
        return;
    tmbi_address_peer(guest->watch.fd, peer, sizeof peer);
    tmbi_warn("TMB_RENDEZVOUS=%s: refused a connection from %s: %s%s",
              door->ticket->where, peer, what,
              door->warnings == WARNINGS ? " (no more of these are told)" : "");
}

static void warn_version(const struct guest *guest)
{
    const struct tmbi_greeting_head *theirs = &guest->hello.head;
    struct tmbi_greeting_head mine;
    char text[160];

    tmbi_greeting_head_fill(&mine, TMBI_HELLO);
    snprintf(text, sizeof text,
             "it has Tombolo %u.%u.%u (wire %u), rank 0 %u.%u.%u (wire %u): use one "
             "version for all",
             theirs->version[0], theirs->version[1], theirs->version[2], theirs->wire,
             mine.version[0], mine.version[1], mine.version[2], mine.wire);
    warn_of(guest, text);
}

static enum tmbi_verdict_code judge(const struct guest *guest)
{
    const struct tmbi_door *door = guest->door;
    const struct tmbi_hello *hello = &guest->hello;
    const struct tmbi_ticket *ticket = door->ticket;

    if (!tmbi_hello_proved(ticket->secret, &guest->challenge, hello))
        return TMBI_REFUSED_SECRET;
    if (!memchr(hello->job, 0, sizeof hello->job))
        return TMBI_REFUSED_HELLO;
    if (strcmp(hello->job, ticket->job))
        return TMBI_REFUSED_JOB;
    if (hello->size != (uint32_t)ticket->size)
        return TMBI_REFUSED_SIZE;
    if (hello->rank >= hello->size)
        return TMBI_REFUSED_HELLO;
    return door->came[hello->rank] ? TMBI_REFUSED_RANK : TMBI_WELCOME;
}

static void warn_refusal(const struct guest *guest, enum tmbi_verdict_code code)
{
    const struct tmbi_hello *hello = &guest->hello;
    char text[160];

    switch (code) {
    case TMBI_REFUSED_SECRET:
        return warn_of(guest, "it does not know the secret");
    case TMBI_REFUSED_SIZE:
        snprintf(text, sizeof text, "TMB_RANK=%u has TMB_SIZE=%u, rank 0 TMB_SIZE=%d",
                 hello->rank, hello->size, guest->door->ticket->size);
        return warn_of(guest, text);
    case TMBI_REFUSED_RANK:
        snprintf(text, sizeof text, "TMB_RANK=%u has come already", hello->rank);
        return warn_of(guest, text);
    case TMBI_REFUSED_JOB:
        return warn_of(guest, "it is of another job (TMB_JOB)");
    default:
        return warn_of(guest, "its greeting makes no sense");
    }
}

static int verdict_send(const struct guest *guest, enum tmbi_verdict_code code)
{
    const struct tmbi_door *door = guest->door;
    struct tmbi_verdict verdict = {.code = (uint32_t)code,
                                   .value = (uint32_t)door->ticket->size};

    tmbi_greeting_head_fill(&verdict.head, TMBI_VERDICT);
    if (code == TMBI_WELCOME) {
        strncpy(verdict.job, door->name, sizeof verdict.job - 1);
        tmbi_verdict_prove(door->ticket->secret, &guest->challenge, &guest->hello,
                           &verdict);
    }
    /* It is the second message of a fresh connection: there is room for it. */
    return send(guest->watch.fd, &verdict, sizeof verdict, MSG_NOSIGNAL | MSG_DONTWAIT) ==
                   (ssize_t)sizeof verdict
               ? 0
               : -ECONNRESET;
}

/* ---- the listener ---- */

static void listener_close(struct tmbi_door *door)
{
    if (door->watch.fd < 0)
        return;
    tmbi_loop_remove(door->loop, &door->watch);
    close(door->watch.fd);
    door->watch.fd = -1;
}

/* The hello is complete. */
static void guest_judge(struct guest *guest)
{
    struct tmbi_door *door = guest->door;
    enum tmbi_verdict_code code = judge(guest);
    uint32_t rank = guest->hello.rank;
    int fd = guest->watch.fd;

    if (code != TMBI_WELCOME)
        warn_refusal(guest, code);
    if (verdict_send(guest, code) || code != TMBI_WELCOME)
        return guest_dismiss(guest);
    tmbi_loop_remove(door->loop, &guest->watch);
    guest_forget(guest);
    if (tmbi_hub_adopt(door->hub, (int)rank, fd))
        return;
    door->came[rank] = true;
    if (++door->joined == door->ticket->size - 1)
        listener_close(door);
}

static void guest_ready(struct tmbi_watch *watch, uint32_t events)
{
    struct guest *guest = (struct guest *)watch;
    enum tmbi_head_fault fault;
    ssize_t got = recv(watch->fd, (uint8_t *)&guest->hello + guest->received,
                       sizeof guest->hello - guest->received, MSG_DONTWAIT);

    (void)events;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        return guest_dismiss(guest);
    guest->received += (size_t)got;
    if (guest->received < sizeof guest->hello.head)
        return;
    fault = tmbi_greeting_head_check(&guest->hello.head, TMBI_HELLO);
    if (fault == TMBI_HEAD_GOOD) {
        if (guest->received == sizeof guest->hello)
            guest_judge(guest);
        return;
    }
    if (fault == TMBI_HEAD_VERSION)
        warn_version(guest);
    else
        warn_of(guest, "it speaks no Tombolo");
    guest_dismiss(guest);
}

static int challenge_send(struct guest *guest)
{
    tmbi_greeting_head_fill(&guest->challenge.head, TMBI_CHALLENGE);
    guest->challenge.secret = guest->door->ticket->secret->bytes > 0;
    if (tmbi_greeting_nonce(guest->challenge.nonce))
        return -EIO;
    return send(guest->watch.fd, &guest->challenge, sizeof guest->challenge,
                MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof guest->challenge
               ? 0
               : -ECONNRESET;
}

void tmbi_door_admit(struct tmbi_door *door, int fd)
{
    struct guest *guest = calloc(1, sizeof *guest);

    if (!guest) {
        close(fd);
        return;
    }
    if (door->guests_count == GUESTS_MAX)
        guest_dismiss(door->guests[0]);
    guest->watch = (struct tmbi_watch){.fd = fd, .ready = guest_ready};
    guest->door = door;
    guest->until = tmbi_deadline(GUEST_NS);
    door->guests[door->guests_count++] = guest;
    if (challenge_send(guest) || tmbi_loop_add(door->loop, &guest->watch, EPOLLIN))
        guest_dismiss(guest);
}

static void listener_ready(struct tmbi_watch *watch, uint32_t events)
{
    struct tmbi_door *door = (struct tmbi_door *)watch;
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd >= 0)
        return tmbi_door_admit(door, fd);
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
        return; /* whoever came has gone */
    if (!door->warnings++)
        tmbi_warn("TMB_RENDEZVOUS=%s: rank 0 can't take more connections: %s (`ulimit "
                  "-n`)",
                  door->ticket->where, strerror(errno));
    if (door->guests_count)
        guest_dismiss(door->guests[0]);
    else
        poll(NULL, 0, 10); /* instead of asking again and again */
}

int tmbi_door_open(struct tmbi_door **door, struct tmbi_loop *loop, struct tmbi_hub *hub,
                   int listener, const struct tmbi_ticket *ticket, const char *name)
{
    struct tmbi_door *made = calloc(1, sizeof *made + (size_t)ticket->size);
    int rc = 0;

    if (!made)
        return -ENOMEM;
    made->watch = (struct tmbi_watch){.fd = listener, .ready = listener_ready};
    made->loop = loop;
    made->hub = hub;
    made->ticket = ticket;
    made->name = name;
    made->came[0] = true;
    if (listener >= 0)
        rc = tmbi_loop_add(loop, &made->watch, EPOLLIN);
    if (rc)
        free(made);
    else
        *door = made;
    return rc;
}

void tmbi_door_close(struct tmbi_door *door)
{
    while (door->guests_count)
        guest_dismiss(door->guests[0]);
    listener_close(door);
    free(door);
}

int64_t tmbi_door_expire(struct tmbi_door *door)
{
    while (door->guests_count && door->guests[0]->until <= tmbi_clock_ns()) {
        warn_of(door->guests[0], "it said nothing");
        guest_dismiss(door->guests[0]);
    }
    return door->guests_count ? door->guests[0]->until : TMBI_NEVER;
}
