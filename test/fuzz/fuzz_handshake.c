/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a server may send, right or wrong. Nine bytes make a message: the first says what
 * descriptors it carries (and cuts messages in two), the rest is its number. Numbers near
 * what the protocol uses are made likely: of the second byte's high values, the low bits
 * choose. The connection then ends.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../core/clock.h"
#include "../../core/log.h"
#include "../../providers/ivshmem/host.h"
#include "fuzz.h"

#define STEP_BYTES   9
#define STEPS_MAX    64
#define REGION_BYTES (UINT64_C(1) << 20)

static int region_fd = -1, zeroes_fd = -1;

int LLVMFuzzerInitialize(int *argc, char ***argv);

static int memory_make(void)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    FUZZ_CHECK(fd >= 0 && !ftruncate(fd, (off_t)REGION_BYTES));
    return fd;
}

/* The lowest free descriptor: it grows if something leaks. */
static size_t descriptors_open(void)
{
    int fd = dup(region_fd);

    FUZZ_CHECK(fd >= 0);
    close(fd);
    return (size_t)fd;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    uint8_t *base;

    (void)argc;
    (void)argv;
    region_fd = memory_make();
    zeroes_fd = memory_make();
    base = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, region_fd, 0);
    FUZZ_CHECK(base != MAP_FAILED && !tmbi_region_format(base, REGION_BYTES, 3, 16));
    munmap(base, REGION_BYTES);
    return 0;
}

/* Up to three descriptors; returns how many. */
static int descriptors_make(uint8_t kind, int fds[3])
{
    int count = 0;

    switch (kind & 7) {
    case 1:
    case 2: /* a doorbell */
        fds[count++] = eventfd(0, EFD_CLOEXEC);
        break;
    case 3:
        fds[count++] = dup(region_fd);
        break;
    case 4:
        fds[count++] = dup(zeroes_fd);
        break;
    case 5:
        fds[count++] = eventfd(0, EFD_CLOEXEC);
        fds[count++] = eventfd(0, EFD_CLOEXEC);
        break;
    case 6:
        fds[count++] = dup(STDERR_FILENO);
        fds[count++] = dup(region_fd);
        fds[count++] = eventfd(0, EFD_CLOEXEC);
        break;
    default:
        break;
    }
    return count;
}

static void send_with(int socket, const uint8_t *bytes, size_t count, const int *fds,
                      int fd_count)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))] = {0};
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
    FUZZ_CHECK(sendmsg(socket, &header, MSG_NOSIGNAL) == (ssize_t)count);
}

static void step_send(int socket, const uint8_t *step)
{
    static const int64_t likely[] = {0, 1, 2, 3, -1, -2, 65535, 65536};
    size_t cut = step[0] >> 3 & 7;
    uint8_t number[8];
    int fds[3];
    int count = descriptors_make(step[0], fds);

    memcpy(number, step + 1, sizeof number);
    if (step[1] >= 64)
        memcpy(number, &likely[step[1] & 7], sizeof number);
    if (cut)
        send_with(socket, number, cut, fds, count);
    send_with(socket, number + cut, sizeof number - cut, fds, cut ? 0 : count);
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const uint32_t wanted[] = {1 << 16};
    struct tmbi_host host;
    struct tmbi_wire wire;
    size_t steps = bytes / STEP_BYTES;
    size_t open_before = descriptors_open();
    int pair[2];

    FUZZ_CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
    for (size_t i = 0; i < steps && i < STEPS_MAX; i++)
        step_send(pair[1], data + i * STEP_BYTES);
    shutdown(pair[1], SHUT_WR);
    tmbi_wire_init(&wire, pair[0], "fuzz");
    if (!tmbi_host_greet(&host, &wire, TMBI_NEVER)) {
        FUZZ_CHECK(host.way.id < TMBI_PEER_IDS && host.way.region.size == REGION_BYTES);
        FUZZ_CHECK(host.way.bell[TMBI_LINE_AGENT] >= 0);
        tmbi_host_await(&host, 1, TMBI_NEVER);
        tmbi_host_keep(&host, wanted, 1);
        FUZZ_CHECK(tmbi_host_drain(&host));
        tmbi_host_close(&host);
    }
    close(pair[1]);
    FUZZ_CHECK(descriptors_open() == open_before);
    return 0;
}
