/* SPDX-License-Identifier: BSD-3-Clause */
/* What `tombolo info` tells, as text (info.c) and as JSON (info_json.c). */
#ifndef TMBI_INFO_H
#define TMBI_INFO_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "../bootstrap/bootstrap.h"

struct tmbi_capability {
    uint32_t bit;
    const char *name;
    const char *meaning;
};
extern const struct tmbi_capability tmbi_capabilities[];
extern const size_t tmbi_capability_count;

/* Print everything as one JSON object; the exit code. `called`: the bootstrap back end
 * that the environment calls for, or NULL. */
int tmbi_info_json(const struct tmbi_bootstrap_ops *called);

/* The version, as its value. */
json_t *tmbi_info_version(void);
/* Print an object and let it go; NULL: it could not be made. The exit code. */
int tmbi_info_print(json_t *info);

#endif
