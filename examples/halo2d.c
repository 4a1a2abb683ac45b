/* SPDX-License-Identifier: BSD-3-Clause */
/* Jacobi iteration on a square, in stripes of rows: each rank puts its border rows into
 * its neighbours' halos and signals; no barrier. Checked against one rank doing it all.
 *     tombolo run -n 4 -- halo2d */
#include <stdio.h>
#include <string.h>
#include <tombolo.h>

enum { N = 48, ROUNDS = 100, ROW = N * sizeof(double) };

/* Two stripes, old and new, with a halo row above and below; behind them two words count
 * the rows that came from above and from below. */
static double stripes[2 * (N + 2) * N + 2], whole[2][(N + 2) * N];

static void relax(double *to, const double *from, int rows)
{
    for (int i = 1; i <= rows; i++)
        for (int j = 0; j < N; j++)
            to[i * N + j] = (from[(i - 1) * N + j] + from[(i + 1) * N + j] +
                             (j ? from[i * N + j - 1] : 1) + /* the left side is hot */
                             (j < N - 1 ? from[i * N + j + 1] : 0)) /
                            4;
}

int main(void)
{
    const uint64_t stripe = (N + 2) * ROW, above = 2 * stripe, below = above + 8;
    int rank, size, bad = 0;
    tmb_win *win;

    if (tmb_init(TMB_THREAD_SINGLE) || tmb_rank(&rank) || tmb_size(&size))
        return 1;
    int first = rank * N / size, rows = (rank + 1) * N / size - first;
    uint64_t up = (uint64_t)(first - (rank - 1) * N / size); /* rows of rank - 1 */

    tmb_win_create(TMB_TEAM_WORLD, stripes, sizeof(stripes), 0, &win);
    for (uint64_t t = 0; t < ROUNDS; t++) {
        uint64_t next = (t + 1) % 2 * stripe;
        double *to = stripes + next / 8;

        relax(to, stripes + t % 2 * stripe / 8, rows);
        if (rank > 0)
            tmb_put_signal(win, rank - 1, next + (up + 1) * ROW, to + N, ROW, below,
                           TMB_SIGNAL_ADD, 1);
        if (rank < size - 1)
            tmb_put_signal(win, rank + 1, next, to + rows * N, ROW, above, TMB_SIGNAL_ADD,
                           1);
        if (rank > 0)
            tmb_wait(win, above, TMB_GE, t + 1, TMB_FOREVER, NULL);
        if (rank < size - 1)
            tmb_wait(win, below, TMB_GE, t + 1, TMB_FOREVER, NULL);
        relax(whole[(t + 1) % 2], whole[t % 2], N);
    }
    for (int k = N; k < (rows + 1) * N; k++)
        bad += stripes[k] != whole[0][first * N + k];
    printf("rank %d: rows from %d on, %d values differ\n", rank, first, bad);
    tmb_win_free(win);
    return tmb_finalize() || bad;
}
