/* SPDX-License-Identifier: BSD-3-Clause */
/* Programs that commands start. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

static int executable_check(const char *path)
{
    struct stat status;

    if (stat(path, &status))
        return -errno;
    if (!S_ISREG(status.st_mode) || access(path, X_OK))
        return -EACCES;
    return 0;
}

/* Find a program as execvp() would. */
static int program_find(const char *name)
{
    const char *path = getenv("PATH"), *end;
    char candidate[4096];
    int rc, result = -ENOENT;

    if (strchr(name, '/'))
        return executable_check(name);
    for (path = path ? path : "/bin:/usr/bin"; *name && path;
         path = end ? end + 1 : NULL) {
        end = strchrnul(path, ':');
        snprintf(candidate, sizeof candidate, "%.*s%s%s", (int)(end - path), path,
                 end > path ? "/" : "", name);
        end = *end ? end : NULL;
        rc = executable_check(candidate);
        if (!rc)
            return 0;
        result = rc == -EACCES ? rc : result;
    }
    return result;
}

int tmbi_cli_program_check(const char *name)
{
    int rc = program_find(name);

    if (!rc)
        return 0;
    tmbi_cli_say("can't execute %s: %s", name, strerror(-rc));
    return rc == -EACCES ? TMBI_EXIT_NOT_EXECUTABLE : TMBI_EXIT_NOT_FOUND;
}
