/* SPDX-License-Identifier: BSD-3-Clause */
/* The `tombolo` command: finds the subcommand. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../env.h"
#include "../include/tombolo.h"
#include "cli.h"

struct command {
    const char *name;
    char *title; /* the argv[0] that it sees */
    int (*main)(int argc, char **argv);
    const char *meaning;
};

static const struct command commands[] = {
    {"run", "tombolo run", tmbi_cli_run, "start the ranks of a job on this host"},
    {"info", "tombolo info", tmbi_cli_info, "show providers, machine and variables"},
    {"perf", "tombolo perf", tmbi_cli_perf, "measure, beside what bounds it"},
    {"server", "tombolo server", tmbi_cli_server, "serve a region to ranks and to QEMU"},
    {"broker", "tombolo broker", tmbi_cli_broker,
     "in a guest, hand out a device that vfio-pci has"},
    {"mpich", "tombolo mpich", tmbi_cli_mpich,
     "start MPI programs whose one-sided calls it serves"},
};
#define COMMANDS (sizeof commands / sizeof *commands)

static const char *command_title = "tombolo";

void tmbi_cli_say(const char *format, ...)
{
    char line[1024];
    int used = snprintf(line, sizeof line, "%s: ", command_title);
    va_list args;

    va_start(args, format);
    vsnprintf(line + used, sizeof line - (size_t)used - 1, format, args);
    va_end(args);
    used = (int)strlen(line);
    line[used++] = '\n';
    while (write(STDERR_FILENO, line, (size_t)used) < 0 && errno == EINTR)
        ;
}

static int help(void)
{
    puts("Usage: tombolo COMMAND [OPTION...]\n"
         "One-sided access to the memory of other processes and virtual machines.\n");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-8s %s\n", commands[i].name, commands[i].meaning);
    puts("\n`tombolo COMMAND --help` tells a command's options; see also tombolo(1).");
    return 0;
}

static int version(void)
{
    int major, minor, patch;

    tmb_version(&major, &minor, &patch);
    printf("tombolo %d.%d.%d\n", major, minor, patch);
    return 0;
}

static int unknown(const char *name)
{
    struct tmbi_nearest nearest = {.word = name};

    for (size_t i = 0; i < COMMANDS; i++)
        tmbi_nearest_offer(&nearest, commands[i].name);
    if (nearest.name)
        tmbi_cli_say("there is no command `%s`: did you mean `%s`?", name, nearest.name);
    else
        tmbi_cli_say("there is no command `%s`: see `tombolo --help`", name);
    return TMBI_EXIT_USAGE;
}

/* A descriptor of ours that took a standard one's number would become a rank's input or
 * output. */
static void standard_files_open(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    while (fd >= 0 && fd <= STDERR_FILENO && !fcntl(fd, F_SETFD, 0));
    if (fd > STDERR_FILENO)
        close(fd);
}

int main(int argc, char **argv)
{
    standard_files_open();
    argp_err_exit_status = TMBI_EXIT_USAGE;
    if (argc < 2) {
        tmbi_cli_say("a command is missing: see `tombolo --help`");
        return TMBI_EXIT_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
        return help();
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
        return version();
    for (size_t i = 0; i < COMMANDS; i++) {
        if (!strcmp(argv[1], commands[i].name)) {
            command_title = argv[1] = commands[i].title;
            return commands[i].main(argc - 1, argv + 1);
        }
    }
    return unknown(argv[1]);
}
