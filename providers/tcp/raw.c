/* SPDX-License-Identifier: BSD-3-Clause */
#include "raw.h"

#include <errno.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_rma.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/env.h"
#include "../../core/log.h"
#include "tcp.h"

/* Writes that are under way at the same time. */
#define WINDOW 8

struct name {
    uint64_t fabric_bytes;
    uint64_t address, key;
    uint8_t fabric[TMBI_TCP_RAW_NAME - 24];
};
_Static_assert(sizeof(struct name) == TMBI_TCP_RAW_NAME, "name layout");

struct tmbi_tcp_raw {
    struct tmbi_tcp tcp; /* of which only the fabric is used */
    uint8_t *memory;
    struct tmbi_tcp_registration registration;
    struct fi_context2 contexts[WINDOW];
    struct name other;
    fi_addr_t fabric;
    uint64_t completed;
    int failed;
};

static int name_fill(struct tmbi_tcp_raw *raw, uint8_t bytes[TMBI_TCP_RAW_NAME])
{
    struct name name = {.address = raw->registration.address,
                        .key = raw->registration.key};
    size_t length = sizeof name.fabric;
    int rc = fi_getname(&raw->tcp.fabric.ep->fid, name.fabric, &length);

    name.fabric_bytes = length;
    memcpy(bytes, &name, sizeof name);
    return rc;
}

int tmbi_tcp_raw_open(size_t bytes, struct tmbi_tcp_raw **result,
                      uint8_t name[TMBI_TCP_RAW_NAME])
{
    struct tmbi_tcp_raw *raw = calloc(1, sizeof *raw);
    int rc = -ENOMEM;

    if (!raw)
        return rc;
    raw->memory = calloc(1, bytes);
    if (!raw->memory)
        goto free_raw;
    rc = tmbi_tcp_library_load();
    if (rc == 0)
        rc = tmbi_env_load(&tmbi_tcp_env, &raw->tcp.config);
    if (rc == 0)
        rc = tmbi_tcp_place_choose(&raw->tcp.config, &raw->tcp.place);
    if (rc == 0)
        rc = tmbi_tcp_fabric_open(&raw->tcp);
    if (rc)
        goto free_memory;
    rc = tmbi_tcp_register(&raw->tcp, raw->memory, bytes, &raw->registration);
    if (rc == 0)
        rc = name_fill(raw, name);
    if (rc) {
        tmbi_tcp_raw_close(raw);
        return rc;
    }
    *result = raw;
    return 0;

free_memory:
    free(raw->memory);
free_raw:
    free(raw);
    return rc;
}

void tmbi_tcp_raw_close(struct tmbi_tcp_raw *raw)
{
    tmbi_tcp_unregister(&raw->tcp, &raw->registration);
    tmbi_tcp_fabric_close(&raw->tcp);
    free(raw->memory);
    free(raw);
}

int tmbi_tcp_raw_connect(struct tmbi_tcp_raw *raw, const uint8_t name[TMBI_TCP_RAW_NAME])
{
    memcpy(&raw->other, name, sizeof raw->other);
    if (fi_av_insert(raw->tcp.fabric.av, raw->other.fabric, 1, &raw->fabric, 0, NULL) ==
        1)
        return 0;
    tmbi_error("tcp: libfabric does not take its own address");
    return -EPROTO;
}

void tmbi_tcp_raw_serve(struct tmbi_tcp_raw *raw)
{
    struct fi_cq_entry entries[WINDOW];
    struct fi_cq_err_entry error = {0};
    ssize_t count = fi_cq_read(raw->tcp.fabric.cq, entries, WINDOW);

    if (count > 0)
        raw->completed += (uint64_t)count;
    if (count != -FI_EAVAIL || fi_cq_readerr(raw->tcp.fabric.cq, &error, 0) != 1)
        return;
    tmbi_error("tcp: libfabric's write failed: %s", fi_strerror(error.err));
    raw->failed = -EIO;
}

static ssize_t post(struct tmbi_tcp_raw *raw, size_t bytes, uint64_t number)
{
    struct iovec here = {raw->memory, bytes};
    struct fi_rma_iov there = {raw->other.address, bytes, raw->other.key};
    void *desc = fi_mr_desc(raw->registration.mr);
    struct fi_msg_rma message = {.msg_iov = &here,
                                 .desc = &desc,
                                 .iov_count = 1,
                                 .addr = raw->fabric,
                                 .rma_iov = &there,
                                 .rma_iov_count = 1,
                                 .context = &raw->contexts[number % WINDOW]};

    return fi_writemsg(raw->tcp.fabric.ep, &message,
                       FI_DELIVERY_COMPLETE | FI_COMPLETION);
}

int tmbi_tcp_raw_write(struct tmbi_tcp_raw *raw, size_t bytes, uint64_t times)
{
    uint64_t posted = 0;
    ssize_t rc = 0;

    raw->completed = 0;
    while (raw->failed == 0 && (posted < times || raw->completed < times)) {
        if (posted < times && posted - raw->completed < WINDOW)
            rc = post(raw, bytes, posted);
        else
            rc = -FI_EAGAIN;
        if (rc == 0)
            posted++;
        else if (rc == -FI_EAGAIN)
            tmbi_tcp_raw_serve(raw);
        else
            raw->failed = (int)rc;
    }
    return raw->failed;
}
