/* SPDX-License-Identifier: BSD-3-Clause */
/* The providers that were built, and all tables of variables. */
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

const struct tmbi_env_table *const *tmbi_env_tables(size_t *count)
{
    static const struct tmbi_env_table *tables[PROVIDERS + 1];

    tables[0] = &tmbi_core_env;
    for (int i = 0; i < PROVIDERS; i++)
        tables[i + 1] = providers[i]->env;
    *count = PROVIDERS + 1;
    return tables;
}
