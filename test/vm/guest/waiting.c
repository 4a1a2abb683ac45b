/* SPDX-License-Identifier: BSD-3-Clause */
/* What a rank costs that waits: rank 1 waits for a signal for some seconds, asleep, and
 * tells which part of one processor the process used, all of its threads.
 *   waiting SECONDS */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <tombolo.h>
#include <unistd.h>

static double cpu_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void check(int rc)
{
    if (rc) {
        fprintf(stderr, "waiting: %s\n", tmb_strerror(rc));
        tmb_abort(1);
    }
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 5, rank;
    tmb_win *win;
    double start;

    check(tmb_init(TMB_THREAD_SINGLE));
    check(tmb_rank(&rank));
    check(tmb_win_alloc(TMB_TEAM_WORLD, 64, 0, &win));
    start = cpu_seconds();
    if (rank == 0) {
        sleep((unsigned)seconds);
        check(tmb_put_signal(win, 1, 8, NULL, 0, 0, TMB_SIGNAL_SET, 1));
    } else if (rank == 1) {
        check(tmb_wait(win, 0, TMB_GE, 1, TMB_FOREVER, NULL));
        printf("waiting rank: %.2f %% of a CPU\n",
               100 * (cpu_seconds() - start) / seconds);
    }
    check(tmb_win_free(win));
    return tmb_finalize() ? 1 : 0;
}
