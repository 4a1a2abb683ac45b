/* SPDX-License-Identifier: BSD-3-Clause */
#include "hub.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../ranks.h"
#include "launch.h"

#define HEADER_BYTES sizeof(struct tmbi_launch_header)

/* A message on the way to several ranks. */
struct answer {
    int refs;
    size_t bytes; /* header and payload */
    struct tmbi_launch_header header;
    uint8_t payload[];
};

struct member {
    struct tmbi_watch watch; /* first; fd -1: has not joined, or is heard no more */
    struct tmbi_hub *hub;
    int rank;
    bool elsewhere; /* has no socket here, or not yet, and isn't missed */
    bool gives;     /* is the hub's owner itself */
    struct tmbi_launch_header header; /* being received, */
    uint8_t *payload;                 /* this too, */
    size_t received;                  /* so much of both */
    bool waits;                       /* has given its part and has no answer */
    struct answer *answer;
    size_t sent;
};

struct tmbi_hub {
    struct tmbi_loop *loop;
    const struct tmbi_hub_events *events;
    void *arg;
    struct answer *gathered; /* the exchange under way: parts so far */
    int arrived;
    struct answer *failure;
    bool failed;    /* for good: the ranks are out of step */
    int size, ours; /* ranks; how many of them join here */
    struct member members[];
};

static struct answer *answer_new(enum tmbi_launch_kind kind, uint32_t part_bytes,
                                 size_t payload_bytes)
{
    struct answer *answer = calloc(1, sizeof *answer + payload_bytes);

    if (!answer)
        return NULL;
    answer->refs = 1;
    answer->bytes = HEADER_BYTES + payload_bytes;
    answer->header.magic = TMBI_LAUNCH_MAGIC;
    answer->header.kind = (uint32_t)kind;
    answer->header.bytes = part_bytes;
    return answer;
}

static void answer_put(struct answer *answer)
{
    if (answer && --answer->refs == 0)
        free(answer);
}

static void member_silence(struct member *member)
{
    if (member->watch.fd < 0)
        return;
    tmbi_loop_remove(member->hub->loop, &member->watch);
    close(member->watch.fd);
    member->watch.fd = -1;
    free(member->payload);
    member->payload = NULL;
    answer_put(member->answer);
    member->answer = NULL;
}

static void member_send(struct member *member)
{
    struct answer *answer = member->answer;
    const uint8_t *message = (const uint8_t *)&answer->header;

    while (member->sent < answer->bytes) {
        ssize_t sent = send(member->watch.fd, message + member->sent,
                            answer->bytes - member->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            member->sent += (size_t)sent;
        } else if (errno == EAGAIN) {
            tmbi_loop_change(member->hub->loop, &member->watch, EPOLLIN | EPOLLOUT);
            return;
        } else if (errno != EINTR) {
            break; /* it is gone, which the reading side sees */
        }
    }
    tmbi_loop_change(member->hub->loop, &member->watch, EPOLLIN);
    answer_put(answer);
    member->answer = NULL;
}

static void answer_all(struct tmbi_hub *hub, struct answer *answer)
{
    for (int i = 0; i < hub->size; i++) {
        struct member *member = &hub->members[i];
        if (!member->waits)
            continue;
        member->waits = false;
        if (member->watch.fd < 0) {
            if (member->gives)
                hub->events->answered(hub->arg, &answer->header, answer->payload);
            continue;
        }
        answer->refs++;
        member->answer = answer;
        member->sent = 0;
        member_send(member);
    }
    answer_put(hub->gathered);
    hub->gathered = NULL;
    hub->arrived = 0;
}

static bool is_gone(const void *arg, int rank)
{
    const struct member *member = &((const struct tmbi_hub *)arg)->members[rank];

    return !member->waits && member->watch.fd < 0 && !member->elsewhere;
}

static bool is_late(const void *arg, int rank)
{
    return !((const struct tmbi_hub *)arg)->members[rank].waits;
}

static void exchange_fail_by(struct tmbi_hub *hub, int code, int first, const char *blame)
{
    struct answer *failure = hub->failure;
    size_t bytes = strnlen(blame, TMBI_LAUNCH_BLAME_MAX);

    failure->header.code = code;
    failure->header.rank = first;
    failure->header.bytes = (uint32_t)bytes;
    failure->bytes = HEADER_BYTES + bytes;
    memcpy(failure->payload, blame, bytes);
    hub->failed = true;
    answer_all(hub, failure);
}

