/* SPDX-License-Identifier: BSD-3-Clause */
#include "broker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../core/clock.h"
#include "../../core/log.h"
#include "claim.h"
#include "heartbeat.h"
#include "server/listen.h"
#include "vfio_device.h"

/* A process that holds a connection; without a slot until its hello has come. */
struct client {
    bool welcomed;
    uint32_t slot, epoch;
};

enum { SIGNALS, LISTENER, FIRST }; /* in `polled`; clients come after them */

struct broker {
    struct tmbi_vfio_device device;
    struct tmbi_region region;
    uint32_t id, vectors;
    struct pollfd *polled;
    struct client *clients; /* as `polled`, the first ones unused */
    uint32_t count, room;
    int64_t beat; /* when the next is due */
};

/* ---- ends ---- */

static void doorbells_ring(const struct broker *broker, const struct tmbi_slot *slot)
{
    for (uint32_t line = 0; line < TMBI_LINES; line++) {
        uint32_t doorbell = __atomic_load_n(&slot->wake[line].doorbell, __ATOMIC_RELAXED);
        if (doorbell != TMBI_DOORBELL_NONE)
            tmbi_vfio_ring(broker->device.device, broker->device.registers_at, doorbell);
    }
}

static void survivors_ring(void *arg, uint32_t job)
{
    const struct broker *broker = arg;

    for (uint32_t i = 0; job && i < broker->region.slot_count; i++) {
        const struct tmbi_slot *slot = &broker->region.slots[i];
        if (tmbi_slot_state(slot) == TMBI_SLOT_LIVE &&
            atomic_load_explicit(&slot->job, memory_order_acquire) == job)
            doorbells_ring(broker, slot);
    }
}

static void slot_end(struct broker *broker, const struct client *client)
{
    const struct tmbi_slot *slot = &broker->region.slots[client->slot];
    uint32_t job = atomic_load_explicit(&slot->job, memory_order_acquire);

    if (tmbi_slot_gone(&broker->region, client->slot, client->epoch))
        survivors_ring(broker, job);
}

/* The last one takes its place. */
static void client_end(struct broker *broker, uint32_t at)
{
    if (broker->clients[at].welcomed)
        slot_end(broker, &broker->clients[at]);
    close(broker->polled[at].fd);
    broker->count--;
    broker->polled[at] = broker->polled[broker->count];
    broker->clients[at] = broker->clients[broker->count];
}

/* ---- welcoming ---- */

static int64_t peer_pid(int fd)
{
    struct ucred peer = {0};
    socklen_t bytes = sizeof peer;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) ? 0 : peer.pid;
}

static int slot_claim(struct broker *broker, int fd, struct client *client,
                      struct tmbi_broker_welcome *welcome)
{
    tmbi_job_sweep(&broker->region);
    int status = tmbi_slot_claim(&broker->region, broker->id, TMBI_SLOT_OWN, peer_pid(fd),
                                 &client->slot);
    if (status) {
        tmbi_error("broker: all %u slots of the region are taken; see "
                   "`tombolo server --max-clients`",
                   broker->region.slot_count);
        return status;
    }
    struct tmbi_slot *slot = &broker->region.slots[client->slot];
    client->epoch = slot->epoch;
    client->welcomed = true;
    tmbi_beat(slot);
    tmbi_claim_doorbells(&broker->region, broker->id, client->slot, broker->vectors,
                         welcome->doorbell);
    for (uint32_t line = 0; line < TMBI_LINES; line++)
        slot->wake[line].doorbell = welcome->doorbell[line]; /* counts for the next */
    memcpy(welcome->device, broker->device.address, sizeof broker->device.address);
    welcome->id = broker->id;
    welcome->slot = client->slot;
    welcome->epoch = client->epoch;
    welcome->registers_at = broker->device.registers_at;
    welcome->region_at = broker->device.region_at;
    welcome->region_bytes = broker->device.region_bytes;
    return 0;
}

static bool welcome_send(const struct broker *broker, int fd,
                         const struct tmbi_broker_welcome *welcome)
{
    int descriptors[TMBI_BROKER_DESCRIPTORS] = {broker->device.device};
    char control[CMSG_SPACE(sizeof descriptors)] = {0};
    struct iovec part = {(void *)welcome, sizeof *welcome};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    for (uint32_t line = 0; line < TMBI_LINES; line++)
        descriptors[1 + line] = broker->device.bells[welcome->doorbell[line] & 0xffff];
    if (!welcome->status) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof descriptors);
        memcpy(CMSG_DATA(head), descriptors, sizeof descriptors);
    }
    /* It is the first that this socket sends, and fits its buffer. */
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof *welcome;
}

/* Whether the process is still to be served. It says one thing, once. */
static bool client_hear(struct broker *broker, uint32_t at)
{
    struct tmbi_broker_hello hello = {0};
    struct tmbi_broker_welcome welcome = {.magic = TMBI_BROKER_MAGIC,
                                          .version = TMBI_BROKER_VERSION};
    struct client *client = &broker->clients[at];
    int fd = broker->polled[at].fd;

    /* A hello of 16 bytes comes as one, or it is none. */
    ssize_t got = recv(fd, &hello, sizeof hello, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got != (ssize_t)sizeof hello || client->welcomed ||
        hello.magic != TMBI_BROKER_MAGIC)
        return false;
    if (hello.version != TMBI_BROKER_VERSION) {
        tmbi_warn(
            "broker: a process speaks version %u, not %u: use one version of Tombolo",
            hello.version, TMBI_BROKER_VERSION);
        welcome.status = -EPROTO;
    } else {
        welcome.status = slot_claim(broker, fd, client, &welcome);
    }
    return welcome_send(broker, fd, &welcome) && !welcome.status;
}

