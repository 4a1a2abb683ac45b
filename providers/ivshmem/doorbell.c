/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ringing and sleeping. What hears a doorbell is a descriptor, an eventfd or a UIO
 * device; each line sleeps on an epoll set of its own that watches it edge-triggered, so
 * that its counter is never read: one system call per sleep, and two lines that share one
 * doorbell both hear every ring.
 * Measured between two processes on one core, a round trip of sleeping eventfds takes
 * 4.7 us with a bare blocking read, 5.8 us this way and 6.6 us with ppoll and read; on
 * two cores all three are within the noise of the wake-up itself.
 *
 * The sets watch the server's socket as well, and see when it goes (deaths.c).
 */
#include "ivshmem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "../../core/clock.h"
#include "../../core/log.h"
#include "../../core/stats.h"

/* What an event is of; a peer's rank otherwise. */
#define EVENT_BELL   UINT64_MAX
#define EVENT_SERVER (UINT64_MAX - 1)
#define EVENT_BEAT   (UINT64_MAX - 2)

#define EVENTS_AT_ONCE 4

/* What ends a sleep as long as core's longest, instead of a time-out of its own. */
#define BEAT_NS 100000000

/* How long who can't be rung sleeps between looks, at first and at last: the latter costs
 * half a percent of a CPU, and a few where processors are emulated. */
#define POLL_FIRST_NS 20000
#define POLL_LAST_NS  20000000
/* By what part naps grow, and so about what part of a wait they can add to it. Waits for
 * a lock pass on what they add: naps that double make those of a queue many times longer.
 */
#define POLL_GROWTH 8

static int watch(struct tmbi_ivshmem *iv, uint32_t line, int fd, uint64_t what)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = what};

    return epoll_ctl(iv->epoll[line], EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int line_open(struct tmbi_ivshmem *iv, uint32_t line)
{
    iv->epoll[line] = epoll_create1(EPOLL_CLOEXEC);
    if (iv->epoll[line] < 0)
        return -errno;
    int status = watch(iv, line, iv->beat, EVENT_BEAT);
    if (!status && iv->way->bell[line] >= 0)
        status = watch(iv, line, iv->way->bell[line], EVENT_BELL);
    if (!status && iv->way->watched >= 0)
        status = watch(iv, line, iv->way->watched, EVENT_SERVER);
    return status;
}

/* The next beat comes so long after the last one was read. */
static int beat_open(struct tmbi_ivshmem *iv)
{
    const struct timespec beat = {.tv_nsec = BEAT_NS};
    const struct itimerspec regular = {.it_interval = beat, .it_value = beat};

    iv->beat = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return iv->beat < 0 || timerfd_settime(iv->beat, 0, &regular, NULL) ? -errno : 0;
}

int tmbi_ivshmem_bells_open(struct tmbi_ivshmem *iv)
{
    memset(iv->epoll, -1, sizeof iv->epoll);
    int status = beat_open(iv);
    for (uint32_t line = 0; !status && line < TMBI_LINES; line++)
        status = line_open(iv, line);
    if (status) {
        tmbi_error("doorbells: epoll or timer: %s", strerror(-status));
        tmbi_ivshmem_bells_close(iv);
    }
    return status;
}

void tmbi_ivshmem_bells_close(struct tmbi_ivshmem *iv)
{
    for (int rank = 0; iv->ranks && rank < iv->head.job->size; rank++)
        if (iv->ranks[rank].pidfd >= 0)
            close(iv->ranks[rank].pidfd);
    for (uint32_t line = 0; line < TMBI_LINES; line++)
        if (iv->epoll[line] >= 0)
            close(iv->epoll[line]);
    if (iv->beat >= 0)
        close(iv->beat);
}

void tmbi_ivshmem_bells_watch(struct tmbi_ivshmem *iv, int pidfd, int rank)
{
    for (uint32_t line = 0; line < TMBI_LINES; line++)
        watch(iv, line, pidfd, (uint64_t)rank);
}

void tmbi_ivshmem_ring(struct tmbi_endpoint *ep, int rank, enum tmbi_line line)
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(ep);
    uint32_t doorbell = iv->ranks[rank].doorbell[line];

    tmbi_count(doorbells_rung);
    /* Otherwise it sees by itself that `armed` was taken, which is as good as a ring. */
    if (doorbell != TMBI_DOORBELL_NONE)
        iv->way->ops->ring(iv->way, doorbell);
}

