/* SPDX-License-Identifier: BSD-3-Clause */
#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../core/clock.h"
#include "../../../core/log.h"
#include "listen.h"
#include "memory.h"
#include "table.h"

#define PEER_IDS_MAX 65536u
#define RETRY_MS     50
#define RETRY_NS     (INT64_C(1000000) * RETRY_MS)

struct server {
    const struct tmbi_server_options *options;
    struct tmbi_region region;
    int memory, listener, signals, epoll;
    struct tmbi_table clients;
    uint32_t next_id; /* an ID is never reused: QEMU could not bear it */
    bool paused;      /* not accepting, for want of descriptors */
    bool starved;     /* said so; until the next client is accepted */
    bool retry;       /* some client is to be told more, a little later */
    int64_t retried;  /* when that was tried last */
    bool stopping;
};

/* ---- watching ---- */

static int watch(struct server *server, int fd, uint32_t events, void *what)
{
    struct epoll_event event = {.events = events, .data.ptr = what};

    return epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static void watch_output(struct server *server, struct tmbi_client *client, bool wanted)
{
    struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0),
                                .data.ptr = client};

    if (client->wants_output == wanted)
        return;
    client->wants_output = wanted;
    epoll_ctl(server->epoll, EPOLL_CTL_MOD, client->socket, &event);
}

static void accepting(struct server *server, bool wanted)
{
    struct epoll_event event = {.events = wanted ? EPOLLIN : 0, .data.ptr = server};

    server->paused = !wanted;
    epoll_ctl(server->epoll, EPOLL_CTL_MOD, server->listener, &event);
}

/* ---- clients ---- */

/* Tell a client what it does not know yet. A client that can't be told is cut off by
 * shutdown(): the hang-up it causes drops it later, when no loop is over the clients. */
