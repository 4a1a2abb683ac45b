/* SPDX-License-Identifier: BSD-3-Clause */
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../core/log.h"
#include "../../../core/topology.h"

static int memory_error(const struct tmbi_server_options *options, const char *step)
{
    int rc = -errno;

    tmbi_error("server: region of %" PRIu64 " bytes%s: %s: %s%s", options->size,
               options->hugepages ? " in huge pages" : "", step, strerror(-rc),
               options->hugepages
                   ? " (a multiple of their size, and enough reserved? see /proc/meminfo)"
                   : "");
    return rc;
}

/* Huge pages are reserved when mapped; other memory when it is touched. */
static int memory_open(const struct tmbi_server_options *options, int *fd, uint8_t **base)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int rc;

    *fd = memfd_create("tombolo", flags | (options->hugepages ? MFD_HUGETLB : 0));
    if (*fd < 0)
        return memory_error(options, "memfd_create");
    if (ftruncate(*fd, (off_t)options->size)) {
        rc = memory_error(options, "ftruncate");
        goto close_fd;
    }
    *base = mmap(NULL, options->size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (*base == MAP_FAILED) {
        rc = memory_error(options, "mmap");
        goto close_fd;
    }
    return 0;

close_fd:
    close(*fd);
    return rc;
}

/* Nobody who gets the descriptor may change its size: a shrunken region would kill every
 * peer by SIGBUS. */
static int memory_seal(const struct tmbi_server_options *options, int fd)
{
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        return memory_error(options, "seal");
    return 0;
}

int tmbi_memory_make(const struct tmbi_server_options *options,
                     struct tmbi_region *region, int *fd)
{
    uint8_t *base;
    int rc = memory_open(options, fd, &base);

    if (rc)
        return rc;
    if (options->numa >= 0)
        rc = tmbi_topology_bind_memory(base, options->size, options->numa);
    if (rc == 0)
        rc = tmbi_region_format(base, options->size, options->vectors,
                                options->max_clients);
    if (rc == 0)
        rc = memory_seal(options, *fd);
    if (rc == 0)
        rc = tmbi_region_attach(region, base, options->size);
    if (rc) {
        munmap(base, options->size);
        close(*fd);
    }
    return rc;
}
