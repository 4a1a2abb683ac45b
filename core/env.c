/* SPDX-License-Identifier: BSD-3-Clause */
#include "env.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define PREFIX       "TMB_"
#define PREFIX_BYTES (sizeof PREFIX - 1)

#define FIELD(name) offsetof(struct tmbi_core_config, name)

static const struct tmbi_env_var core_vars[] = {
    {.name = "TMB_PROVIDER",
     .type = TMBI_ENV_STRING,
     .fallback = "auto",
     .meaning = "What may move bytes: auto, or a list of providers separated by commas.",
     .field = FIELD(provider)},
    {.name = "TMB_LOG",
     .type = TMBI_ENV_CHOICE,
     .fallback = "warn",
     .choices = "error|warn|info|debug",
     .meaning = "How much is written to stderr.",
     .field = FIELD(log)},
    {.name = "TMB_SPIN",
     .type = TMBI_ENV_DURATION,
     .fallback = "auto",
     .choices = "auto",
     .meaning =
         "How long a wait spins before it sleeps; auto: 20us to 160us, by how long "
         "waits take, or not at all where ranks outnumber the CPUs.",
     .field = FIELD(spin_ns)},
    {.name = "TMB_OP_TIMEOUT",
     .type = TMBI_ENV_DURATION,
     .fallback = "10s",
     .meaning = "How long an operation may take that needs a peer's help.",
     .field = FIELD(op_timeout_ns)},
    {.name = "TMB_INIT_TIMEOUT",
     .type = TMBI_ENV_DURATION,
     .fallback = "60s",
     .meaning = "How long tmb_init waits for all ranks to come.",
     .field = FIELD(init_timeout_ns)},
    {.name = "TMB_RANK",
     .type = TMBI_ENV_INT,
     .max = TMBI_SIZE_MAX - 1,
     .meaning = "The process's rank; launchers set it.",
     .field = FIELD(rank)},
    {.name = "TMB_SIZE",
     .type = TMBI_ENV_INT,
     .min = 1,
     .max = TMBI_SIZE_MAX,
     .meaning = "The number of ranks; launchers set it.",
     .field = FIELD(size)},
    {.name = "TMB_JOB",
     .type = TMBI_ENV_STRING,
     .meaning = "The job's name, the same on all its ranks and unique; launchers set it.",
     .field = FIELD(job)},
    {.name = "TMB_LAUNCH_FD",
     .type = TMBI_ENV_INT,
     .max = INT32_MAX,
     .meaning = "The rank's socket to `tombolo run`, which sets it.",
     .field = FIELD(launch_fd)},
    {.name = "TMB_BOOTSTRAP",
     .type = TMBI_ENV_CHOICE,
     .fallback = "auto",
     .choices = TMBI_BOOTSTRAP_CHOICES,
     .meaning = "How ranks find each other; auto: as the environment calls for.",
     .field = FIELD(bootstrap)},
    {.name = "TMB_RENDEZVOUS",
     .type = TMBI_ENV_STRING,
     .meaning = "HOST:PORT where rank 0 listens and the others come, without a launcher.",
     .field = FIELD(rendezvous)},
    {.name = "TMB_SECRET",
     .type = TMBI_ENV_STRING,
     .meaning = "What a process must know to come to TMB_RENDEZVOUS.",
     .field = FIELD(secret),
     .secret = true},
    {.name = "TMB_SECRET_FILE",
     .type = TMBI_ENV_STRING,
     .meaning = "A file with what TMB_SECRET would be, which only its owner can read.",
     .field = FIELD(secret_file)},
};

const struct tmbi_env_table tmbi_core_env = {
    .owner = "core", .vars = core_vars, .count = sizeof core_vars / sizeof *core_vars};

const char *tmbi_env_type_name(enum tmbi_env_type type)
{
    static const char *const names[] = {"string", "choice", "integer", "size",
                                        "duration"};

    return names[type];
}

static int parse_choice(const char *choices, const char *text, int *index)
{
    size_t length = strlen(text);

    for (int i = 0; choices; i++) {
        const char *end = strchr(choices, '|');
        size_t bytes = end ? (size_t)(end - choices) : strlen(choices);
        if (bytes == length && !memcmp(choices, text, bytes)) {
            *index = i;
            return 0;
        }
        choices = end ? end + 1 : NULL;
    }
    return -EINVAL;
}

/* -1 has one name per variable: what it means there. */
static const char *endless_name(const struct tmbi_env_var *var)
{
    return var->choices ? var->choices : "forever";
}

static int parse_duration(const struct tmbi_env_var *var, const char *text, int64_t *ns)
{
    int rc;

    if (!strcmp(text, endless_name(var))) {
        *ns = -1;
        return 0;
    }
    rc = tmbi_parse_duration(text, ns);
    return !rc && *ns < 0 ? -EINVAL : rc;
}

static bool is_within(const struct tmbi_env_var *var, int64_t value)
{
    return (!var->min && !var->max) || (value >= var->min && value <= var->max);
}

