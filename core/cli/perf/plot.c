/* SPDX-License-Identifier: BSD-3-Clause */
#include "plot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../cli.h"
#include "perf.h"

#define PANEL_WIDTH  640
#define PANEL_HEIGHT 420

extern char **environ;

const char *perf_plot_terminal(const char *path)
{
    static const char *const terminals[][2] = {
        {".svg", "svg"}, {".png", "pngcairo"}, {".pdf", "pdfcairo"}};
    const char *end = strrchr(path, '.');

    for (size_t i = 0; end && i < sizeof(terminals) / sizeof(terminals[0]); i++)
        if (!strcmp(end, terminals[i][0]))
            return terminals[i][1];
    return NULL;
}

/* ---- gnuplot ---- */

/* Run it with these files; 0, or what went wrong. */
static int gnuplot(char *const argv[], int in, int out)
{
    posix_spawn_file_actions_t files;
    pid_t pid;
    int status, rc = posix_spawn_file_actions_init(&files);

    if (rc)
        return rc;
    if (in >= 0)
        posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    else
        posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (out >= 0)
        posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    else
        posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    rc = posix_spawnp(&pid, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (rc)
        return rc;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return errno;
    return status ? EIO : 0;
}

static int gnuplot_check(const char *path)
{
    char *argv[] = {"gnuplot", "--version", NULL};
    int rc = gnuplot(argv, -1, -1);

    if (rc)
        tmbi_cli_say("--plot %s: gnuplot can't be run: %s; install it (Debian: "
                     "gnuplot-nox), or leave --plot out",
                     path, strerror(rc));
    return -rc;
}

/* ---- the file ---- */

int perf_plot_open(struct perf_plot *plot, const char *path)
{
    int rc = gnuplot_check(path);

    if (rc)
        return rc;
    *plot = (struct perf_plot){.path = path, .terminal = perf_plot_terminal(path)};
    plot->fresh = access(path, F_OK) != 0;
    plot->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (plot->fd >= 0)
        return 0;
    rc = -errno;
    tmbi_cli_say("--plot %s: can't write there: %s; choose another file", path,
                 strerror(errno));
    return rc;
}

void perf_plot_close(struct perf_plot *plot, bool drawn)
{
    close(plot->fd);
    if (!drawn && plot->fresh)
        unlink(plot->path);
}

/* ---- the drawing ---- */

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));

    return text ? text : "";
}

static double number_of(const json_t *row, const char *key)
{
    return json_number_value(json_object_get(row, key));
}

static bool same(const json_t *a, const json_t *b, const char *key)
{
    return !strcmp(text_of(a, key), text_of(b, key));
}

static bool same_curve(const json_t *a, const json_t *b)
{
    return same(a, b, "test") && same(a, b, "variant") && same(a, b, "provider");
}

static bool same_test(const json_t *a, const json_t *b)
{
    return same(a, b, "test");
}

/* Whether the rows before it have none that is like this one. */
static bool is_first(const json_t *rows, size_t index,
                     bool (*alike)(const json_t *a, const json_t *b))
{
    const json_t *row = json_array_get(rows, index);

    for (size_t i = 0; i < index; i++)
        if (alike(json_array_get(rows, i), row))
            return false;
    return true;
}

/* A block of data for each curve, named by its first row: size, us, MB/s. */
static void write_data(FILE *script, const json_t *rows, size_t first)
{
    const json_t *curve = json_array_get(rows, first), *row;
    size_t i;

    fprintf(script, "$curve%zu << EOD\n", first);
    json_array_foreach(rows, i, row) if (same_curve(row, curve))
        fprintf(script, "%.0f %.6f %.3f\n", number_of(row, "bytes"),
                number_of(row, "p50_ns") / 1e3, number_of(row, "MBps"));
    fprintf(script, "EOD\n");
}

/* What a panel shows, by the key of its rows and the column of its data. */
struct quantity {
    const char *label, *key;
    int column;
    double unit;
};

/* The values of all of a test's curves, and some room. */
static void write_range(FILE *script, const json_t *rows, const json_t *test,
                        const struct quantity *shown)
{
    double least = INFINITY, most = 0;
    const json_t *row;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        double value = number_of(row, shown->key) / shown->unit;

        if (same_test(row, test) && value > 0) {
            least = fmin(least, value);
            most = fmax(most, value);
        }
    }
    if (most > 0)
        fprintf(script, "set yrange [%g:%g]\n", least / 2, most * 2);
}

