/* SPDX-License-Identifier: BSD-3-Clause */
/* The way in from the host: a right greeting, and everything that a wrong server, a
 * stopped one or a missing one can do instead. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../core/clock.h"
#include "../../core/log.h"
#include "../../providers/ivshmem/host.h"

#define VECTORS      3
#define REGION_BYTES (UINT64_C(1) << 20)
#define OWN          5
#define SILENCE_NS   INT64_C(50000000)

/* What a message carries. */
enum carries { NOTHING, BELL, PIPE, REGION, ZEROES, TWO_BELLS };

struct step {
    int64_t value;
    enum carries carries;
};

static int own_bell = -1; /* the server's copy of our first doorbell */

static int memory_make(bool format)
{
    int fd = memfd_create("region", MFD_CLOEXEC);

    assert_int_equal(ftruncate(fd, REGION_BYTES), 0);
    if (format) {
        uint8_t *base =
            mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_ptr_not_equal(base, MAP_FAILED);
        assert_int_equal(tmbi_region_format(base, REGION_BYTES, VECTORS, 16), 0);
        munmap(base, REGION_BYTES);
    }
    return fd;
}

static int descriptors_make(enum carries carries, int fds[2])
{
    switch (carries) {
    case NOTHING:
        return 0;
    case PIPE:
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        close(fds[0]);
        fds[0] = fds[1];
        return 1;
    case REGION:
    case ZEROES:
        fds[0] = memory_make(carries == REGION);
        return 1;
    default:
        for (int i = 0; i < 2; i++)
            fds[i] = eventfd(0, EFD_CLOEXEC);
        if (carries == BELL)
            close(fds[1]);
        return carries == BELL ? 1 : 2;
    }
}

static void message_send(int socket, const void *bytes, size_t count, const int *fds,
                         int fd_count)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {0};
    struct iovec iov = {(void *)(uintptr_t)bytes, count};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

    if (fd_count) {
        header.msg_control = control;
        header.msg_controllen = CMSG_SPACE((size_t)fd_count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)fd_count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, (size_t)fd_count * sizeof(int));
    }
    assert_int_equal(sendmsg(socket, &header, MSG_NOSIGNAL), count);
}

