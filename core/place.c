/* SPDX-License-Identifier: BSD-3-Clause */
/* What ranks of one host share when nobody has made it for them: one of them does. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "meet.h"

static uint64_t host_of(const uint64_t *hosts, size_t stride, int rank)
{
    return *(const uint64_t *)((const uint8_t *)hosts + (size_t)rank * stride);
}

/* The lowest rank of a rank's host; *ranks: how many it has. -1: it wants no place. */
static int leader_of(const uint64_t *hosts, size_t stride, int rank, int *ranks)
{
    uint64_t host = host_of(hosts, stride, rank);
    int leader = -1;

    *ranks = 0;
    for (int i = 0; host && i < tmbi_context.bootstrap.job.size; i++)
        if (host_of(hosts, stride, i) == host && ++*ranks == 1)
            leader = i;
    return leader;
}

bool tmbi_places_wanted(const uint64_t *hosts, size_t stride)
{
    int ranks = 0;

    for (int i = 0; ranks < 2 && i < tmbi_context.bootstrap.job.size; i++)
        leader_of(hosts, stride, i, &ranks);
    return ranks > 1;
}

int tmbi_places_make(const struct tmbi_provider *provider, const uint64_t *hosts,
                     size_t stride, char place[TMBI_PLACE_BYTES], int *hold,
                     int64_t deadline)
{
    const struct tmbi_job *job = &tmbi_context.bootstrap.job;
    char(*all)[TMBI_PLACE_BYTES] = calloc((size_t)job->size, sizeof(*all));
    int ranks, leader = leader_of(hosts, stride, job->rank, &ranks);
    char made[TMBI_PLACE_BYTES] = "";
    int rc;

    *hold = -1;
    *place = '\0';
    if (!all)
        return -ENOMEM;
    if (leader == job->rank && ranks > 1 &&
        provider->place_make(job, ranks, made, hold)) {
        tmbi_info("provider %s: the ranks of this host go on without it", provider->name);
        *made = '\0';
    }
    rc = tmbi_meet_exchange(made, sizeof(made), all, deadline);
    if (rc == 0 && leader >= 0 && memchr(all[leader], 0, sizeof(*all)))
        memcpy(place, all[leader], sizeof(*all));
    free(all);
    return rc;
}
