/* SPDX-License-Identifier: BSD-3-Clause */
/* A work queue in rank 0's memory, under a lock: ranks take items until none is left, and
 * each item is done once.
 *     tombolo run -n 4 -- work_queue */
#include <stdio.h>
#include <tombolo.h>

#define ITEMS 2000

struct queue {
    uint64_t taken; /* items[0 .. taken) are */
    int64_t items[ITEMS];
};

/* Take an item, or return 0. The lock is rank 0's; waiting for it costs no CPU. */
static int take(tmb_win *win, int64_t *item)
{
    uint64_t taken;

    if (tmb_lock(win, 0, TMB_LOCK_EXCLUSIVE, TMB_FOREVER))
        tmb_abort(1);
    tmb_get(win, 0, offsetof(struct queue, taken), &taken, sizeof(taken));
    if (taken < ITEMS) {
        tmb_get(win, 0, offsetof(struct queue, items) + taken * 8, item, sizeof(*item));
        taken++;
        tmb_put(win, 0, offsetof(struct queue, taken), &taken, sizeof(taken));
    } else
        *item = -1;
    tmb_unlock(win, 0); /* also completes the put */
    return *item >= 0;
}

int main(void)
{
    int64_t item, sum = 0, all;
    int rank, mine = 0;
    tmb_win *win;
    void *queue;

    if (tmb_init(TMB_THREAD_SINGLE))
        return 1;
    tmb_rank(&rank);
    if (tmb_win_alloc(TMB_TEAM_WORLD, rank ? 0 : sizeof(struct queue), 0, &win))
        tmb_abort(1);
    tmb_win_ptr(win, rank, &queue);
    for (int i = 0; rank == 0 && i < ITEMS; i++)
        ((struct queue *)queue)->items[i] = i;
    tmb_barrier(TMB_TEAM_WORLD, TMB_FOREVER);

    for (; take(win, &item); mine++)
        sum += item; /* the work */
    tmb_allreduce(TMB_TEAM_WORLD, &sum, &all, 1, TMB_I64, TMB_OP_ADD, TMB_FOREVER);
    printf("rank %d did %d items\n", rank, mine);
    tmb_win_free(win);
    return tmb_finalize() || all != (int64_t)ITEMS * (ITEMS - 1) / 2;
}