/* ---- sleeping ---- */

static void server_lost(struct tmbi_ivshmem *iv)
{
    tmbi_warn("%s has gone: the job goes on, but nobody can join any more, and the "
              "death of ranks in other machines is noticed by their heartbeats alone",
              iv->way->name);
    tmbi_ivshmem_processes_watch(iv);
}

static void beat_take(struct tmbi_ivshmem *iv)
{
    uint64_t beats;
    ssize_t bytes = read(iv->beat, &beats, sizeof beats);

    (void)bytes; /* the other line may have read it */
    tmbi_ivshmem_look(iv, tmbi_clock_ns());
}

static void event_take(struct tmbi_ivshmem *iv, uint64_t what)
{
    if (what == EVENT_BEAT)
        beat_take(iv);
    else if (what != EVENT_SERVER)
        tmbi_ivshmem_died(iv, (int)what);
    else if (iv->way->ops->lost(iv->way))
        server_lost(iv);
}

/* A time-out starts and stops a timer around each sleep, a tenth of a wake-up in a guest:
 * without one the next beat ends a long sleep. epoll_pwait2 came with Linux 5.11, and
 * emulators have none: then a time-out is rounded up to milliseconds. */
static int events_wait(int epoll, struct epoll_event *events, int64_t timeout_ns)
{
    static _Atomic bool missing; /* relaxed: whoever misses it asks the kernel again */
    const struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};

    if (timeout_ns >= BEAT_NS)
        return epoll_wait(epoll, events, EVENTS_AT_ONCE, -1);
    if (!atomic_load_explicit(&missing, memory_order_relaxed)) {
        int count = epoll_pwait2(epoll, events, EVENTS_AT_ONCE, &timeout, NULL);
        if (count >= 0 || errno != ENOSYS)
            return count;
        atomic_store_explicit(&missing, true, memory_order_relaxed);
    }
    return epoll_wait(epoll, events, EVENTS_AT_ONCE,
                      (int)((timeout_ns + 999999) / 1000000));
}

/* Sleep on what there is to hear; whether the doorbell was heard. */
static bool events_take(struct tmbi_ivshmem *iv, enum tmbi_line line, int64_t timeout_ns)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    bool rung = false;

    int count = events_wait(iv->epoll[line], events, timeout_ns);
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == EVENT_BELL)
            rung = true;
        else
            event_take(iv, events[i].data.u64);
    }
    return rung;
}

/* Not all who wake us can ring: look ever less often whether one has tried, by taking
 * `armed`, or somebody has died. */
static bool poll_until(struct tmbi_ivshmem *iv, enum tmbi_line line, int64_t timeout_ns)
{
    const struct tmbi_wake_slot *own = &iv->region->slots[iv->way->slot].wake[line];
    uint32_t deaths = atomic_load_explicit(iv->head.deaths, memory_order_relaxed);
    int64_t now = tmbi_clock_ns(), end = now + timeout_ns, *nap = &iv->nap_ns[line];

    for (; now < end; now = tmbi_clock_ns()) {
        if (*nap < POLL_FIRST_NS)
            *nap = POLL_FIRST_NS;
        if (events_take(iv, line, *nap < end - now ? *nap : end - now) ||
            /* acquire: partner is the exchange in tmbi_wake_slot_ring() */
            !atomic_load_explicit(&own->armed, memory_order_acquire) ||
            atomic_load_explicit(iv->head.deaths, memory_order_acquire) != deaths) {
            *nap = 0;
            return true;
        }
        *nap += *nap / POLL_GROWTH;
        *nap = *nap < POLL_LAST_NS ? *nap : POLL_LAST_NS;
    }
    return false; /* a long wait is many sleeps: the next goes on with this nap */
}

int tmbi_ivshmem_sleep(struct tmbi_endpoint *ep, enum tmbi_line line, int64_t timeout_ns)
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(ep);
    bool rung =
        iv->polls ? poll_until(iv, line, timeout_ns) : events_take(iv, line, timeout_ns);

    /* Who is rung all the time looks when the beat is heard: reading the clock isn't
     * cheap everywhere. */
    if (!rung || iv->polls)
        tmbi_ivshmem_look(iv, tmbi_clock_ns());
    return rung;
}