/* The curves of a test. */
static void write_panel(FILE *script, const json_t *rows, const json_t *test,
                        const struct quantity *shown)
{
    const char *separator = "plot";
    const json_t *row;
    size_t i;

    write_range(script, rows, test, shown);
    fprintf(script, "set title '%s'\nset ylabel '%s'\n", text_of(test, "test"),
            shown->label);
    json_array_foreach(rows, i, row)
    {
        const char *variant = text_of(row, "variant");

        if (!same_test(row, test) || !is_first(rows, i, same_curve))
            continue;
        fprintf(script, "%s $curve%zu using 1:%d with linespoints title '%s%s%s'",
                separator, i, shown->column, variant, *variant ? ", " : "",
                text_of(row, "provider"));
        separator = ",";
    }
    fprintf(script, "\n");
}

/* Powers of four that sizes reach. */
static void write_sizes(FILE *script, const json_t *rows)
{
    double least = INFINITY, most = 0;
    const char *separator = "";
    const json_t *row;
    char text[40];
    size_t i;

    json_array_foreach(rows, i, row)
    {
        least = fmin(least, number_of(row, "bytes"));
        most = fmax(most, number_of(row, "bytes"));
    }
    fprintf(script, "set xtics (");
    for (uint64_t bytes = 1; (double)bytes <= most; bytes *= 4) {
        if ((double)bytes < least)
            continue;
        fprintf(script, "%s'%s' %" PRIu64, separator,
                perf_human_bytes(text, sizeof(text), bytes), bytes);
        separator = ", ";
    }
    fprintf(script, ")\n");
}

static void write_script(FILE *script, const struct perf_plot *plot, const json_t *rows)
{
    static const struct quantity time = {"median, us", "p50_ns", 2, 1e3},
                                 rate = {"MB/s", "MBps", 3, 1};
    bool pdf = !strcmp(plot->terminal, "pdfcairo"); /* its sizes are in inches */
    const json_t *row;
    int tests = 0;
    size_t i;

    json_array_foreach(rows, i, row)
    {
        tests += is_first(rows, i, same_test);
        if (is_first(rows, i, same_curve))
            write_data(script, rows, i);
    }
    fprintf(script,
            "set terminal %s noenhanced background 'white' size %g,%g\n"
            "set multiplot layout %d,2\nset logscale x 2\nset logscale y\nset grid\n"
            "set xlabel 'size'\nset key below\nset offsets graph 0.02, graph 0.02\n",
            plot->terminal, 2 * PANEL_WIDTH / (pdf ? 100.0 : 1),
            tests * PANEL_HEIGHT / (pdf ? 100.0 : 1), tests);
    write_sizes(script, rows);
    json_array_foreach(rows, i, row)
    {
        if (!is_first(rows, i, same_test))
            continue;
        write_panel(script, rows, row, &time);
        write_panel(script, rows, row, &rate);
    }
    fprintf(script, "unset multiplot\n");
}

static json_t *rows_with_size(const json_t *rows)
{
    json_t *chosen = json_array(), *row;
    size_t i;

    json_array_foreach(rows, i, row) if (perf_test_is_sized(text_of(row, "test")) &&
                                         number_of(row, "bytes") > 0)
        json_array_append(chosen, row);
    return chosen;
}

/* The drawing takes the file's place at once, and only when it is whole. */
static int file_write(const struct perf_plot *plot, int drawing)
{
    struct stat about;
    off_t at = 0;

    if (fstat(drawing, &about) || ftruncate(plot->fd, 0))
        return errno;
    while (at < about.st_size)
        if (sendfile(plot->fd, drawing, &at, (size_t)(about.st_size - at)) < 0)
            return errno;
    return 0;
}

static int draw(const struct perf_plot *plot, const json_t *rows, FILE *script,
                int drawing)
{
    char *argv[] = {"gnuplot", "-", NULL};
    int rc;

    write_script(script, plot, rows);
    if (fflush(script) || lseek(fileno(script), 0, SEEK_SET) < 0)
        return errno;
    rc = gnuplot(argv, fileno(script), drawing);
    return rc ? rc : file_write(plot, drawing);
}

int perf_plot_draw(struct perf_plot *plot, const json_t *rows)
{
    int drawing = memfd_create("drawing", MFD_CLOEXEC);
    FILE *script = tmpfile();
    json_t *chosen = rows_with_size(rows);
    int rc = drawing < 0 || !script || !chosen ? ENOMEM : 0;

    if (rc == 0)
        rc = draw(plot, chosen, script, drawing);
    if (rc)
        tmbi_cli_say("--plot %s: it could not be drawn: %s", plot->path, strerror(rc));
    json_decref(chosen);
    if (script)
        fclose(script);
    if (drawing >= 0)
        close(drawing);
    return -rc;
}
