/* SPDX-License-Identifier: BSD-3-Clause */
#include "process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum step { STEP_FORK, STEP_STDIO, STEP_BIND, STEP_ENVIRONMENT, STEP_EXEC };
static const char *const step_names[] = {"fork", "set up its files", "bind to a CPU",
                                         "set its environment", "execute"};

/* What a child tells before it has become the program. */
struct failure {
    int step;
    int error;
};

void tmbi_process_settle(const struct tmbi_process_origin *origin, int sig)
{
    prctl(PR_SET_PDEATHSIG, sig);
    if (getppid() != origin->launcher)
        _exit(1); /* it had died before that */
    setrlimit(RLIMIT_NOFILE, &origin->files);
    sigaction(SIGPIPE, &origin->sigpipe, NULL);
    sigprocmask(SIG_SETMASK, &origin->mask, NULL);
}

static int set_number(const char *name, int value)
{
    char text[16];

    snprintf(text, sizeof text, "%d", value);
    return setenv(name, text, 1);
}

static int set_environment(const struct tmbi_process_spec *spec)
{
    if (set_number("TMB_RANK", spec->rank) || set_number("TMB_SIZE", spec->size) ||
        set_number("TMB_LAUNCH_FD", spec->launch_fd) || setenv("TMB_JOB", spec->job, 1))
        return -errno;
    if ((spec->provider && setenv("TMB_PROVIDER", spec->provider, 1)) ||
        (spec->server && setenv("TMB_SERVER", spec->server, 1)))
        return -errno;
    return 0;
}

static int set_stdio(const struct tmbi_process_spec *spec)
{
    for (int fd = 0; fd < 3; fd++)
        if (spec->stdio[fd] >= 0 && dup2(spec->stdio[fd], fd) < 0)
            return -errno;
    return fcntl(spec->launch_fd, F_SETFD, 0) ? -errno : 0;
}

/* Returns only if it failed. */
static struct failure become_program(const struct tmbi_process_spec *spec)
{
    int rc;

    tmbi_process_settle(spec->origin, SIGKILL);
    rc = set_stdio(spec);
    if (rc)
        return (struct failure){STEP_STDIO, -rc};
    rc = tmbi_topology_bind(spec->bind, spec->local, spec->locals);
    if (rc)
        return (struct failure){STEP_BIND, -rc};
    rc = set_environment(spec);
    if (rc)
        return (struct failure){STEP_ENVIRONMENT, -rc};
    execvp(spec->program[0], spec->program);
    return (struct failure){STEP_EXEC, errno};
}

static void run_child(const struct tmbi_process_spec *spec, int report)
{
    struct failure failure = become_program(spec);

    while (write(report, &failure, sizeof failure) < 0 && errno == EINTR)
        ;
    _exit(127);
}

/* The pipe closes without a word when the program has been executed. */
static int await_program(pid_t pid, int report, const char **step)
{
    struct failure failure;
    ssize_t got;

    do
        got = read(report, &failure, sizeof failure);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof failure)
        return 0;
    waitpid(pid, NULL, 0);
    *step = step_names[failure.step];
    return -failure.error;
}

int tmbi_process_start(const struct tmbi_process_spec *spec, pid_t *pid,
                       const char **step)
{
    int report[2], rc;

    *step = step_names[STEP_FORK];
    if (pipe2(report, O_CLOEXEC))
        return -errno;
    *pid = fork();
    if (*pid == 0)
        run_child(spec, report[1]);
    rc = *pid < 0 ? -errno : 0;
    close(report[1]);
    if (!rc)
        rc = await_program(*pid, report[0], step);
    close(report[0]);
    return rc;
}

void tmbi_process_each(void (*visit)(void *arg, pid_t pid), void *arg)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;

    if (!proc)
        return;
    while ((entry = readdir(proc)))
        if (isdigit((unsigned char)entry->d_name[0]))
            visit(arg, (pid_t)atol(entry->d_name));
    closedir(proc);
}

struct children {
    int sig;
    const pid_t *spare;
    int spared;
    int found;
};

static pid_t parent_of(pid_t pid)
{
    char path[32], text[512], *after_name;
    ssize_t got;
    int fd, parent;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0)
        return -1;
    text[got] = '\0';
    after_name = strrchr(text, ')');
    return after_name && sscanf(after_name, ") %*c %d", &parent) == 1 ? parent : -1;
}

static void signal_child(void *arg, pid_t pid)
{
    struct children *children = arg;

    if (parent_of(pid) != getpid())
        return;
    for (int i = 0; i < children->spared; i++)
        if (children->spare[i] == pid)
            return;
    children->found++;
    kill(pid, children->sig);
}

int tmbi_process_signal_children(int sig, const pid_t *spare, int spared)
{
    struct children children = {.sig = sig, .spare = spare, .spared = spared};

    tmbi_process_each(signal_child, &children);
    return children.found;
}
