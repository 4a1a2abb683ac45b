/* SPDX-License-Identifier: BSD-3-Clause */
/* `tombolo info`: what was built, the machine, and every variable. */
#include "info.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../bootstrap/secret.h"
#include "../context.h"
#include "../env.h"
#include "../topology.h"
#include "cli.h"
#include "job.h"

const struct tmbi_capability tmbi_capabilities[] = {
    {TMBI_CAP_MAPPED, "mapped", "memory of tmb_win_alloc is mapped by every peer"},
    {TMBI_CAP_CREATE, "create", "windows on the caller's own memory"},
    {TMBI_CAP_DOORBELL, "doorbell", "waits sleep until they are woken"},
    {TMBI_CAP_DEATH, "death", "a dead process is noticed within a second"},
};
const size_t tmbi_capability_count = sizeof tmbi_capabilities / sizeof *tmbi_capabilities;

static void print_providers(void)
{
    size_t count;
    const struct tmbi_provider *const *providers = tmbi_providers(&count);

    puts("Providers");
    for (size_t i = 0; i < count; i++) {
        printf("  %s\n", providers[i]->name);
        for (size_t c = 0; c < tmbi_capability_count; c++)
            printf("    %s %-9s %s\n",
                   providers[i]->caps & tmbi_capabilities[c].bit ? "yes" : "no ",
                   tmbi_capabilities[c].name, tmbi_capabilities[c].meaning);
    }
}

static void print_bootstraps(const struct tmbi_bootstrap_ops *called)
{
    size_t count;
    const struct tmbi_bootstrap_ops *const *bootstraps = tmbi_bootstraps(&count);

    puts("\nBootstrap");
    for (size_t i = 0; i < count; i++)
        printf("  %-12s%s%s\n", bootstraps[i]->name, bootstraps[i]->meaning,
               bootstraps[i] == called ? ": called for here" : "");
    if (!tmbi_secret_possible())
        puts("  (no secrets in this build: rendezvous is for loopback addresses only)");
}

/* "2 cores", "1 core" */
static const char *plural(int count)
{
    return count == 1 ? "" : "s";
}

static void print_bytes(uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        value /= 1024;
        unit++;
    }
    printf("%.4g %s", value, units[unit]);
}

static void print_node(const struct tmbi_topology_node *node)
{
    printf("  NUMA node %d: %d core%s, %d CPU%s, ", node->number, node->cores,
           plural(node->cores), node->cpus, plural(node->cpus));
    print_bytes(node->memory);
    if (node->huge_page) {
        printf(", %llu huge page%s of ", (unsigned long long)node->huge_pages,
               node->huge_pages == 1 ? "" : "s");
        print_bytes(node->huge_page);
    }
    putchar('\n');
}

static void print_topology(void)
{
    struct tmbi_topology_machine machine;
    struct tmbi_topology_node node;
    int usable = tmbi_topology_cpus();

    puts("\nTopology");
    if (tmbi_topology_machine(&machine)) {
        printf("  unknown; %d CPU%s can be used\n", usable, plural(usable));
        return;
    }
    if (machine.model[0])
        printf("  %s\n", machine.model);
    printf("  %d package%s, %d core%s, %d CPU%s (%d can be used), ", machine.packages,
           plural(machine.packages), machine.cores, plural(machine.cores), machine.cpus,
           plural(machine.cpus), usable);
    print_bytes(machine.memory);
    putchar('\n');
    for (int i = 0; i < machine.nodes; i++)
        if (!tmbi_topology_node(i, &node))
            print_node(&node);
}

/* Words up to column 80, behind an indentation. */
static void print_wrapped(const char *text, int indent)
{
    int column = 0;

    while (*text) {
        int word = (int)strcspn(text, " ");
        if (!column || column + 1 + word > 80)
            column = printf("%s%*s%.*s", column ? "\n" : "", indent, "", word, text);
        else
            column += printf(" %.*s", word, text);
        text += word;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_variable(const struct tmbi_env_var *var)
{
    const char *value = getenv(var->name);

    printf("  %-24s %s, %s%s", var->name, tmbi_env_type_name(var->type),
           var->fallback ? "default " : "not set by default",
           var->fallback ? var->fallback : "");
    if (var->type == TMBI_ENV_CHOICE)
        printf(" of %s", var->choices);
    if (value && *value)
        printf("; now %s", var->secret ? "set (not shown)" : value);
    putchar('\n');
    print_wrapped(var->meaning, 6);
}

static void print_variables(void)
{
    size_t count;
    const struct tmbi_env_table *const *tables = tmbi_env_tables(&count);

    for (size_t i = 0; i < count; i++) {
        printf("\nEnvironment variables: %s\n", tables[i]->owner);
        for (size_t v = 0; v < tables[i]->count; v++)
            print_variable(&tables[i]->vars[v]);
    }
}

/* Say what is wrong with it; returns the back end that it calls for, or NULL. */
static const struct tmbi_bootstrap_ops *check_environment(void)
{
    struct tmbi_core_config config;
    const struct tmbi_bootstrap_ops *called = NULL;
    size_t count;
    const struct tmbi_env_table *const *tables = tmbi_env_tables(&count);

    for (size_t i = 0; i < count; i++) {
        bool core = tables[i] == &tmbi_core_env;
        if (!tmbi_env_load(tables[i], core ? &config : NULL) && core)
            called = tmbi_bootstrap_find(&config);
    }
    tmbi_env_warn_unknown(tables, count);
    return called;
}

struct arguments {
    bool json, job;
};

#define KEY_JOB 256

static const struct argp_option option_list[] = {
    {"json", 'j', NULL, 0, "print one JSON object", 0},
    {"job", KEY_JOB, NULL, 0,
     "join the job as a rank, and show its ranks and their routes instead", 0},
    {0}};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 'j':
        arguments->json = true;
        return 0;
    case KEY_JOB:
        arguments->job = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: no argument is expected", arg);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp info_argp = {
    .options = option_list,
    .parser = parse_option,
    .doc =
        "Show the version, the providers that were built and what they can do, how ranks "
        "can be brought together, the machine, and every environment variable: its type, "
        "its default, its value if it "
        "is set, and its meaning. With --job: where the ranks of a job are, and by what "
        "they reach each other, as in `tombolo run -n 4 -- tombolo info --job`."};

int tmbi_cli_info(int argc, char **argv)
{
    const struct tmbi_bootstrap_ops *called;
    struct arguments arguments = {.json = false};
    int major, minor, patch;

    argp_parse(&info_argp, argc, argv, 0, NULL, &arguments);
    if (arguments.job)
        return tmbi_cli_info_job(arguments.json);
    called = check_environment();
    if (arguments.json)
        return tmbi_info_json(called);
    tmb_version(&major, &minor, &patch);
    printf("Tombolo %d.%d.%d\n\n", major, minor, patch);
    print_providers();
    print_bootstraps(called);
    print_topology();
    print_variables();
    return fflush(stdout) ? 1 : 0;
}