static void step_send(int socket, const struct step *step)
{
    int fds[2] = {-1, -1};
    int count = descriptors_make(step->carries, fds);

    message_send(socket, &step->value, sizeof step->value, fds, count);
    if (step->value == OWN && step->carries == BELL && own_bell < 0)
        own_bell = dup(fds[0]);
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

static int descriptors_open(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void pair_open(struct tmbi_wire *wire, int *server)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    tmbi_wire_init(wire, pair[0], "test");
    *server = pair[1];
}

static const struct step greeting[] = {
    {0, NOTHING}, {OWN, NOTHING}, {-1, REGION},              /* version, ID, memory */
    {2, BELL},    {2, BELL},      {2, BELL},    {4, BELL},   /* who was there before */
    {4, BELL},    {4, BELL},      {OWN, BELL},  {OWN, BELL}, /* and we, last */
    {OWN, BELL},
};
#define GREETING (sizeof greeting / sizeof *greeting)

static void greeting_send(int server)
{
    for (size_t i = 0; i < GREETING; i++)
        step_send(server, &greeting[i]);
}

static void fds_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- a right server ---- */

static void greeting_is_understood(void **state)
{
    int before = descriptors_open();
    struct tmbi_host host;
    struct tmbi_wire wire;
    uint64_t count = 0;
    int server;

    (void)state;
    pair_open(&wire, &server);
    greeting_send(server);
    assert_int_equal(tmbi_host_greet(&host, &wire, tmbi_deadline(1000000000)), 0);
    assert_int_equal(host.way.id, OWN);
    assert_int_equal(host.way.region.size, REGION_BYTES);
    assert_int_equal(host.peers[2].vectors, VECTORS);
    assert_int_equal(host.peers[3].vectors, 0);
    int bell = host.way.bell[TMBI_LINE_WAIT];
    assert_true(bell != host.way.bell[TMBI_LINE_AGENT]);
    /* It is the doorbell that the others ring, and ringing it can't block. */
    assert_int_equal(eventfd_write(own_bell, 3), 0);
    assert_int_equal(eventfd_read(bell, &count), 0);
    assert_int_equal(count, 3);
    assert_true(fcntl(bell, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(bell, F_GETFD) & FD_CLOEXEC);
    tmbi_host_close(&host);
    fds_close(&own_bell);
    close(server);
    assert_int_equal(descriptors_open(), before);
}

static void messages_may_come_in_pieces(void **state)
{
    struct tmbi_host host;
    struct tmbi_wire wire;
    int64_t version = 0;
    int server;

    (void)state;
    pair_open(&wire, &server);
    for (size_t i = 0; i < sizeof version; i++)
        message_send(server, (char *)&version + i, 1, NULL, 0);
    for (size_t i = 1; i < GREETING; i++)
        step_send(server, &greeting[i]);
    assert_int_equal(tmbi_host_greet(&host, &wire, tmbi_deadline(1000000000)), 0);
    tmbi_host_close(&host);
    fds_close(&own_bell);
    close(server);
}

static void peers_come_and_go(void **state)
{
    static const uint32_t wanted[] = {2 << 16, 9 << 16 | 1};
    static const struct step newcomer = {9, BELL}, other = {10, BELL},
                             gone = {4, NOTHING};
    struct tmbi_host host;
    struct tmbi_wire wire;
    int server;

    (void)state;
    pair_open(&wire, &server);
    greeting_send(server);
    assert_int_equal(tmbi_host_greet(&host, &wire, tmbi_deadline(1000000000)), 0);
    assert_int_equal(tmbi_host_await(&host, 9, tmbi_deadline(0)), -ETIMEDOUT);
    step_send(server, &gone);
    for (int i = 0; i < VECTORS; i++)
        step_send(server, &newcomer);
    assert_int_equal(tmbi_host_await(&host, 9, tmbi_deadline(1000000000)), 0);
    assert_int_equal(host.peers[4].vectors, 0);
    assert_int_equal(tmbi_host_await(&host, 2, tmbi_deadline(0)), 0);

    for (int i = 0; i < VECTORS; i++)
        step_send(server, &other);
    assert_int_equal(tmbi_host_await(&host, 10, tmbi_deadline(1000000000)), 0);
    int open_before = descriptors_open();
    int known = 3 * VECTORS; /* of those three peers */
    tmbi_host_keep(&host, wanted, 2);
    assert_int_equal(descriptors_open(), open_before - known + 2);
    assert_int_equal(tmbi_host_bell(&host, 10 << 16), -1);
    assert_int_equal(tmbi_host_bell(&host, 9 << 16), -1);
    assert_true(tmbi_host_bell(&host, wanted[1]) >= 0);

    /* Later notices leave nothing behind. */
    step_send(server, &other);
    assert_false(tmbi_host_drain(&host));
    assert_int_equal(descriptors_open(), open_before - known + 2);
    close(server);
    assert_true(tmbi_host_drain(&host));
    assert_false(tmbi_host_drain(&host));
    tmbi_host_close(&host);
    fds_close(&own_bell);
}

/* ---- wrong servers ---- */

static const struct {
    const char *what;
    struct step steps[8];
    size_t count;
    int status;
} wrong[] = {
    {"nothing, and the end", {{0}}, 0, -ECONNRESET},
    {"another version", {{1, NOTHING}}, 1, -EPROTO},
    {"text", {{0x2f312e3120505454, NOTHING}}, 1, -EPROTO},
    {"a version with a descriptor", {{0, BELL}}, 1, -EPROTO},
    {"the end after the version", {{0, NOTHING}}, 1, -ECONNRESET},
    {"a negative ID", {{0, NOTHING}, {-2, NOTHING}}, 2, -EPROTO},
    {"an ID of 17 bits", {{0, NOTHING}, {65536, NOTHING}}, 2, -EPROTO},
    {"an ID with a descriptor", {{0, NOTHING}, {OWN, BELL}}, 2, -EPROTO},
    {"no memory", {{0, NOTHING}, {OWN, NOTHING}, {-1, NOTHING}}, 3, -EPROTO},
    {"doorbells before memory", {{0, NOTHING}, {OWN, NOTHING}, {2, BELL}}, 3, -EPROTO},
    {"memory that is no region",
     {{0, NOTHING}, {OWN, NOTHING}, {-1, ZEROES}},
     3,
     -EPROTO},
    {"memory that is an eventfd", {{0, NOTHING}, {OWN, NOTHING}, {-1, BELL}}, 3, -EPROTO},
    {"memory that is a pipe", {{0, NOTHING}, {OWN, NOTHING}, {-1, PIPE}}, 3, -EPROTO},
    {"a negative peer",
     {{0, NOTHING}, {OWN, NOTHING}, {-1, REGION}, {-1, BELL}},
     4,
     -EPROTO},
    {"a peer of 17 bits",
     {{0, NOTHING}, {OWN, NOTHING}, {-1, REGION}, {1 << 16, BELL}},
     4,
     -EPROTO},
    {"a doorbell that is a pipe",
     {{0, NOTHING}, {OWN, NOTHING}, {-1, REGION}, {2, PIPE}},
     4,
     -EPROTO},
    {"a doorbell that is a file",
     {{0, NOTHING}, {OWN, NOTHING}, {-1, REGION}, {2, REGION}},
     4,
     -EPROTO},
    {"two descriptors in one message",
     {{0, NOTHING}, {OWN, NOTHING}, {-1, REGION}, {2, TWO_BELLS}},
     4,
     -EPROTO},
    {"our own end",
     {{0, NOTHING}, {OWN, NOTHING}, {-1, REGION}, {OWN, BELL}, {OWN, NOTHING}},
     5,
     -EPROTO},
    {"a peer with too many vectors",
     {{0, NOTHING},
      {OWN, NOTHING},
      {-1, REGION},
      {2, BELL},
      {2, BELL},
      {2, BELL},
      {2, BELL}},
     7,
     -EPROTO},
    {"the end before our last vector",
     {{0, NOTHING}, {OWN, NOTHING}, {-1, REGION}, {OWN, BELL}, {OWN, BELL}},
     5,
     -ECONNRESET},
};

static void nonsense_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int before = descriptors_open();
        struct tmbi_host host;
        struct tmbi_wire wire;
        int server;

        print_message("a server that says: %s\n", wrong[i].what);
        pair_open(&wire, &server);
        for (size_t step = 0; step < wrong[i].count; step++)
            step_send(server, &wrong[i].steps[step]);
        shutdown(server, SHUT_WR);
        assert_int_equal(tmbi_host_greet(&host, &wire, tmbi_deadline(1000000000)),
                         wrong[i].status);
        close(server);
        fds_close(&own_bell);
        assert_int_equal(descriptors_open(), before);
    }
}

