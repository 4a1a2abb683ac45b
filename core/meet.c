/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening providers, meeting the other ranks, and finding a route to each. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "routes.h"
#include "team.h"
#include "topology.h"
#include "wake.h"

/* ---- providers ---- */

static bool provider_named(const char *name, size_t length, size_t *index)
{
    size_t count;
    const struct tmbi_provider *const *providers = tmbi_providers(&count);

    for (*index = 0; *index < count; ++*index)
        if (strlen(providers[*index]->name) == length &&
            !strncmp(providers[*index]->name, name, length))
            return true;
    return false;
}

/* Which of those that were built may be used: what the list says, checked. */
static int providers_wanted(uint32_t *wanted)
{
    const char *list = tmbi_context.config.provider;
    size_t count, index;

    tmbi_providers(&count);
    *wanted = 0;
    if (!strcmp(list, "auto")) {
        *wanted = (1u << count) - 1;
        return 0;
    }
    for (const char *name = list; *name; name += *name == ',') {
        size_t length = strcspn(name, ",");

        if (!provider_named(name, length, &index)) {
            tmbi_error(
                "TMB_PROVIDER=%s: no provider \"%.*s\"; `tombolo info` lists those "
                "that are built, and \"auto\" takes the best",
                list, (int)length, name);
            return -EINVAL;
        }
        *wanted |= 1u << index;
        name += length;
    }
    return 0;
}

static int endpoint_open(const struct tmbi_provider *provider)
{
    struct tmbi_endpoint *ep;
    int rc = provider->open(&tmbi_context.bootstrap.job, &ep);

    if (rc == 0)
        tmbi_context.endpoints[tmbi_context.endpoint_count++] = ep;
    return rc == -ENODEV ? 0 : rc;
}

void tmbi_endpoints_close(bool leaving)
{
    while (tmbi_context.endpoint_count > 0) {
        struct tmbi_endpoint *ep = tmbi_context.endpoints[--tmbi_context.endpoint_count];

        ep->ops->close(ep, leaving);
    }
}

/* ---- meeting the other ranks ---- */

#define HELLO_MAGIC UINT64_C(0x324c4c45482d4254)

/* What ranks tell each other when they meet, once for each provider. */
struct hello {
    uint64_t magic;
    uint32_t version[3];
    int32_t status;                      /* why this rank can't join, or 0 */
    uint8_t address[TMBI_ADDRESS_BYTES]; /* of its endpoint; zero: none */
};
_Static_assert(sizeof(struct hello) == 24 + 128, "hello layout");

/* What they tell each other of the world. */
struct world_part {
    int32_t status;
    uint32_t reserved;
    struct tmbi_place place;
    struct tmbi_window_desc sync;
};
_Static_assert(sizeof(struct world_part) == 8 + 48 + 152, "world part layout");

static int exchange(const void *mine, size_t bytes, void *all, int64_t deadline)
{
    struct tmbi_bootstrap *b = &tmbi_context.bootstrap;

    return b->ops->exchange(b, mine, bytes, all, deadline);
}

static void hello_fill(struct hello *hello, int status, struct tmbi_endpoint *ep)
{
    memset(hello, 0, sizeof(*hello));
    hello->magic = HELLO_MAGIC;
    hello->version[0] = TMB_VERSION_MAJOR;
    hello->version[1] = TMB_VERSION_MINOR;
    hello->version[2] = TMB_VERSION_PATCH;
    hello->status = status;
    if (ep)
        ep->ops->address(ep, hello->address);
}

