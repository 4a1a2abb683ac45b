/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks that share a region: opening, meeting, leaving. */
#include "ivshmem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../core/env.h"
#include "../../core/log.h"

static const struct tmbi_env_var env_vars[] = {
    {.name = "TMB_SERVER",
     .type = TMBI_ENV_STRING,
     .meaning = "Socket of the server whose region the job uses; `tombolo run` sets it.",
     .field = offsetof(struct tmbi_ivshmem_config, way.server)},
    {.name = "TMB_IVSHMEM_DEVICE",
     .type = TMBI_ENV_STRING,
     .meaning =
         "In a guest: which ivshmem device the job uses, and how: uio, vfio or plain, "
         "a PCI address, or both, as uio:0000:00:04.0; by default the best that "
         "works. On a host: plain:FILE.",
     .field = offsetof(struct tmbi_ivshmem_config, way.device)},
    {.name = "TMB_IVSHMEM_CMA",
     .type = TMBI_ENV_CHOICE,
     .fallback = "auto",
     .choices = "auto|on|off",
     .meaning = "Copy to and from windows on a peer's own memory by process_vm_writev: "
                "where permitted, or else fail, or never (its agent copies).",
     .field = offsetof(struct tmbi_ivshmem_config, cma)},
    {.name = "TMB_IVSHMEM_ADOPT",
     .type = TMBI_ENV_CHOICE,
     .fallback = "safe",
     .choices = "safe|eager|inner|off",
     .meaning =
         "With TMB_WIN_ADOPT, which pages are replaced: those with other data at a "
         "window's ends if nobody can notice; also if other threads' system calls might "
         "fail that write to these at that moment (EFAULT); none of these; or none at "
         "all.",
     .field = offsetof(struct tmbi_ivshmem_config, adopt)},
    {.name = "TMB_IVSHMEM_HEARTBEAT",
     .type = TMBI_ENV_DURATION,
     .fallback = "10s",
     .meaning =
         "For how long a rank's heartbeat may stop, as when its virtual machine is "
         "paused, before it is declared dead; forever: it never is.",
     .field = offsetof(struct tmbi_ivshmem_config, heartbeat_ns)},
    {.name = "TMB_IVSHMEM_PRIVATE_SIZE",
     .type = TMBI_ENV_SIZE,
     .fallback = "64M",
     .meaning = "Memory for windows in a job of one rank without a server; rounded up to "
                "a power of two.",
     .min = TMBI_REGION_MIN,
     .max = TMBI_REGION_MAX,
     .field = offsetof(struct tmbi_ivshmem_config, way.private_bytes)},
    {.name = "TMB_IVSHMEM_HOST_SIZE",
     .type = TMBI_ENV_SIZE,
     .fallback = "4G",
     .meaning = "Size of the region that ranks of one host make for themselves, where "
                "neither a launcher nor TMB_SERVER gives them one; rounded up to a power "
                "of two. Memory is used as it is touched.",
     .min = TMBI_REGION_MIN,
     .max = TMBI_REGION_MAX,
     .field = offsetof(struct tmbi_ivshmem_config, host_bytes)},
    {.name = "TMB_TOMBOLO",
     .type = TMBI_ENV_STRING,
     .fallback = TMBI_BINDIR "/tombolo",
     .meaning = "The command that serves that region.",
     .field = offsetof(struct tmbi_ivshmem_config, command)},
};

static const struct tmbi_env_table env = {
    .owner = "ivshmem", .vars = env_vars, .count = sizeof env_vars / sizeof *env_vars};

#define CAPS (TMBI_CAP_MAPPED | TMBI_CAP_CREATE | TMBI_CAP_DOORBELL | TMBI_CAP_DEATH)

/* ---- opening ---- */

static int job_open(struct tmbi_ivshmem *iv)
{
    const struct tmbi_job *job = iv->head.job;

    return tmbi_job_join(iv->region, iv->way->slot, job->name, (uint32_t)job->size,
                         job->rank, tmbi_op_deadline(), &iv->job);
}

static int endpoint_open(struct tmbi_ivshmem *iv)
{
    int status = tmbi_way_open(&iv->config.way, tmbi_op_deadline(), &iv->way);

    if (status)
        return status;
    iv->region = &iv->way->region;
    status = job_open(iv);
    if (status)
        goto close_way;
    status = tmbi_arena_init(&iv->arena, iv->region, iv->job);
    if (status)
        goto close_way;
    status = tmbi_calls_open(iv);
    if (status)
        goto fini_arena;
    status = tmbi_ivshmem_bells_open(iv);
    if (status)
        goto close_calls;
    return 0;

close_calls:
    tmbi_calls_close(iv);
fini_arena:
    tmbi_arena_fini(&iv->arena);
close_way:
    tmbi_way_close(iv->way);
    return status;
}

