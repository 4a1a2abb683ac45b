/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening providers, meeting the other ranks, and finding a route to each. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "team.h"
#include "topology.h"
#include "wake.h"

/* ---- providers ---- */

static const struct tmbi_provider *provider_named(const char *name, size_t length)
{
    size_t count;
    const struct tmbi_provider *const *providers = tmbi_providers(&count);

    for (size_t i = 0; i < count; i++)
        if (strlen(providers[i]->name) == length &&
            !strncmp(providers[i]->name, name, length))
            return providers[i];
    return NULL;
}

static int endpoint_open(const struct tmbi_provider *provider)
{
    struct tmbi_endpoint *ep;
    int rc = provider->open(&tmbi_context.bootstrap.job, &ep);

    if (rc == 0)
        tmbi_context.endpoints[tmbi_context.endpoint_count++] = ep;
    else if (rc == -ENODEV)
        tmbi_info("provider %s can't be used here", provider->name);
    return rc == -ENODEV ? 0 : rc;
}

static int endpoints_open_listed(const char *list)
{
    int rc = 0;

    for (const char *name = list; rc == 0 && *name;) {
        size_t length = strcspn(name, ",");
        const struct tmbi_provider *provider = provider_named(name, length);

        if (!provider) {
            tmbi_error(
                "TMB_PROVIDER=%s: no provider \"%.*s\"; `tombolo info` lists those "
                "that are built, and \"auto\" takes the best",
                list, (int)length, name);
            return -EINVAL;
        }
        rc = endpoint_open(provider);
        name += length;
        name += *name == ',';
    }
    return rc;
}

static int endpoints_open_all(void)
{
    size_t count;
    const struct tmbi_provider *const *providers = tmbi_providers(&count);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = endpoint_open(providers[i]);
    return rc;
}

static int endpoints_open(void)
{
    const char *list = tmbi_context.config.provider;
    int rc = strcmp(list, "auto") ? endpoints_open_listed(list) : endpoints_open_all();

    if (rc == 0 && tmbi_context.endpoint_count == 0) {
        tmbi_error("TMB_PROVIDER=%s: none of these can be used here (TMB_LOG=info says "
                   "why); ranks are started with `tombolo run`",
                   list);
        return -ENODEV;
    }
    return rc;
}

void tmbi_endpoints_close(bool leaving)
{
    while (tmbi_context.endpoint_count > 0) {
        struct tmbi_endpoint *ep = tmbi_context.endpoints[--tmbi_context.endpoint_count];

        ep->ops->close(ep, leaving);
    }
}

/* ---- meeting the other ranks ---- */

#define HELLO_MAGIC UINT64_C(0x4f4c4c45482d4254)

/* What ranks tell each other when they meet. */
struct hello {
    uint64_t magic;
    uint32_t version[3];
    int32_t status; /* why this rank can't join, or 0 */
    uint8_t addresses[TMBI_ENDPOINTS_MAX][TMBI_ADDRESS_BYTES];
    struct tmbi_window_desc sync;
};
_Static_assert(sizeof(struct hello) == 24 + 256 + 88, "hello layout");

static void hello_fill(struct hello *hello, int status,
                       const struct tmbi_window_desc *sync)
{
    memset(hello, 0, sizeof(*hello));
    hello->magic = HELLO_MAGIC;
    hello->version[0] = TMB_VERSION_MAJOR;
    hello->version[1] = TMB_VERSION_MINOR;
    hello->version[2] = TMB_VERSION_PATCH;
    hello->status = status;
    hello->sync = *sync;
    for (int i = 0; i < tmbi_context.endpoint_count; i++)
        tmbi_context.endpoints[i]->ops->address(tmbi_context.endpoints[i],
                                                hello->addresses[i]);
}

static int hello_check(const struct hello *hello, int rank)
{
    const struct hello *mine = &hello[tmbi_context.bootstrap.job.rank];

    hello += rank;
    if (hello->magic != HELLO_MAGIC) {
        tmbi_error("tmb_init: rank %d speaks no Tombolo", rank);
        return -EPROTO;
    }
    if (memcmp(hello->version, mine->version, sizeof(hello->version))) {
        tmbi_error("tmb_init: rank %d has Tombolo %u.%u.%u, this rank %u.%u.%u: use one "
                   "version for all",
                   rank, hello->version[0], hello->version[1], hello->version[2],
                   mine->version[0], mine->version[1], mine->version[2]);
        return -EPROTO;
    }
    if (hello->status)
        tmbi_info("tmb_init: rank %d failed: %s", rank, tmb_strerror(hello->status));
    return hello->status;
}

static int hellos_check(const struct hello *hellos, int size)
{
    int rc = 0;

    for (int i = 0; rc == 0 && i < size; i++)
        rc = hello_check(hellos, i);
    return rc;
}

