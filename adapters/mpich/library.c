/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which MPI this process has. A preloaded library is loaded into every program on the
 * way, mpiexec and shells too, so it does not bring MPICH along: references to it are
 * weak (weak.h, which is made from mpi.h) and bound when they are first used.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../core/log.h"
#include "adapter.h"
#include "start.h"

#define NAME "libtombolo-mpich.so"

/* An MPI that a program has loaded for itself alone is made visible to us. */
static bool mpich_is_visible(void)
{
    return dlsym(RTLD_DEFAULT, "PMPI_Init") ||
           dlopen("libmpich.so.12", RTLD_LAZY | RTLD_GLOBAL | RTLD_NOLOAD);
}

static void refuse(const char *why)
{
    tmbi_error("%s: don't preload " NAME ", nor link with it", why);
    _exit(1);
}

/* What follows a name in a text of one or more lines. */
static bool version_of(const char *text, const char *name, char *version, size_t bytes)
{
    size_t length = strlen(name);

    if (strncmp(text, name, length))
        return false;
    text += length;
    text += strspn(text, " \t");
    snprintf(version, bytes, "%.*s", (int)strcspn(text, "\n "), text);
    return true;
}

bool tmbm_library_check(char *why, size_t bytes)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = "", version[32];
    int length, major = 0, minor = 0;

    if (!mpich_is_visible())
        refuse("this program has no MPI that could be found");
    PMPI_Get_library_version(text, &length);
    if (strstr(text, "Open MPI"))
        refuse("this program has Open MPI, and not MPICH");
    if (!version_of(text, "MPICH Version:", version, sizeof version)) {
        snprintf(why, bytes, "this is not MPICH, but \"%.*s\"", (int)strcspn(text, "\n"),
                 text);
        return false;
    }
    sscanf(version, "%d.%d", &major, &minor);
    if (major == MPICH_NUMVERSION / 10000000 && minor == MPICH_NUMVERSION / 100000 % 100)
        return true;
    snprintf(why, bytes, "this is MPICH %s, and " NAME " is for MPICH %s", version,
             MPICH_VERSION);
    return false;
}

/* ---- programs of Open MPI ---- */

/* LD_PRELOAD without this library; NULL: out of memory. */
static char *preload_others(const char *list)
{
    char *others = calloc(strlen(list) + 1, 1), *end = others;
    size_t length;

    for (; end && *list; list += length + (list[length] != '\0')) {
        char word[4096];

        length = strcspn(list, " :");
        snprintf(word, sizeof word, "%.*s", (int)length, list);
        if (*word && !strstr(word, NAME))
            end += sprintf(end, "%s%s", end > others ? ":" : "", word);
    }
    return others;
}

/*
 * Open MPI's handles are pointers, and ours would be cut off on their way through here:
 * its programs start again without us.
 */
__attribute__((constructor)) static void leave_open_mpi(int argc, char **argv)
{
    const char *preload = getenv("LD_PRELOAD"), *rank = getenv("OMPI_COMM_WORLD_RANK");
    char *others;

    (void)argc;
    if (!dlsym(RTLD_DEFAULT, "ompi_mpi_comm_world"))
        return;
    if (!preload || !strstr(preload, NAME))
        refuse("this program has Open MPI, and not MPICH");
    if (!rank || !strcmp(rank, "0"))
        tmbi_warn("this program has Open MPI, and not MPICH: it starts without " NAME);
    others = preload_others(preload);
    if (others && !setenv("LD_PRELOAD", others, 1))
        execv("/proc/self/exe", argv);
    refuse("this program has Open MPI, and not MPICH");
}
