/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ranks that another library has brought together (adapter.h). It has no deadlines: an
 * exchange takes as long as its callback does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../adapter.h"
#include "../log.h"
#include "bootstrap.h"

/* Rank 0's name for the job, which all take. */
struct name_part {
    int32_t status; /* of making it */
    char name[TMBI_JOB_NAME_BYTES];
};
_Static_assert(sizeof(struct name_part) == 44, "name part layout");

static int callbacks_exchange(struct tmbi_bootstrap *b, const void *mine, size_t bytes,
                              void *all, int64_t deadline)
{
    const struct tmbi_adapter_callbacks *callbacks = b->state;
    int rc = callbacks->exchange(callbacks->arg, mine, bytes, all);

    (void)deadline;
    if (rc == 0)
        return 0;
    tmbi_error("tmb_init: the adapter's exchange of %zu bytes returned %d", bytes, rc);
    return rc < 0 ? rc : -EPROTO;
}

static int name_agree(struct tmbi_bootstrap *b)
{
    struct name_part *all = calloc((size_t)b->job.size + 1, sizeof(*all));
    struct name_part *mine = all + b->job.size;
    int rc;

    if (!all)
        return -ENOMEM;
    if (b->job.rank == 0)
        mine->status = tmbi_bootstrap_name(mine->name);
    rc = callbacks_exchange(b, mine, sizeof(*mine), all, 0);
    if (rc == 0)
        rc = all[0].status;
    if (rc == 0 && (!all[0].name[0] || !memchr(all[0].name, 0, sizeof(all[0].name)))) {
        tmbi_error("tmb_init: the adapter's exchange gave no name of rank 0's");
        rc = -EPROTO;
    }
    memcpy(b->job.name, all[0].name, sizeof(b->job.name));
    free(all);
    return rc;
}

static void callbacks_abort(struct tmbi_bootstrap *b, int exit_code)
{
    const struct tmbi_adapter_callbacks *callbacks = b->state;

    callbacks->abort(callbacks->arg, exit_code);
}

static void callbacks_close(struct tmbi_bootstrap *b)
{
    free(b->state);
}

static const struct tmbi_bootstrap_ops ops = {
    .name = "callbacks",
    .meaning = "another library has brought the ranks together",
    .exchange = callbacks_exchange,
    .abort = callbacks_abort,
    .close = callbacks_close};

int tmbi_bootstrap_open_callbacks(struct tmbi_bootstrap *b,
                                  const struct tmbi_adapter_callbacks *callbacks)
{
    struct tmbi_adapter_callbacks *copy = malloc(sizeof(*copy));
    int rc;

    if (!copy)
        return -ENOMEM;
    *copy = *callbacks;
    *b = (struct tmbi_bootstrap){.ops = &ops,
                                 .job.rank = callbacks->rank,
                                 .job.size = callbacks->size,
                                 .fd = -1,
                                 .state = copy};
    rc = name_agree(b);
    if (rc)
        free(copy);
    return rc;
}