/* ---- serving ---- */

static bool room_make(struct broker *broker)
{
    uint32_t room = broker->room ? 2 * broker->room : 64;

    if (broker->count < broker->room)
        return true;
    struct pollfd *polled = realloc(broker->polled, room * sizeof *polled);
    if (!polled)
        return false;
    broker->polled = polled;
    struct client *clients = realloc(broker->clients, room * sizeof *clients);
    if (!clients)
        return false;
    broker->clients = clients;
    broker->room = room;
    return true;
}

static int polled_add(struct broker *broker, int fd)
{
    if (!room_make(broker))
        return -ENOMEM;
    broker->polled[broker->count] = (struct pollfd){.fd = fd, .events = POLLIN};
    broker->clients[broker->count++] = (struct client){0};
    return 0;
}

static void client_accept(struct broker *broker)
{
    int fd = accept4(broker->polled[LISTENER].fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0 && (errno == EMFILE || errno == ENFILE))
        tmbi_warn(
            "broker: too few open files are allowed for another process (ulimit -n)");
    if (fd < 0)
        return;
    if (polled_add(broker, fd))
        close(fd);
}

static void clients_beat(struct broker *broker)
{
    int64_t now = tmbi_clock_ns();

    if (now < broker->beat)
        return;
    broker->beat = now + TMBI_BEAT_NS;
    for (uint32_t i = FIRST; i < broker->count; i++) {
        struct client *client = &broker->clients[i];
        struct tmbi_slot *slot = &broker->region.slots[client->slot];
        if (client->welcomed &&
            tmbi_slot_word(slot) == TMBI_SLOT_WORD(TMBI_SLOT_LIVE, client->epoch))
            tmbi_beat(slot);
    }
}

static void serve(struct broker *broker)
{
    while (!broker->polled[SIGNALS].revents) {
        int ready = poll(broker->polled, broker->count, TMBI_BEAT_MS / 2);
        clients_beat(broker);
        if (ready <= 0)
            continue;
        /* Backwards, for whoever ends is replaced by the last, which was looked at. */
        for (uint32_t i = broker->count; i-- > FIRST;)
            if (broker->polled[i].revents && !client_hear(broker, i))
                client_end(broker, i);
        if (broker->polled[LISTENER].revents)
            client_accept(broker);
    }
}

/* ---- starting and ending ---- */

static int region_open(struct broker *broker)
{
    const struct tmbi_vfio_device *device = &broker->device;
    void *at = mmap(NULL, device->region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                    device->device, (off_t)device->region_at);

    if (at == MAP_FAILED) {
        int status = -errno;
        tmbi_error("device %s: its memory can't be mapped: %s", device->address,
                   strerror(-status));
        return status;
    }
    int status = tmbi_region_attach(&broker->region, at, device->region_bytes);
    if (!status && broker->region.vectors == 0) {
        tmbi_error(
            "device %s: its region was made without a server, and has no doorbells",
            device->address);
        status = -EPROTO;
    }
    if (status)
        munmap(at, device->region_bytes);
    return status;
}

static int device_open(struct broker *broker, const struct tmbi_broker_options *options)
{
    int status = tmbi_vfio_device_open(options->device, options->bind, &broker->device);

    if (status)
        return status;
    status = tmbi_vfio_device_id(&broker->device, &broker->id);
    if (!status)
        status = region_open(broker);
    if (status) {
        tmbi_vfio_device_close(&broker->device);
        return status;
    }
    broker->vectors = broker->device.vectors < broker->region.vectors
                          ? broker->device.vectors
                          : broker->region.vectors;
    /* Whoever was served by a former broker has ended, or we would not have the device.
     */
    tmbi_slots_gone(&broker->region, broker->id, survivors_ring, broker);
    return 0;
}

/* SIGTERM and SIGINT are read from a descriptor. */
static int signals_open(struct broker *broker)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    int status = polled_add(broker, fd);
    if (status)
        close(fd);
    return status;
}

static int listener_open(struct broker *broker, const struct tmbi_broker_options *options)
{
    int fd;
    int status = tmbi_listen(options->socket, options->group, &fd);

    if (status)
        return status;
    status = polled_add(broker, fd);
    if (status)
        close(fd);
    return status;
}

/* Processes find the connection's end, and go on by themselves. */
static void broker_close(struct broker *broker)
{
    for (uint32_t i = 0; i < broker->count; i++)
        close(broker->polled[i].fd);
    munmap(broker->region.base, broker->region.size);
    tmbi_vfio_device_close(&broker->device);
    free(broker->polled);
    free(broker->clients);
}

int tmbi_broker_run(const struct tmbi_broker_options *options)
{
    struct broker broker = {0};
    int status = device_open(&broker, options);

    if (status)
        return status;
    status = signals_open(&broker);
    if (!status)
        status = listener_open(&broker, options);
    if (!status) {
        tmbi_info("broker: device %s (peer ID %u, %u vectors) at %s",
                  broker.device.address, broker.id, broker.vectors, options->socket);
        serve(&broker);
        unlink(options->socket);
    }
    broker_close(&broker);
    return status;
}
