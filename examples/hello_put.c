/* SPDX-License-Identifier: BSD-3-Clause */
/* Every rank puts a greeting into the memory of the next.
 *     tombolo run -n 4 -- hello_put */
#include <stdio.h>
#include <string.h>
#include <tombolo.h>

int main(void)
{
    char out[64], expected[64];
    int rank, size, ok;
    tmb_win *win;
    void *mine;

    if (tmb_init(TMB_THREAD_SINGLE))
        return 1;
    tmb_rank(&rank);
    tmb_size(&size);

    /* 64 bytes on each rank, which all ranks can reach. */
    if (tmb_win_alloc(TMB_TEAM_WORLD, 64, 0, &win))
        tmb_abort(1);

    snprintf(out, sizeof(out), "hello from rank %d", rank);
    tmb_put(win, (rank + 1) % size, 0, out, sizeof(out)); /* `out` can be reused now */
    tmb_flush(win, (rank + 1) % size);                    /* and now it has arrived */
    tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER);             /* for everybody */

    tmb_win_ptr(win, rank, &mine);
    printf("rank %d of %d got: %s\n", rank, size, (char *)mine);
    snprintf(expected, sizeof(expected), "hello from rank %d", (rank + size - 1) % size);
    ok = !strcmp(mine, expected);

    tmb_win_free(win);
    return tmb_finalize() || !ok;
}
