/* SPDX-License-Identifier: BSD-3-Clause */
/* Joining and leaving a job. */
#include "context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapter.h"
#include "agent.h"
#include "block.h"
#include "clock.h"
#include "copy.h"
#include "log.h"
#include "team.h"
#include "topology.h"
#include "wake.h"

struct tmbi_context tmbi_context;

_Static_assert(sizeof(((struct tmb_peer_info *)0)->hostname) ==
                   sizeof(((struct tmbi_location *)0)->host),
               "tmb_peer_info has a location's host whole");
_Static_assert(sizeof(((struct tmb_peer_info *)0)->region) == TMBI_REGION_NAME,
               "tmb_peer_info has a region's name whole");

/* ---- configuration ---- */

static int configure(const struct tmbi_adapter_callbacks *callbacks)
{
    struct tmbi_core_config *config = &tmbi_context.config;
    size_t count;
    const struct tmbi_env_table *const *tables = tmbi_env_tables(&count);
    int rc = tmbi_env_load(&tmbi_core_env, config);

    if (rc)
        return rc;
    tmbi_log_set_level((enum tmbi_log_level)config->log);
    if (callbacks ? callbacks->rank == 0 : config->rank <= 0) /* once per job */
        tmbi_env_warn_unknown(tables, count);
    return 0;
}

/* ---- init and finalize ---- */

