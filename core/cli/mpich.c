/* SPDX-License-Identifier: BSD-3-Clause */
/* `tombolo mpich`: the environment in which MPI programs find the adapter, and the
 * launcher started in it. */
#include <argp.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../include/tombolo.h"
#include "cli.h"

#define LIBRARY "libtombolo-mpich.so"

struct options {
    const char *library;
    const char *report;
    bool off, required;
    char **program;
};

enum option_key { KEY_LIBRARY = 256, KEY_REPORT, KEY_OFF, KEY_REQUIRED };

static const struct argp_option option_list[] = {
    {"library", KEY_LIBRARY, "PATH", 0, "use this " LIBRARY, 0},
    {"report", KEY_REPORT, "FILE", OPTION_ARG_OPTIONAL,
     "at MPI_Finalize tell what was served how, on stderr or in FILE", 0},
    {"required", KEY_REQUIRED, NULL, 0,
     "end the job if Tombolo can't serve it, instead of leaving it to MPICH", 0},
    {"off", KEY_OFF, NULL, 0, "leave all to MPICH, for comparison", 0},
    {0}};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case KEY_LIBRARY:
        options->library = arg;
        return 0;
    case KEY_REPORT:
        options->report = arg ? arg : "1";
        return 0;
    case KEY_REQUIRED:
        options->required = true;
        return 0;
    case KEY_OFF:
        options->off = true;
        return 0;
    case ARGP_KEY_ARG: /* the launcher; what follows is its own */
        options->program = &state->argv[state->next - 1];
        state->next = state->argc;
        return 0;
    case ARGP_KEY_END:
        if (!options->program)
            argp_error(state, "a command is missing: such as mpiexec -n 4 ./program");
        if (options->off && options->required)
            argp_error(state, "--off and --required contradict each other");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = option_list,
    .parser = parse_option,
    .args_doc = "-- COMMAND [ARGUMENT...]",
    .doc =
        "Start a command, such as mpiexec, so that the MPI programs that it starts have "
        "their one-sided communication served by Tombolo.\v"
        "The exit code is the command's; 2 for wrong usage, 127 for a command that does "
        "not exist and 126 for one that can't be executed. See tombolo-mpich(7)."};

/* ---- the library ---- */

/* This program's file. */
static int own_path(char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);

    if (length < 0)
        return -errno;
    path[length] = '\0';
    return 0;
}

/* In a directory, given by the path of a file in it and a way from there. */
static bool library_at(const char *file, const char *way, char found[PATH_MAX])
{
    const char *slash = strrchr(file, '/');
    char path[2 * PATH_MAX];

    snprintf(path, sizeof path, "%.*s/%s" LIBRARY, slash ? (int)(slash - file) : 0, file,
             way);
    return realpath(path, found);
}

/* Beside the libtombolo that this program runs with, where both are installed; or beside
 * this program, in a tree where they were built. */
static int library_find(const struct options *options, const char *own,
                        char found[PATH_MAX])
{
    Dl_info loaded;

    if (options->library) {
        if (realpath(options->library, found))
            return 0;
        tmbi_cli_say("--library %s: %s", options->library, strerror(errno));
        return -errno;
    }
    if ((dladdr((void *)tmb_init, &loaded) && library_at(loaded.dli_fname, "", found)) ||
        library_at(own, "", found) || library_at(own, ".libs/", found))
        return 0;
    tmbi_cli_say(LIBRARY " is not beside libtombolo: was this version built with MPICH "
                         "(libmpich-dev)? --library PATH says where it is");
    return -ENOENT;
}

/* ---- the environment ---- */

/* The loader splits its list at colons and blanks. */
static int preload(const char *library)
{
    const char *others = getenv("LD_PRELOAD");
    char *list;
    int rc;

    if (strpbrk(library, ": ")) {
        tmbi_cli_say("%s: can't be preloaded from a path with a colon or a blank",
                     library);
        return -EINVAL;
    }
    if (asprintf(&list, "%s%s%s", library, others && *others ? ":" : "",
                 others ? others : "") < 0)
        return -ENOMEM;
    rc = setenv("LD_PRELOAD", list, 1) ? -errno : 0;
    free(list);
    return rc;
}

/* Launchers such as Hydra pass all of it on to every host. TMB_TOMBOLO is how ranks start
 * a region's server where there is none. */
static int environment_set(const struct options *options, const char *own,
                           const char *library)
{
    int rc = preload(library);

    if (!rc && setenv("TMB_TOMBOLO", own, 1))
        rc = -errno;
    if (!rc && options->report && setenv("TMB_MPICH_REPORT", options->report, 1))
        rc = -errno;
    if (!rc && options->off && setenv("TMB_MPICH", "off", 1))
        rc = -errno;
    if (!rc && options->required && setenv("TMB_MPICH", "required", 1))
        rc = -errno;
    return rc;
}

int tmbi_cli_mpich(int argc, char **argv)
{
    struct options options = {.library = NULL};
    char own[PATH_MAX], library[PATH_MAX];
    int rc;

    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &options);
    rc = tmbi_cli_program_check(options.program[0]);
    if (rc)
        return rc;
    if (own_path(own) || library_find(&options, own, library) ||
        environment_set(&options, own, library))
        return 1;
    execvp(options.program[0], options.program);
    tmbi_cli_say("can't execute %s: %s", options.program[0], strerror(errno));
    return TMBI_EXIT_NOT_EXECUTABLE;
}
