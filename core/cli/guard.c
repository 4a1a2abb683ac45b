/* SPDX-License-Identifier: BSD-3-Clause */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SWEEPS 50

struct sweep {
    const char *job; /* its name, which is unique */
    int first, ranks;
    int found;
};

/* The environment that a process was started with, NUL-terminated; or NULL. */
static char *environment_read(pid_t pid, size_t *bytes)
{
    char path[40], *text = NULL;
    size_t room = 0;
    ssize_t got;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    *bytes = 0;
    do {
        char *more = *bytes + 1 >= room ? realloc(text, room = room * 2 + 8192) : text;
        if (!more)
            break;
        text = more;
        got = read(fd, text + *bytes, room - *bytes - 1);
        *bytes += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    close(fd);
    if (text)
        text[*bytes] = '\0';
    return text;
}

/* The value of a variable in an environment, or "". */
static const char *environment_find(const char *text, size_t bytes, const char *name)
{
    size_t length = strlen(name);

    for (size_t at = 0; at < bytes; at += strlen(text + at) + 1)
        if (!strncmp(text + at, name, length) && text[at + length] == '=')
            return text + at + length + 1;
    return "";
}

/* Our ranks, and what they have started: another launcher of the job may be at work on
 * this machine. */
static void sweep_process(void *arg, pid_t pid)
{
    struct sweep *sweep = arg;
    size_t bytes;
    char *text = environment_read(pid, &bytes);
    int rank;

    if (!text)
        return;
    rank = atoi(environment_find(text, bytes, "TMB_RANK")) - sweep->first;
    if (rank >= 0 && rank < sweep->ranks &&
        !strcmp(environment_find(text, bytes, "TMB_JOB"), sweep->job)) {
        kill(pid, SIGKILL);
        sweep->found++;
    }
    free(text);
}

static void guard_clean(struct sweep *sweep, const struct tmbi_embedded *server)
{
    for (int i = 0; i < SWEEPS; i++) {
        sweep->found = 0;
        tmbi_process_each(sweep_process, sweep);
        if (!sweep->found)
            break;
        usleep(20000);
    }
    tmbi_embedded_remove(server);
}

static void guard_run(int fd, struct sweep *sweep, const struct tmbi_embedded *server)
{
    sigset_t all;
    char byte;
    ssize_t got;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setsid();
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (int i = 0; i < 3; i++) /* so that a pipe's reader does not wait for us */
        if (null >= 0)
            dup2(null, i);
    do
        got = read(fd, &byte, 1);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        guard_clean(sweep, server);
    _exit(0);
}

int tmbi_guard_start(struct tmbi_guard *guard, const char *job, int first, int ranks,
                     const struct tmbi_embedded *server)
{
    struct sweep sweep = {.job = job, .first = first, .ranks = ranks};
    int life[2], rc = 0;

    if (pipe2(life, O_CLOEXEC))
        return -errno;
    guard->pid = fork();
    if (guard->pid == 0) {
        close(life[1]);
        guard_run(life[0], &sweep, server);
    }
    if (guard->pid < 0) {
        rc = -errno;
        close(life[1]);
    }
    close(life[0]);
    guard->fd = life[1];
    return rc;
}

void tmbi_guard_stop(struct tmbi_guard *guard)
{
    while (write(guard->fd, "", 1) < 0 && errno == EINTR)
        ;
    close(guard->fd);
    waitpid(guard->pid, NULL, 0);
}
