/* SPDX-License-Identifier: BSD-3-Clause */
#include "job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../context.h"
#include "../ranks.h"
#include "cli.h"

#define ROUTE_MAPPED 0x80u /* the rest: which provider, from 1 on */

const char *tmbi_job_provider(uint8_t route)
{
    size_t count;
    const struct tmbi_provider *const *providers = tmbi_providers(&count);
    size_t number = route & ~ROUTE_MAPPED;

    return number == 0 ? "self" : number <= count ? providers[number - 1]->name : "?";
}

bool tmbi_job_mapped(uint8_t route)
{
    return route & ROUTE_MAPPED;
}

const char *tmbi_job_state(const struct tmb_peer_info *rank)
{
    return rank->state == TMB_PEER_ALIVE  ? "alive"
           : rank->state == TMB_PEER_LEFT ? "left"
                                          : "dead";
}

/* ---- groups of routes ---- */

static uint8_t route(const struct tmbi_job_view *view, int from, int to)
{
    return view->routes[(size_t)from * (size_t)view->size + (size_t)to];
}

/* Two ranks reach each other as well as all others by routes of the same kinds. */
static bool alike(const struct tmbi_job_view *view, int a, int b)
{
    for (int i = 0; i < view->size; i++)
        if (i != a && i != b && route(view, a, i) != route(view, b, i))
            return false;
    return route(view, a, b) == route(view, b, a);
}

/* As route(), and from a rank to itself as to others that are like it, if there are any.
 */
static uint8_t route_of_class(const struct tmbi_job_view *view, int from, int to)
{
    for (int i = 0; from == to && i < view->size; i++)
        if (i != from && alike(view, from, i))
            return route(view, from, i);
    return route(view, from, to);
}

bool tmbi_job_from(const void *arg, int rank)
{
    const struct tmbi_job_group *group = arg;

    return rank == group->from || alike(group->view, group->from, rank);
}

bool tmbi_job_to(const void *arg, int rank)
{
    const struct tmbi_job_group *group = arg;

    return route_of_class(group->view, group->from, rank) == group->route;
}

static bool is_first(tmbi_ranks_chosen *chosen, const struct tmbi_job_group *group,
                     int rank)
{
    for (int i = 0; i < rank; i++)
        if (chosen(group, i))
            return false;
    return true;
}

int tmbi_job_groups(const struct tmbi_job_view *view,
                    void (*visit)(const struct tmbi_job_group *group, void *arg),
                    void *arg)
{
    struct tmbi_job_group group = {.view = view};
    int groups = 0;

    for (group.from = 0; group.from < view->size; group.from++) {
        if (!is_first(tmbi_job_from, &group, group.from))
            continue;
        for (group.to = 0; group.to < view->size; group.to++) {
            group.route = route_of_class(view, group.from, group.to);
            if (group.route && is_first(tmbi_job_to, &group, group.to)) {
                visit(&group, arg);
                groups++;
            }
        }
    }
    return groups;
}

/* ---- text ---- */

/* Which of the hosts of its name a rank's is, from 1 on; 0: there is but one. */
static int host_number(const struct tmbi_job_view *view, int rank)
{
    const struct tmb_peer_info *mine = &view->ranks[rank];
    int number = 1, hosts = 0;

    for (int i = 0; i < view->size; i++) {
        const struct tmb_peer_info *other = &view->ranks[i];
        bool seen = strcmp(other->hostname, mine->hostname) != 0;

        for (int k = 0; k < i && !seen; k++)
            seen = view->ranks[k].host == other->host;
        hosts += !seen;
        if (!seen && other->host == mine->host)
            number = hosts;
    }
    return hosts > 1 ? number : 0;
}

static int hosts_count(const struct tmbi_job_view *view)
{
    int hosts = 0;

    for (int i = 0; i < view->size; i++) {
        bool seen = false;

        for (int k = 0; k < i && !seen; k++)
            seen = view->ranks[k].host == view->ranks[i].host;
        hosts += !seen;
    }
    return hosts;
}