static int parse_int(const struct tmbi_env_var *var, const char *text, int64_t *value)
{
    int rc = tmbi_parse_int(text, INT64_MIN, INT64_MAX, value);

    return !rc && !is_within(var, *value) ? -ERANGE : rc;
}

static int parse_bounded_size(const struct tmbi_env_var *var, const char *text,
                              uint64_t *bytes)
{
    int rc = tmbi_parse_size(text, bytes);

    if (rc)
        return rc;
    return *bytes > INT64_MAX || !is_within(var, (int64_t)*bytes) ? -ERANGE : 0;
}

static int parse_bounded_duration(const struct tmbi_env_var *var, const char *text,
                                  int64_t *ns)
{
    int rc = parse_duration(var, text, ns);

    return !rc && *ns >= 0 && !is_within(var, *ns) ? -ERANGE : rc;
}

static int parse_value(const struct tmbi_env_var *var, const char *text, void *field)
{
    switch (var->type) {
    case TMBI_ENV_STRING:
        *(const char **)field = text;
        return 0;
    case TMBI_ENV_CHOICE:
        return parse_choice(var->choices, text, field);
    case TMBI_ENV_INT:
        return parse_int(var, text, field);
    case TMBI_ENV_SIZE:
        return parse_bounded_size(var, text, field);
    case TMBI_ENV_DURATION:
        return parse_bounded_duration(var, text, field);
    }
    return -EINVAL;
}

static void set_unset(const struct tmbi_env_var *var, void *field)
{
    if (var->type == TMBI_ENV_STRING)
        *(const char **)field = NULL;
    else
        *(int64_t *)field = -1;
}

static void describe_bounds(const struct tmbi_env_var *var, char *text, size_t bytes)
{
    if (!var->min && !var->max)
        snprintf(text, bytes, "%s", "");
    else
        snprintf(text, bytes, " from %lld to %lld", (long long)var->min,
                 (long long)var->max);
}

static void log_wrong(const struct tmbi_env_var *var, const char *text)
{
    char bounds[64];

    describe_bounds(var, bounds, sizeof bounds);
    switch (var->type) {
    case TMBI_ENV_STRING:
        break;
    case TMBI_ENV_CHOICE:
        tmbi_error("%s=%s: must be one of %s", var->name, text, var->choices);
        break;
    case TMBI_ENV_INT:
        tmbi_error("%s=%s: must be an integer%s", var->name, text, bounds);
        break;
    case TMBI_ENV_SIZE:
        tmbi_error("%s=%s: must be a size in bytes, such as 64K, 2M or 1G%s", var->name,
                   text, bounds);
        break;
    case TMBI_ENV_DURATION:
        tmbi_error("%s=%s: must be a duration, such as 250ns, 20us, 5ms or 10s%s, or %s",
                   var->name, text, bounds, endless_name(var));
        break;
    }
}

static const char *value_of(const struct tmbi_env_var *var)
{
    const char *text = getenv(var->name);

    return text && *text ? text : NULL;
}

int tmbi_env_load(const struct tmbi_env_table *table, void *config)
{
    int64_t unused;
    int result = 0;

    for (size_t i = 0; i < table->count; i++) {
        const struct tmbi_env_var *var = &table->vars[i];
        void *field = config ? (char *)config + var->field : (char *)&unused;
        const char *text = value_of(var);

        if (!text && !var->fallback) {
            set_unset(var, field);
        } else if (parse_value(var, text ? text : var->fallback, field)) {
            log_wrong(var, text ? text : var->fallback);
            result = -EINVAL;
        }
    }
    return result;
}

static bool is_known(const struct tmbi_env_table *table, const char *name, size_t length,
                     struct tmbi_nearest *nearest)
{
    for (size_t i = 0; i < table->count; i++) {
        const char *known = table->vars[i].name;
        if (strlen(known) == length && !memcmp(known, name, length))
            return true;
        tmbi_nearest_offer(nearest, known + PREFIX_BYTES);
    }
    return false;
}

static void check_name(const struct tmbi_env_table *const *tables, size_t count,
                       const char *name, size_t length)
{
    char word[64];
    struct tmbi_nearest nearest = {.word = word};

    snprintf(word, sizeof word, "%.*s", (int)(length - PREFIX_BYTES),
             name + PREFIX_BYTES);
    for (size_t i = 0; i < count; i++)
        if (is_known(tables[i], name, length, &nearest))
            return;
    if (nearest.name)
        tmbi_warn("%.*s is no variable of Tombolo's: did you mean " PREFIX "%s?",
                  (int)length, name, nearest.name);
    else
        tmbi_warn("%.*s is no variable of Tombolo's: `tombolo info` lists them",
                  (int)length, name);
}

void tmbi_env_warn_unknown(const struct tmbi_env_table *const *tables, size_t count)
{
    for (char **entry = environ; entry && *entry; entry++) {
        const char *equals = strchr(*entry, '=');
        if (equals && !strncmp(*entry, PREFIX, PREFIX_BYTES))
            check_name(tables, count, *entry, (size_t)(equals - *entry));
    }
}