static int hello_check(const struct hello *hello, int rank)
{
    const struct hello *mine = &hello[tmbi_context.bootstrap.job.rank];

    hello += rank;
    if (hello->magic != HELLO_MAGIC) {
        tmbi_error("tmb_init: rank %d speaks no Tombolo, or another version of it", rank);
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

/* ---- routes ---- */

/* The first endpoint that reaches a rank carries all traffic with it: a later one does
 * not even meet it. */
static void routed_hide(struct hello *hellos)
{
    for (int i = 0; i < tmbi_context.bootstrap.job.size; i++)
        if (tmbi_context.routes[i].ep && i != tmbi_context.bootstrap.job.rank)
            memset(hellos[i].address, 0, sizeof(hellos[i].address));
}

static int routes_add(struct tmbi_endpoint *ep, struct hello *hellos, int64_t deadline)
{
    int rc;

    routed_hide(hellos);
    rc = ep->ops->connect(ep, hellos->address, sizeof(*hellos), deadline);
    for (int i = 0; rc == 0 && i < tmbi_context.bootstrap.job.size; i++) {
        struct tmbi_route *route = &tmbi_context.routes[i];

        if (route->ep || ep->ops->reach(ep, i, &route->why))
            continue;
        route->ep = ep;
        tmbi_debug("route: rank %d by %s", i, ep->ops->name);
    }
    return rc;
}

/* Every rank says whether it succeeded, so that all join or none; positive: how many
 * ranks it still misses, and the result is what anyone does. */
static int agree(int rc, int32_t *all, int64_t deadline)
{
    int32_t mine = rc;
    int exchange_rc = exchange(&mine, sizeof(mine), all, deadline);
    int most = rc;

    for (int i = 0; most >= 0 && exchange_rc == 0 && i < tmbi_context.bootstrap.job.size;
         i++)
        most = all[i] < 0 || all[i] > most ? all[i] : most;
    return rc < 0 ? rc : exchange_rc ? exchange_rc : most;
}

/* Meet by one provider. Returns how many ranks anyone still misses. */
static int round_run(const struct tmbi_provider *provider, bool wanted, int rc,
                     struct hello *hellos, int64_t deadline)
{
    struct hello *mine = hellos + tmbi_context.bootstrap.job.size;
    int before = tmbi_context.endpoint_count;
    struct tmbi_endpoint *ep = NULL;
    int met;

    if (rc == 0 && wanted && tmbi_routes_missing())
        rc = endpoint_open(provider);
    if (tmbi_context.endpoint_count > before)
        ep = tmbi_context.endpoints[before];
    hello_fill(mine, rc, ep);
    met = exchange(mine, sizeof(*mine), hellos, deadline);
    rc = rc ? rc : met;
    if (rc == 0)
        rc = hellos_check(hellos, tmbi_context.bootstrap.job.size);
    if (rc == 0 && ep)
        rc = routes_add(ep, hellos, deadline);
    if (met) /* no more is exchanged with those who could not exchange this */
        return rc;
    return agree(rc ? rc : tmbi_routes_missing(), (int32_t *)hellos, deadline);
}

/* Open and meet by one provider after the other, until nobody misses anybody. */
static int routes_make(struct hello *hellos, int64_t deadline)
{
    size_t count;
    const struct tmbi_provider *const *providers = tmbi_providers(&count);
    uint32_t wanted;
    int rc = providers_wanted(&wanted);
    int missing = 1;

    for (size_t i = 0; missing > 0 && i < count; i++) {
        missing = round_run(providers[i], wanted >> i & 1, rc, hellos, deadline);
        if (missing < 0)
            return missing;
    }
    return 0;
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

/* ---- the world ---- */

static void place_fill(struct tmbi_place *place)
{
    char name[HOST_NAME_MAX + 1] = "?";

    gethostname(name, sizeof(name) - 1);
    memset(place, 0, sizeof(*place));
    memcpy(place->host, name, strnlen(name, sizeof(place->host) - 1));
    place->host[strcspn(place->host, ".")] = '\0';
    for (int i = 0; i < tmbi_context.endpoint_count && !place->region[0]; i++)
        memcpy(place->region, tmbi_context.endpoints[i]->region, sizeof(place->region));
}

/* What a peer calls itself goes to terminals and logs. */
static void name_take(char *name, const char *told, size_t bytes)
{
    memset(name, 0, bytes);
    for (size_t i = 0; i + 1 < bytes && told[i]; i++)
        name[i] = told[i] > ' ' && told[i] <= '~' ? told[i] : '?';
}

static void places_take(const struct world_part *parts)
{
    for (int i = 0; i < tmbi_context.bootstrap.job.size; i++) {
        struct tmbi_place *place = &tmbi_context.routes[i].place;

        name_take(place->host, parts[i].place.host, sizeof(place->host));
        name_take(place->region, parts[i].place.region, sizeof(place->region));
    }
}

static int world_make(const struct world_part *parts, struct tmb_win *sync)
{
    const struct tmbi_job *job = &tmbi_context.bootstrap.job;
    int rc = 0;

    for (int i = 0; rc == 0 && i < job->size; i++)
        rc = parts[i].status;
    if (rc)
        return rc;
    tmbi_wake_start(tmbi_context.endpoints[0], job->rank, spin_choose());
    rc = tmbi_team_world(job->size, job->rank, sync, &parts->sync, sizeof(*parts),
                         &tmbi_context.world);
    if (rc)
        tmbi_wake_stop();
    return rc;
}

/* Make the world, all ranks or none. `rc`: an error so far. */
static int world_meet(int rc, int64_t deadline)
{
    int size = tmbi_context.bootstrap.job.size;
    struct world_part *parts = calloc((size_t)size + 1, sizeof(*parts));
    struct world_part *mine = parts + size;
    struct tmb_win *sync = NULL;
    int met;

    if (!parts)
        return -ENOMEM;
    if (rc == 0)
        rc = tmbi_window_local(TMBI_WINDOW_ALLOC, NULL, sizeof(struct tmbi_sync), 0, size,
                               &sync, &mine->sync);
    mine->status = rc;
    place_fill(&mine->place);
    met = exchange(mine, sizeof(*mine), parts, deadline);
    rc = rc ? rc : met;
    if (met == 0) {
        places_take(parts);
        tmbi_routes_log();
    }
    if (rc == 0)
        rc = world_make(parts, sync);
    if (met == 0) /* the parts are read: their memory serves for the answers */
        rc = agree(rc, (int32_t *)parts, deadline);
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

int tmbi_meet(int64_t deadline)
{
    size_t size = (size_t)tmbi_context.bootstrap.job.size;
    struct hello *hellos = calloc(size + 1, sizeof(*hellos));
    int rc = -ENOMEM;

    tmbi_context.unusable[0] = '\0';
    tmbi_context.routes = calloc(size, sizeof(*tmbi_context.routes));
    if (!hellos || !tmbi_context.routes)
        goto free_hellos;
    rc = routes_make(hellos, deadline);
    if (rc == 0) /* on all ranks */
        rc = world_meet(tmbi_routes_check(), deadline);

free_hellos:
    free(hellos);
    if (rc) {
        free(tmbi_context.routes);
        tmbi_context.routes = NULL;
    }
    return rc;
}
