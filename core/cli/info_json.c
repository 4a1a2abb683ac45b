/* SPDX-License-Identifier: BSD-3-Clause */
#include "info.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "../context.h"
#include "../env.h"
#include "../topology.h"
#include "cli.h"

/* jansson's *_new functions take what they are given, also NULL, which a failed
 * allocation yields: then the whole object is NULL in the end. */

json_t *tmbi_info_version(void)
{
    char text[32];
    int major, minor, patch;

    tmb_version(&major, &minor, &patch);
    snprintf(text, sizeof text, "%d.%d.%d", major, minor, patch);
    return json_string(text);
}

static json_t *capability_list(uint32_t caps)
{
    json_t *list = json_array();

    for (size_t i = 0; i < tmbi_capability_count; i++)
        if (caps & tmbi_capabilities[i].bit)
            json_array_append_new(list, json_string(tmbi_capabilities[i].name));
    return list;
}

static json_t *provider_list(void)
{
    size_t count;
    const struct tmbi_provider *const *providers = tmbi_providers(&count);
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:s, s:o}", "name", providers[i]->name,
                                              "capabilities",
                                              capability_list(providers[i]->caps)));
    return list;
}

static json_t *node_list(int nodes)
{
    struct tmbi_topology_node node;
    json_t *list = json_array();

    for (int i = 0; i < nodes; i++) {
        if (tmbi_topology_node(i, &node))
            continue;
        json_array_append_new(list,
                              json_pack("{s:i, s:i, s:i, s:I, s:I, s:I}", "node",
                                        node.number, "cores", node.cores, "cpus",
                                        node.cpus, "memory", (json_int_t)node.memory,
                                        "huge_page", (json_int_t)node.huge_page,
                                        "huge_pages", (json_int_t)node.huge_pages));
    }
    return list;
}

static json_t *topology_object(void)
{
    struct tmbi_topology_machine machine = {.packages = 0};

    if (tmbi_topology_machine(&machine))
        return json_pack("{s:i}", "usable_cpus", tmbi_topology_cpus());
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:I, s:I, s:o}", "model", machine.model,
                     "packages", machine.packages, "cores", machine.cores, "cpus",
                     machine.cpus, "usable_cpus", tmbi_topology_cpus(), "memory",
                     (json_int_t)machine.memory, "page", (json_int_t)machine.page,
                     "nodes", node_list(machine.nodes));
}

static json_t *variable_object(const char *owner, const struct tmbi_env_var *var)
{
    const char *value = getenv(var->name);

    if (value && *value && var->secret)
        value = "(not shown)";
    return json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s?, s:s}", "name", var->name, "owner",
                     owner, "type", tmbi_env_type_name(var->type), "choices",
                     var->choices, "default", var->fallback, "value",
                     value && *value ? value : NULL, "meaning", var->meaning);
}

static json_t *variable_list(void)
{
    size_t count;
    const struct tmbi_env_table *const *tables = tmbi_env_tables(&count);
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        for (size_t v = 0; v < tables[i]->count; v++)
            json_array_append_new(list,
                                  variable_object(tables[i]->owner, &tables[i]->vars[v]));
    return list;
}

static json_t *bootstrap_list(const struct tmbi_bootstrap_ops *called)
{
    size_t count;
    const struct tmbi_bootstrap_ops *const *bootstraps = tmbi_bootstraps(&count);
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:b}", "name", bootstraps[i]->name,
                                        "meaning", bootstraps[i]->meaning, "called_for",
                                        bootstraps[i] == called));
    return list;
}

int tmbi_info_print(json_t *info)
{
    int rc;

    if (!info) {
        tmbi_cli_say("out of memory, or a variable is no UTF-8");
        return 1;
    }
    rc = json_dumpf(info, stdout, JSON_INDENT(2));
    json_decref(info);
    putchar('\n');
    return rc || fflush(stdout) ? 1 : 0;
}

int tmbi_info_json(const struct tmbi_bootstrap_ops *called)
{
    return tmbi_info_print(json_pack("{s:o, s:o, s:o, s:o, s:o}", "version",
                                     tmbi_info_version(), "providers", provider_list(),
                                     "bootstraps", bootstrap_list(called), "topology",
                                     topology_object(), "variables", variable_list()));
}
