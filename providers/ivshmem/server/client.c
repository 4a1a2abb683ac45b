/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* The greeting: protocol version, the client's ID, the memory. */
#define PROTOCOL_VERSION  0
#define MEMORY            (-1)
#define GREETING_MESSAGES 3

static void bells_close(int *bells, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        close(bells[i]);
    free(bells);
}

/* A client with room for its doorbells. */
static int client_make(int socket, uint32_t id, uint32_t vectors,
                       struct tmbi_client **result)
{
    struct tmbi_client *client = calloc(1, sizeof(*client));

    if (!client)
        return -ENOMEM;
    client->bells = calloc(vectors, sizeof(*client->bells));
    if (!client->bells) {
        free(client);
        return -ENOMEM;
    }
    client->socket = socket;
    client->id = id;
    client->vectors = vectors;
    *result = client;
    return 0;
}

int tmbi_client_new(int socket, uint32_t id, uint32_t vectors,
                    struct tmbi_client **result)
{
    struct tmbi_client *client;
    int rc = client_make(socket, id, vectors, &client);

    if (rc)
        return rc;
    for (uint32_t i = 0; i < vectors; i++) {
        client->bells[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (client->bells[i] < 0) {
            rc = -errno;
            bells_close(client->bells, i);
            free(client);
            return rc;
        }
    }
    *result = client;
    return 0;
}

int tmbi_client_adopt(int socket, uint32_t id, uint32_t vectors, const int *bells,
                      struct tmbi_client **result)
{
    int rc = client_make(socket, id, vectors, result);

    if (rc)
        return rc;
    memcpy((*result)->bells, bells, vectors * sizeof(*bells));
    (*result)->greeted = GREETING_MESSAGES;
    (*result)->kept = true;
    return 0;
}

void tmbi_client_free(struct tmbi_client *client)
{
    close(client->socket);
    bells_close(client->bells, client->vectors);
    free(client->news);
    free(client);
}

void tmbi_client_ring(const struct tmbi_client *client, uint32_t vector)
{
    uint64_t one = 1;

    /* A full counter (EAGAIN) rings all the same. */
    if (write(client->bells[vector % client->vectors], &one, sizeof(one)) < 0)
        return;
}

/* ---- news ---- */

static int news_append(struct tmbi_client *client, uint32_t id, bool gone)
{
    if (client->news_count == client->news_room) {
        uint32_t room = client->news_room ? client->news_room * 2 : 16;
        struct tmbi_news *news = realloc(client->news, room * sizeof(*news));

        if (!news)
            return -ENOMEM;
        client->news = news;
        client->news_room = room;
    }
    client->news[client->news_count++] = (struct tmbi_news){id, gone};
    return 0;
}

static void news_remove(struct tmbi_client *client, uint32_t index)
{
    client->news_count--;
    memmove(&client->news[index], &client->news[index + 1],
            (client->news_count - index) * sizeof(*client->news));
}

int tmbi_client_note_come(struct tmbi_client *client, uint32_t id)
{
    return news_append(client, id, false);
}

int tmbi_client_note_gone(struct tmbi_client *client, uint32_t id)
{
    for (uint32_t i = 0; i < client->news_count; i++) {
        if (client->news[i].id != id)
            continue;
        if (i == 0 && client->told) { /* half told of its coming */
            client->news[0].gone = true;
            client->told = 0;
        } else {
            news_remove(client, i);
        }
        return 0;
    }
    return news_append(client, id, true);
}

/* ---- telling ---- */

static int message_send(int socket, int64_t value, int fd)
{
    uint64_t little = htole64((uint64_t)value);
    struct iovec iov = {&little, sizeof(little)};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t sent;

    if (fd >= 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        control.align.cmsg_len = CMSG_LEN(sizeof(int));
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
    }
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    /* The kernel sends so short a message whole or not at all. */
    return sent == sizeof(little) ? 0 : -EIO;
}

static int greet(struct tmbi_client *client, int memory)
{
    while (client->greeted < GREETING_MESSAGES) {
        int64_t value = client->greeted == 0   ? PROTOCOL_VERSION
                        : client->greeted == 1 ? (int64_t)client->id
                                               : MEMORY;
        int rc = message_send(client->socket, value, client->greeted == 2 ? memory : -1);

        if (rc)
            return rc;
        client->greeted++;
    }
    return 0;
}

static int tell_come(struct tmbi_client *client, const struct tmbi_client *peer)
{
    while (client->told < peer->vectors) {
        int rc = message_send(client->socket, peer->id, peer->bells[client->told]);

        if (rc)
            return rc;
        client->told++;
    }
    client->told = 0;
    return 0;
}

int tmbi_client_tell(struct tmbi_client *client, int memory, tmbi_client_find *find,
                     void *arg)
{
    uint32_t done = 0;
    int rc = greet(client, memory);

    while (rc == 0 && done < client->news_count) {
        const struct tmbi_news *news = &client->news[done];
        const struct tmbi_client *peer = news->gone ? NULL : find(arg, news->id);

        if (news->gone)
            rc = message_send(client->socket, news->id, -1);
        else if (peer)
            rc = tell_come(client, peer);
        done += rc == 0;
    }
    if (done == 0)
        return rc;
    client->news_count -= done;
    memmove(client->news, client->news + done,
            client->news_count * sizeof(*client->news));
    return rc;
}
