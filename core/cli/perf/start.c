/* SPDX-License-Identifier: BSD-3-Clause */
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../cli.h"

struct command {
    char self[4096];
    char **argv;
};

static char *word(const char *text)
{
    return (char *)(uintptr_t)text; /* execv() changes none */
}

static int command_make(const struct perf_start *start, struct command *command)
{
    ssize_t length = readlink("/proc/self/exe", command->self, sizeof(command->self) - 1);
    char **argv = calloc((size_t)start->argc + 11, sizeof(*argv));
    int n = 0;

    if (length < 0 || !argv) {
        tmbi_cli_say("can't start ranks: %s", strerror(errno));
        free(argv);
        return -1;
    }
    command->self[length] = '\0';
    command->argv = argv;
    argv[n++] = command->self;
    argv[n++] = word("run");
    argv[n++] = word("-n");
    argv[n++] = word(start->ranks);
    argv[n++] = word("--bind"); /* or else two ranks may meet on one core */
    argv[n++] = word("core");
    if (start->provider) {
        argv[n++] = word("--provider");
        argv[n++] = word(start->provider);
    }
    argv[n++] = word("--");
    argv[n++] = command->self;
    argv[n++] = word("perf");
    for (int i = 1; i < start->argc; i++)
        argv[n++] = start->argv[i];
    return 0;
}

int perf_start_exec(const struct perf_start *start)
{
    struct command command;

    if (command_make(start, &command))
        return 1;
    execv(command.self, command.argv);
    tmbi_cli_say("can't start %s: %s", command.self, strerror(errno));
    free(command.argv);
    return 1;
}

/* ---- a job whose rows are read ---- */

static int rows_read(int fd, json_t *rows)
{
    FILE *in = fdopen(fd, "r");
    char *line = NULL;
    size_t room = 0;
    int code = 0;

    if (!in) {
        close(fd);
        return 1;
    }
    while (getline(&line, &room, in) > 0)
        if (json_array_append_new(rows, json_loads(line, 0, NULL))) {
            tmbi_cli_say("the ranks printed what is no row: %s", line);
            code = 1;
        }
    free(line);
    fclose(in);
    return code;
}

static int exit_code(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int perf_start_rows(const struct perf_start *start, json_t *rows)
{
    struct command command;
    int output[2], code, read_code;
    pid_t pid;

    if (command_make(start, &command))
        return 1;
    if (pipe2(output, O_CLOEXEC)) {
        tmbi_cli_say("can't start ranks: %s", strerror(errno));
        free(command.argv);
        return 1;
    }
    pid = fork();
    if (pid == 0) {
        dup2(output[1], STDOUT_FILENO);
        execv(command.self, command.argv);
        _exit(127);
    }
    close(output[1]);
    free(command.argv);
    if (pid < 0) {
        tmbi_cli_say("can't start ranks: %s", strerror(errno));
        close(output[0]);
        return 1;
    }
    read_code = rows_read(output[0], rows);
    code = exit_code(pid);
    return code ? code : read_code;
}
