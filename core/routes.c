/* SPDX-License-Identifier: BSD-3-Clause */
#include "routes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "context.h"
#include "log.h"
#include "ranks.h"

#define RANKS_TEXT 128

static int job_size(void)
{
    return tmbi_context.bootstrap.job.size;
}

static int job_rank(void)
{
    return tmbi_context.bootstrap.job.rank;
}

static const struct tmbi_location *location_of(int rank)
{
    return &tmbi_context.routes[rank].location;
}

/* ---- providers that can't be used ---- */

void tmbi_unusable(const char *format, ...)
{
    size_t room = sizeof(tmbi_context.unusable), used = strlen(tmbi_context.unusable);
    char why[256];
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    snprintf(tmbi_context.unusable + used, room - used, "%s%s", used ? "; " : "", why);
    tmbi_info("%s", why);
}

/* ---- ranks that are not reached ---- */

int tmbi_routes_missing(void)
{
    int missing = 0;

    for (int i = 0; i < job_size(); i++)
        missing += !tmbi_context.routes[i].ep;
    return missing;
}

/* Why a rank is not reached; NULL: it is. */
static const char *why_missing(int rank)
{
    const struct tmbi_route *route = &tmbi_context.routes[rank];

    if (route->ep)
        return NULL;
    return route->why ? route->why : "no provider in use there and here";
}

static bool is_missing_for(const void *why, int rank)
{
    const char *other = why_missing(rank);

    return other && !strcmp(other, why);
}

static bool is_first(bool (*alike)(const void *arg, int rank), const void *arg, int rank)
{
    for (int i = 0; i < rank; i++)
        if (alike(arg, i))
            return false;
    return true;
}

/* "rank 2-3: this; rank 5: that" */
static void missing_text(char *text, size_t bytes)
{
    char ranks[RANKS_TEXT];
    size_t used = 0;

    for (int i = 0; i < job_size() && used < bytes; i++) {
        const char *why = why_missing(i);

        if (!why || !is_first(is_missing_for, why, i))
            continue;
        tmbi_ranks_list(job_size(), is_missing_for, why, ranks, sizeof(ranks));
        used += (size_t)snprintf(text + used, bytes - used, "%srank %s: %s",
                                 used ? "; " : "", ranks, why);
    }
}

int tmbi_routes_check(void)
{
    const char *providers = tmbi_context.config.provider;
    char missing[512];

    if (!tmbi_routes_missing())
        return 0;
    if (tmbi_context.endpoint_count == 0) {
        tmbi_error("TMB_PROVIDER=%s: no provider can be used here: %s", providers,
                   tmbi_context.unusable);
        return -ENODEV;
    }
    missing_text(missing, sizeof(missing));
    tmbi_error("tmb_init: TMB_PROVIDER=%s does not reach %s%s", providers, missing,
               strcmp(providers, "auto") ? "; \"auto\" tries all providers" : "");
    return -ENODEV;
}

/* ---- the table ---- */

static uint64_t host_of(int rank)
{
    struct tmbi_endpoint *ep = tmbi_context.routes[rank].ep;
    uint64_t host = 0;
    int64_t pid;

    if (ep)
        ep->ops->peer_host(ep, rank, &host, &pid);
    return host;
}

static const char *provider_of(int rank)
{
    const struct tmbi_endpoint *ep = tmbi_context.routes[rank].ep;

    return !ep ? "none" : rank == job_rank() ? "self" : ep->ops->name;
}

/* Whether a rank is one of those that `arg`, a rank, stands for in the table. */
static bool is_like(const void *arg, int rank)
{
    int other = *(const int *)arg;
    const char *why = why_missing(other);

    if (strcmp(provider_of(rank), provider_of(other)) ||
        host_of(rank) != host_of(other) ||
        memcmp(location_of(rank), location_of(other), sizeof(struct tmbi_location)))
        return false;
    return !why || is_missing_for(why, rank);
}

static void log_table(void)
{
    char ranks[RANKS_TEXT];

    for (int i = 0; i < job_size(); i++) {
        const struct tmbi_location *location = location_of(i);
        const char *why = why_missing(i);

        if (!is_first(is_like, &i, i))
            continue;
        tmbi_ranks_list(job_size(), is_like, &i, ranks, sizeof(ranks));
        tmbi_info("route: rank %s, host %s, region %s: %s%s%s", ranks, location->host,
                  location->region[0] ? location->region : "-", provider_of(i),
                  why ? ", " : "", why ? why : "");
    }
}

static bool is_by(const void *provider, int rank)
{
    return !strcmp(provider_of(rank), provider);
}

static void log_summary(void)
{
    char ranks[RANKS_TEXT], text[512] = "";
    size_t used = 0;

    for (int i = 0; i < job_size() && used < sizeof(text); i++) {
        const char *provider = provider_of(i);

        if (i == job_rank() || !is_first(is_by, provider, i))
            continue;
        tmbi_ranks_list(job_size(), is_by, provider, ranks, sizeof(ranks));
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s to rank %s",
                                 used ? "; " : "", provider, ranks);
    }
    tmbi_info("routes: %s", text);
}

static bool shares_region(const void *arg, int rank)
{
    return !strcmp(location_of(rank)->region, location_of(*(const int *)arg)->region);
}

void tmbi_routes_log(void)
{
    int me = job_rank();

    if (!tmbi_log_wants(TMBI_LOG_INFO))
        return;
    if (me == 0)
        log_table();
    else if (is_first(shares_region, &me, me))
        log_summary();
}
