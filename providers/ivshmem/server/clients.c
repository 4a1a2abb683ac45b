/* SPDX-License-Identifier: BSD-3-Clause */
/* The server's clients: their coming and going, and who is told of it. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../core/clock.h"
#include "../../../core/log.h"
#include "../wire.h"
#include "serving.h"

#define PEER_IDS_MAX 65536u
#define RETRY_MS     50
#define RETRY_NS     (INT64_C(1000000) * RETRY_MS)

/* ---- watching ---- */

static int watch(struct tmbi_serving *serving, int fd, uint32_t events, void *what)
{
    struct epoll_event event = {.events = events, .data.ptr = what};

    return epoll_ctl(serving->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static void watch_output(struct tmbi_serving *serving, struct tmbi_client *client,
                         bool wanted)
{
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0),
                                .data.ptr = client};

    if (client->wants_output == wanted)
        return;
    client->wants_output = wanted;
    epoll_ctl(serving->epoll, EPOLL_CTL_MOD, client->socket, &event);
}

static void accepting(struct tmbi_serving *serving, bool wanted)
{
    struct epoll_event event = {.events = wanted ? EPOLLIN : 0, .data.ptr = serving};

    serving->paused = !wanted;
    epoll_ctl(serving->epoll, EPOLL_CTL_MOD, serving->listener, &event);
}

/* ---- clients ---- */

/* Tell a client what it does not know yet. A client that can't be told is cut off by
 * shutdown(): the hang-up it causes drops it later, when no loop is over the clients. */
static void client_tell(struct tmbi_serving *serving, struct tmbi_client *client)
{
    int rc =
        tmbi_client_tell(client, serving->memory, tmbi_table_find, &serving->clients);
    bool later = rc == -ETOOMANYREFS || rc == -ENOMEM || rc == -ENOBUFS;

    serving->retry |= later;
    watch_output(serving, client, rc == -EAGAIN);
    if (rc == 0 || rc == -EAGAIN || later)
        return;
    tmbi_debug("server: client %u: %s", client->id, strerror(-rc));
    shutdown(client->socket, SHUT_RDWR);
}

static void client_cut(struct tmbi_client *client)
{
    tmbi_warn("server: client %u: out of memory for its news: cut off", client->id);
    shutdown(client->socket, SHUT_RDWR);
}

static void tell_others(struct tmbi_serving *serving, const struct tmbi_client *about,
                        bool gone)
{
    for (uint32_t i = 0; i < serving->clients.count; i++) {
        struct tmbi_client *client = serving->clients.at[i];
        int rc;

        if (client == about)
            continue;
        rc = gone ? tmbi_client_note_gone(client, about->id)
                  : tmbi_client_note_come(client, about->id);
        if (rc)
            client_cut(client);
        else
            client_tell(serving, client);
    }
}

static void doorbell_ring(struct tmbi_serving *serving, uint32_t doorbell)
{
    const struct tmbi_client *client = tmbi_table_find(&serving->clients, doorbell >> 16);

    if (client)
        tmbi_client_ring(client, doorbell & 0xffff);
}

/* The job's other processes look at their peers' states when they are woken. */
static void job_ring(void *arg, uint32_t job)
{
    struct tmbi_serving *serving = arg;

    for (uint32_t i = 0; i < serving->region.slot_count; i++) {
        const struct tmbi_slot *slot = &serving->region.slots[i];

        if (atomic_load_explicit(&slot->job, memory_order_acquire) != job ||
            tmbi_slot_state(slot) != TMBI_SLOT_LIVE)
            continue;
        for (uint32_t line = 0; line < TMBI_LINES; line++)
            doorbell_ring(serving, slot->wake[line].doorbell);
    }
}

/* Its end goes into its slot, and into those of its processes if it was a machine. */
static void client_gone(struct tmbi_serving *serving, const struct tmbi_client *client)
{
    const struct tmbi_slot *slot = &serving->region.slots[client->slot];
    uint32_t job = atomic_load_explicit(&slot->job, memory_order_acquire);

    tmbi_slots_gone(&serving->region, client->id, job_ring, serving);
    if (!tmbi_slot_gone(&serving->region, client->slot, client->epoch) || job == 0)
        return;
    tmbi_info("server: client %u (pid %" PRId64 ") died in its job", client->id,
              slot->pid);
    job_ring(serving, job);
}

