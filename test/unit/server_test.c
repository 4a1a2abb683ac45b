/* SPDX-License-Identifier: BSD-3-Clause */
/* The server as its clients see it, over real sockets: good ones, slow ones, bad ones. */
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../core/clock.h"
#include "../../providers/ivshmem/region.h"
#include "../../providers/ivshmem/server/server.h"

#define SIZE        (UINT64_C(1) << 20)
#define VECTORS_MAX 8
#define PATIENCE_S  20

struct server {
    char directory[32], path[48];
    pid_t pid;
    uint32_t vectors, max_clients;
    rlim_t files; /* its limit; 0: as it is */
};

struct message {
    int64_t value;
    int fd; /* or -1 */
};

struct client {
    int socket;
    int64_t id;
    int memory;
    int bells[VECTORS_MAX];
    struct tmbi_region region;
    uint32_t slot;
};

/* ---- servers ---- */

static int serve(const struct server *s, int ready)
{
    struct tmbi_server_options options = {.socket = s->path,
                                          .size = SIZE,
                                          .vectors = s->vectors,
                                          .max_clients = s->max_clients,
                                          .numa = -1,
                                          .ready_fd = ready};
    struct rlimit limit = {s->files, s->files};

    if (s->files && setrlimit(RLIMIT_NOFILE, &limit))
        return errno;
    return -tmbi_server_run(&options);
}

/* False if it ended instead of listening. */
static bool server_launch(struct server *s)
{
    int ready[2];
    bool listens;
    char byte;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM); /* not left behind by a test that fails */
        close(ready[0]);
        _exit(serve(s, ready[1]));
    }
    close(ready[1]);
    listens = read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    return listens;
}

static void server_place(struct server *s)
{
    strcpy(s->directory, "/tmp/server_test.XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    snprintf(s->path, sizeof s->path, "%s/socket", s->directory);
}

static void server_start(struct server *s)
{
    server_place(s);
    assert_true(server_launch(s));
}

static int server_status(const struct server *s)
{
    int status = -1;

    assert_int_equal(waitpid(s->pid, &status, 0), s->pid);
    return status;
}

/* In good order, having left nothing. */
static void server_stop(struct server *s)
{
    kill(s->pid, SIGTERM);
    assert_int_equal(server_status(s), 0);
    assert_int_equal(access(s->path, F_OK), -1);
    assert_int_equal(rmdir(s->directory), 0);
}

static long server_kib(const struct server *s)
{
    char path[64], line[128];
    long kib = -1;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/status", (int)s->pid);
    file = fopen(path, "re");
    assert_non_null(file);
    while (kib < 0 && fgets(line, sizeof line, file))
        sscanf(line, "VmRSS: %ld", &kib);
    fclose(file);
    return kib;
}

static int server_files(const struct server *s)
{
    char path[64];
    DIR *directory;
    int count = 0;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)s->pid);
    directory = opendir(path);
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

/* ---- clients ---- */

