/* SPDX-License-Identifier: BSD-3-Clause */
#include "server.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "../../../core/log.h"
#include "listen.h"
#include "memory.h"
#include "serving.h"

/* Taken, it is not delivered once more when it is no longer blocked. */
static bool signal_taken(const struct tmbi_serving *serving)
{
    struct signalfd_siginfo signal;

    return read(serving->signals, &signal, sizeof(signal)) == sizeof(signal);
}

/* Who started us for a job has nothing to say, but that it has gone. */
static void hold_lost(struct tmbi_serving *serving)
{
    serving->held = false;
    close(serving->options->job_fd);
}

static void event_take(struct tmbi_serving *serving, const struct epoll_event *event)
{
    if (event->data.ptr == &serving->signals)
        serving->stopping = signal_taken(serving);
    else if (event->data.ptr == serving)
        tmbi_clients_accept(serving);
    else if (event->data.ptr == &serving->held)
        hold_lost(serving);
    else
        tmbi_clients_event(serving, event->data.ptr, event->events);
}

/* One event at a time: taking one may drop the client of another. */
static int serve(struct tmbi_serving *serving)
{
    while (!serving->stopping) {
        struct epoll_event event;
        int count = epoll_wait(serving->epoll, &event, 1, tmbi_clients_patience(serving));

        if (count < 0 && errno != EINTR)
            return -errno;
        if (count > 0)
            event_take(serving, &event);
        tmbi_clients_settle(serving);
        if (serving->options->job_fd && !serving->held && serving->clients.count == 0)
            serving->stopping = true;
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

static int watch(struct tmbi_serving *serving, int fd, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};

    return epoll_ctl(serving->epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int events_open(struct tmbi_serving *serving, const sigset_t *stop)
{
    int rc;

    serving->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (serving->epoll < 0)
        return -errno;
    serving->signals = signalfd(-1, stop, SFD_CLOEXEC | SFD_NONBLOCK);
    rc = serving->signals < 0 ? -errno
                              : watch(serving, serving->signals, &serving->signals);
    if (rc == 0)
        rc = watch(serving, serving->listener, serving);
    serving->held = serving->options->job_fd > 0;
    if (rc == 0 && serving->held)
        rc = watch(serving, serving->options->job_fd, &serving->held);
    if (rc == 0)
        return 0;
    if (serving->signals >= 0)
        close(serving->signals);
    close(serving->epoll);
    return rc;
}

static void events_close(struct tmbi_serving *serving)
{
    close(serving->signals);
    close(serving->epoll);
}

/* ---- the region and the listening socket ---- */

/* Those of a former server, where it left both. */
static int base_adopt(struct tmbi_serving *serving, struct tmbi_stored *stored)
{
    int rc = tmbi_region_map(&serving->region, stored->region);

    if (rc)
        return rc;
    serving->memory = stored->region;
    serving->listener = stored->listener;
    stored->region = stored->listener = -1;
    serving->region.header->server_pid = (uint32_t)getpid();
    if (serving->region.size != serving->options->size ||
        serving->region.vectors != serving->options->vectors)
        tmbi_warn("server: goes on with its region of %" PRIu64 " bytes and %u vectors; "
                  "another size or number takes a stop and a start",
                  serving->region.size, serving->region.vectors);
    return 0;
}

static int base_make(struct tmbi_serving *serving)
{
    const struct tmbi_server_options *options = serving->options;
    int rc = tmbi_memory_make(options, &serving->region, &serving->memory);

    if (rc)
        return rc;
    rc = tmbi_listen(options->socket, options->group, &serving->listener);
    if (rc == 0) {
        tmbi_store_server(options->keeper, serving->memory, serving->listener);
        return 0;
    }
    tmbi_region_unmap(&serving->region);
    close(serving->memory);
    return rc;
}

static int base_open(struct tmbi_serving *serving, struct tmbi_stored *stored)
{
    if (stored->region >= 0 && stored->listener >= 0)
        return base_adopt(serving, stored);
    tmbi_stored_close(stored); /* clients without their region are of no use */
    return base_make(serving);
}

/* A successor goes on with the socket that a keeper has. */
static void base_close(struct tmbi_serving *serving)
{
    if (!serving->options->keeper)
        tmbi_listen_remove(serving->options->socket);
    close(serving->listener);
    tmbi_region_unmap(&serving->region);
    close(serving->memory);
}

/* ---- running ---- */

static void ready_tell(int fd)
{
    if (write(fd, "", 1) != 1)
        tmbi_warn("server: nobody waits for it to be ready");
}

static void ready(const struct tmbi_server_options *options)
{
    if (options->keeper)
        options->keeper->serving();
    if (options->job_fd)
        ready_tell(options->job_fd);
    if (options->ready_fd < 0)
        return;
    ready_tell(options->ready_fd);
    close(options->ready_fd);
}

static int run(struct tmbi_serving *serving, const sigset_t *stop,
               struct tmbi_stored *stored)
{
    int rc = base_open(serving, stored);

    if (rc)
        return rc;
    rc = events_open(serving, stop);
    if (rc)
        goto close_base;
    rc = tmbi_clients_adopt(serving, stored);
    if (rc)
        goto free_clients;
    tmbi_info("server: %s: region of %" PRIu64 " bytes, %u clients of %u vectors",
              serving->options->socket, serving->region.size, serving->region.slot_count,
              serving->region.vectors);
    ready(serving->options);
    rc = serve(serving);
free_clients:
    tmbi_table_free(&serving->clients);
    events_close(serving);
close_base:
    base_close(serving);
    return rc;
}

int tmbi_server_run(const struct tmbi_server_options *options)
{
    struct tmbi_serving serving = {.options = options};
    struct tmbi_stored stored;
    sigset_t stop, before;
    int rc;

    if (options->vectors < 1 || options->vectors > 64) {
        tmbi_error("server: %u vectors: must be 1 .. 64", options->vectors);
        return -EINVAL;
    }
    rc = tmbi_stored_read(&stored, options->keeper);
    if (rc)
        return rc;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, &before);
    limits_raise();
    rc = run(&serving, &stop, &stored);
    tmbi_stored_close(&stored);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return rc;
}