static void client_drop(struct tmbi_serving *serving, struct tmbi_client *client)
{
    tmbi_table_remove(&serving->clients, client);
    if (client->kept)
        tmbi_store_forget(serving->options->keeper, client);
    epoll_ctl(serving->epoll, EPOLL_CTL_DEL, client->socket, NULL);
    client_gone(serving, client);
    tell_others(serving, client, true);
    tmbi_client_free(client);
    if (serving->paused)
        accepting(serving, true);
}

static int client_refuse(const char *why, uint32_t number, int rc)
{
    tmbi_warn("server: a client is refused: %s (%u)", why, number);
    return rc;
}

static int slot_give(struct tmbi_serving *serving, struct tmbi_client *client,
                     int64_t pid)
{
    int rc = tmbi_slot_claim(&serving->region, client->id, 0, pid, &client->slot);

    if (rc)
        return client_refuse("all slots of the region are taken, see --max-clients",
                             serving->region.slot_count, rc);
    client->epoch = serving->region.slots[client->slot].epoch;
    return 0;
}

static int64_t peer_pid(int socket)
{
    struct ucred cred = {0};
    socklen_t bytes = sizeof(cred);

    getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &cred, &bytes);
    return cred.pid;
}

/* The slot is true before the client learns its ID, by which it looks for it. */
static int client_add(struct tmbi_serving *serving, int socket,
                      struct tmbi_client **result)
{
    struct tmbi_client *client;
    int rc;

    if (serving->next_id == PEER_IDS_MAX)
        return client_refuse("all IDs were given out, restart the server", PEER_IDS_MAX,
                             -ENOSPC);
    if (tmbi_table_reserve(&serving->clients))
        return client_refuse("out of memory", serving->clients.count, -ENOMEM);
    rc = tmbi_client_new(socket, serving->next_id, serving->region.vectors, &client);
    if (rc)
        return client_refuse(strerror(-rc), serving->clients.count, rc);
    rc = slot_give(serving, client, peer_pid(socket));
    if (rc)
        goto free_client;
    rc = watch(serving, socket, EPOLLIN, client);
    if (rc)
        goto free_slot;
    serving->region.header->next_id = ++serving->next_id;
    tmbi_table_append(&serving->clients, client);
    *result = client;
    return 0;

free_slot:
    tmbi_slot_gone(&serving->region, client->slot, client->epoch);
    client_refuse(strerror(-rc), serving->clients.count, rc);
free_client:
    client->socket = -1; /* stays the caller's */
    tmbi_client_free(client);
    return rc;
}

/* Existing peers hear of the newcomer before it hears of them. */
static void client_welcome(struct tmbi_serving *serving, struct tmbi_client *client)
{
    int rc = 0;

    tell_others(serving, client, false);
    for (uint32_t i = 0; i < serving->clients.count && rc == 0; i++)
        rc = tmbi_client_note_come(client, serving->clients.at[i]->id);
    if (rc)
        client_cut(client);
    else
        client_tell(serving, client);
}

