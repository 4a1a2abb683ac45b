/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libfabric, loaded when the first endpoint opens. Debian's brings libraries (libpsm2,
 * libinfinipath) that measure the clock for 0.2 s as they are loaded, which programs that
 * need no TCP shall not wait for; and that install handlers for SIGSEGV, SIGINT and
 * others. Signals are the application's: they are put back.
 *
 * What is called of it by name is defined here and passed on. The versions of the symbols
 * are those of libfabric 1.15's structures, which later ones still have.
 */
#include <dlfcn.h>
#include <errno.h>
#include <rdma/fabric.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "../../core/log.h"
#include "tcp.h"

#define NAME "libfabric.so.1"

static struct {
    void *handle;
    int (*getinfo)(uint32_t, const char *, const char *, uint64_t, const struct fi_info *,
                   struct fi_info **);
    void (*freeinfo)(struct fi_info *);
    struct fi_info *(*dupinfo)(const struct fi_info *);
    int (*fabric)(struct fi_fabric_attr *, struct fid_fabric **, void *);
    const char *(*strerror)(int);
    uint32_t (*version)(void);
} library;

static bool find(void *function, const char *name, const char *version)
{
    void *found = dlvsym(library.handle, name, version);

    memcpy(function, &found, sizeof found);
    return found;
}

static bool find_all(void)
{
    return find(&library.getinfo, "fi_getinfo", "FABRIC_1.3") &&
           find(&library.freeinfo, "fi_freeinfo", "FABRIC_1.3") &&
           find(&library.dupinfo, "fi_dupinfo", "FABRIC_1.3") &&
           find(&library.fabric, "fi_fabric", "FABRIC_1.1") &&
           find(&library.strerror, "fi_strerror", "FABRIC_1.0") &&
           find(&library.version, "fi_version", "FABRIC_1.0");
}

/* Load it, and put the signals' actions back. */
static void load(void)
{
    struct sigaction before[NSIG], now;
    bool known[NSIG];

    for (int number = 1; number < NSIG; number++)
        known[number] = !sigaction(number, NULL, &before[number]);
    library.handle = dlopen(NAME, RTLD_NOW | RTLD_LOCAL);
    for (int number = 1; number < NSIG; number++)
        if (known[number] && !sigaction(number, NULL, &now) &&
            now.sa_handler != before[number].sa_handler)
            sigaction(number, &before[number], NULL);
}

int tmbi_tcp_library_load(void)
{
    if (library.version)
        return 0;
    load();
    if (!library.handle) {
        tmbi_unusable("tcp: " NAME " can't be loaded: %s", dlerror());
        return -ENODEV;
    }
    if (find_all())
        return 0;
    tmbi_unusable("tcp: " NAME " is not one of libfabric 1.15 or newer: %s", dlerror());
    dlclose(library.handle);
    memset(&library, 0, sizeof library);
    return -ENODEV;
}

/* ---- what libfabric's headers declare ---- */

int fi_getinfo(uint32_t version, const char *node, const char *service, uint64_t flags,
               const struct fi_info *hints, struct fi_info **info)
{
    return library.getinfo(version, node, service, flags, hints, info);
}

void fi_freeinfo(struct fi_info *info)
{
    library.freeinfo(info);
}

struct fi_info *fi_dupinfo(const struct fi_info *info)
{
    return library.dupinfo(info);
}

int fi_fabric(struct fi_fabric_attr *attr, struct fid_fabric **fabric, void *context)
{
    return library.fabric(attr, fabric, context);
}

const char *fi_strerror(int error)
{
    return library.strerror(error);
}

uint32_t fi_version(void)
{
    return library.version();
}