static void exchange_fail(struct tmbi_hub *hub, int code)
{
    char blame[TMBI_LAUNCH_BLAME_MAX];
    int first = tmbi_ranks_list(hub->size, code == -EHOSTDOWN ? is_gone : is_late, hub,
                                blame, sizeof blame);

    exchange_fail_by(hub, code, first, blame);
    if (hub->ours < hub->size)
        hub->events->failed(hub->arg, code, blame);
}

/* After a part came or a rank went. Ranks elsewhere may wait for one that went from
 * here, though none here does. */
static void exchange_settle(struct tmbi_hub *hub)
{
    if (!hub->arrived && (hub->failed || hub->ours == hub->size))
        return;
    if (hub->failed) {
        answer_all(hub, hub->failure);
    } else if (hub->arrived == hub->size) {
        answer_all(hub, hub->gathered);
    } else {
        for (int i = 0; i < hub->size; i++)
            if (is_gone(hub, i))
                return exchange_fail(hub, -EHOSTDOWN);
    }
}

static void member_garbage(struct member *member, const char *what)
{
    struct tmbi_hub *hub = member->hub;

    member_silence(member);
    hub->events->garbage(hub->arg, member->rank, what);
}

static void member_part(struct member *member)
{
    struct tmbi_hub *hub = member->hub;
    uint32_t bytes = member->header.bytes;

    if (!hub->failed && !hub->gathered)
        hub->gathered =
            answer_new(TMBI_LAUNCH_EXCHANGE, bytes, (size_t)bytes * (size_t)hub->size);
    if (hub->gathered && hub->gathered->header.bytes != bytes)
        return member_garbage(member, "a part of another size than the other ranks");
    if (hub->gathered && bytes)
        memcpy(hub->gathered->payload + (size_t)member->rank * bytes, member->payload,
               bytes);
    member->waits = true;
    hub->arrived++;
    if (!hub->failed && !hub->gathered)
        return exchange_fail(hub, -ENOMEM);
    if (hub->gathered && hub->arrived == hub->ours && hub->ours < hub->size)
        hub->events->gathered(hub->arg, hub->gathered->payload, bytes);
    exchange_settle(hub);
}

static void member_message(struct member *member)
{
    struct tmbi_hub *hub = member->hub;

    member->received = 0;
    switch (member->header.kind) {
    case TMBI_LAUNCH_EXCHANGE:
        member_part(member);
        break;
    case TMBI_LAUNCH_GIVE_UP:
        if (member->waits)
            exchange_fail(hub, -ETIMEDOUT);
        break;
    default:
        hub->events->abort(hub->arg, member->rank, member->header.code);
    }
    free(member->payload);
    member->payload = NULL;
}

/* What is wrong with a header, or NULL. */
static const char *header_fault(const struct member *member)
{
    const struct tmbi_launch_header *header = &member->header;

    if (header->magic != TMBI_LAUNCH_MAGIC)
        return "a message of another version, or garbage";
    if (header->rank != member->rank)
        return "a message in another rank's name";
    if (header->kind == TMBI_LAUNCH_EXCHANGE) {
        if (header->bytes > TMBI_LAUNCH_BYTES_MAX)
            return "a part that is too large";
        return member->waits || member->answer ? "two parts at once" : NULL;
    }
    if (header->kind != TMBI_LAUNCH_ABORT && header->kind != TMBI_LAUNCH_GIVE_UP)
        return "a message of unknown kind";
    return header->bytes ? "a payload where none belongs" : NULL;
}

static void member_header(struct member *member)
{
    const char *fault = header_fault(member);

    if (fault)
        return member_garbage(member, fault);
    if (!member->header.bytes)
        return member_message(member);
    member->payload = malloc(member->header.bytes);
    if (!member->payload)
        member_garbage(member, "a part for which there is no memory");
}

