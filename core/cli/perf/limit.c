/* SPDX-License-Identifier: BSD-3-Clause */
/* What bounds the rest on this machine: a cache line's way between two processes, an
 * eventfd's wake-up, a copy. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "perf.h"

/* ---- a cache line to and fro ---- */

static void line_answer(struct perf_window *w, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i <= to; i++) {
        while (atomic_load_explicit(w->mine, memory_order_acquire) != i)
            ;
        atomic_store_explicit(w->theirs, i, memory_order_release);
    }
}

static void line_ask(struct perf_window *w, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i <= to; i++) {
        atomic_store_explicit(w->theirs, i, memory_order_release);
        while (atomic_load_explicit(w->mine, memory_order_acquire) != i)
            ;
    }
}

int perf_limit_cacheline(const struct perf *perf, struct perf_row *row)
{
    struct perf_samples samples;
    struct perf_window w;
    uint64_t total;
    int rc;

    if (!perf->mapped)
        return 0;
    rc = perf_window_open(perf, 64, &w);
    if (rc == 0)
        rc = perf_samples_init(&samples, perf, 200000, 200);
    if (rc)
        return rc;
    total = (uint64_t)samples.room * samples.batch;
    perf_progress(perf, "cache line round trip");
    if (perf->rank == 1)
        line_answer(&w, 1, total);
    for (uint64_t i = 0; perf->rank == 0 && i < total; i += samples.batch) {
        int64_t start = perf_clock();

        line_ask(&w, i + 1, i + samples.batch);
        perf_samples_add(&samples, perf_clock() - start);
    }
    if (perf->rank == 0)
        perf_samples_sum(&samples, row);
    perf_samples_free(&samples);
    perf_window_close(perf, &w);
    return 0;
}

/* ---- eventfds between two processes that sleep ---- */

/* Ranks are no relatives: rank 0 makes two eventfds and hands them to rank 1 through a
 * socket of a name that only this job knows. */
static socklen_t meeting_place(struct sockaddr_un *address)
{
    const char *job = getenv("TMB_JOB");
    int length;

    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    length = snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1,
                      "tombolo-perf-%s", job ? job : "");
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