static int connect_only(const struct server *s)
{
    const struct timeval patience = {PATIENCE_S, 0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    strcpy(address.sun_path, s->path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* One message of 8 bytes; false at the end of the connection. */
static bool message_read(int socket, int flags, struct message *message)
{
    uint64_t little = 0;
    struct iovec iov = {&little, sizeof little};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    ssize_t got = recvmsg(socket, &header, MSG_WAITALL | MSG_CMSG_CLOEXEC | flags);
    struct cmsghdr *first = CMSG_FIRSTHDR(&header);

    if (got == 0 || (got < 0 && errno == ECONNRESET))
        return false;
    assert_int_equal(got, sizeof little);
    assert_false(header.msg_flags & MSG_CTRUNC);
    message->value = (int64_t)le64toh(little);
    message->fd = -1;
    if (first)
        memcpy(&message->fd, CMSG_DATA(first), sizeof message->fd);
    return true;
}

static void expect(int socket, int64_t value, bool with_fd, int *fd)
{
    struct message message;

    assert_true(message_read(socket, 0, &message));
    assert_true(message.value == value);
    assert_int_equal(message.fd >= 0, with_fd);
    if (fd)
        *fd = message.fd;
    else if (with_fd)
        close(message.fd);
}

/* Without waiting: the message must have come already. */
static void expect_now(int socket, int64_t value, bool with_fd)
{
    struct message message;

    assert_true(message_read(socket, MSG_DONTWAIT, &message));
    assert_true(message.value == value);
    assert_int_equal(message.fd >= 0, with_fd);
    if (with_fd)
        close(message.fd);
}

/* Read up to the client's own last vector; others' are closed. */
static void own_vectors_read(const struct server *s, struct client *c)
{
    uint32_t own = 0;

    while (own < s->vectors) {
        struct message message;

        assert_true(message_read(c->socket, 0, &message));
        if (message.value == c->id)
            c->bells[own++] = message.fd;
        else if (message.fd >= 0)
            close(message.fd);
    }
}

static void client_open(const struct server *s, struct client *c)
{
    struct message message;

    c->socket = connect_only(s);
    expect(c->socket, 0, false, NULL);
    assert_true(message_read(c->socket, 0, &message));
    assert_int_equal(message.fd, -1);
    c->id = message.value;
    expect(c->socket, -1, true, &c->memory);
    assert_int_equal(tmbi_region_map(&c->region, c->memory), 0);
    assert_int_equal(tmbi_slot_find(&c->region, (uint32_t)c->id, &c->slot), 0);
    own_vectors_read(s, c);
}

static void client_close(const struct server *s, struct client *c)
{
    for (uint32_t i = 0; i < s->vectors; i++)
        close(c->bells[i]);
    close(c->memory);
    tmbi_region_unmap(&c->region);
    close(c->socket);
}

static void await_end(int socket)
{
    struct message message;

    while (message_read(socket, 0, &message))
        if (message.fd >= 0)
            close(message.fd);
    close(socket);
}

static bool rung(int bell, int ms)
{
    struct pollfd poll_fd = {.fd = bell, .events = POLLIN};

    return poll(&poll_fd, 1, ms) == 1;
}

/* ---- the protocol ---- */

static void greeting_is_exact(void **state)
{
    struct server s = {.vectors = 3, .max_clients = 8};
    struct client a;
    int peer[3], seals, b;

    (void)state;
    server_start(&s);
    client_open(&s, &a);
    assert_int_equal(a.id, 0);
    b = connect_only(&s);
    expect(b, 0, false, NULL);
    expect(b, 1, false, NULL);
    expect(b, -1, true, NULL);
    for (int i = 0; i < 3; i++)
        expect(b, 0, true, &peer[i]);
    for (int i = 0; i < 3; i++)
        expect(b, 1, true, NULL);
    /* The peer's vectors are the ones that it hears, in their order. */
    for (int i = 0; i < 3; i++) {
        uint64_t one = 1;

        assert_false(rung(a.bells[i], 0));
        assert_int_equal(write(peer[i], &one, sizeof one), sizeof one);
        assert_true(rung(a.bells[i], 0));
        close(peer[i]);
    }
    /* Nobody may take the memory away under the others. */
    seals = fcntl(a.memory, F_GET_SEALS);
    assert_int_equal(seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
                     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    assert_int_equal(ftruncate(a.memory, 4096), -1);
    close(b);
    client_close(&s, &a);
    server_stop(&s);
}

static void peers_hear_of_each_other(void **state)
{
    struct server s = {.vectors = 2, .max_clients = 8};
    struct client a, b;

    (void)state;
    server_start(&s);
    client_open(&s, &a);
    client_open(&s, &b);
    expect_now(a.socket, b.id,
               true); /* before the newcomer itself: it has come already */
    expect_now(a.socket, b.id, true);
    client_close(&s, &b);
    expect(a.socket, b.id, false, NULL);
    client_close(&s, &a);
    server_stop(&s);
}

static void ids_are_never_reused(void **state)
{
    struct server s = {.vectors = 1, .max_clients = 64};
    struct client c;

    (void)state;
    server_start(&s);
    for (int64_t i = 0; i < 100; i++) {
        client_open(&s, &c);
        assert_true(c.id == i);
        client_close(&s, &c);
    }
    server_stop(&s);
}

static void descriptors_needed(rlim_t count)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max >= count)
        return;
    printf("needs %lu open files, and may have %lu\n", (unsigned long)count,
           (unsigned long)limit.rlim_max);
    skip();
}

static void hundreds_of_clients(void **state)
{
    enum { COUNT = 200 };
    struct server s = {.vectors = VECTORS_MAX, .max_clients = COUNT};
    static struct client clients[COUNT];

    (void)state;
    descriptors_needed(COUNT * (VECTORS_MAX + 2));
    server_start(&s);
    for (int i = 0; i < COUNT; i++) {
        client_open(&s, &clients[i]);
        assert_true(clients[i].id == i);
        for (uint32_t v = 0; v < s.vectors; v++)
            close(clients[i].bells[v]);
        close(clients[i].memory);
        tmbi_region_unmap(&clients[i].region);
    }
    /* Each is told of each that came later, vector by vector, in order. */
    for (int i = 0; i < COUNT; i++)
        for (int peer = i + 1; peer < COUNT; peer++)
            for (uint32_t v = 0; v < s.vectors; v++)
                expect(clients[i].socket, peer, true, NULL);
    for (int i = 0; i < COUNT; i++)
        close(clients[i].socket);
    server_stop(&s);
}

/* ---- bad clients ---- */

static bool variant_is(const char *name)
{
    const char *variant = getenv("VARIANT");

    return variant && !strcmp(variant, name);
}

static void slow_client_costs_little(void **state)
{
    struct server s = {.vectors = 2, .max_clients = 64};
    struct client c;
    long before = 0;
    int slow;

    (void)state;
    if (variant_is("asan") || variant_is("valgrind")) {
        print_message("freed memory is kept back by the checker of memory\n");
        skip();
    }
    server_start(&s);
    slow = connect_only(&s);
    for (int i = 0; i < 2000; i++) {
        client_open(&s, &c);
        client_close(&s, &c);
        if (i == 200)
            before = server_kib(&s);
    }
    assert_in_range(server_kib(&s), 1, before + 512);
    close(slow);
    client_open(&s, &c);
    assert_int_equal(c.id, 2001);
    client_close(&s, &c);
    server_stop(&s);
}

/* It is told late, but what it is told makes sense: nobody goes who has not come whole,
 * or comes twice, and who is there at the end has come. */
static void slow_client_hears_sense(void **state)
{
    enum { PEERS = 1024 };
    struct server s = {.vectors = 2, .max_clients = 64};
    static uint8_t told[PEERS], gone[PEERS];
    struct client c;
    struct message message;
    int slow;

    (void)state;
    memset(told, 0, sizeof told);
    memset(gone, 0, sizeof gone);
    server_start(&s);
    slow = connect_only(&s);
    for (int i = 0; i < PEERS - 2; i++) {
        client_open(&s, &c);
        client_close(&s, &c);
    }
    client_open(&s, &c);
    expect(slow, 0, false, NULL);
    expect(slow, 0, false, NULL);
    expect(slow, -1, true, NULL);
    while (told[c.id] < 2) {
        assert_true(message_read(slow, 0, &message));
        assert_in_range(message.value, 0, PEERS - 1);
        assert_false(gone[message.value]);
        if (message.fd >= 0) {
            assert_true(++told[message.value] <= 2);
            close(message.fd);
        } else {
            assert_true(told[message.value] >= 1);
            gone[message.value] = 1;
        }
    }
    for (int i = 1; i < PEERS - 1; i++)
        assert_true(!told[i] || gone[i]);
    assert_int_equal(told[0], 2);
    close(slow);
    client_close(&s, &c);
    server_stop(&s);
}

static void garbage_is_dropped(void **state)
{
    struct server s = {.vectors = 2, .max_clients = 128};
    static char garbage[65536];
    struct client good, c;

    (void)state;
    memset(garbage, 0xa5, sizeof garbage);
    server_start(&s);
    client_open(&s, &good);
    for (size_t bytes = 1; bytes <= sizeof garbage; bytes *= 4) {
        int bad = connect_only(&s);

        assert_true(send(bad, garbage, bytes, MSG_NOSIGNAL | MSG_DONTWAIT) != 0);
        await_end(bad);
    }
    for (int i = 0; i < 50; i++) { /* in the handshake, before and after a message */
        struct message message;
        int bad = connect_only(&s);

        if (i % 2)
            assert_true(message_read(bad, 0, &message));
        close(bad);
    }
    client_open(&s, &c);
    assert_int_equal(tmbi_slot_state(&good.region.slots[good.slot]), TMBI_SLOT_LIVE);
    client_close(&s, &c);
    client_close(&s, &good);
    server_stop(&s);
}

static void full_region_refuses(void **state)
{
    struct server s = {.vectors = 1, .max_clients = 2};
    struct client a, b, c;

    (void)state;
    server_start(&s);
    client_open(&s, &a);
    client_open(&s, &b);
    await_end(connect_only(&s));
    client_close(&s, &b);
    expect(a.socket, b.id, true, NULL);
    expect(a.socket, b.id, false, NULL); /* so the slot is free */
    client_open(&s, &c);
    client_close(&s, &c);
    client_close(&s, &a);
    server_stop(&s);
}

static void lack_of_descriptors_is_survived(void **state)
{
    struct server s = {.vectors = VECTORS_MAX, .max_clients = 64, .files = 64};
    struct client first, last;
    int sockets[30], files;

    (void)state;
    if (variant_is("valgrind")) {
        print_message("valgrind doesn't pass limits of descriptors on to the kernel\n");
        skip();
    }
    server_start(&s);
    client_open(&s, &first);
    files = server_files(&s);
    for (int i = 0; i < 30; i++)
        sockets[i] = connect_only(&s);
    await_end(sockets[29]); /* no doorbells for it: refused */
    for (int i = 0; i < 29; i++)
        close(sockets[i]);
    for (int i = 0; i < 5000 && server_files(&s) > files; i++)
        usleep(1000);
    assert_int_equal(server_files(&s), files);
    client_open(&s, &last);
    assert_int_equal(tmbi_slot_state(&first.region.slots[first.slot]), TMBI_SLOT_LIVE);
    client_close(&s, &last);
    client_close(&s, &first);
    server_stop(&s);
}

/* ---- slots ---- */

static void join(struct client *c, int32_t rank)
{
    /* As a rank says in its slot which doorbell wakes which line. */
    c->region.slots[c->slot].wake[1].doorbell = (uint32_t)c->id << 16 | 1;
    uint32_t job;

    assert_int_equal(tmbi_job_join(&c->region, c->slot, "job", 3, rank,
                                   tmbi_deadline(INT64_C(5000000000)), &job),
                     0);
}

static uint32_t state_of(const struct client *c, const struct client *of)
{
    return tmbi_slot_state(&c->region.slots[of->slot]);
}

static void ends_are_told_in_slots(void **state)
{
    struct server s = {.vectors = 2, .max_clients = 8};
    struct client left, dead, alive, stranger;
    uint32_t slot;

    (void)state;
    server_start(&s);
    client_open(&s, &left);
    client_open(&s, &dead);
    client_open(&s, &alive);
    client_open(&s, &stranger);
    assert_int_equal(alive.region.slots[alive.slot].pid, getpid());
    join(&left, 0);
    join(&dead, 1);
    join(&alive, 2);
    tmbi_slot_leave(&left.region, left.slot, left.region.slots[left.slot].epoch);
    client_close(&s, &left);
    assert_false(rung(alive.bells[0], 50)); /* leaving is no death */
    assert_int_equal(state_of(&alive, &left), TMBI_SLOT_LEFT);
    assert_int_equal(alive.region.header->deaths, 0);

    client_close(&s, &dead);
    assert_true(rung(alive.bells[0], 1000));
    assert_true(rung(alive.bells[1], 1000));
    assert_int_equal(state_of(&alive, &dead), TMBI_SLOT_DEAD);
    assert_int_equal(alive.region.header->deaths, 1);
    assert_false(rung(stranger.bells[0], 0)); /* of another job */
    assert_int_equal(state_of(&alive, &alive), TMBI_SLOT_LIVE);

    /* The last one's end ends the job, and the server serves the next. */
    slot = alive.slot;
    client_close(&s, &alive);
    for (int i = 0; i < 2000 && stranger.region.slots[slot].job; i++)
        usleep(1000);
    assert_int_equal(stranger.region.slots[slot].job, 0);
    client_open(&s, &alive);
    join(&alive, 0);
    client_close(&s, &alive);
    client_close(&s, &stranger);
    server_stop(&s);
}

/* ---- sockets ---- */

static void stale_socket_is_replaced(void **state)
{
    struct server s = {.vectors = 1, .max_clients = 2};
    struct client c;

    (void)state;
    server_start(&s);
    kill(s.pid, SIGKILL);
    assert_true(WIFSIGNALED(server_status(&s)));
    assert_int_equal(access(s.path, F_OK), 0);
    assert_true(server_launch(&s));
    client_open(&s, &c);
    client_close(&s, &c);
    server_stop(&s);
}

static void live_socket_is_not_taken(void **state)
{
    struct server s = {.vectors = 1, .max_clients = 2}, second;
    struct client c;

    (void)state;
    server_start(&s);
    second = s;
    assert_false(server_launch(&second));
    assert_int_equal(WEXITSTATUS(server_status(&second)), EADDRINUSE);
    client_open(&s, &c);
    client_close(&s, &c);
    server_stop(&s);
}

static void file_is_not_replaced(void **state)
{
    struct server s = {.vectors = 1, .max_clients = 2};
    struct stat status;
    int fd;

    (void)state;
    server_place(&s);
    fd = open(s.path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "text", 4), 4);
    close(fd);
    assert_false(server_launch(&s));
    assert_int_equal(WEXITSTATUS(server_status(&s)), EADDRINUSE);
    assert_int_equal(stat(s.path, &status), 0);
    assert_int_equal(status.st_size, 4);
    unlink(s.path);
    assert_int_equal(rmdir(s.directory), 0);
}

static void only_the_owner_may_connect(void **state)
{
    struct server s = {.vectors = 1, .max_clients = 2};
    struct stat status;

    (void)state;
    server_start(&s);
    assert_int_equal(stat(s.path, &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0600);
    server_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greeting_is_exact),
        cmocka_unit_test(peers_hear_of_each_other),
        cmocka_unit_test(ids_are_never_reused),
        cmocka_unit_test(hundreds_of_clients),
        cmocka_unit_test(slow_client_costs_little),
        cmocka_unit_test(slow_client_hears_sense),
        cmocka_unit_test(garbage_is_dropped),
        cmocka_unit_test(full_region_refuses),
        cmocka_unit_test(lack_of_descriptors_is_survived),
        cmocka_unit_test(ends_are_told_in_slots),
        cmocka_unit_test(stale_socket_is_replaced),
        cmocka_unit_test(live_socket_is_not_taken),
        cmocka_unit_test(file_is_not_replaced),
        cmocka_unit_test(only_the_owner_may_connect),
    };

    return cmocka_run_group_tests_name("server", tests, NULL, NULL);
}
