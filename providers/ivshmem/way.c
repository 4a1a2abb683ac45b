/* SPDX-License-Identifier: BSD-3-Clause */
/* Which way to take, and what all ways have in common. */
#include "way.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../core/clock.h"
#include "../../core/log.h"

void tmbi_way_introduce(struct tmbi_way *way)
{
    struct tmbi_slot *slot = &way->region.slots[way->slot];

    slot->pid = getpid();
    slot->host = tmbi_host_identity();
    for (uint32_t line = 0; line < TMBI_LINES; line++)
        slot->wake[line].doorbell = way->doorbell[line];
}

void tmbi_way_leave(struct tmbi_way *way)
{
    if (!way->ops->leave || way->ops->leave(way))
        tmbi_slot_leave(&way->region, way->slot, way->epoch);
}

/* ---- choosing ---- */

uint64_t tmbi_way_region_bytes(uint64_t bytes)
{
    uint64_t power = TMBI_REGION_MIN;

    while (power < bytes)
        power *= 2;
    return power;
}

/* A way by a device of this machine. `open` of -ENODEV has a sentence in *why. */
struct candidate {
    const char *name;
    int (*open)(const char *which, struct tmbi_way **way, const char **why);
    int (*open_named)(const char *which, struct tmbi_way **way, const char **why);
};

/* The best first. What only some can use, or nobody wants who has a choice, is used when
 * it is named. */
static const struct candidate candidates[] = {
    {"uio", tmbi_uio_open, tmbi_uio_open},
    {"vfio", tmbi_vfio_open, tmbi_vfio_open},
    {"plain", tmbi_plain_open, tmbi_plain_open_any},
};
#define CANDIDATES (sizeof candidates / sizeof *candidates)

/* "plain", "plain:0000:00:04.0", or an address alone: then NULL. */
static const struct candidate *device_parse(const char *text, const char **which)
{
    *which = NULL;
    if (!text || !strcmp(text, "auto"))
        return NULL;
    for (size_t i = 0; i < CANDIDATES; i++) {
        size_t length = strlen(candidates[i].name);
        if (strncmp(text, candidates[i].name, length) ||
            (text[length] && text[length] != ':'))
            continue;
        *which = text[length] && text[length + 1] ? text + length + 1 : NULL;
        return &candidates[i];
    }
    *which = text;
    return NULL;
}

static int named_open(const char *device, const struct candidate *named,
                      const char *which, struct tmbi_way **way)
{
    const char *why = NULL;
    int status = named->open_named(which, way, &why);

    if (status != -ENODEV)
        return status;
    tmbi_error("TMB_IVSHMEM_DEVICE=%s: %s", device, why);
    return -ENOENT;
}

static int device_open(const struct tmbi_way_config *config, struct tmbi_way **way)
{
    const char *which, *why[CANDIDATES];
    const struct candidate *named = device_parse(config->device, &which);

    if (named)
        return named_open(config->device, named, which, way);
    if (which && !strchr(which, ':')) {
        tmbi_error("TMB_IVSHMEM_DEVICE=%s: is neither a way (uio, vfio or plain) nor the "
                   "address of a device, such as 0000:00:04.0",
                   config->device);
        return -EINVAL;
    }
    for (size_t i = 0; i < CANDIDATES; i++) {
        int status = candidates[i].open(which, way, &why[i]);
        if (status != -ENODEV)
            return status;
        tmbi_info("ivshmem: not by way of %s: %s", candidates[i].name, why[i]);
    }
    if (config->device)
        tmbi_error("TMB_IVSHMEM_DEVICE=%s: %s", config->device, why[0]);
    else
        tmbi_unusable("ivshmem: no region: TMB_SERVER names no server, and %s", why[0]);
    return config->device ? -ENOENT : -ENODEV;
}

int tmbi_way_open(const struct tmbi_way_config *config, int64_t deadline,
                  struct tmbi_way **way)
{
    int status;

    if (config->server && config->device) {
        tmbi_error(
            "TMB_SERVER=%s and TMB_IVSHMEM_DEVICE=%s: a job uses one region; unset "
            "one of them",
            config->server, config->device);
        return -EINVAL;
    }
    if (config->server)
        status = tmbi_host_open_way(config->server, deadline, way);
    else if (config->alone && !config->device)
        status = tmbi_host_private_way(tmbi_way_region_bytes(config->private_bytes), way);
    else
        status = device_open(config, way);
    if (!status)
        tmbi_info("ivshmem: region of %llu KiB by way of %s (%s)",
                  (unsigned long long)(*way)->region.size >> 10, (*way)->ops->name,
                  (*way)->name);
    return status;
}

int tmbi_way_map_file(const struct tmbi_way *way, int fd, uint64_t start, uint64_t offset,
                      size_t bytes, void **at)
{
    *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
               (off_t)(start + offset));
    if (*at != MAP_FAILED)
        return 0;
    int status = -errno;
    tmbi_error("%s: %zu bytes of the region can't be mapped once more: %s", way->name,
               bytes, strerror(-status));
    return status;
}
