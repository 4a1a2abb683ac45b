/* SPDX-License-Identifier: BSD-3-Clause */
#include "embedded.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../providers/ivshmem/server/server.h"
#include "cli.h"

#define STOP_NS INT64_C(2000000000)

static int directory_make(struct tmbi_embedded *server)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    static const char name[] = "/tombolo-XXXXXX";

    /* A socket's path is short: sun_path has 108 bytes. */
    if (!runtime || *runtime != '/' ||
        strlen(runtime) + sizeof name > sizeof server->directory || access(runtime, W_OK))
        runtime = "/tmp";
    snprintf(server->directory, sizeof server->directory, "%s%s", runtime, name);
    if (!mkdtemp(server->directory)) {
        int error = errno;
        tmbi_cli_say("can't make a directory for the server's socket, %s: %s",
                     server->directory, strerror(error));
        server->directory[0] = '\0';
        return -error;
    }
    snprintf(server->socket, sizeof server->socket, "%s/server", server->directory);
    return 0;
}

void tmbi_embedded_remove(const struct tmbi_embedded *server)
{
    if (!server->directory[0])
        return;
    unlink(server->socket);
    rmdir(server->directory);
}

/* The server's process. Its own session, so that it outlives a Ctrl-C until the ranks
 * have ended; if the launcher is killed it still cleans up, by SIGTERM. */
static void serve(const struct tmbi_embedded *server,
                  const struct tmbi_process_origin *origin,
                  const struct tmbi_server_options *options)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int rc;

    setsid();
    tmbi_process_settle(origin, SIGTERM);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
    }
    rc = tmbi_server_run(options);
    tmbi_embedded_remove(server);
    _exit(rc ? 1 : 0);
}

static int server_fork(struct tmbi_embedded *server,
                       const struct tmbi_process_origin *origin,
                       struct tmbi_server_options *options)
{
    int ready[2], rc;

    if (pipe2(ready, O_CLOEXEC))
        return -errno;
    server->pid = fork();
    if (server->pid == 0) {
        close(ready[0]);
        options->ready_fd = ready[1];
        serve(server, origin, options);
    }
    rc = server->pid < 0 ? -errno : 0;
    close(ready[1]);
    if (!rc)
        rc = tmbi_server_await(ready[0]);
    close(ready[0]);
    return rc;
}

int tmbi_embedded_start(struct tmbi_embedded *server,
                        const struct tmbi_process_origin *origin, uint64_t region_bytes,
                        uint32_t vectors, uint32_t clients)
{
    struct tmbi_server_options options = {.socket = server->socket,
                                          .size = region_bytes,
                                          .vectors = vectors,
                                          .max_clients = clients,
                                          .numa = -1};
    int rc = directory_make(server);

    if (rc)
        return rc;
    rc = server_fork(server, origin, &options);
    if (rc) {
        tmbi_cli_say("the embedded server did not start%s",
                     rc == -ETIMEDOUT ? " in time" : "");
        tmbi_embedded_stop(server);
    }
    return rc;
}

/* Wait for a child's end, for so long. */
static void await_end(pid_t pid, int64_t ns)
{
    struct pollfd ended = {.fd = pidfd_open(pid, 0), .events = POLLIN};

    if (ended.fd < 0)
        return;
    while (poll(&ended, 1, (int)(ns / 1000000)) < 0 && errno == EINTR)
        ;
    close(ended.fd);
}

void tmbi_embedded_stop(struct tmbi_embedded *server)
{
    if (server->pid > 0) {
        kill(server->pid, SIGTERM);
        await_end(server->pid, STOP_NS);
        kill(server->pid, SIGKILL); /* nothing to a process that has ended */
        waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
    tmbi_embedded_remove(server);
    server->directory[0] = '\0';
}
