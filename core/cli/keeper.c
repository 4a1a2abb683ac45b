/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "keeper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>

static char **names;
static int *fds;
static struct tmbi_keeper keeper;

static void complain(const char *name, int rc)
{
    tmbi_cli_say("server: the service manager does not keep %s: %s", name, strerror(-rc));
}

static void keep(const char *name, int fd)
{
    char message[128];

    snprintf(message, sizeof message, "FDSTORE=1\nFDNAME=%s", name);
    int rc = sd_pid_notify_with_fds(0, 0, message, &fd, 1);
    if (rc < 0)
        complain(name, rc);
}

static void forget(const char *name)
{
    int rc = sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", name);

    if (rc < 0)
        complain(name, rc);
}

static void serving(void)
{
    sd_notify(0, "READY=1");
}

const struct tmbi_keeper *tmbi_keeper_open(void)
{
    if (!getenv("NOTIFY_SOCKET"))
        return NULL;
    int count = sd_listen_fds_with_names(0, &names);
    count = count > 0 ? count : 0;
    fds = calloc((size_t)count + 1, sizeof *fds);
    if (!fds)
        return NULL;
    for (int i = 0; i < count; i++)
        fds[i] = SD_LISTEN_FDS_START + i;
    keeper = (struct tmbi_keeper){.keep = keep,
                                  .forget = forget,
                                  .serving = serving,
                                  .count = (size_t)count,
                                  .names = names,
                                  .fds = fds};
    return &keeper;
}

void tmbi_keeper_close(void)
{
    for (size_t i = 0; i < keeper.count; i++)
        free(names[i]);
    free(names);
    free(fds);
    names = NULL;
    fds = NULL;
    keeper.count = 0;
}

#else

const struct tmbi_keeper *tmbi_keeper_open(void)
{
    return NULL;
}

void tmbi_keeper_close(void)
{
}

#endif
