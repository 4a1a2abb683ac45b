/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The region of ranks that nobody has made one for. The first rank of a host starts a
 * server, `tombolo server --for-job`, in a process of its own that is nobody's child: it
 * listens at an abstract socket, so that there is nothing to be left behind, and ends
 * with its last client.
 */
#include "ivshmem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../core/log.h"
#include "server/server.h"

#define SPARE_CLIENTS 16u
#define VECTORS       "2"
#define JOB_FD        3 /* in the server's process */

extern char **environ;

/* Who reaches the same abstract sockets, and is the same user. */
uint64_t tmbi_ivshmem_place_host(const struct tmbi_job *job)
{
    uint64_t host = tmbi_host_network() ^ (uint64_t)geteuid() << 32;

    (void)job;
    return host ? host : 1;
}

/* ---- starting the command ---- */

/* What is preloaded into the program is not for the server. */
static char **environment_make(void)
{
    static const char preload[] = "LD_PRELOAD=";
    char **copy, **to;
    size_t count = 0;

    while (environ[count])
        count++;
    copy = to = calloc(count + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++)
        if (strncmp(environ[i], preload, sizeof(preload) - 1))
            *to++ = environ[i];
    return copy;
}

/* It keeps nothing of ours open but stderr, for its errors: a launcher may wait for the
 * ends of its pipes. */
static int files_set(posix_spawn_file_actions_t *files, int job_fd)
{
    int rc = posix_spawn_file_actions_adddup2(files, job_fd, JOB_FD);

    if (!rc)
        rc =
            posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDWR, 0);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(files, STDIN_FILENO, STDOUT_FILENO);
    if (!rc)
        rc = posix_spawn_file_actions_addclosefrom_np(files, JOB_FD + 1);
    return rc;
}

static int attributes_set(posix_spawnattr_t *attributes)
{
    sigset_t all, none;
    int rc;

    sigfillset(&all);
    sigemptyset(&none);
    rc = posix_spawnattr_setsigdefault(attributes, &all);
    if (!rc)
        rc = posix_spawnattr_setsigmask(attributes, &none);
    if (!rc)
        rc = posix_spawnattr_setflags(attributes,
                                      POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    return rc;
}

/* Returns a positive errno. */
static int spawn(const char *command, char *const *arguments, int job_fd, pid_t *pid)
{
    char **environment = environment_make();
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int rc;

    if (!environment)
        return ENOMEM;
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    rc = files_set(&files, job_fd);
    if (!rc)
        rc = attributes_set(&attributes);
    if (!rc)
        rc = posix_spawnp(pid, command, &files, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    free(environment);
    return rc;
}

/* The command goes to the background at once. */
static int server_start(const struct tmbi_ivshmem_config *config, int ranks,
                        const char *socket, int job_fd)
{
    uint32_t slots = (uint32_t)ranks + SPARE_CLIENTS;
    char size[24], clients[16];
    char *const arguments[] = {
        "tombolo",   "server",    "--socket", (char *)socket,  "--size",
        size,        "--vectors", VECTORS,    "--max-clients", clients,
        "--for-job", "3",         NULL};
    pid_t pid;
    int rc;

    snprintf(size, sizeof size, "%" PRIu64, tmbi_way_region_bytes(config->host_bytes));
    snprintf(clients, sizeof clients, "%u",
             slots < TMBI_SLOTS_MAX ? slots : TMBI_SLOTS_MAX);
    rc = spawn(config->command, arguments, job_fd, &pid);
    if (rc) {
        tmbi_warn("ivshmem: no region of this host: TMB_TOMBOLO=%s can't be started: %s; "
                  "name the command `tombolo`, or a server by TMB_SERVER",
                  config->command, strerror(rc));
        return -rc;
    }
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return 0;
}

int tmbi_ivshmem_place_make(const struct tmbi_job *job, int ranks,
                            char place[TMBI_PLACE_BYTES], int *hold)
{
    struct tmbi_ivshmem_config config;
    int pair[2];
    int rc = tmbi_ivshmem_config_load(&config);

    if (rc)
        return rc;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return -errno;
    snprintf(place, TMBI_PLACE_BYTES, "@tombolo-%s-%d", job->name, job->rank);
    rc = server_start(&config, ranks, place, pair[1]);
    close(pair[1]);
    if (rc == 0) {
        rc = tmbi_server_await(pair[0]);
        if (rc)
            tmbi_warn("ivshmem: no region of this host: `%s server` did not start: %s",
                      config.command, strerror(-rc));
    }
    if (rc)
        close(pair[0]);
    else
        *hold = pair[0];
    return rc;
}
