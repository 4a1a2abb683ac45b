/* SPDX-License-Identifier: BSD-3-Clause */
#include "listen.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../core/log.h"
#include "../wire.h"

#define BACKLOG 1024

struct address {
    struct sockaddr_un un;
    socklen_t bytes;
};

static int address_make(const char *path, struct address *address)
{
    if (tmbi_wire_address(path, &address->un, &address->bytes) == 0)
        return 0;
    tmbi_error("server: socket %s: the path is longer than %zu characters", path,
               sizeof(address->un.sun_path) - 1);
    return -ENAMETOOLONG;
}

/* Whether nobody listens behind the socket file any more. */
static bool is_stale(const struct address *address)
{
    struct stat status;
    bool stale;
    int probe;

    if (lstat(address->un.sun_path, &status) || !S_ISSOCK(status.st_mode))
        return false;
    /* A live server's full backlog is EAGAIN. */
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0)
        return false;
    stale = connect(probe, (const struct sockaddr *)&address->un, address->bytes) &&
            errno == ECONNREFUSED;
    close(probe);
    return stale;
}

static int bind_error(const char *path, int error)
{
    if (error == EADDRINUSE)
        tmbi_error("server: %s exists: another server listens there, or it is no socket; "
                   "choose another --socket",
                   path);
    else
        tmbi_error("server: can't listen at %s: %s", path, strerror(error));
    return -error;
}

static int bind_once(int fd, const struct address *address)
{
    return bind(fd, (const struct sockaddr *)&address->un, address->bytes) ? errno : 0;
}

static int bind_fresh(int fd, const char *path, const struct address *address)
{
    /* Nobody else may connect between bind and chmod. */
    mode_t mask = umask(0177);
    int error = bind_once(fd, address);

    if (error == EADDRINUSE && is_stale(address)) {
        unlink(path);
        error = bind_once(fd, address);
    }
    umask(mask);
    return error ? bind_error(path, error) : 0;
}

static int group_admit(const char *path, const char *name)
{
    struct group *group = getgrnam(name);

    if (tmbi_wire_abstract(path)) {
        tmbi_error("server: --group %s: %s has no file whose group it could be", name,
                   path);
        return -EINVAL;
    }
    if (!group) {
        tmbi_error("server: --group %s: no such group", name);
        return -EINVAL;
    }
    if (chown(path, (uid_t)-1, group->gr_gid) || chmod(path, 0660)) {
        int rc = -errno;

        tmbi_error("server: %s can't be given to group %s: %s", path, name,
                   strerror(errno));
        return rc;
    }
    return 0;
}

void tmbi_listen_remove(const char *path)
{
    if (!tmbi_wire_abstract(path))
        unlink(path);
}

int tmbi_listen(const char *path, const char *group, int *result)
{
    struct address address;
    int rc = address_make(path, &address);
    int fd;

    if (rc)
        return rc;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return bind_error(path, errno);
    rc = bind_fresh(fd, path, &address);
    if (rc)
        goto close_fd;
    if (group)
        rc = group_admit(path, group);
    if (rc == 0 && listen(fd, BACKLOG))
        rc = bind_error(path, errno);
    if (rc)
        goto unlink_path;
    *result = fd;
    return 0;

unlink_path:
    tmbi_listen_remove(path);
close_fd:
    close(fd);
    return rc;
}