/* Give two descriptors, or take them. */
static int pass_fds(int socket, int fds[2], bool give)
{
    char byte = 0;
    struct iovec iov = {&byte, 1};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};

    if (!give) {
        if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1)
            return -EPROTO;
        memcpy(fds, CMSG_DATA(&control.header), 2 * sizeof(int));
        return 0;
    }
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(2 * sizeof(int));
    memcpy(CMSG_DATA(&control.header), fds, 2 * sizeof(int));
    return sendmsg(socket, &message, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static int fds_give(int listener, int fds[2])
{
    int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    int rc = peer < 0 ? -errno : 0;

    fds[0] = eventfd(0, EFD_CLOEXEC);
    fds[1] = eventfd(0, EFD_CLOEXEC);
    if (rc == 0)
        rc = pass_fds(peer, fds, true);
    close(peer);
    return rc;
}

static int fds_share(const struct perf *perf, int fds[2])
{
    struct sockaddr_un address;
    socklen_t length = meeting_place(&address);
    int rc = 0;
    int fd = perf->rank > 1 ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (perf->rank == 0 &&
        (bind(fd, (struct sockaddr *)&address, length) || listen(fd, 1)))
        rc = -errno;
    tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER);
    if (perf->rank == 0 && rc == 0)
        rc = fds_give(fd, fds);
    if (perf->rank == 1) {
        rc = connect(fd, (struct sockaddr *)&address, length) ? -errno : 0;
        rc = rc ? rc : pass_fds(fd, fds, false);
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

static void bell_trips(const int fds[2], bool first, uint64_t count)
{
    uint64_t one = 1, heard;

    for (uint64_t i = 0; i < count; i++) {
        if (first && write(fds[0], &one, sizeof(one)) < 0)
            return;
        if (read(fds[first], &heard, sizeof(heard)) < 0)
            return;
        if (!first && write(fds[1], &one, sizeof(one)) < 0)
            return;
    }
}

/* One of the ways to use two eventfds: called once per sample, with what it needs. */
typedef void bell_sample(const struct perf *perf, struct perf_window *w, const int fds[2],
                         struct perf_samples *samples);

static void trips_sample(const struct perf *perf, struct perf_window *w, const int fds[2],
                         struct perf_samples *samples)
{
    int64_t start = perf_clock();

    (void)w;
    bell_trips(fds, perf->rank == 0, samples->batch);
    perf_samples_add(samples, perf_clock() - start);
}

static void wake_sample(const struct perf *perf, struct perf_window *w, const int fds[2],
                        struct perf_samples *samples)
{
    uint64_t round = 2 * (uint64_t)samples->count + 2, one = 1;

    if (perf->rank == 1) {
        perf_hear(w, round);
        perf_settle(w);
        if (write(fds[0], &one, sizeof(one)) < 0)
            return;
        perf_hear(w, round + 1);
        perf_samples_add(samples, 0);
        return;
    }
    perf_tell(w, round);
    if (read(fds[0], &one, sizeof(one)) < 0)
        return;
    perf_samples_add(samples, perf_since_settled(w));
    perf_tell(w, round + 1);
}

static int bell_measure(const struct perf *perf, bell_sample *sample, int most,
                        struct perf_row *row)
{
    struct perf_samples samples;
    struct perf_window w;
    int fds[2] = {-1, -1};
    int rc;

    if (perf->apart)
        return 0;
    rc = perf_window_open(perf, 64, &w);
    if (rc == 0)
        rc = fds_share(perf, fds);
    if (rc == 0)
        rc = perf_samples_init(&samples, perf, 10000, most);
    if (rc)
        return rc;
    perf_progress(perf, "eventfd");
    while (perf->rank < 2 && samples.count < samples.room)
        sample(perf, &w, fds, &samples);
    if (perf->rank == 0)
        perf_samples_sum(&samples, row);
    perf_samples_free(&samples);
    for (int i = 0; perf->rank < 2 && i < 2; i++)
        close(fds[i]);
    perf_window_close(perf, &w);
    return 0;
}

int perf_limit_eventfd(const struct perf *perf, struct perf_row *row)
{
    return bell_measure(perf, trips_sample, 500, row);
}

int perf_limit_wake(const struct perf *perf, struct perf_row *row)
{
    return bell_measure(perf, wake_sample, 10000, row);
}

/* ---- copies ---- */

static int limit_memcpy(struct perf *perf, uint64_t bytes)
{
    uint64_t most = 64u << 20;
    struct perf_samples samples;
    struct perf_window w;
    struct perf_row row = {.variant = "memcpy", .bytes = bytes};
    void *ptr;
    int rc = perf_window_open(perf, 2 * bytes, &w);

    if (rc == 0)
        rc = tmb_win_ptr(w.win, perf->rank, &ptr);
    if (rc == 0)
        rc = perf_samples_init(&samples, perf, (int64_t)(4 * most / bytes) + 200, 200);
    if (rc)
        return rc;
    for (int i = 0; perf->rank == 0 && i < samples.room; i++) {
        int64_t start = perf_clock();

        for (uint64_t k = 0; k < samples.batch; k++) {
            memcpy((char *)ptr + bytes, ptr, bytes);
            atomic_signal_fence(memory_order_seq_cst); /* every copy is made */
        }
        perf_samples_add(&samples, perf_clock() - start);
    }
    if (perf->rank == 0) {
        perf_samples_sum(&samples, &row);
        row.mbps = (double)bytes / row.p50 * 1e3;
        perf_report(perf, &row);
    }
    perf_samples_free(&samples);
    perf_window_close(perf, &w);
    return 0;
}

static void report_unless_empty(const struct perf *perf, int rc,
                                const struct perf_row *row)
{
    if (rc == 0 && perf->rank == 0 && row->iters > 0)
        perf_report(perf, row);
}

int perf_limits(struct perf *perf)
{
    struct perf_row wake = {.variant = "eventfd wake"};
    struct perf_row line = {.variant = "cache line trip"},
                    bell = {.variant = "eventfd trip"};
    enum perf_target target = perf->target;
    int rc;

    perf->target = PERF_ALLOC; /* the region's own memory */
    perf_report_begin(perf);
    rc = perf_limit_cacheline(perf, &line);
    report_unless_empty(perf, rc, &line);
    if (rc == 0)
        rc = perf_limit_eventfd(perf, &bell);
    report_unless_empty(perf, rc, &bell);
    if (rc == 0)
        rc = perf_limit_wake(perf, &wake);
    report_unless_empty(perf, rc, &wake);
    for (uint64_t bytes = perf->min_bytes; rc == 0 && bytes <= perf->max_bytes;
         bytes *= 2)
        rc = limit_memcpy(perf, bytes);
    if (rc == 0)
        rc = perf_limits_tcp(perf);
    perf->target = target;
    return rc;
}
