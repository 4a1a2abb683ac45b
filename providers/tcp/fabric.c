/* SPDX-License-Identifier: BSD-3-Clause */
/* libfabric: one endpoint, with all that it needs. */
#include "tcp.h"

#include <errno.h>
#include <inttypes.h>
#include <rdma/fi_endpoint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../../core/log.h"

#define API FI_VERSION(1, 15)

/* How many writes and reads are under way at most: each has its own memory. */
#define TRANSFERS_MAX 64

static void hints_fill(struct fi_info *hints, const struct tmbi_tcp_place *place)
{
    hints->caps = FI_RMA | FI_READ | FI_WRITE | FI_REMOTE_READ | FI_REMOTE_WRITE;
    hints->mode = FI_CONTEXT | FI_CONTEXT2;
    hints->ep_attr->type = FI_EP_RDM;
    hints->tx_attr->op_flags = FI_DELIVERY_COMPLETE;
    /* What was put to a rank before is there before what is put later, or got. */
    hints->tx_attr->msg_order = FI_ORDER_WAW | FI_ORDER_RAW;
    hints->domain_attr->mr_mode =
        FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_ENDPOINT;
    /* The fabric's mutex makes its calls one at a time. */
    hints->domain_attr->threading = FI_THREAD_DOMAIN;
    hints->domain_attr->control_progress = FI_PROGRESS_MANUAL;
    hints->domain_attr->data_progress = FI_PROGRESS_MANUAL;
    hints->addr_format =
        place->address.ss_family == AF_INET ? FI_SOCKADDR_IN : FI_SOCKADDR_IN6;
}

/* What has the capabilities may still be no TCP, or emulate what it offers: unless told
 * otherwise take libfabric's "tcp", by itself or under its RxM. */
static bool info_suits(const struct fi_info *info, const char *wanted)
{
    return wanted || !strcmp(info->fabric_attr->prov_name, "tcp") ||
           !strcmp(info->fabric_attr->prov_name, "tcp;ofi_rxm");
}

/* libfabric itself reads FI_PROVIDER, which may leave out what is needed. */
static int nothing_suits(const struct tmbi_tcp *tcp, int rc)
{
    unsigned major = FI_MAJOR(fi_version()), minor = FI_MINOR(fi_version());
    const char *filter = getenv("FI_PROVIDER");

    if (tcp->config.fabric) {
        tmbi_error("TMB_TCP_FABRIC=%s: libfabric %u.%u has no such provider with "
                   "reliable one-sided access at %s; `fi_info` lists what it has",
                   tcp->config.fabric, major, minor, tcp->place.text);
        return -EINVAL;
    }
    if (filter && *filter)
        tmbi_unusable("tcp: libfabric %u.%u offers no TCP with one-sided access at %s "
                      "under FI_PROVIDER=%s; unset that",
                      major, minor, tcp->place.text, filter);
    else
        tmbi_unusable("tcp: libfabric %u.%u offers no TCP with one-sided access at %s: "
                      "%s; `fi_info` lists what it has",
                      major, minor, tcp->place.text,
                      rc ? fi_strerror(-rc) : "no provider of it fits");
    return -ENODEV;
}

static bool uses_sockets(const struct fi_info *info)
{
    const char *name = info->fabric_attr->prov_name;

    return !strncmp(name, "tcp", 3) || !strcmp(name, "net") || !strcmp(name, "sockets");
}

/* Libfabric on sockets takes longer than a link, whatever the size. What is better than
 * sockets shall have all but what is short: words must come in one piece. */
static uint64_t link_max(const struct tmbi_tcp *tcp)
{
    const uint64_t least = 8192;
    uint64_t said = tcp->config.link_max;

    if (said)
        return said > least ? said : least;
    return uses_sockets(tcp->fabric.info) ? UINT64_MAX : least;
}

/* -ENODEV: nothing suits. */
static int info_find(struct tmbi_tcp *tcp, int port, struct fi_info **result)
{
    struct fi_info *hints = fi_allocinfo(), *all = NULL, *info;
    char service[8];
    int rc;

    if (!hints)
        return -ENOMEM;
    hints_fill(hints, &tcp->place);
    if (tcp->config.fabric)
        hints->fabric_attr->prov_name = strdup(tcp->config.fabric);
    snprintf(service, sizeof service, "%d", port);
    rc = fi_getinfo(API, tcp->place.text, port ? service : NULL, FI_SOURCE, hints, &all);
    fi_freeinfo(hints);
    for (info = all; info && !info_suits(info, tcp->config.fabric);)
        info = info->next;
    if (info)
        *result = fi_dupinfo(info);
    fi_freeinfo(all);
    if (info)
        return *result ? 0 : -ENOMEM;
    return nothing_suits(tcp, rc);
}

