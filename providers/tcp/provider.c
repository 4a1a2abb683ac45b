/* SPDX-License-Identifier: BSD-3-Clause */
/* Ranks that reach each other over TCP, by libfabric: opening and leaving. */
#include "tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../core/clock.h"
#include "../../core/env.h"
#include "../../core/include/tombolo.h"
#include "../../core/log.h"

static const struct tmbi_env_var env_vars[] = {
    {.name = "TMB_TCP_INTERFACE",
     .type = TMBI_ENV_STRING,
     .meaning =
         "The network interface, or its address, at which ranks listen; by default "
         "the first one that other hosts may reach.",
     .field = offsetof(struct tmbi_tcp_config, interface)},
    {.name = "TMB_TCP_PORTS",
     .type = TMBI_ENV_STRING,
     .meaning = "The ports at which ranks may listen, LOW-HIGH; each rank takes two. By "
                "default any.",
     .field = offsetof(struct tmbi_tcp_config, ports)},
    {.name = "TMB_TCP_TIMEOUT",
     .type = TMBI_ENV_DURATION,
     .fallback = "10s",
     .meaning =
         "For how long a rank may be silent before it is declared dead; forever: it "
         "never is while its connection stands.",
     .field = offsetof(struct tmbi_tcp_config, timeout_ns)},
    {.name = "TMB_TCP_CONGESTION",
     .type = TMBI_ENV_STRING,
     .meaning = "The kernel's congestion control for connections; by default the host's, "
                "or cubic in place of bbr.",
     .field = offsetof(struct tmbi_tcp_config, congestion)},
    {.name = "TMB_TCP_LINK_MAX",
     .type = TMBI_ENV_SIZE,
     .fallback = "0",
     .meaning =
         "Longer puts and gets go by libfabric, and not by a connection between the "
         "two ranks; by default (0) none where libfabric uses sockets, too, and "
         "those above 8K elsewhere.",
     .field = offsetof(struct tmbi_tcp_config, link_max)},
    {.name = "TMB_TCP_FABRIC",
     .type = TMBI_ENV_STRING,
     .meaning =
         "Another provider of libfabric's, by the name that fi_info shows, if it has "
         "reliable one-sided access; by default tcp.",
     .field = offsetof(struct tmbi_tcp_config, fabric)},
};

const struct tmbi_env_table tmbi_tcp_env = {
    .owner = "tcp", .vars = env_vars, .count = sizeof env_vars / sizeof *env_vars};

#define CAPS (TMBI_CAP_CREATE | TMBI_CAP_DOORBELL | TMBI_CAP_DEATH)

static int endpoint_open(struct tmbi_tcp *tcp)
{
    int rc = tmbi_tcp_library_load();

    if (rc == 0)
        rc = tmbi_tcp_congestion_check(&tcp->config);
    if (rc == 0)
        rc = tmbi_tcp_place_choose(&tcp->config, &tcp->place);
    if (rc)
        return rc;
    tcp->listener = tmbi_tcp_place_listen(&tcp->place);
    if (tcp->listener < 0)
        return tcp->listener;
    rc = tmbi_tcp_fabric_open(tcp);
    if (rc)
        goto close_listener;
    rc = tmbi_tcp_identify(tcp);
    if (rc)
        goto close_fabric;
    rc = tmbi_tcp_bells_open(tcp);
    if (rc)
        goto close_fabric;
    rc = tmbi_tcp_progress_open(tcp);
    if (rc)
        goto close_bells;
    return 0;

close_bells:
    tmbi_tcp_bells_close(tcp);
close_fabric:
    tmbi_tcp_fabric_close(tcp);
close_listener:
    close(tcp->listener);
    return rc;
}

static int tcp_open(const struct tmbi_job *job, const char *place,
                    struct tmbi_endpoint **ep)
{
    struct tmbi_tcp *tcp = aligned_alloc(64, (sizeof *tcp + 63) / 64 * 64);
    int rc;

    (void)place; /* never made */
    if (!tcp)
        return -ENOMEM;
    memset(tcp, 0, sizeof *tcp);
    tcp->head = (struct tmbi_endpoint){.ops = &tmbi_provider_tcp,
                                       .job = job,
                                       .deaths = &tcp->deaths,
                                       .call_bytes = TMBI_TCP_CALL_BYTES,
                                       .caps = CAPS};
    pthread_mutex_init(&tcp->calls_mutex, NULL);
    rc = tmbi_env_load(&tmbi_tcp_env, &tcp->config);
    if (rc == 0)
        rc = endpoint_open(tcp);
    if (rc) {
        pthread_mutex_destroy(&tcp->calls_mutex);
        free(tcp);
        return rc;
    }
    *ep = &tcp->head;
    return 0;
}

