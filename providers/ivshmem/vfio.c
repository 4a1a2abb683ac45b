/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The way in from a guest by the kernel's own vfio-pci, which only one process can have:
 * the machine's broker (broker.h) hands out the device, an eventfd for each line, and a
 * slot, and by our connection's end it knows ours.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../core/log.h"
#include "broker.h"
#include "heartbeat.h"
#include "vfio_device.h"

#define PATIENCE_S 10

struct vfio {
    struct tmbi_way way; /* first */
    int broker, device;
    uint64_t registers_at;
    uint8_t *memory;
    size_t bytes;
    _Atomic bool lost; /* the broker has gone; relaxed */
    bool beats;        /* our own heart will then; all is set up */
    struct tmbi_heart heart;
};

static void vfio_ring(struct tmbi_way *way, uint32_t doorbell)
{
    const struct vfio *vfio = (const struct vfio *)way;

    tmbi_vfio_ring(vfio->device, vfio->registers_at, doorbell);
}

/* The broker sends nothing: readable is its end. */
static bool vfio_lost(struct tmbi_way *way)
{
    struct vfio *vfio = (struct vfio *)way;
    char byte;

    return recv(vfio->broker, &byte, 1, MSG_DONTWAIT) == 0 &&
           !atomic_exchange_explicit(&vfio->lost, true, memory_order_relaxed);
}

/* Our end is the broker's to tell, or, without it, ours. */
static void heart_end(struct vfio *vfio)
{
    struct tmbi_way *way = &vfio->way;

    vfio_lost(way);
    shutdown(vfio->broker, SHUT_RDWR);
    tmbi_heart_stop(&vfio->heart);
    if (atomic_load_explicit(&vfio->lost, memory_order_relaxed))
        tmbi_slot_gone(&way->region, way->slot, way->epoch);
}

static void vfio_close(struct tmbi_way *way)
{
    struct vfio *vfio = (struct vfio *)way;

    if (vfio->beats)
        heart_end(vfio);
    for (uint32_t line = 0; line < TMBI_LINES; line++)
        if (way->bell[line] >= 0)
            close(way->bell[line]);
    if (vfio->memory)
        munmap(vfio->memory, vfio->bytes);
    if (vfio->device >= 0)
        close(vfio->device);
    if (vfio->broker >= 0)
        close(vfio->broker);
    free(vfio);
}

static const struct tmbi_way_ops vfio_ops = {
    .name = "vfio", .ring = vfio_ring, .lost = vfio_lost, .close = vfio_close};

/* ---- talking to the broker ---- */

static int connect_error(const struct vfio *vfio, int error)
{
    tmbi_error("%s: can't connect: %s%s", vfio->way.name, strerror(error),
               error == EACCES || error == EPERM
                   ? ": this user may not use it (tombolo broker --group)"
                   : "");
    return -error;
}

/* -ENODEV: none is there. */
static int broker_connect(struct vfio *vfio, const char *path, const char **why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = PATIENCE_S};

    if (strlen(path) >= sizeof address.sun_path)
        return connect_error(vfio, ENAMETOOLONG);
    strcpy(address.sun_path, path);
    vfio->broker = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (vfio->broker < 0)
        return connect_error(vfio, errno);
    setsockopt(vfio->broker, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(vfio->broker, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (!connect(vfio->broker, (struct sockaddr *)&address, sizeof address))
        return 0;
    if (errno != ENOENT && errno != ECONNREFUSED)
        return connect_error(vfio, errno);
    *why =
        "no broker listens here (as root: tombolo broker --bind; see tombolo-broker(8))";
    return -ENODEV;
}

static int welcome_error(const struct vfio *vfio, int status, const char *what)
{
    tmbi_error("%s: %s: %s", vfio->way.name, what, strerror(-status));
    return status;
}

/* All descriptors that came with a message; how many. More than are due are closed. */
static uint32_t descriptors_take(struct msghdr *message, int *descriptors)
{
    uint32_t taken = 0;

    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head;
         head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = CMSG_LEN(0); at + sizeof(int) <= head->cmsg_len;
             at += sizeof(int)) {
            int fd;
            memcpy(&fd, (uint8_t *)head + at, sizeof fd);
            if (taken < TMBI_BROKER_DESCRIPTORS)
                descriptors[taken++] = fd;
            else
                close(fd);
        }
    }
    return taken;
}