void tmbi_clients_accept(struct tmbi_serving *serving)
{
    struct tmbi_client *client = NULL; /* for compilers that see no further */
    int socket;

    while ((socket = accept4(serving->listener, NULL, NULL,
                             SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        serving->starved = false;
        if (!tmbi_wire_trusted(socket, serving->options->socket)) {
            client_refuse("it is another user's", serving->clients.count, -EACCES);
            close(socket);
        } else if (client_add(serving, socket, &client) == 0) {
            client_welcome(serving, client);
        } else {
            close(socket);
        }
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        if (!serving->starved)
            tmbi_warn("server: %u clients: no more for now: %s", serving->clients.count,
                      strerror(errno));
        serving->starved = true;
        accepting(serving, false);
    }
}

/* Clients have nothing to say: data, end and error all end the connection. */
void tmbi_clients_event(struct tmbi_serving *serving, struct tmbi_client *client,
                        uint32_t events)
{
    char byte;

    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        if (recv(client->socket, &byte, 1, MSG_DONTWAIT) > 0)
            tmbi_warn(
                "server: client %u sent data, which no ivshmem client does: dropped",
                client->id);
        client_drop(serving, client);
    } else if (events & EPOLLOUT) {
        client_tell(serving, client);
    }
}

/* ---- between events ---- */

/* What lacked memory or descriptors, again; not more often than RETRY_MS. */
static void clients_retry(struct tmbi_serving *serving)
{
    int64_t now = tmbi_clock_ns();

    if ((!serving->retry && !serving->paused) || now - serving->retried < RETRY_NS)
        return;
    serving->retried = now;
    serving->retry = false;
    for (uint32_t i = 0; i < serving->clients.count; i++)
        if (serving->clients.at[i]->news_count)
            client_tell(serving, serving->clients.at[i]);
    if (serving->paused)
        accepting(serving, true);
}

static bool all_is_told(const struct tmbi_serving *serving)
{
    for (uint32_t i = 0; i < serving->clients.count; i++)
        if (serving->clients.at[i]->news_count)
            return false;
    return true;
}

/* A successor can't know what was half told. So whom the keeper gets is known to all; the
 * others' connections end with this server. */
static void clients_keep(struct tmbi_serving *serving)
{
    if (!serving->options->keeper || !all_is_told(serving))
        return;
    for (uint32_t i = 0; i < serving->clients.count; i++) {
        struct tmbi_client *client = serving->clients.at[i];
        if (client->kept)
            continue;
        client->kept = true;
        tmbi_store_client(serving->options->keeper, client);
    }
    serving->region.header->settled_id = serving->next_id;
}

void tmbi_clients_settle(struct tmbi_serving *serving)
{
    clients_retry(serving);
    clients_keep(serving);
}

int tmbi_clients_patience(const struct tmbi_serving *serving)
{
    return serving->retry || serving->paused ? RETRY_MS : -1;
}

/* ---- a former server's ---- */

/* A client's slot may have ended, and be another's: then nothing of it is the client's.
 */
static void slot_adopt(struct tmbi_serving *serving, struct tmbi_client *client)
{
    client->slot = 0;
    client->epoch = UINT32_MAX;
    if (!tmbi_slot_find(&serving->region, client->id, &client->slot))
        client->epoch = serving->region.slots[client->slot].epoch;
}

static bool is_whole(const struct tmbi_serving *serving,
                     const struct tmbi_stored_client *stored)
{
    bool whole = stored->socket >= 0;

    for (uint32_t i = 0; i < serving->region.vectors; i++)
        whole = whole && stored->bells[i] >= 0;
    return whole;
}

static int client_adopt(struct tmbi_serving *serving, struct tmbi_stored_client *stored)
{
    struct tmbi_client *client;
    int rc = tmbi_table_reserve(&serving->clients);

    if (!rc)
        rc = tmbi_client_adopt(stored->socket, stored->id, serving->region.vectors,
                               stored->bells, &client);
    if (rc)
        return rc;
    stored->socket = -1;
    memset(stored->bells, -1, sizeof(stored->bells));
    slot_adopt(serving, client);
    tmbi_table_append(&serving->clients, client);
    serving->next_id = client->id + 1;
    return watch(serving, client->socket, EPOLLIN, client);
}

/* Whoever is LIVE in a slot and not among our clients has ended meanwhile. */
static void slots_end(struct tmbi_serving *serving)
{
    for (uint32_t i = 0; i < serving->region.slot_count; i++) {
        const struct tmbi_slot *slot = &serving->region.slots[i];
        uint32_t job = atomic_load_explicit(&slot->job, memory_order_acquire);

        if (tmbi_slot_state(slot) == TMBI_SLOT_LIVE &&
            !tmbi_table_find(&serving->clients, slot->peer_id) &&
            tmbi_slot_gone(&serving->region, i, slot->epoch) && job)
            job_ring(serving, job);
    }
}

/* Of whom clients may have heard, or heard in part. */
static void unsettled_end(struct tmbi_serving *serving, uint32_t first)
{
    for (uint32_t id = first; id < serving->next_id; id++) {
        if (tmbi_table_find(&serving->clients, id))
            continue;
        for (uint32_t i = 0; i < serving->clients.count; i++)
            if (tmbi_client_note_gone(serving->clients.at[i], id))
                client_cut(serving->clients.at[i]);
    }
    for (uint32_t i = 0; i < serving->clients.count; i++)
        client_tell(serving, serving->clients.at[i]);
}

int tmbi_clients_adopt(struct tmbi_serving *serving, struct tmbi_stored *stored)
{
    uint32_t next = serving->region.header->next_id;
    uint32_t settled = serving->region.header->settled_id;

    for (uint32_t i = 0; i < stored->client_count; i++) {
        int rc = 0;
        if (stored->clients[i].id < PEER_IDS_MAX &&
            is_whole(serving, &stored->clients[i]))
            rc = client_adopt(serving, &stored->clients[i]);
        if (rc)
            return rc;
    }
    if (next > serving->next_id && next <= PEER_IDS_MAX)
        serving->next_id = next;
    slots_end(serving);
    unsettled_end(serving, settled);
    if (stored->client_count)
        tmbi_warn("server: goes on where a former one ended: %u clients, next ID %u",
                  serving->clients.count, serving->next_id);
    return 0;
}
