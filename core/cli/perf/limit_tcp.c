/* SPDX-License-Identifier: BSD-3-Clause */
/* What bounds the provider tcp on this machine: bare sockets, and libfabric alone. Ranks
 * 0 and 1 connect to each other over the loopback interface, apart from the library. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config.h"

#include "../cli.h"
#include "perf.h"

/* ---- a connection between ranks 0 and 1 ---- */

static int listener_open(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&address, length) || listen(fd, 1) ||
        getsockname(fd, (struct sockaddr *)&address, &length)) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

static int port_connect(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd < 0 ? -errno : fd;
    close(fd);
    return -ECONNREFUSED;
}

/* Its descriptor, or a negative errno; -1 on ranks that have none. */
static int pair_open(const struct perf *perf)
{
    uint16_t port = 0;
    int on = 1, fd = -1;
    int listener = perf->rank == 0 ? listener_open(&port) : -1;
    int rc = tmb_bcast(TMB_TEAM_WORLD, 0, &port, sizeof(port), TMB_FOREVER);

    if (rc == 0 && perf->rank == 0)
        fd = listener < 0 ? listener : accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (rc == 0 && perf->rank == 1)
        fd = port ? port_connect(port) : -ECONNREFUSED;
    if (listener >= 0)
        close(listener);
    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return rc ? rc : fd;
}