static int welcome_receive(struct vfio *vfio, struct tmbi_broker_welcome *welcome)
{
    int descriptors[TMBI_BROKER_DESCRIPTORS];
    char control[CMSG_SPACE(sizeof descriptors)];
    struct iovec part = {welcome, sizeof *welcome};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};

    ssize_t got = recvmsg(vfio->broker, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC);
    if (got < 0)
        return welcome_error(vfio, errno == EAGAIN ? -ETIMEDOUT : -errno, "no answer");
    uint32_t taken = descriptors_take(&message, descriptors);
    vfio->device = taken > 0 ? descriptors[0] : -1; /* closed with the way */
    for (uint32_t line = 0; line < TMBI_LINES && line + 1 < taken; line++)
        vfio->way.bell[line] = descriptors[1 + line];
    if (got != (ssize_t)sizeof *welcome || welcome->magic != TMBI_BROKER_MAGIC)
        return welcome_error(vfio, -EPROTO, "it is no broker of Tombolo's");
    if (welcome->version != TMBI_BROKER_VERSION)
        return welcome_error(vfio, -EPROTO, "it is of another version");
    if (welcome->status < 0)
        return welcome_error(vfio, welcome->status, "refuses us; its log says why");
    if (taken != TMBI_BROKER_DESCRIPTORS)
        return welcome_error(vfio, -EPROTO, "its descriptors did not all come");
    return 0;
}

static int greet(struct vfio *vfio, struct tmbi_broker_welcome *welcome)
{
    const struct tmbi_broker_hello hello = {.magic = TMBI_BROKER_MAGIC,
                                            .version = TMBI_BROKER_VERSION};

    if (send(vfio->broker, &hello, sizeof hello, MSG_NOSIGNAL) != (ssize_t)sizeof hello)
        return welcome_error(vfio, -errno, "can't be spoken to");
    return welcome_receive(vfio, welcome);
}

/* ---- opening ---- */

/* The slot is LIVE and of our machine, and so are the doorbells. */
static bool welcome_valid(const struct tmbi_region *region,
                          const struct tmbi_broker_welcome *welcome)
{
    if (welcome->id >= TMBI_PEER_IDS || welcome->slot >= region->slot_count)
        return false;
    const struct tmbi_slot *slot = &region->slots[welcome->slot];
    for (uint32_t line = 0; line < TMBI_LINES; line++)
        if (welcome->doorbell[line] == TMBI_DOORBELL_NONE ||
            !tmbi_doorbell_valid(welcome->doorbell[line], welcome->id, region->vectors))
            return false;
    return tmbi_slot_word(slot) == TMBI_SLOT_WORD(TMBI_SLOT_LIVE, welcome->epoch) &&
           slot->peer_id == welcome->id && slot->epoch == welcome->epoch;
}

static int region_open(struct vfio *vfio, const struct tmbi_broker_welcome *welcome)
{
    struct tmbi_way *way = &vfio->way;

    if (welcome->region_bytes > TMBI_REGION_MAX)
        return welcome_error(vfio, -EPROTO, "its region is too large");
    void *at = mmap(NULL, welcome->region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                    vfio->device, (off_t)welcome->region_at);
    if (at == MAP_FAILED)
        return welcome_error(vfio, -errno, "the region can't be mapped");
    vfio->memory = at;
    vfio->bytes = welcome->region_bytes;
    int status = tmbi_region_attach(&way->region, vfio->memory, vfio->bytes);
    if (!status && !welcome_valid(&way->region, welcome))
        status = welcome_error(vfio, -EPROTO, "its slot or doorbells are none");
    if (status)
        return status;
    way->id = welcome->id;
    way->slot = welcome->slot;
    way->epoch = welcome->epoch;
    memcpy(way->doorbell, welcome->doorbell, sizeof way->doorbell);
    vfio->registers_at = welcome->registers_at;
    tmbi_way_introduce(way);
    return 0;
}

static int vfio_open(struct vfio *vfio, const char *path, const char *wanted,
                     const char **why)
{
    struct tmbi_broker_welcome welcome;

    int status = broker_connect(vfio, path, why);
    if (!status)
        status = greet(vfio, &welcome);
    if (!status && wanted && strncmp(wanted, welcome.device, sizeof welcome.device)) {
        *why = "the broker here serves another device";
        status = -ENODEV;
    }
    if (!status)
        status = region_open(vfio, &welcome);
    if (status)
        return status;
    vfio->way.watched = vfio->broker;
    status = tmbi_heart_start(&vfio->heart, &vfio->way.region.slots[vfio->way.slot],
                              vfio->way.epoch, vfio->broker);
    vfio->beats = !status;
    return status;
}

int tmbi_vfio_open(const char *which, struct tmbi_way **way, const char **why)
{
    const char *path = which && strchr(which, '/') ? which : TMBI_BROKER_SOCKET;
    const char *wanted = path == which ? NULL : which;
    struct vfio *vfio = malloc(sizeof *vfio);

    if (!vfio)
        return -ENOMEM;
    *vfio = (struct vfio){
        .way = {.ops = &vfio_ops, .watched = -1, .enlarge = "the server's --size"},
        .broker = -1,
        .device = -1};
    memset(vfio->way.bell, -1, sizeof vfio->way.bell);
    snprintf(vfio->way.name, sizeof vfio->way.name, "broker %s", path);
    int status = vfio_open(vfio, path, wanted, why);
    if (status)
        vfio_close(&vfio->way);
    else
        *way = &vfio->way;
    return status;
}
