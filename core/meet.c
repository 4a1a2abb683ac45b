/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening providers, meeting the other ranks, and finding a route to each. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "meet.h"
#include "routes.h"

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

/* *ep stays NULL if it can't be used here, which is no error. */
static int endpoint_open(const struct tmbi_provider *provider, const char *place,
                         struct tmbi_endpoint **ep)
{
    int rc = provider->open(&tmbi_context.bootstrap.job, place, ep);

    if (rc == 0)
        tmbi_context.endpoints[tmbi_context.endpoint_count++] = *ep;
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

#define HELLO_MAGIC UINT64_C(0x334c4c45482d4254)

/* What ranks tell each other when they meet, once for each provider. */
struct hello {
    uint64_t magic;
    uint32_t version[3];
    int32_t status;                      /* why this rank can't join, or 0 */
    uint64_t host;                       /* where it wants a place, or 0 */
    uint8_t address[TMBI_ADDRESS_BYTES]; /* of its endpoint; zero: none */
};
_Static_assert(sizeof(struct hello) == 32 + 128, "hello layout");

int tmbi_meet_exchange(const void *mine, size_t bytes, void *all, int64_t deadline)
{
    struct tmbi_bootstrap *b = &tmbi_context.bootstrap;

    return b->ops->exchange(b, mine, bytes, all, deadline);
}

static void hello_fill(struct hello *hello, int status, uint64_t host,
                       struct tmbi_endpoint *ep)
{
    memset(hello, 0, sizeof(*hello));
    hello->magic = HELLO_MAGIC;
    hello->version[0] = TMB_VERSION_MAJOR;
    hello->version[1] = TMB_VERSION_MINOR;
    hello->version[2] = TMB_VERSION_PATCH;
    hello->status = status;
    hello->host = host;
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

int tmbi_meet_agree(int rc, int32_t *all, int64_t deadline)
{
    int32_t mine = rc;
    int exchange_rc = tmbi_meet_exchange(&mine, sizeof(mine), all, deadline);
    int most = rc;

    for (int i = 0; most >= 0 && exchange_rc == 0 && i < tmbi_context.bootstrap.job.size;
         i++)
        most = all[i] < 0 || all[i] > most ? all[i] : most;
    return rc < 0 ? rc : exchange_rc ? exchange_rc : most;
}

/* Meeting by one provider. */
struct round {
    const struct tmbi_provider *provider;
    bool wanted;              /* by this rank */
    struct tmbi_endpoint *ep; /* NULL: none was opened */
    struct hello *hellos;     /* by rank, and then our own */
    int64_t deadline;
    bool cut; /* no more is exchanged with those who could not exchange the last */
};

static uint64_t place_host(const struct round *round)
{
    return round->wanted && !round->ep && round->provider->place_host
               ? round->provider->place_host(&tmbi_context.bootstrap.job)
               : 0;
}

/* Open an endpoint, if we have none, and exchange hellos. `place`: NULL, the first time,
 * or what was made for this host, empty: nothing. */
static int greet(struct round *round, int rc, const char *place)
{
    int size = tmbi_context.bootstrap.job.size;
    struct hello *mine = round->hellos + size;
    int met;

    if (rc == 0 && round->wanted && !round->ep && (!place || *place))
        rc = endpoint_open(round->provider, place, &round->ep);
    hello_fill(mine, rc, rc || place ? 0 : place_host(round), round->ep);
    met = tmbi_meet_exchange(mine, sizeof(*mine), round->hellos, round->deadline);
    round->cut = met != 0;
    rc = rc ? rc : met;
    return rc ? rc : hellos_check(round->hellos, size);
}

/* Where the environment says, and then at the places that ranks make for their hosts. */
static int greet_all(struct round *round, int rc)
{
    const uint64_t *hosts = &round->hellos->host;
    char place[TMBI_PLACE_BYTES];
    int hold;

    rc = greet(round, rc, NULL);
    if (rc || !tmbi_places_wanted(hosts, sizeof(*round->hellos)))
        return rc;
    rc = tmbi_places_make(round->provider, hosts, sizeof(*round->hellos), place, &hold,
                          round->deadline);
    if (rc == 0)
        rc = greet(round, 0, place);
    else
        round->cut = true;
    if (hold >= 0)
        close(hold);
    return rc;
}

/* Meet by one provider. Returns how many ranks anyone still misses. */
static int round_run(const struct tmbi_provider *provider, bool wanted, int rc,
                     struct hello *hellos, int64_t deadline)
{
    struct round round = {.provider = provider,
                          .wanted = wanted && tmbi_routes_missing(),
                          .hellos = hellos,
                          .deadline = deadline};

    rc = greet_all(&round, rc);
    if (rc == 0 && round.ep)
        rc = routes_add(round.ep, hellos, deadline);
    if (round.cut)
        return rc;
    return tmbi_meet_agree(rc ? rc : tmbi_routes_missing(), (int32_t *)hellos, deadline);
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
        rc = tmbi_world_meet(tmbi_routes_check(), deadline);

free_hellos:
    free(hellos);
    if (rc) {
        free(tmbi_context.routes);
        tmbi_context.routes = NULL;
    }
    return rc;
}
