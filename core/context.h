/* SPDX-License-Identifier: BSD-3-Clause */
/* This process in its job: configuration, endpoints, routes to the ranks. */
#ifndef TMBI_CONTEXT_H
#define TMBI_CONTEXT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "bootstrap/bootstrap.h"
#include "env.h"
#include "export.h"
#include "include/tombolo.h"
#include "provider.h"

#define TMBI_ENDPOINTS_MAX 2

/* Where a rank is, for people, as it says itself; NUL-terminated printable characters. */
struct tmbi_location {
    char host[32];                 /* its host's name */
    char region[TMBI_REGION_NAME]; /* that it has; "": none */
};

/* How a rank is reached; constant after tmb_init, but for `known_dead`. */
struct tmbi_route {
    struct tmbi_endpoint *ep;
    struct tmbi_location location;
    const char *why;        /* there is none, as far as is known */
    atomic_bool known_dead; /* the application has asked, and so knows */
};

enum tmbi_phase { TMBI_FRESH, TMBI_JOINING, TMBI_RUNNING, TMBI_OVER };

struct tmbi_context {
    _Atomic int phase; /* enum tmbi_phase; release after everything below is set */
    bool threads;      /* TMB_THREAD_MULTIPLE */
    struct tmbi_core_config config;
    struct tmbi_bootstrap bootstrap;
    struct tmbi_endpoint *endpoints[TMBI_ENDPOINTS_MAX]; /* by preference */
    int endpoint_count;
    char unusable[512];        /* why the other providers have no endpoint */
    struct tmbi_route *routes; /* by rank of the job */
    struct tmb_team *world;
    _Atomic uint32_t acknowledged; /* grows with each known_dead */
};

extern struct tmbi_context tmbi_context;

static inline bool tmbi_running(void)
{
    return atomic_load_explicit(&tmbi_context.phase, memory_order_acquire) ==
           TMBI_RUNNING;
}

/* tmb_init(); `callbacks`: who brings the ranks together, NULL: as the environment says.
 */
struct tmbi_adapter_callbacks;
int tmbi_init(int thread_level, const struct tmbi_adapter_callbacks *callbacks);

/* Open the providers, meet all ranks, route to each, make the world; or, on any rank's
 * error, nothing on all. (meet.c) */
int tmbi_meet(int64_t deadline);
void tmbi_endpoints_close(bool leaving);

/* enum tmb_peer_state of a rank of the job. */
int tmbi_rank_state(int rank);

/* A number that grows whenever a rank dies or a death is acknowledged. */
uint64_t tmbi_mortality_key(void);

/* The providers that were built, in order of preference. (provider.c) */
TMBI_TOOL const struct tmbi_provider *const *tmbi_providers(size_t *count);
/* A provider's place among them, which is the same on all ranks. */
size_t tmbi_provider_index(const struct tmbi_provider *provider);

#endif
