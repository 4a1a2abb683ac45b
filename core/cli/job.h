/* SPDX-License-Identifier: BSD-3-Clause */
/* `tombolo info --job`: the job that the command is a rank of, as all its ranks see it.
 */
#ifndef TMBI_JOB_H
#define TMBI_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../include/tombolo.h"

/* What rank 0 knows of the job. A route is a byte: 0 to the rank itself, otherwise what
 * tmbi_job_provider() and tmbi_job_mapped() tell. */
struct tmbi_job_view {
    int size;
    struct tmb_peer_info *ranks; /* as rank 0 sees them */
    uint8_t *routes;             /* routes[from * size + to] */
};

const char *tmbi_job_provider(uint8_t route);
bool tmbi_job_mapped(uint8_t route);
const char *tmbi_job_state(const struct tmb_peer_info *rank);

/* Ranks whose routes are alike, and the others, or themselves, that they all reach by one
 * kind of route. */
struct tmbi_job_group {
    const struct tmbi_job_view *view;
    int from, to; /* the first of those, and of these */
    uint8_t route;
};
/* Whether a rank is one of them, for tmbi_ranks_list(); arg is the group. */
bool tmbi_job_from(const void *arg, int rank);
bool tmbi_job_to(const void *arg, int rank);
/* Call visit() for each group; how many there are. */
int tmbi_job_groups(const struct tmbi_job_view *view,
                    void (*visit)(const struct tmbi_job_group *group, void *arg),
                    void *arg);

/* Join the job and, as rank 0, print it; the exit code. */
int tmbi_cli_info_job(bool json);

/* Print it as one JSON object (job_json.c); the exit code. */
int tmbi_job_json(const struct tmbi_job_view *view);

#endif