static int claim_phase(int thread_level)
{
    int fresh = TMBI_FRESH;

    if (thread_level < TMB_THREAD_SINGLE || thread_level > TMB_THREAD_MULTIPLE) {
        tmbi_error("tmb_init: unknown thread level %d", thread_level);
        return -EINVAL;
    }
    if (!atomic_compare_exchange_strong_explicit(&tmbi_context.phase, &fresh,
                                                 TMBI_JOINING, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        tmbi_error("tmb_init: this process has joined a job before");
        return -EALREADY;
    }
    tmbi_context.threads = thread_level == TMB_THREAD_MULTIPLE;
    return 0;
}

static int join(const struct tmbi_adapter_callbacks *callbacks)
{
    struct tmbi_bootstrap *b = &tmbi_context.bootstrap;
    int64_t deadline;
    int rc = configure(callbacks);

    if (rc)
        return rc;
    deadline = tmbi_deadline(tmbi_context.config.init_timeout_ns);
    rc = callbacks ? tmbi_bootstrap_open_callbacks(b, callbacks)
                   : tmbi_bootstrap_open(b, &tmbi_context.config);
    if (rc)
        return rc;
    if (b->job.size > 1)
        tmbi_log_set_rank(b->job.rank);
    rc = tmbi_meet(deadline);
    if (rc == 0)
        return 0;
    tmbi_endpoints_close(false);
    b->ops->close(b);
    return rc;
}

int tmbi_init(int thread_level, const struct tmbi_adapter_callbacks *callbacks)
{
    int rc = claim_phase(thread_level);

    if (rc)
        return rc;
    tmbi_copy_start();
    rc = join(callbacks);
    atomic_store_explicit(&tmbi_context.phase, rc ? TMBI_FRESH : TMBI_RUNNING,
                          memory_order_release);
    return rc;
}

int tmb_init(int thread_level)
{
    return tmbi_init(thread_level, NULL);
}

int tmb_finalize(void)
{
    struct tmbi_bootstrap *b = &tmbi_context.bootstrap;
    int running = TMBI_RUNNING;
    int rc;

    if (!tmbi_running()) {
        tmbi_error("tmb_finalize: not initialized");
        return -ENOTCONN;
    }
    rc = tmbi_team_meet(tmbi_context.world);
    if (rc && rc != -EHOSTDOWN)
        return rc;
    if (!atomic_compare_exchange_strong_explicit(&tmbi_context.phase, &running, TMBI_OVER,
                                                 memory_order_acq_rel,
                                                 memory_order_acquire))
        return -ENOTCONN;
    tmbi_agent_stop();
    tmbi_windows_release_all();
    tmbi_blocks_release_all();
    tmbi_teams_release_all();
    tmbi_wake_stop();
    tmbi_endpoints_close(true);
    free(tmbi_context.routes);
    b->ops->close(b);
    return rc;
}

void tmb_abort(int exit_code)
{
    struct tmbi_bootstrap *b = &tmbi_context.bootstrap;

    if (exit_code < 1 || exit_code > 255)
        exit_code = 1;
    if (tmbi_running())
        b->ops->abort(b, exit_code);
    _exit(exit_code);
}

/* ---- questions ---- */

int tmbi_rank_state(int rank)
{
    struct tmbi_endpoint *ep = tmbi_context.routes[rank].ep;

    return ep->ops->peer_state(ep, rank);
}

uint64_t tmbi_mortality_key(void)
{
    uint64_t key = atomic_load_explicit(&tmbi_context.acknowledged, memory_order_acquire);

    for (int i = 0; i < tmbi_context.endpoint_count; i++)
        /* acquire: partner is the release after a peer's state became DEAD */
        key +=
            atomic_load_explicit(tmbi_context.endpoints[i]->deaths, memory_order_acquire);
    return key;
}

int64_t tmbi_op_deadline(void)
{
    return tmbi_deadline(tmbi_context.config.op_timeout_ns);
}

static int answer(const char *call, const void *out)
{
    if (!tmbi_running()) {
        tmbi_error("%s: not initialized: call tmb_init first, tmb_finalize last", call);
        return -ENOTCONN;
    }
    return out ? 0 : tmbi_null_bad(call, sizeof(int));
}

int tmb_rank(int *rank)
{
    int rc = answer("tmb_rank", rank);

    if (rc == 0)
        *rank = tmbi_context.bootstrap.job.rank;
    return rc;
}

int tmb_size(int *size)
{
    int rc = answer("tmb_size", size);

    if (rc == 0)
        *size = tmbi_context.bootstrap.job.size;
    return rc;
}

static int world_rank_check(const char *call, int rank)
{
    if (rank >= 0 && rank < tmbi_context.bootstrap.job.size)
        return 0;
    tmbi_error("%s: rank %d is not in the job of %d ranks", call, rank,
               tmbi_context.bootstrap.job.size);
    return -EINVAL;
}

int tmb_peer_state(int rank, int *state)
{
    int rc = answer("tmb_peer_state", state);

    if (rc == 0)
        rc = world_rank_check("tmb_peer_state", rank);
    if (rc)
        return rc;
    *state = tmbi_rank_state(rank);
    if (*state == TMB_PEER_DEAD &&
        !atomic_exchange_explicit(&tmbi_context.routes[rank].known_dead, true,
                                  memory_order_relaxed))
        /* release: partner is the acquire in tmbi_mortality_key() */
        atomic_fetch_add_explicit(&tmbi_context.acknowledged, 1, memory_order_release);
    return 0;
}

int tmb_peer_info(int rank, struct tmb_peer_info *info, size_t bytes)
{
    struct tmb_peer_info full = {0};
    const struct tmbi_route *route;
    struct tmbi_endpoint *ep;
    int rc = answer("tmb_peer_info", info);

    if (rc == 0)
        rc = world_rank_check("tmb_peer_info", rank);
    if (rc)
        return rc;
    if (bytes > sizeof(full)) {
        tmbi_error("tmb_peer_info: %zu bytes: this version knows %zu", bytes,
                   sizeof(full));
        return -EINVAL;
    }
    route = &tmbi_context.routes[rank];
    ep = route->ep;
    full.state = ep->ops->peer_state(ep, rank);
    full.mapped = tmbi_context.world->sync->peers[rank].base != NULL;
    ep->ops->peer_host(ep, rank, &full.host, &full.pid);
    strncpy(full.provider,
            rank == tmbi_context.bootstrap.job.rank ? "self" : ep->ops->name,
            sizeof(full.provider) - 1);
    memcpy(full.hostname, route->location.host, sizeof(full.hostname));
    memcpy(full.region, route->location.region, sizeof(full.region));
    memcpy(info, &full, bytes);
    return 0;
}