static void print_rank(const struct tmbi_job_view *view, int rank)
{
    const struct tmb_peer_info *info = &view->ranks[rank];
    char host[48];
    int number = host_number(view, rank);

    snprintf(host, sizeof(host), number ? "%s/%d" : "%s", info->hostname, number);
    printf("%6d  %-20s %8" PRId64 "  %-9s %-9s %-7s %s\n", rank, host, info->pid,
           info->region[0] ? info->region : "-", info->provider,
           info->mapped ? "yes" : "no", tmbi_job_state(info));
}

static void print_group(const struct tmbi_job_group *group, void *arg)
{
    char from[256], to[256];

    (void)arg;
    tmbi_ranks_list(group->view->size, tmbi_job_from, group, from, sizeof(from));
    tmbi_ranks_list(group->view->size, tmbi_job_to, group, to, sizeof(to));
    printf("  from %s to %s: %s%s\n", from, to, tmbi_job_provider(group->route),
           tmbi_job_mapped(group->route) ? ", mapped" : "");
}

static int print_text(const struct tmbi_job_view *view)
{
    int hosts = hosts_count(view);

    printf("Job of %d rank%s on %d host%s\n\n%6s  %-20s %8s  %-9s %-9s %-7s %s\n",
           view->size, view->size == 1 ? "" : "s", hosts, hosts == 1 ? "" : "s", "rank",
           "host", "pid", "region", "route", "mapped", "state");
    for (int i = 0; i < view->size; i++)
        print_rank(view, i);
    if (view->size > 1) {
        puts("\nRoutes of all ranks");
        tmbi_job_groups(view, print_group, NULL);
    } else {
        puts("\nThis is a job of one rank. To see another, start this command as its "
             "ranks, as in\n`tombolo run -n 4 -- tombolo info --job`.");
    }
    return fflush(stdout) ? 1 : 0;
}

/* ---- what ranks tell rank 0 ---- */

static int route_find(int to, uint8_t *found)
{
    struct tmb_peer_info info;
    int rc = tmb_peer_info(to, &info, sizeof(info));

    for (*found = 0; rc == 0; ++*found)
        if (!strcmp(info.provider, tmbi_job_provider(*found)))
            break;
    if (*found && info.mapped)
        *found |= ROUTE_MAPPED;
    return rc;
}

/* Each rank's part of a window has its routes, and rank 0 gets them. */
static int routes_gather(struct tmbi_job_view *view, int me)
{
    size_t row = (size_t)view->size;
    tmb_win *win;
    void *mine;
    int rc = tmb_win_alloc(TMB_TEAM_WORLD, row, 0, &win);

    if (rc)
        return rc;
    rc = tmb_win_ptr(win, me, &mine);
    for (int i = 0; rc == 0 && i < view->size; i++)
        rc = route_find(i, (uint8_t *)mine + i);
    if (rc == 0)
        rc = tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER);
    for (int i = 0; me == 0 && rc == 0 && i < view->size; i++) {
        rc = tmb_get(win, i, 0, view->routes + (size_t)i * row, row);
        rc = rc ? rc : tmb_peer_info(i, &view->ranks[i], sizeof(view->ranks[i]));
    }
    return rc ? rc : tmb_win_free(win);
}

static int view_fill(struct tmbi_job_view *view, int me)
{
    size_t size = (size_t)view->size;
    size_t known = me == 0 ? size : 1;

    view->ranks = calloc(known, sizeof(*view->ranks));
    view->routes = calloc(known, size);
    return view->ranks && view->routes ? routes_gather(view, me) : -ENOMEM;
}

int tmbi_cli_info_job(bool json)
{
    struct tmbi_job_view view = {0};
    int me, code = 0, rc = tmb_init(TMB_THREAD_SINGLE);

    if (rc)
        return 1; /* what is wrong has been logged */
    tmb_rank(&me);
    tmb_size(&view.size);
    rc = view_fill(&view, me);
    if (rc) {
        tmbi_cli_say("the ranks can't tell each other their routes: %s",
                     tmb_strerror(rc));
        tmb_abort(1);
    }
    if (me == 0)
        code = json ? tmbi_job_json(&view) : print_text(&view);
    free(view.ranks);
    free(view.routes);
    return tmb_finalize() ? 1 : code;
}
