/* SPDX-License-Identifier: BSD-3-Clause */
/* What people write: the parsers of values, and the environment as a whole. The first
 * byte chooses a variable of core's, the rest is its value. */
#include <stdlib.h>
#include <string.h>

#include "../../core/env.h"
#include "fuzz.h"

static void parse_values(const char *text)
{
    uint64_t bytes;
    int64_t ns, value;
    int rc;

    rc = tmbi_parse_size(text, &bytes);
    FUZZ_CHECK(!rc || rc == -EINVAL || rc == -ERANGE);
    rc = tmbi_parse_duration(text, &ns);
    FUZZ_CHECK(rc ? rc == -EINVAL || rc == -ERANGE : ns >= -1);
    rc = tmbi_parse_int(text, -7, 1000, &value);
    FUZZ_CHECK(rc ? rc == -EINVAL || rc == -ERANGE : value >= -7 && value <= 1000);
}

static void mistype(const char *text)
{
    struct tmbi_nearest nearest = {.word = text};

    for (size_t i = 0; i < tmbi_core_env.count; i++)
        tmbi_nearest_offer(&nearest, tmbi_core_env.vars[i].name);
    if (nearest.name)
        FUZZ_CHECK(nearest.distance <= strlen(text) / 2);
}

static void load(const char *name, const char *text)
{
    struct tmbi_core_config config;

    setenv(name, text, 1);
    if (!tmbi_env_load(&tmbi_core_env, &config)) {
        FUZZ_CHECK(config.provider);
        FUZZ_CHECK(config.log >= 0 && config.log <= 3);
        FUZZ_CHECK(config.spin_ns >= -1 && config.op_timeout_ns >= -1);
        FUZZ_CHECK(config.rank >= -1 && config.rank < TMBI_SIZE_MAX);
        FUZZ_CHECK(config.size == -1 ||
                   (config.size >= 1 && config.size <= TMBI_SIZE_MAX));
    }
    unsetenv(name);
}

static void name_unknown(const char *text)
{
    char name[128] = "TMB_";
    const struct tmbi_env_table *const *tables;
    size_t count;

    strncat(name, text, sizeof name - strlen(name) - 1);
    if (strchr(name, '='))
        return;
    tables = tmbi_env_tables(&count);
    setenv(name, "1", 1);
    tmbi_env_warn_unknown(tables, count);
    unsetenv(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char *text;

    if (!bytes)
        return 0;
    text = strndup((const char *)data + 1, bytes - 1);
    FUZZ_CHECK(text);
    parse_values(text);
    mistype(text);
    load(tmbi_core_env.vars[data[0] % tmbi_core_env.count].name, text);
    name_unknown(text);
    free(text);
    return 0;
}