/* Undone by tmbi_tcp_fabric_close(), also when it fails half-way. */
static int objects_open(struct tmbi_tcp_fabric *f)
{
    struct fi_av_attr av = {.type = FI_AV_TABLE};
    struct fi_cq_attr cq = {.size = 2 * TRANSFERS_MAX,
                            .format = FI_CQ_FORMAT_CONTEXT,
                            .wait_obj = FI_WAIT_FD};
    int rc = fi_fabric(f->info->fabric_attr, &f->fabric, NULL);

    if (rc == 0)
        rc = fi_domain(f->fabric, f->info, &f->domain, NULL);
    if (rc == 0)
        rc = fi_av_open(f->domain, &av, &f->av, NULL);
    if (rc == 0)
        rc = fi_cq_open(f->domain, &cq, &f->cq, NULL);
    if (rc == 0)
        rc = fi_endpoint(f->domain, f->info, &f->ep, NULL);
    if (rc == 0)
        rc = fi_ep_bind(f->ep, &f->av->fid, 0);
    if (rc == 0)
        rc = fi_ep_bind(f->ep, &f->cq->fid, FI_TRANSMIT | FI_RECV);
    if (rc == 0)
        rc = fi_enable(f->ep);
    return rc ? rc : fi_control(&f->cq->fid, FI_GETWAIT, &f->wait_fd);
}

#define CLOSE(object)                                                                    \
    ((object) ? (void)fi_close(&(object)->fid) : (void)0, (object) = NULL)

static void objects_close(struct tmbi_tcp_fabric *f)
{
    CLOSE(f->ep);
    CLOSE(f->cq);
    CLOSE(f->av);
    CLOSE(f->domain);
    CLOSE(f->fabric);
    if (f->info)
        fi_freeinfo(f->info);
    f->info = NULL;
}

static int open_at(struct tmbi_tcp *tcp, int port)
{
    int rc = info_find(tcp, port, &tcp->fabric.info);

    if (rc)
        return rc;
    tcp->fabric.link_max = link_max(tcp);
    rc = objects_open(&tcp->fabric);
    if (rc && rc != -FI_EADDRINUSE)
        tmbi_error("tcp: libfabric can't open an endpoint of its provider %s "
                   "(TMB_TCP_FABRIC) at %s: %s",
                   tcp->fabric.info->fabric_attr->prov_name, tcp->place.text,
                   fi_strerror(-rc));
    if (rc)
        objects_close(&tcp->fabric);
    return rc;
}

int tmbi_tcp_fabric_open(struct tmbi_tcp *tcp)
{
    struct tmbi_tcp_fabric *f = &tcp->fabric;
    int rc = -FI_EADDRINUSE;

    for (int port = tcp->place.low; rc == -FI_EADDRINUSE && port <= tcp->place.high;
         port++)
        rc = open_at(tcp, port);
    if (rc == -FI_EADDRINUSE)
        tmbi_tcp_place_full(&tcp->place);
    if (rc)
        return rc;
    pthread_mutex_init(&f->mutex, NULL);
    f->transfers_max = TRANSFERS_MAX;
    tmbi_debug("tcp: %s at %s, memory registration mode %#x",
               f->info->fabric_attr->prov_name, tcp->place.text,
               (unsigned)f->info->domain_attr->mr_mode);
    return 0;
}

void tmbi_tcp_fabric_close(struct tmbi_tcp *tcp)
{
    CLOSE(tcp->fabric.ep); /* before the memory that it may still work on */
    tmbi_tcp_transfers_free(tcp);
    tmbi_tcp_unregister(tcp, &tcp->anchor_mr);
    objects_close(&tcp->fabric);
    pthread_mutex_destroy(&tcp->fabric.mutex);
}

/* ---- memory ---- */

static int registration_enable(const struct tmbi_tcp_fabric *f, struct fid_mr *mr)
{
    int rc;

    if (!(f->info->domain_attr->mr_mode & FI_MR_ENDPOINT))
        return 0;
    rc = fi_mr_bind(mr, &f->ep->fid, 0);
    return rc ? rc : fi_mr_enable(mr);
}

int tmbi_tcp_register(struct tmbi_tcp *tcp, void *base, size_t bytes,
                      struct tmbi_tcp_registration *registration)
{
    struct tmbi_tcp_fabric *f = &tcp->fabric;
    int rc;

    *registration = (struct tmbi_tcp_registration){0};
    if (!bytes)
        return 0;
    pthread_mutex_lock(&f->mutex);
    rc = fi_mr_reg(f->domain, base, bytes,
                   FI_REMOTE_READ | FI_REMOTE_WRITE | FI_READ | FI_WRITE, 0,
                   ++f->next_key, 0, &registration->mr, NULL);
    if (rc == 0)
        rc = registration_enable(f, registration->mr);
    pthread_mutex_unlock(&f->mutex);
    if (rc) {
        tmbi_error("tcp: %zu bytes at %p can't be registered with libfabric: %s", bytes,
                   base, fi_strerror(-rc));
        tmbi_tcp_unregister(tcp, registration);
        return rc;
    }
    registration->key = fi_mr_key(registration->mr);
    if (f->info->domain_attr->mr_mode & FI_MR_VIRT_ADDR)
        registration->address = (uintptr_t)base;
    return 0;
}

void tmbi_tcp_unregister(struct tmbi_tcp *tcp, struct tmbi_tcp_registration *registration)
{
    pthread_mutex_lock(&tcp->fabric.mutex);
    CLOSE(registration->mr);
    pthread_mutex_unlock(&tcp->fabric.mutex);
}
