/* SPDX-License-Identifier: BSD-3-Clause */
/* Exchanges of all sizes between ranks that any launcher has started: bootstrap.sh. An
 * argument: rank 1 ends by abort with this code instead, and the others wait. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../core/bootstrap/bootstrap.h"
#include "../core/clock.h"

#define SECOND INT64_C(1000000000)

/* 0, or what went wrong. */
static int exchange_round(struct tmbi_bootstrap *b, size_t bytes, int seed)
{
    size_t size = (size_t)b->job.size;
    uint8_t *mine = malloc(bytes + 1), *all = malloc(bytes * size + 1);
    int rc = 0;

    memset(mine, b->job.rank * 16 + seed, bytes);
    if (b->ops->exchange(b, mine, bytes, all, tmbi_deadline(20 * SECOND)))
        rc = 3;
    for (size_t i = 0; !rc && i < bytes * size; i++)
        if (all[i] != (uint8_t)(i / bytes * 16 + (size_t)seed))
            rc = 4;
    free(mine);
    free(all);
    return rc;
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {360, 0, 1, 64 << 10, 4};
    struct tmbi_core_config config;
    struct tmbi_bootstrap b;
    int rc = 0;

    if (tmbi_env_load(&tmbi_core_env, &config) || tmbi_bootstrap_open(&b, &config))
        return 2;
    for (int i = 0; !rc && i < 5; i++)
        rc = exchange_round(&b, sizes[i], i);
    if (!rc && argc > 1) {
        if (b.job.rank == 1)
            b.ops->abort(&b, atoi(argv[1]));
        sleep(50);
    }
    b.ops->close(&b);
    printf("%s %d of %d in %s: %d\n", b.ops->name, b.job.rank, b.job.size, b.job.name,
           rc);
    return rc;
}
