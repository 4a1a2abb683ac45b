/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The broker of a machine whose ivshmem device vfio-pci has: one process opens the
 * device, and hands what it is made of to all others. What they say to each other:
 *
 * A process connects to the broker's socket (AF_UNIX, a stream) and sends a hello. The
 * broker claims a slot for it and answers with a welcome, and three descriptors with its
 * first byte: the device's, and the eventfd of each line. Nothing else is ever sent. For
 * as long as the connection is, the broker lets the slot's heart beat; by its end the
 * broker knows the process's end.
 */
#ifndef TMBI_BROKER_H
#define TMBI_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "../../core/export.h"
#include "layout.h"

#define TMBI_BROKER_SOCKET      "/run/tombolo-broker"
#define TMBI_BROKER_MAGIC       0x4b524254u /* "TBRK" */
#define TMBI_BROKER_VERSION     1u
#define TMBI_BROKER_DESCRIPTORS (1 + TMBI_LINES)

struct tmbi_broker_hello {
    uint32_t magic;
    uint32_t version;
    uint64_t reserved;
};
_Static_assert(sizeof(struct tmbi_broker_hello) == 16, "hello layout");

struct tmbi_broker_welcome {
    uint32_t magic;
    uint32_t version;
    int32_t status; /* a negative errno: there are no descriptors, and the rest is 0 */
    uint32_t id;    /* the machine's peer ID */
    uint32_t slot;
    uint32_t epoch;
    uint32_t doorbell[TMBI_LINES];
    uint64_t registers_at; /* in the device's descriptor, as the next */
    uint64_t region_at;
    uint64_t region_bytes;
    char device[32]; /* its PCI address, NUL-terminated */
    uint64_t reserved;
};
_Static_assert(sizeof(struct tmbi_broker_welcome) == 96, "welcome layout");

struct tmbi_broker_options {
    const char *socket;
    const char *device; /* its address, or NULL: the first */
    const char *group;  /* may connect, beside the owner; or NULL */
    bool bind;
};

/* Serve until SIGTERM or SIGINT, then remove the socket. Returns 0, or a negative errno
 * logged with what to do. */
TMBI_TOOL int tmbi_broker_run(const struct tmbi_broker_options *options);

#endif