/* Returns whether there may be more to read. */
static bool member_receive(struct member *member)
{
    bool in_header = member->received < HEADER_BYTES;
    uint8_t *to = in_header ? (uint8_t *)&member->header + member->received
                            : member->payload + member->received - HEADER_BYTES;
    size_t want =
        HEADER_BYTES + (in_header ? 0 : member->header.bytes) - member->received;
    ssize_t got = recv(member->watch.fd, to, want, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR;
    if (got <= 0) {
        member_silence(member);
        exchange_settle(member->hub);
        return false;
    }
    member->received += (size_t)got;
    if ((size_t)got == want) {
        if (in_header)
            member_header(member);
        else
            member_message(member);
    }
    return member->watch.fd >= 0;
}

static void member_ready(struct tmbi_watch *watch, uint32_t events)
{
    struct member *member = (struct member *)watch;

    if ((events & EPOLLOUT) && member->answer)
        member_send(member);
    if (events & ~(uint32_t)EPOLLOUT)
        member_receive(member);
}

int tmbi_hub_open(struct tmbi_hub **hub, struct tmbi_loop *loop, int size,
                  const struct tmbi_hub_events *events, void *arg)
{
    struct tmbi_hub *made =
        calloc(1, sizeof *made + (size_t)size * sizeof(struct member));

    if (!made)
        return -ENOMEM;
    made->failure = answer_new(TMBI_LAUNCH_FAILED, 0, TMBI_LAUNCH_BLAME_MAX);
    if (!made->failure) {
        free(made);
        return -ENOMEM;
    }
    made->loop = loop;
    made->events = events;
    made->arg = arg;
    made->size = made->ours = size;
    for (int i = 0; i < size; i++)
        made->members[i] = (struct member){
            .watch = {.fd = -1, .ready = member_ready}, .hub = made, .rank = i};
    *hub = made;
    return 0;
}

void tmbi_hub_close(struct tmbi_hub *hub)
{
    for (int i = 0; i < hub->size; i++)
        member_silence(&hub->members[i]);
    answer_put(hub->gathered);
    answer_put(hub->failure);
    free(hub);
}

int tmbi_hub_adopt(struct tmbi_hub *hub, int rank, int fd)
{
    struct member *member = &hub->members[rank];
    int rc;

    member->watch.fd = fd;
    rc = tmbi_loop_add(hub->loop, &member->watch, EPOLLIN);
    if (rc) {
        close(fd);
        member->watch.fd = -1;
        return rc;
    }
    member->elsewhere = false;
    return 0;
}

int tmbi_hub_join(struct tmbi_hub *hub, int rank, int *fd)
{
    int pair[2], rc;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return -errno;
    rc = tmbi_hub_adopt(hub, rank, pair[0]);
    if (rc) {
        close(pair[1]);
        return rc;
    }
    *fd = pair[1];
    return 0;
}

void tmbi_hub_expect(struct tmbi_hub *hub)
{
    for (int i = 0; i < hub->size; i++)
        hub->members[i].elsewhere = true;
}

void tmbi_hub_give(struct tmbi_hub *hub, int rank, const void *part, uint32_t bytes)
{
    struct member *member = &hub->members[rank];

    member->gives = true;
    member->header.bytes = bytes;
    member->payload = (uint8_t *)part; /* which is only read */
    member_part(member);
    member->payload = NULL;
}

void tmbi_hub_give_up(struct tmbi_hub *hub, int rank)
{
    if (hub->members[rank].waits)
        exchange_fail(hub, -ETIMEDOUT);
}

bool tmbi_hub_busy(const struct tmbi_hub *hub)
{
    for (int i = 0; i < hub->size; i++)
        if (hub->members[i].answer)
            return true;
    return false;
}

void tmbi_hub_ended(struct tmbi_hub *hub, int rank)
{
    struct member *member = &hub->members[rank];

    while (member->watch.fd >= 0 && member_receive(member))
        ;
    member_silence(member);
    exchange_settle(hub);
}

void tmbi_hub_split(struct tmbi_hub *hub, int first, int count)
{
    hub->ours = count;
    for (int i = 0; i < hub->size; i++)
        hub->members[i].elsewhere = i < first || i >= first + count;
}

void tmbi_hub_came(struct tmbi_hub *hub, int first, int count)
{
    for (int i = first; i < first + count; i++)
        hub->members[i].waits = true;
    hub->arrived += count;
    exchange_settle(hub);
}

void tmbi_hub_gone(struct tmbi_hub *hub, int first, int count)
{
    for (int i = first; i < first + count; i++)
        hub->members[i].elsewhere = false;
    exchange_settle(hub);
}

void tmbi_hub_fail(struct tmbi_hub *hub, int code, const char *blame)
{
    if (!hub->failed)
        exchange_fail_by(hub, code, -1, blame);
}