/* All the bytes; with MSG_DONTWAIT it spins. */
static int all_send(int fd, const void *bytes, size_t count, int flags)
{
    for (size_t done = 0; done < count;) {
        ssize_t sent =
            send(fd, (const char *)bytes + done, count - done, flags | MSG_NOSIGNAL);

        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        done += sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

static int all_receive(int fd, void *bytes, size_t count, int flags)
{
    for (size_t done = 0; done < count;) {
        ssize_t got = recv(fd, (char *)bytes + done, count - done, flags);

        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return got ? -errno : -ECONNRESET;
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

/* ---- bare sockets ---- */

struct socket_load {
    int fd, flags;
    uint8_t *bytes;
    size_t count;
};

/* Rank 0's side of one sample, and rank 1's. */
typedef int socket_sample(struct socket_load *load, uint64_t batch);

static int trips_ask(struct socket_load *load, uint64_t batch)
{
    uint64_t word = 0;
    int rc = 0;

    for (uint64_t i = 0; i < batch && rc == 0; i++) {
        rc = all_send(load->fd, &word, sizeof(word), load->flags);
        rc = rc ? rc : all_receive(load->fd, &word, sizeof(word), load->flags);
    }
    return rc;
}

static int trips_answer(struct socket_load *load, uint64_t batch)
{
    uint64_t word;
    int rc = 0;

    for (uint64_t i = 0; i < batch && rc == 0; i++) {
        rc = all_receive(load->fd, &word, sizeof(word), load->flags);
        rc = rc ? rc : all_send(load->fd, &word, sizeof(word), load->flags);
    }
    return rc;
}

static int stream_send(struct socket_load *load, uint64_t batch)
{
    uint8_t end;
    int rc = 0;

    for (uint64_t i = 0; i < batch && rc == 0; i++)
        rc = all_send(load->fd, load->bytes, load->count, 0);
    return rc ? rc : all_receive(load->fd, &end, 1, MSG_DONTWAIT);
}

static int stream_take(struct socket_load *load, uint64_t batch)
{
    uint8_t end = 0;
    int rc = 0;

    for (uint64_t i = 0; i < batch && rc == 0; i++)
        rc = all_receive(load->fd, load->bytes, load->count, 0);
    return rc ? rc : all_send(load->fd, &end, 1, 0);
}

static int64_t calls_for(uint64_t bytes)
{
    return 200 + (64 << 20) / (int64_t)(bytes + 16384);
}

static int socket_row(const struct perf *perf, struct socket_load *load,
                      socket_sample *first, socket_sample *second, struct perf_row *row)
{
    struct perf_samples samples;
    int rc = perf_samples_init(&samples, perf, calls_for(load->count), 200);

    if (rc)
        return rc;
    perf_progress(perf, row->variant);
    for (int i = 0; i < samples.room && rc == 0 && perf->rank < 2; i++) {
        int64_t start = perf_clock();

        rc = (perf->rank == 0 ? first : second)(load, samples.batch);
        perf_samples_add(&samples, perf_clock() - start);
    }
    if (rc == 0 && perf->rank == 0) {
        perf_samples_sum(&samples, row);
        row->mbps = load->count ? (double)load->count / row->p50 * 1e3 : 0;
        perf_report(perf, row);
    }
    perf_samples_free(&samples);
    return rc;
}

static int socket_rows(const struct perf *perf, int fd)
{
    struct socket_load load = {.fd = fd, .flags = MSG_DONTWAIT};
    struct perf_row spinning = {.variant = "socket trip, spinning"};
    struct perf_row sleeping = {.variant = "socket trip, sleeping"};
    int rc = socket_row(perf, &load, trips_ask, trips_answer, &spinning);

    load.flags = 0;
    if (rc == 0)
        rc = socket_row(perf, &load, trips_ask, trips_answer, &sleeping);
    load.bytes = calloc(1, perf->max_bytes);
    if (!load.bytes)
        return -ENOMEM;
    for (load.count = perf->min_bytes; rc == 0 && load.count <= perf->max_bytes;
         load.count *= 2) {
        struct perf_row stream = {.variant = "socket stream", .bytes = load.count};

        rc = socket_row(perf, &load, stream_send, stream_take, &stream);
    }
    free(load.bytes);
    return rc;
}

/* ---- libfabric alone ---- */

#ifdef HAVE_LIBFABRIC
#include "../../../providers/tcp/raw.h"

/* On rank 1: until rank 0 says that it has ended. */
static void fabric_serve(struct tmbi_tcp_raw *raw, int fd)
{
    struct pollfd end = {.fd = fd, .events = POLLIN};

    do {
        for (int i = 0; i < 256; i++)
            tmbi_tcp_raw_serve(raw);
    } while (poll(&end, 1, 0) == 0);
}

static int fabric_row(const struct perf *perf, struct tmbi_tcp_raw *raw,
                      const char *variant, uint64_t bytes, uint64_t at_once)
{
    struct perf_row row = {.variant = variant, .bytes = bytes};
    struct perf_samples samples;
    int most = at_once > 1 ? 50 : 500;
    int rc = perf_samples_init(&samples, perf, calls_for(bytes * at_once), most);

    if (rc)
        return rc;
    rc = tmbi_tcp_raw_write(raw, bytes, at_once); /* connects, and warms up */
    samples.batch = at_once;
    while (rc == 0 && samples.count < samples.room) {
        int64_t start = perf_clock();

        rc = tmbi_tcp_raw_write(raw, bytes, at_once);
        perf_samples_add(&samples, perf_clock() - start);
    }
    if (rc == 0) {
        perf_samples_sum(&samples, &row);
        row.mbps = (double)bytes / row.p50 * 1e3;
        perf_report(perf, &row);
    }
    perf_samples_free(&samples);
    return rc;
}

static int fabric_write(const struct perf *perf, struct tmbi_tcp_raw *raw)
{
    int rc = 0;

    for (uint64_t bytes = perf->min_bytes; rc == 0 && bytes <= perf->max_bytes;
         bytes *= 2) {
        perf_progress(perf, "libfabric");
        rc = fabric_row(perf, raw, "libfabric write", bytes, 1);
        rc = rc ? rc : fabric_row(perf, raw, "libfabric stream", bytes, PERF_AT_ONCE);
    }
    return rc;
}

static int fabric_rows(const struct perf *perf, int fd)
{
    uint8_t mine[TMBI_TCP_RAW_NAME], theirs[TMBI_TCP_RAW_NAME], end = 0;
    struct tmbi_tcp_raw *raw;
    int rc = tmbi_tcp_raw_open(perf->max_bytes, &raw, mine);

    if (rc == -ENODEV)
        tmbi_cli_say("libfabric offers no TCP here: its limits are not measured");
    if (rc)
        return rc == -ENODEV ? 0 : rc;
    rc = all_send(fd, mine, sizeof(mine), 0);
    rc = rc ? rc : all_receive(fd, theirs, sizeof(theirs), 0);
    rc = rc ? rc : tmbi_tcp_raw_connect(raw, theirs);
    if (rc == 0 && perf->rank == 0) {
        rc = fabric_write(perf, raw);
        all_send(fd, &end, 1, 0);
    } else if (rc == 0) {
        fabric_serve(raw, fd);
    }
    tmbi_tcp_raw_close(raw);
    return rc;
}
#else
static int fabric_rows(const struct perf *perf, int fd)
{
    (void)fd;
    if (perf->rank == 0)
        tmbi_cli_say("libfabric's own limits are not measured: the provider tcp was not "
                     "built");
    return 0;
}
#endif

int perf_limits_tcp(const struct perf *perf)
{
    int fd, rc;

    if (perf->apart)
        return 0;
    fd = pair_open(perf);
    if (perf->rank > 1)
        return fd == -1 ? 0 : fd;
    if (fd < 0)
        return fd;
    rc = socket_rows(perf, fd);
    rc = rc ? rc : fabric_rows(perf, fd);
    close(fd);
    return rc;
}
