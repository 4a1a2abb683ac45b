/* SPDX-License-Identifier: BSD-3-Clause */
/* Environment variables: one table per component, from which they are parsed,
 * checked and documented (`tombolo info`). */
#ifndef TMBI_ENV_H
#define TMBI_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "export.h"

enum tmbi_env_type {
    TMBI_ENV_STRING,  /* const char *; the variable's own text */
    TMBI_ENV_CHOICE,  /* int: index into choices, "auto|on|off" */
    TMBI_ENV_INT,     /* int64_t, min .. max */
    TMBI_ENV_SIZE,    /* uint64_t bytes: "64K", "2M", "1G" (powers of 1024) */
    TMBI_ENV_DURATION /* int64_t ns: "250ns", "20us", "5ms", "10s"; "forever" is -1 */
};

struct tmbi_env_var {
    const char *name;
    enum tmbi_env_type type;
    const char *fallback; /* parsed as a value would be; NULL: a string is then NULL, and
                             an integer -1 */
    const char *meaning;  /* one sentence, for users */
    const char
        *choices;     /* of a choice; of a duration: what -1 is called, NULL: "forever" */
    size_t field;     /* offsetof the value in the configuration structure */
    int64_t min, max; /* inclusive; both 0: no bounds beyond the type's */
    bool secret;      /* its value is never shown */
};

struct tmbi_env_table {
    const char *owner; /* "core", "ivshmem" ... */
    const struct tmbi_env_var *vars;
    size_t count;
};

/* Read a table's variables into *config; NULL: only check them. An empty value counts as
 * unset. -EINVAL: a value is wrong; every wrong one has been logged with what is allowed.
 */
TMBI_TOOL int tmbi_env_load(const struct tmbi_env_table *table, void *config);

/* Warn of each TMB_ variable in the environment that no table knows, suggesting the
 * nearest name. */
TMBI_TOOL void tmbi_env_warn_unknown(const struct tmbi_env_table *const *tables,
                                     size_t count);

/* The tables of core and of all built providers; *count of them. (core/provider.c) */
TMBI_TOOL const struct tmbi_env_table *const *tmbi_env_tables(size_t *count);

/* A type's name for users: "size", "duration" ... */
TMBI_TOOL const char *tmbi_env_type_name(enum tmbi_env_type type);

/* Parsers, also for command lines. -EINVAL or -ERANGE; nothing logged. A duration may
 * be "forever", which is -1. */
TMBI_TOOL int tmbi_parse_size(const char *text, uint64_t *bytes);
TMBI_TOOL int tmbi_parse_duration(const char *text, int64_t *ns);
TMBI_TOOL int tmbi_parse_int(const char *text, int64_t min, int64_t max, int64_t *value);

/* Which of several names a mistyped word is nearest to. Set .word, offer every name;
 * .name is then the nearest, or NULL if none is like it. */
struct tmbi_nearest {
    const char *word;
    const char *name;
    size_t distance;
};
TMBI_TOOL void tmbi_nearest_offer(struct tmbi_nearest *nearest, const char *candidate);

#define TMBI_SIZE_MAX 65535 /* ranks of a job: peer IDs have 16 bits */

/* TMB_BOOTSTRAP's values; those after auto are the back ends' names. */
#define TMBI_BOOTSTRAP_CHOICES "auto|run|rendezvous|pmix|pmi|single"

/* Core's own variables. */
struct tmbi_core_config {
    const char *provider;    /* TMB_PROVIDER */
    int log;                 /* TMB_LOG: enum tmbi_log_level */
    int64_t spin_ns;         /* TMB_SPIN: "auto" is -1 */
    int64_t op_timeout_ns;   /* TMB_OP_TIMEOUT */
    int64_t init_timeout_ns; /* TMB_INIT_TIMEOUT */
    int64_t rank;            /* TMB_RANK, set by launchers; -1: unset */
    int64_t size;            /* TMB_SIZE; -1: unset */
    const char *job;         /* TMB_JOB */
    int64_t launch_fd;       /* TMB_LAUNCH_FD; -1: unset */
    int bootstrap;           /* TMB_BOOTSTRAP: 0 is auto, see bootstrap.c */
    const char *rendezvous;  /* TMB_RENDEZVOUS */
    const char *secret;      /* TMB_SECRET */
    const char *secret_file; /* TMB_SECRET_FILE */
};
TMBI_TOOL extern const struct tmbi_env_table tmbi_core_env;

#endif