/* The first endpoint that reaches a rank carries all traffic with it. */
static int route_find(int rank)
{
    const char *why = "no provider in use";

    for (int i = 0; i < tmbi_context.endpoint_count; i++) {
        struct tmbi_endpoint *ep = tmbi_context.endpoints[i];

        if (ep->ops->reach(ep, rank, &why) == 0) {
            tmbi_context.routes[rank].ep = ep;
            tmbi_debug("route: rank %d by %s", rank, ep->ops->name);
            return 0;
        }
    }
    tmbi_error("tmb_init: TMB_PROVIDER=%s does not reach rank %d: %s",
               tmbi_context.config.provider, rank, why);
    return -ENODEV;
}

static int routes_make(const struct hello *hellos, int64_t deadline)
{
    int size = tmbi_context.bootstrap.job.size;
    int rc = 0;

    for (int i = 0; rc == 0 && i < tmbi_context.endpoint_count; i++)
        rc = tmbi_context.endpoints[i]->ops->connect(
            tmbi_context.endpoints[i], hellos->addresses[i], sizeof(*hellos), deadline);
    tmbi_context.routes = calloc((size_t)size, sizeof(*tmbi_context.routes));
    if (rc == 0 && !tmbi_context.routes)
        rc = -ENOMEM;
    for (int i = 0; rc == 0 && i < size; i++)
        rc = route_find(i);
    return rc;
}

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

/* Spinning pays only while the rank that is waited for has a CPU of its own. A rank that
 * is bound to one CPU has that. */
static int64_t spin_choose(void)
{
    int cpus = tmbi_topology_cpus();

    if (tmbi_context.config.spin_ns >= 0)
        return tmbi_context.config.spin_ns;
    if (cpus == 1)
        cpus = tmbi_topology_online();
    return ranks_on_host() <= cpus ? 20000 : 0;
}

static int exchange(const void *mine, size_t bytes, void *all, int64_t deadline)
{
    struct tmbi_bootstrap *b = &tmbi_context.bootstrap;

    return b->ops->exchange(b, mine, bytes, all, deadline);
}

/* Every rank says whether it succeeded, so that all join or none. */
static int agree(int rc, int32_t *all, int64_t deadline)
{
    int32_t mine = rc;
    int exchange_rc = exchange(&mine, sizeof(mine), all, deadline);

    for (int i = 0; rc == 0 && exchange_rc == 0 && i < tmbi_context.bootstrap.job.size;
         i++)
        rc = all[i];
    return rc ? rc : exchange_rc;
}

static int world_make(const struct hello *hellos, struct tmb_win *sync, int64_t deadline)
{
    const struct tmbi_job *job = &tmbi_context.bootstrap.job;
    int rc = hellos_check(hellos, job->size);

    if (rc == 0)
        rc = routes_make(hellos, deadline);
    if (rc)
        return rc;
    tmbi_wake_start(tmbi_context.endpoints[0], job->rank, spin_choose());
    rc = tmbi_team_world(job->size, job->rank, sync, &hellos->sync, sizeof(*hellos),
                         &tmbi_context.world);
    if (rc)
        tmbi_wake_stop();
    return rc;
}

/* Say hello, find routes and make the world, all ranks or none. `rc`: an error so far. */
static int meet(int rc, int64_t deadline)
{
    int size = tmbi_context.bootstrap.job.size;
    struct hello *hellos = calloc((size_t)size + 1, sizeof(*hellos));
    struct hello *mine = hellos + size;
    struct tmbi_window_desc desc = {0};
    struct tmb_win *sync = NULL;
    int agreed;

    if (!hellos)
        return -ENOMEM;
    if (rc == 0)
        rc = tmbi_window_local(TMBI_WINDOW_ALLOC, NULL, sizeof(struct tmbi_sync), 0, size,
                               &sync, &desc);
    hello_fill(mine, rc, &desc);
    agreed = exchange(mine, sizeof(*mine), hellos, deadline);
    rc = rc ? rc : agreed;
    if (rc == 0)
        rc = world_make(hellos, sync, deadline);
    if (agreed == 0) /* hellos is read: its memory serves for the answers */
        rc = agree(rc, (int32_t *)hellos, deadline);
    free(hellos);
    if (rc && tmbi_context.world) {
        tmbi_wake_stop();
        tmbi_team_release(tmbi_context.world, true);
        tmbi_context.world = NULL;
    }
    if (rc && sync)
        tmbi_window_release(sync);
    return rc;
}

int tmbi_meet(int64_t deadline)
{
    int rc = meet(endpoints_open(), deadline);

    if (rc) {
        free(tmbi_context.routes);
        tmbi_context.routes = NULL;
    }
    return rc;
}
