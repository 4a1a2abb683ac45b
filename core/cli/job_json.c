/* SPDX-License-Identifier: BSD-3-Clause */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "../ranks.h"
#include "cli.h"
#include "info.h"
#include "job.h"

/* As in info_json.c: a failed allocation makes the whole object NULL in the end. */

static json_t *rank_object(const struct tmb_peer_info *info, int rank)
{
    char host_id[24];

    snprintf(host_id, sizeof host_id, "%016" PRIx64, info->host);
    return json_pack("{s:i, s:s, s:s, s:I, s:s?, s:s, s:b, s:s}", "rank", rank, "host",
                     info->hostname, "host_id", host_id, "pid", (json_int_t)info->pid,
                     "region", info->region[0] ? info->region : NULL, "route",
                     info->provider, "mapped", info->mapped, "state",
                     tmbi_job_state(info));
}

static json_t *rank_list(const struct tmbi_job_view *view)
{
    json_t *list = json_array();

    for (int i = 0; i < view->size; i++)
        json_array_append_new(list, rank_object(&view->ranks[i], i));
    return list;
}

static json_t *chosen_list(const struct tmbi_job_group *group, tmbi_ranks_chosen *chosen)
{
    json_t *list = json_array();

    for (int i = 0; i < group->view->size; i++)
        if (chosen(group, i))
            json_array_append_new(list, json_integer(i));
    return list;
}

static void group_append(const struct tmbi_job_group *group, void *arg)
{
    json_array_append_new(arg, json_pack("{s:o, s:o, s:s, s:b}", "from",
                                         chosen_list(group, tmbi_job_from), "to",
                                         chosen_list(group, tmbi_job_to), "provider",
                                         tmbi_job_provider(group->route), "mapped",
                                         (int)tmbi_job_mapped(group->route)));
}

int tmbi_job_json(const struct tmbi_job_view *view)
{
    json_t *routes = json_array();

    tmbi_job_groups(view, group_append, routes);
    return tmbi_info_print(json_pack("{s:o, s:i, s:o, s:o}", "version",
                                     tmbi_info_version(), "size", view->size, "ranks",
                                     rank_list(view), "routes", routes));
}
