/* SPDX-License-Identifier: BSD-3-Clause */
/* How the sockets of links behave. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../core/log.h"
#include "tcp.h"

#define CONGESTION_NAME_BYTES 16 /* the kernel's TCP_CA_NAME_MAX */

static int congestion_set(int fd, const char *name)
{
    return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name))
               ? -errno
               : 0;
}

/* BBR sends by timers, at a rate that it measures; what a program sends in bursts, with
 * pauses between, it holds back for longer than it takes. */
static bool paces(int fd)
{
    char name[CONGESTION_NAME_BYTES + 1] = "";
    socklen_t bytes = CONGESTION_NAME_BYTES;

    return getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &bytes) == 0 &&
           strncmp(name, "bbr", 3) == 0;
}

int tmbi_tcp_congestion_check(const struct tmbi_tcp_config *config)
{
    int fd, rc;

    if (!config->congestion)
        return 0;
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0; /* a host without IPv4: each link's socket is asked */
    rc = congestion_set(fd, config->congestion);
    close(fd);
    if (rc)
        tmbi_error("TMB_TCP_CONGESTION=%s: %s; `sysctl "
                   "net.ipv4.tcp_allowed_congestion_control` lists what there is",
                   config->congestion, strerror(-rc));
    return rc ? -EINVAL : 0;
}

void tmbi_tcp_socket_tune(const struct tmbi_tcp_config *config, int fd)
{
    const int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (config->congestion)
        congestion_set(fd, config->congestion);
    else if (paces(fd))
        congestion_set(fd, "cubic"); /* where it is allowed */
}