/* The beginning of its random number: enough to tell a job's regions apart. */
static void region_name(struct tmbi_ivshmem *iv)
{
    const uint8_t *uuid = iv->region->uuid;

    snprintf(iv->head.region, sizeof iv->head.region, "%02x%02x%02x%02x", uuid[0],
             uuid[1], uuid[2], uuid[3]);
}

int tmbi_ivshmem_config_load(struct tmbi_ivshmem_config *config)
{
    return tmbi_env_load(&env, config);
}

static int ivshmem_open(const struct tmbi_job *job, const char *place,
                        struct tmbi_endpoint **ep)
{
    struct tmbi_ivshmem *iv = calloc(1, sizeof *iv);

    if (!iv)
        return -ENOMEM;
    iv->head.ops = &tmbi_provider_ivshmem;
    iv->head.job = job;
    iv->head.call_bytes = TMBI_CALL_BYTES;
    int status = tmbi_ivshmem_config_load(&iv->config);
    iv->config.way.alone = job->size == 1;
    if (place)
        iv->config.way.server = place;
    if (!status)
        status = tmbi_ivshmem_identify(iv);
    if (!status)
        status = endpoint_open(iv);
    if (status) {
        free(iv);
        return place ? -ENODEV : status; /* nobody asked for that place */
    }
    iv->head.deaths = &iv->region->header->deaths;
    region_name(iv);
    iv->head.caps = CAPS;
    if (iv->way->bell[TMBI_LINE_WAIT] < 0)
        iv->head.caps &= ~TMBI_CAP_DOORBELL;
    if (iv->way->unreported) /* from other machines it comes by heartbeat only */
        iv->head.caps &= ~TMBI_CAP_DEATH;
    tmbi_adoption_init(&iv->adoption, &iv->arena, iv->way,
                       (enum tmbi_adopt_choice)iv->config.adopt);
    tmbi_ivshmem_cma_permit(iv);
    *ep = &iv->head;
    return 0;
}

/* Leaving is said before the way ends: an end without it is a death.
 * Our pages stay the job's, for peers may still look at the endpoint block. */
static void ivshmem_close(struct tmbi_endpoint *ep, bool leaving)
{
    struct tmbi_ivshmem *iv = tmbi_ivshmem(ep);

    if (leaving)
        tmbi_way_leave(iv->way);
    tmbi_ivshmem_bells_close(iv);
    tmbi_calls_close(iv);
    tmbi_adoption_fini(&iv->adoption);
    tmbi_arena_fini(&iv->arena);
    tmbi_way_close(iv->way);
    tmbi_watch_fini(&iv->watch);
    free(iv->ranks);
    free(iv);
}

const struct tmbi_provider tmbi_provider_ivshmem = {
    .name = "ivshmem",
    .caps = CAPS,
    .env = &env,
    .open = ivshmem_open,
    .place_host = tmbi_ivshmem_place_host,
    .place_make = tmbi_ivshmem_place_make,
    .close = ivshmem_close,
    .address = tmbi_ivshmem_address,
    .connect = tmbi_ivshmem_connect,
    .reach = tmbi_ivshmem_reach,
    .peer_state = tmbi_ivshmem_peer_state,
    .peer_host = tmbi_ivshmem_peer_host,
    .wake_slot = tmbi_ivshmem_wake_slot,
    .ring = tmbi_ivshmem_ring,
    .sleep = tmbi_ivshmem_sleep,
    .mem_alloc = tmbi_ivshmem_mem_alloc,
    .mem_create = tmbi_ivshmem_mem_create,
    .mem_adopt = tmbi_ivshmem_mem_adopt,
    .mem_free = tmbi_ivshmem_mem_free,
    .mem_key = tmbi_ivshmem_mem_key,
    .mem_attach = tmbi_ivshmem_mem_attach,
    .mem_detach = tmbi_ivshmem_mem_detach,
    .block_alloc = tmbi_ivshmem_block_alloc,
    .block_free = tmbi_ivshmem_block_free,
    .put = tmbi_ivshmem_put,
    .get = tmbi_ivshmem_get,
    .flush = tmbi_ivshmem_flush,
    .call = tmbi_ivshmem_call,
    .serve = tmbi_ivshmem_serve,
    .serve_pending = tmbi_ivshmem_serve_pending,
};
