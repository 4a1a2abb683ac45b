/* SPDX-License-Identifier: BSD-3-Clause */
/* All ranks draw numbers from one counter; each number is drawn once.
 *     tombolo run -n 4 -- shared_counter */
#include <inttypes.h>
#include <stdio.h>
#include <tombolo.h>

#define DRAWS 100000

int main(void)
{
    uint64_t number, drawn = 0, sum = 0, all, count;
    int rank, size;
    tmb_win *win;

    if (tmb_init(TMB_THREAD_SINGLE))
        return 1;
    tmb_rank(&rank);
    tmb_size(&size);

    /* The counter lives on rank 0; the others' parts are empty. */
    if (tmb_win_alloc(TMB_TEAM_WORLD, rank == 0 ? sizeof(uint64_t) : 0, 0, &win))
        tmb_abort(1);

    /* No lock: the processor's own atomic, in rank 0's memory. */
    for (;;) {
        tmb_fetch_add_u64(win, 0, 0, 1, &number);
        if (number >= DRAWS)
            break;
        drawn++;
        sum += number;
    }
    tmb_allreduce(TMB_TEAM_WORLD, &drawn, &count, 1, TMB_U64, TMB_OP_ADD, TMB_FOREVER);
    tmb_allreduce(TMB_TEAM_WORLD, &sum, &all, 1, TMB_U64, TMB_OP_ADD, TMB_FOREVER);
    printf("rank %d drew %" PRIu64 " of %" PRIu64 " numbers\n", rank, drawn, count);

    tmb_win_free(win);
    return tmb_finalize() || count != DRAWS || all != (uint64_t)DRAWS * (DRAWS - 1) / 2;
}
