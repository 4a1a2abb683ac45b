/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A way to the region: how this process got at it, how it rings and how it is rung. One
 * file for each (host.c, uio.c, vfio.c, plain.c), and the same code above them all.
 *
 * A doorbell is named as the device names it: peer ID << 16 | vector. Who can't be rung
 * has TMBI_DOORBELL_NONE, and polls.
 */
#ifndef TMBI_WAY_H
#define TMBI_WAY_H

#include "../../core/provider.h"
#include "region.h"

#define TMBI_PEER_IDS    65536u /* an ID has 16 bits */
#define TMBI_VECTORS_MAX 64u

static inline uint32_t tmbi_doorbell(uint32_t id, uint32_t vector)
{
    return id << 16 | vector;
}

/* What a slot may name for a machine: one of its own that the region has, or none. */
static inline bool tmbi_doorbell_valid(uint32_t doorbell, uint32_t id, uint32_t vectors)
{
    return doorbell == TMBI_DOORBELL_NONE ||
           (id < TMBI_PEER_IDS && doorbell >> 16 == id && (doorbell & 0xffff) < vectors);
}

struct tmbi_way;

struct tmbi_way_ops {
    const char *name; /* as in TMB_IVSHMEM_DEVICE */

    /* Make sure that these doorbells, all of one peer, can be rung from now on. -EAGAIN:
     * not yet, at the deadline. -ECONNRESET: whoever tells of them is gone. Others are
     * logged. NULL: all always can. */
    int (*meet)(struct tmbi_way *way, const uint32_t *doorbells, uint32_t count,
                int64_t deadline);
    /* All whom we ring have been met: forget the others. NULL: nothing to forget. */
    void (*met)(struct tmbi_way *way, const uint32_t *doorbells, uint32_t count);

    /* Ring a doorbell that was met. Never blocks, never fails. */
    void (*ring)(struct tmbi_way *way, uint32_t doorbell);

    /* Map a piece of the region, whole pages, once more, anywhere: munmap(). Failures are
     * logged. NULL: the region can be mapped as a whole only, or is no ordinary memory.
     */
    int (*map)(struct tmbi_way *way, uint64_t offset, size_t bytes, void **at);

    /* `watched` is readable. True once: whoever reports deaths has gone. */
    bool (*lost)(struct tmbi_way *way);

    /* Say that this process ends in good order. NULL: its slot says so. */
    int (*leave)(struct tmbi_way *way);

    /* Hand back everything: the end of this process is seen from now on. */
    void (*close)(struct tmbi_way *way);
};

struct tmbi_way {
    const struct tmbi_way_ops *ops;
    char name[160]; /* for messages: "server /run/x", "device 0000:00:04.0" */
    struct tmbi_region region;
    uint32_t id;    /* our peer ID, or our machine's, or from TMBI_PEER_POLLS on */
    uint32_t slot;  /* ours, LIVE */
    uint32_t epoch; /* of it */
    uint32_t doorbell[TMBI_LINES];
    int bell[TMBI_LINES]; /* becomes readable, edge-triggered, when that doorbell was
                             rung; -1: there is no doorbell, and sleepers poll */
    bool unreported;      /* nobody reports the deaths of processes: peers see to it */
    int watched;          /* a descriptor for lost(), or -1 */
    const char *enlarge;  /* what makes a larger region, for messages */
};

struct tmbi_way_config {
    const char *server; /* socket, or NULL */
    const char *device; /* TMB_IVSHMEM_DEVICE, or NULL */
    uint64_t private_bytes;
    bool alone; /* a job of one: a region of our own will do */
};

/*
 * Take the way that the configuration names, or the best that works here; which, and why
 * no better one, is logged at info. The slot is claimed, LIVE, and names this process.
 * -ENODEV: there is no region to be had here, and nobody named one (logged at info).
 * Others are logged with what to do.
 */
int tmbi_way_open(const struct tmbi_way_config *config, int64_t deadline,
                  struct tmbi_way **way);

/* The least size of a region that has so many bytes. */
uint64_t tmbi_way_region_bytes(uint64_t bytes);

/* LIVE -> LEFT: nobody will take our end for a death. */
void tmbi_way_leave(struct tmbi_way *way);

static inline void tmbi_way_close(struct tmbi_way *way)
{
    way->ops->close(way);
}

/* For map(): by a descriptor, in which the region begins at `start`. */
int tmbi_way_map_file(const struct tmbi_way *way, int fd, uint64_t start, uint64_t offset,
                      size_t bytes, void **at);

/* Name this process and its doorbells in its slot, which is LIVE. */
void tmbi_way_introduce(struct tmbi_way *way);

/* The ways themselves: as tmbi_way_open(). */
int tmbi_host_open_way(const char *path, int64_t deadline, struct tmbi_way **way);
int tmbi_host_private_way(uint64_t bytes, struct tmbi_way **way);
/* `which`: a device's address, or NULL: the first. -ENODEV: no such device has the
 * module; *why is then a sentence for the user. */
int tmbi_uio_open(const char *which, struct tmbi_way **way, const char **why);
/* `which`: also the broker's socket. */
int tmbi_vfio_open(const char *which, struct tmbi_way **way, const char **why);
/* `which`: also the path of a file. NULL: the first device that the module presents. */
int tmbi_plain_open(const char *which, struct tmbi_way **way, const char **why);
/* The same, and without the module any device, by sysfs. */
int tmbi_plain_open_any(const char *which, struct tmbi_way **way, const char **why);

#endif
