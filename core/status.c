/* SPDX-License-Identifier: BSD-3-Clause */
/* What errors mean, the version, and the counters. */
#include <errno.h>
#include <string.h>

#include "context.h"
#include "log.h"
#include "stats.h"

static const struct {
    int err;
    const char *meaning;
} meanings[] = {
    {0, "success"},
    {-EALREADY, "the process has joined a job before"},
    {-EBADF, "not a handle, or freed before"},
    {-EBUSY, "something still uses it"},
    {-EDEADLK, "the calling thread holds the lock already"},
    {-EFAULT, "a pointer is NULL that must not be"},
    {-EHOSTDOWN, "a rank died"},
    {-EHOSTUNREACH, "no provider reaches the rank"},
    {-EINVAL, "an argument is wrong"},
    {-ENODEV, "no provider can be used here"},
    {-ENOENT, "there is no such thing"},
    {-ENOMEM, "memory, or the shared region, is exhausted"},
    {-ENOSPC, "a table of the shared region is full"},
    {-ENOTCONN, "the library is not initialized, or finalized"},
    {-EOPNOTSUPP, "this route can't do that"},
    {-EOWNERDEAD, "the lock is held, but a former holder died with it"},
    {-EPERM, "the caller does not hold the lock"},
    {-EPROTO, "a peer, server or region speaks another version, or garbage"},
    {-ERANGE, "offset and size don't lie in the part"},
    {-ETIMEDOUT, "it took longer than the time-out"},
    {-ECONNREFUSED, "no server listens there"},
    {-ECONNRESET, "the server ended the connection"},
    {-EACCES, "permission denied"},
};

const char *tmb_strerror(int err)
{
    const char *name;

    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (meanings[i].err == err)
            return meanings[i].meaning;
    name = err < 0 ? strerrordesc_np(-err) : NULL;
    return name ? name : "not an error of Tombolo's";
}

int tmb_version(int *major, int *minor, int *patch)
{
    if (!major || !minor || !patch)
        return -EFAULT;
    *major = TMB_VERSION_MAJOR;
    *minor = TMB_VERSION_MINOR;
    *patch = TMB_VERSION_PATCH;
    return 0;
}

struct tmbi_stats tmbi_stats;

_Static_assert(sizeof(struct tmbi_stats) == sizeof(struct tmb_stats),
               "counters are copied one by one, in order");

int tmb_stats_get(struct tmb_stats *stats, size_t bytes)
{
    const _Atomic uint64_t *counter = (const _Atomic uint64_t *)&tmbi_stats;

    if (!tmbi_running())
        return -ENOTCONN;
    if (!stats)
        return -EFAULT;
    if (bytes > sizeof(*stats)) {
        tmbi_error("tmb_stats_get: %zu bytes: this version knows %zu", bytes,
                   sizeof(*stats));
        return -EINVAL;
    }
    for (size_t i = 0; i < bytes / sizeof(uint64_t); i++) {
        uint64_t value = atomic_load_explicit(&counter[i], memory_order_relaxed);

        memcpy((uint8_t *)stats + i * sizeof(value), &value, sizeof(value));
    }
    return 0;
}