/* ---- leaving ---- */

static bool all_sent(struct tmbi_tcp *tcp)
{
    bool sent = true;

    for (int i = 0; i < tcp->head.job->size && sent; i++) {
        struct tmbi_tcp_link *link = &tcp->peers[i].link;

        pthread_mutex_lock(&link->send_mutex);
        sent = link->out.used == link->gone ||
               tmbi_tcp_peer_state(&tcp->head, i) != TMB_PEER_ALIVE;
        pthread_mutex_unlock(&link->send_mutex);
    }
    return sent;
}

/* Not between a request and its answer, which may be the one that lets us leave. */
static void bye_send(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer)
{
    struct tmbi_tcp_header header = {.kind = TMBI_TCP_BYE};

    pthread_mutex_lock(&peer->link.receive_mutex);
    if (atomic_load_explicit(&peer->link.up, memory_order_acquire) &&
        tmbi_tcp_alive(peer))
        tmbi_tcp_link_send(tcp, peer, &header, NULL, 0, NULL, 0);
    pthread_mutex_unlock(&peer->link.receive_mutex);
}

/* The last that peers hear of us; what is kept gets a second to leave. */
static void bye(struct tmbi_tcp *tcp)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    int64_t deadline = tmbi_clock_ns() + INT64_C(1000000000);

    for (int i = 0; i < tcp->head.job->size; i++)
        bye_send(tcp, &tcp->peers[i]);
    while (!all_sent(tcp) && tmbi_clock_ns() < deadline)
        nanosleep(&pause, NULL);
}

static void peers_free(struct tmbi_tcp *tcp)
{
    for (int i = 0; i < tcp->head.job->size; i++) {
        if (tcp->peers[i].link.fd >= 0)
            close(tcp->peers[i].link.fd);
        tmbi_tcp_link_fini(&tcp->peers[i].link);
        free(tcp->peers[i].gets);
    }
    free(tcp->peers);
}

static void tcp_close(struct tmbi_endpoint *ep, bool leaving)
{
    struct tmbi_tcp *tcp = tmbi_tcp(ep);

    if (leaving && tcp->running)
        bye(tcp);
    tmbi_tcp_progress_stop(tcp);
    tmbi_tcp_progress_close(tcp);
    close(tcp->listener);
    tmbi_tcp_fabric_close(tcp);
    if (tcp->peers)
        peers_free(tcp);
    tmbi_tcp_bells_close(tcp);
    pthread_mutex_destroy(&tcp->calls_mutex);
    free(tcp);
}

/* The progress thread executes peers' requests; core's agent has nothing to do. */
static int tcp_serve(struct tmbi_endpoint *ep)
{
    (void)ep;
    return 0;
}

static bool tcp_serve_pending(struct tmbi_endpoint *ep)
{
    (void)ep;
    return false;
}

const struct tmbi_provider tmbi_provider_tcp = {
    .name = "tcp",
    .caps = CAPS,
    .env = &tmbi_tcp_env,
    .open = tcp_open,
    .close = tcp_close,
    .address = tmbi_tcp_address,
    .connect = tmbi_tcp_connect,
    .reach = tmbi_tcp_reach,
    .peer_state = tmbi_tcp_peer_state,
    .peer_host = tmbi_tcp_peer_host,
    .wake_slot = tmbi_tcp_wake_slot,
    .ring = tmbi_tcp_ring,
    .sleep = tmbi_tcp_sleep,
    .mem_alloc = tmbi_tcp_mem_alloc,
    .mem_create = tmbi_tcp_mem_create,
    .mem_free = tmbi_tcp_mem_free,
    .mem_key = tmbi_tcp_mem_key,
    .mem_attach = tmbi_tcp_mem_attach,
    .mem_detach = tmbi_tcp_mem_detach,
    .put = tmbi_tcp_put,
    .get = tmbi_tcp_get,
    .flush = tmbi_tcp_flush,
    .flush_begin = tmbi_tcp_flush_begin,
    .get_begin = tmbi_tcp_get_begin,
    .get_end = tmbi_tcp_get_end,
    .call = tmbi_tcp_call,
    .post = tmbi_tcp_post,
    .serve = tcp_serve,
    .serve_pending = tcp_serve_pending,
    .look_begin = tmbi_tcp_look_begin,
    .look = tmbi_tcp_look,
    .look_end = tmbi_tcp_look_end,
    .look_awhile = tmbi_tcp_look_awhile,
};