static void silence_ends_at_the_deadline(void **state)
{
    (void)state;
    for (size_t said = 0; said < GREETING; said++) {
        struct tmbi_host host;
        struct tmbi_wire wire;
        int server;

        pair_open(&wire, &server);
        for (size_t step = 0; step < said; step++)
            step_send(server, &greeting[step]);
        int64_t start = tmbi_clock_ns();
        assert_int_equal(tmbi_host_greet(&host, &wire, tmbi_deadline(SILENCE_NS)),
                         -ETIMEDOUT);
        assert_in_range(tmbi_clock_ns() - start, SILENCE_NS, 100 * SILENCE_NS);
        close(server);
        fds_close(&own_bell);
    }
}

/* Greet with room for `room` more descriptors; may_raise: the hard limit has more. */
static int greet_in_child(struct tmbi_wire *wire, rlim_t room, bool may_raise)
{
    struct tmbi_host host;
    struct rlimit limit;
    int status;

    pid_t child = fork();
    if (child == 0) {
        int lowest = dup(0);
        close(lowest);
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = (rlim_t)lowest + room;
        if (!may_raise)
            limit.rlim_max = limit.rlim_cur;
        setrlimit(RLIMIT_NOFILE, &limit);
        _exit(-tmbi_host_greet(&host, wire, tmbi_deadline(1000000000)));
    }
    tmbi_wire_close(wire);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return -WEXITSTATUS(status);
}

static void too_few_descriptors_is_emfile(void **state)
{
    const char *under = getenv("UNDER");
    struct tmbi_wire wire;
    int server;

    (void)state;
    if (under && strstr(under, "valgrind")) {
        print_message("valgrind doesn't pass limits of descriptors on to the kernel\n");
        skip();
    }
    for (rlim_t room = 1; room < 6; room++) {
        pair_open(&wire, &server);
        greeting_send(server);
        assert_int_equal(greet_in_child(&wire, room, false), -EMFILE);
        close(server);
        pair_open(&wire, &server);
        greeting_send(server);
        assert_int_equal(greet_in_child(&wire, room, true), 0);
        close(server);
        fds_close(&own_bell);
    }
}

/* ---- sockets ---- */

static int listener_open(struct sockaddr_un *address, int backlog)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "host_test.%d.sock", getpid());
    unlink(address->sun_path);
    assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static void sockets_without_a_server(void **state)
{
    char path[300];
    struct sockaddr_un address;
    struct tmbi_host host;
    int64_t deadline = tmbi_deadline(1000000000);

    (void)state;
    assert_int_equal(tmbi_host_open(&host, "host_test.none.sock", deadline), -ENOENT);
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = 0;
    assert_int_equal(tmbi_host_open(&host, path, deadline), -ENAMETOOLONG);
    close(listener_open(&address, 1));
    assert_int_equal(tmbi_host_open(&host, address.sun_path, deadline), -ECONNREFUSED);
    unlink(address.sun_path);
}

/* A stopped server: its queue of connections fills up, and nobody answers. */
static void stopped_server_is_etimedout(void **state)
{
    struct sockaddr_un address;
    struct tmbi_host host;
    int listener = listener_open(&address, 0);

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            tmbi_host_open(&host, address.sun_path, tmbi_deadline(SILENCE_NS)),
            -ETIMEDOUT);
    close(listener);
    unlink(address.sun_path);
}

static void private_region_has_doorbells(void **state)
{
    int before = descriptors_open();
    struct tmbi_host host;
    uint64_t count;

    (void)state;
    assert_int_equal(tmbi_host_private(&host, REGION_BYTES), 0);
    for (int line = 0; line < TMBI_LINES; line++) {
        int bell = host.way.bell[line];
        assert_int_equal(eventfd_write(bell, 1), 0);
        assert_int_equal(eventfd_read(bell, &count), 0);
    }
    assert_false(tmbi_host_drain(&host));
    tmbi_host_close(&host);
    assert_int_equal(descriptors_open(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greeting_is_understood),
        cmocka_unit_test(messages_may_come_in_pieces),
        cmocka_unit_test(peers_come_and_go),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(silence_ends_at_the_deadline),
        cmocka_unit_test(too_few_descriptors_is_emfile),
        cmocka_unit_test(sockets_without_a_server),
        cmocka_unit_test(stopped_server_is_etimedout),
        cmocka_unit_test(private_region_has_doorbells),
    };

    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
