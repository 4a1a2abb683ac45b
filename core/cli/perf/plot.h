/* SPDX-License-Identifier: BSD-3-Clause */
/* Drawing rows by gnuplot, over the size: the median time and what it moves, a curve for
 * each variant and provider of a test. */
#ifndef TMBI_PERF_PLOT_H
#define TMBI_PERF_PLOT_H

#include <jansson.h>
#include <stdbool.h>

struct perf_plot {
    const char *path;
    const char *terminal; /* gnuplot's */
    int fd;
    bool fresh; /* the file was not there before */
};

/* The terminal for a file's name; NULL: there is none. */
const char *perf_plot_terminal(const char *path);

/* See that everything is there to draw. What is missing is said on stderr. */
int perf_plot_open(struct perf_plot *plot, const char *path);
/* Draw the rows (perf_row_object()) of tests that have sizes; the rest is left out. */
int perf_plot_draw(struct perf_plot *plot, const json_t *rows);
/* If nothing was drawn the file is as it was. */
void perf_plot_close(struct perf_plot *plot, bool drawn);

#endif
