/* SPDX-License-Identifier: BSD-3-Clause */
/* The providers that were built, and all tables of variables, adapters' included. */
#include "config.h"

#include "context.h"

#define DECLARE(name) extern const struct tmbi_provider tmbi_provider_##name;
#define X(name)       DECLARE(name)
TMBI_PROVIDER_LIST(X)
#undef X

#define X(name) &tmbi_provider_##name,
static const struct tmbi_provider *const providers[] = {TMBI_PROVIDER_LIST(X)};
#undef X

enum { PROVIDERS = sizeof(providers) / sizeof(providers[0]) };

const struct tmbi_provider *const *tmbi_providers(size_t *count)
{
    *count = PROVIDERS;
    return providers;
}

_Static_assert(PROVIDERS <= TMBI_ENDPOINTS_MAX, "each may have an endpoint");

size_t tmbi_provider_index(const struct tmbi_provider *provider)
{
    size_t index = 0;

    while (providers[index] != provider)
        index++;
    return index;
}

/* An adapter is a library of its own, and its variables are ours: any program may meet
 * them. */
#define X(name) extern const struct tmbi_env_table tmbi_##name##_env;
TMBI_ADAPTER_LIST(X)
#undef X

#define X(name) &tmbi_##name##_env,
static const struct tmbi_env_table *const others[] = {&tmbi_core_env,
                                                      TMBI_ADAPTER_LIST(X)};
#undef X

enum { OTHERS = sizeof(others) / sizeof(others[0]) };

const struct tmbi_env_table *const *tmbi_env_tables(size_t *count)
{
    static const struct tmbi_env_table *tables[OTHERS + PROVIDERS];

    *count = 0;
    tables[(*count)++] = others[0];
    for (int i = 0; i < PROVIDERS; i++)
        tables[(*count)++] = providers[i]->env;
    for (int i = 1; i < OTHERS; i++)
        tables[(*count)++] = others[i];
    return tables;
}