static void client_tell(struct server *server, struct tmbi_client *client)
{
    int rc = tmbi_client_tell(client, server->memory, tmbi_table_find, &server->clients);
    bool later = rc == -ETOOMANYREFS || rc == -ENOMEM || rc == -ENOBUFS;

    server->retry |= later;
    watch_output(server, client, rc == -EAGAIN);
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

static void tell_others(struct server *server, const struct tmbi_client *about, bool gone)
{
    for (uint32_t i = 0; i < server->clients.count; i++) {
        struct tmbi_client *client = server->clients.at[i];
        int rc;

        if (client == about)
            continue;
        rc = gone ? tmbi_client_note_gone(client, about->id)
                  : tmbi_client_note_come(client, about->id);
        if (rc)
            client_cut(client);
        else
            client_tell(server, client);
    }
}

static void doorbell_ring(struct server *server, uint32_t doorbell)
{
    const struct tmbi_client *client = tmbi_table_find(&server->clients, doorbell >> 16);

    if (client)
        tmbi_client_ring(client, doorbell & 0xffff);
}

/* The job's other processes look at their peers' states when they are woken. */
static void job_ring(void *arg, uint32_t job)
{
    struct server *server = arg;

    for (uint32_t i = 0; i < server->region.slot_count; i++) {
        const struct tmbi_slot *slot = &server->region.slots[i];

        if (atomic_load_explicit(&slot->job, memory_order_acquire) != job ||
            tmbi_slot_state(slot) != TMBI_SLOT_LIVE)
            continue;
        for (uint32_t line = 0; line < TMBI_LINES; line++)
            doorbell_ring(server, slot->wake[line].doorbell);
    }
}

/* Its end goes into its slot, and into those of its processes if it was a machine. */
static void client_gone(struct server *server, const struct tmbi_client *client)
{
    const struct tmbi_slot *slot = &server->region.slots[client->slot];
    uint32_t job = atomic_load_explicit(&slot->job, memory_order_acquire);

    tmbi_slots_gone(&server->region, client->id, job_ring, server);
    if (!tmbi_slot_gone(&server->region, client->slot, client->epoch) || job == 0)
        return;
    tmbi_info("server: client %u (pid %" PRId64 ") died in its job", client->id,
              slot->pid);
    job_ring(server, job);
}

static void client_drop(struct server *server, struct tmbi_client *client)
{
    tmbi_table_remove(&server->clients, client);
    epoll_ctl(server->epoll, EPOLL_CTL_DEL, client->socket, NULL);
    client_gone(server, client);
    tell_others(server, client, true);
    tmbi_client_free(client);
    if (server->paused)
        accepting(server, true);
}

static int client_refuse(const char *why, uint32_t number, int rc)
{
    tmbi_warn("server: a client is refused: %s (%u)", why, number);
    return rc;
}

static int slot_give(struct server *server, struct tmbi_client *client, int64_t pid)
{
    int rc = tmbi_slot_claim(&server->region, client->id, 0, pid, &client->slot);

    if (rc)
        return client_refuse("all slots of the region are taken, see --max-clients",
                             server->region.slot_count, rc);
    client->epoch = server->region.slots[client->slot].epoch;
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
static int client_add(struct server *server, int socket, struct tmbi_client **result)
{
    struct tmbi_client *client;
    int rc;

    if (server->next_id == PEER_IDS_MAX)
        return client_refuse("all IDs were given out, restart the server", PEER_IDS_MAX,
                             -ENOSPC);
    if (tmbi_table_reserve(&server->clients))
        return client_refuse("out of memory", server->clients.count, -ENOMEM);
    rc = tmbi_client_new(socket, server->next_id, server->options->vectors, &client);
    if (rc)
        return client_refuse(strerror(-rc), server->clients.count, rc);
    rc = slot_give(server, client, peer_pid(socket));
    if (rc)
        goto free_client;
    rc = watch(server, socket, EPOLLIN, client);
    if (rc)
        goto free_slot;
    server->next_id++;
    tmbi_table_append(&server->clients, client);
    *result = client;
    return 0;

free_slot:
    tmbi_slot_gone(&server->region, client->slot, client->epoch);
    client_refuse(strerror(-rc), server->clients.count, rc);
free_client:
    client->socket = -1; /* stays the caller's */
    tmbi_client_free(client);
    return rc;
}

/* Existing peers hear of the newcomer before it hears of them. */
static void client_welcome(struct server *server, struct tmbi_client *client)
{
    int rc = 0;

    tell_others(server, client, false);
    for (uint32_t i = 0; i < server->clients.count && rc == 0; i++)
        rc = tmbi_client_note_come(client, server->clients.at[i]->id);
    if (rc)
        client_cut(client);
    else
        client_tell(server, client);
}

static void clients_accept(struct server *server)
{
    struct tmbi_client *client;
    int socket;

    while ((socket = accept4(server->listener, NULL, NULL,
                             SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        server->starved = false;
        if (client_add(server, socket, &client) == 0)
            client_welcome(server, client);
        else
            close(socket);
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        if (!server->starved)
            tmbi_warn("server: %u clients: no more for now: %s", server->clients.count,
                      strerror(errno));
        server->starved = true;
        accepting(server, false);
    }
}

/* Clients have nothing to say: data, end and error all end the connection. */
static void client_event(struct server *server, struct tmbi_client *client,
                         uint32_t events)
{
    char byte;

    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        if (recv(client->socket, &byte, 1, MSG_DONTWAIT) > 0)
            tmbi_warn(
                "server: client %u sent data, which no ivshmem client does: dropped",
                client->id);
        client_drop(server, client);
    } else if (events & EPOLLOUT) {
        client_tell(server, client);
    }
}

/* ---- running ---- */

/* What lacked memory or descriptors, again; not more often than RETRY_MS. */
static void retry_all(struct server *server)
{
    int64_t now = tmbi_clock_ns();

    if ((!server->retry && !server->paused) || now - server->retried < RETRY_NS)
        return;
    server->retried = now;
    server->retry = false;
    for (uint32_t i = 0; i < server->clients.count; i++)
        if (server->clients.at[i]->news_count)
            client_tell(server, server->clients.at[i]);
    if (server->paused)
        accepting(server, true);
}

/* Taken, it is not delivered once more when it is no longer blocked. */
static bool signal_taken(const struct server *server)
{
    struct signalfd_siginfo signal;

    return read(server->signals, &signal, sizeof(signal)) == sizeof(signal);
}

static void event_take(struct server *server, const struct epoll_event *event)
{
    if (event->data.ptr == &server->signals)
        server->stopping = signal_taken(server);
    else if (event->data.ptr == server)
        clients_accept(server);
    else
        client_event(server, event->data.ptr, event->events);
}

/* One event at a time: taking one may drop the client of another. */
static int serve(struct server *server)
{
    while (!server->stopping) {
        struct epoll_event event;
        int timeout = server->retry || server->paused ? RETRY_MS : -1;
        int count = epoll_wait(server->epoll, &event, 1, timeout);

        if (count < 0 && errno != EINTR)
            return -errno;
        if (count > 0)
            event_take(server, &event);
        retry_all(server);
    }
    return 0;
}

static void limits_raise(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int events_open(struct server *server, const sigset_t *stop)
{
    int rc;

    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (server->epoll < 0)
        return -errno;
    server->signals = signalfd(-1, stop, SFD_CLOEXEC | SFD_NONBLOCK);
    rc = server->signals < 0 ? -errno
                             : watch(server, server->signals, EPOLLIN, &server->signals);
    if (rc == 0)
        rc = watch(server, server->listener, EPOLLIN, server);
    if (rc == 0)
        return 0;
    if (server->signals >= 0)
        close(server->signals);
    close(server->epoll);
    return rc;
}

static void events_close(struct server *server)
{
    close(server->signals);
    close(server->epoll);
}

static void ready(const struct tmbi_server_options *options)
{
    if (options->ready_fd < 0)
        return;
    if (write(options->ready_fd, "", 1) != 1)
        tmbi_warn("server: nobody waits for it to be ready");
    close(options->ready_fd);
}

static int run(struct server *server, const sigset_t *stop)
{
    int rc = tmbi_memory_make(server->options, &server->region, &server->memory);

    if (rc)
        return rc;
    rc = tmbi_listen(server->options->socket, server->options->group, &server->listener);
    if (rc)
        goto free_memory;
    rc = events_open(server, stop);
    if (rc)
        goto close_listener;
    tmbi_info("server: %s: region of %" PRIu64 " bytes, %u clients of %u vectors",
              server->options->socket, server->options->size, server->region.slot_count,
              server->options->vectors);
    ready(server->options);
    rc = serve(server);
    tmbi_table_free(&server->clients);
    events_close(server);
close_listener:
    unlink(server->options->socket);
    close(server->listener);
free_memory:
    tmbi_region_unmap(&server->region);
    close(server->memory);
    return rc;
}

int tmbi_server_run(const struct tmbi_server_options *options)
{
    struct server server = {.options = options};
    sigset_t stop, before;
    int rc;

    if (options->vectors < 1 || options->vectors > 64) {
        tmbi_error("server: %u vectors: must be 1 .. 64", options->vectors);
        return -EINVAL;
    }
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, &before);
    limits_raise();
    rc = run(&server, &stop);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return rc;
}
