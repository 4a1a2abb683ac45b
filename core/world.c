/* SPDX-License-Identifier: BSD-3-Clause */
/* The world: all ranks of the job, once each has a route to every other. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "meet.h"
#include "routes.h"
#include "team.h"
#include "topology.h"
#include "wake.h"

static int ranks_on_host(void)
{
    uint64_t mine, host;
    int64_t pid;
    int me = tmbi_context.bootstrap.job.rank;
    int count = 0;

    tmbi_context.routes[me].ep->ops->peer_host(tmbi_context.routes[me].ep, me, &mine,
                                               &pid);
    for (int i = 0; i < tmbi_context.bootstrap.job.size; i++) {
        struct tmbi_endpoint *ep = tmbi_context.routes[i].ep;

        ep->ops->peer_host(ep, i, &host, &pid);
        count += host == mine;
    }
    return count;
}

/* What a sleep and its end cost, and what it may come to where all are busy. */
#define SPIN_LEAST_NS 20000
#define SPIN_MOST_NS  160000

/* Spinning pays only while the rank that is waited for has a CPU of its own. A rank that
 * is bound to one CPU has that. */
static void spin_choose(int64_t *least_ns, int64_t *most_ns)
{
    int cpus = tmbi_topology_cpus();

    *least_ns = *most_ns = tmbi_context.config.spin_ns;
    if (tmbi_context.config.spin_ns >= 0)
        return;
    if (cpus == 1)
        cpus = tmbi_topology_online();
    *least_ns = ranks_on_host() <= cpus ? SPIN_LEAST_NS : 0;
    *most_ns = *least_ns ? SPIN_MOST_NS : 0;
}

/* What they tell each other of the world. */
struct world_part {
    int32_t status;
    uint32_t reserved;
    struct tmbi_location location;
    struct tmbi_window_desc sync;
};
_Static_assert(sizeof(struct world_part) == 8 + 48 + 152, "world part layout");

static void location_fill(struct tmbi_location *location)
{
    char name[HOST_NAME_MAX + 1] = "?";

    gethostname(name, sizeof(name) - 1);
    memset(location, 0, sizeof(*location));
    memcpy(location->host, name, strnlen(name, sizeof(location->host) - 1));
    location->host[strcspn(location->host, ".")] = '\0';
    for (int i = 0; i < tmbi_context.endpoint_count && !location->region[0]; i++)
        memcpy(location->region, tmbi_context.endpoints[i]->region,
               sizeof(location->region));
}

/* What a peer calls itself goes to terminals and logs. */
static void name_take(char *name, const char *told, size_t bytes)
{
    memset(name, 0, bytes);
    for (size_t i = 0; i + 1 < bytes && told[i]; i++)
        name[i] = told[i] > ' ' && told[i] <= '~' ? told[i] : '?';
}

static void locations_take(const struct world_part *parts)
{
    for (int i = 0; i < tmbi_context.bootstrap.job.size; i++) {
        struct tmbi_location *location = &tmbi_context.routes[i].location;

        name_take(location->host, parts[i].location.host, sizeof(location->host));
        name_take(location->region, parts[i].location.region, sizeof(location->region));
    }
}

static int world_make(const struct world_part *parts, struct tmb_win *sync)
{
    const struct tmbi_job *job = &tmbi_context.bootstrap.job;
    int64_t least_ns, most_ns;
    int rc = 0;

    for (int i = 0; rc == 0 && i < job->size; i++)
        rc = parts[i].status;
    if (rc)
        return rc;
    spin_choose(&least_ns, &most_ns);
    tmbi_wake_start(tmbi_context.endpoints[0], job->rank, least_ns, most_ns);
    rc = tmbi_team_world(job->size, job->rank, sync, &parts->sync, sizeof(*parts),
                         &tmbi_context.world);
    if (rc)
        tmbi_wake_stop();
    return rc;
}

int tmbi_world_meet(int rc, int64_t deadline)
{
    int size = tmbi_context.bootstrap.job.size;
    struct world_part *parts = calloc((size_t)size + 1, sizeof(*parts));
    struct world_part *mine = parts + size;
    struct tmb_win *sync = NULL;
    int met;

    if (!parts)
        return -ENOMEM;
    if (rc == 0)
        rc = tmbi_window_local(TMBI_WINDOW_ALLOC, NULL, tmbi_sync_bytes(size), 0, size,
                               &sync, &mine->sync);
    mine->status = rc;
    location_fill(&mine->location);
    met = tmbi_meet_exchange(mine, sizeof(*mine), parts, deadline);
    rc = rc ? rc : met;
    if (met == 0) {
        locations_take(parts);
        tmbi_routes_log();
    }
    if (rc == 0)
        rc = world_make(parts, sync);
    if (met == 0) /* the parts are read: their memory serves for the answers */
        rc = tmbi_meet_agree(rc, (int32_t *)parts, deadline);
    free(parts);
    if (rc && tmbi_context.world) {
        tmbi_wake_stop();
        tmbi_team_release(tmbi_context.world, true);
        tmbi_context.world = NULL;
    }
    if (rc && sync)
        tmbi_window_release(sync);
    return rc;
}
