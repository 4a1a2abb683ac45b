/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ranks on hosts that share no memory. Large puts and gets are libfabric's one-sided
 * writes and reads. Everything else goes by links, one TCP connection of ours per pair of
 * ranks: small puts and gets and other requests to the target's agent, doorbells, and the
 * news that a peer is alive, leaves, or has died, which libfabric doesn't tell.
 *
 * One thread per process, the progress thread, sleeps on libfabric's descriptor and on
 * the links, so that a passive target serves while it computes; after a request it stays
 * awake for TMB_SPIN. Threads of the application that wait for an answer or a completion
 * look themselves before they sleep, and while they do it isn't woken by what they wait
 * for.
 *
 * Locks, in this order: the events' mutex, a link's receive mutex, then any of: a link's
 * send mutex, the calls' mutex, the fabric's mutex. None of these three is held while
 * taking another.
 */
#ifndef TMBI_TCP_H
#define TMBI_TCP_H

#include <netinet/in.h>
#include <pthread.h>
#include <rdma/fabric.h>
#include <rdma/fi_domain.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "../../core/include/tombolo.h"
#include "../../core/provider.h"
#include "wire.h"

struct tmbi_tcp_config {
    const char *fabric;     /* TMB_TCP_FABRIC */
    const char *interface;  /* TMB_TCP_INTERFACE */
    const char *ports;      /* TMB_TCP_PORTS */
    int64_t timeout_ns;     /* TMB_TCP_TIMEOUT; -1: forever */
    const char *congestion; /* TMB_TCP_CONGESTION */
    uint64_t link_max;      /* TMB_TCP_LINK_MAX; 0: by what libfabric uses */
};

/* Where this process listens: one address, and ports to choose from (0, 0: any). */
struct tmbi_tcp_place {
    struct sockaddr_storage address; /* port 0 */
    socklen_t bytes;
    char text[INET6_ADDRSTRLEN];
    int low, high;
};

/* Room for the bytes of one direction of a link. */
struct tmbi_tcp_buffer {
    uint8_t *bytes;
    size_t used, capacity;
};

struct tmbi_tcp_link {
    int fd;                     /* -1: none. Set once, before `up` */
    atomic_bool up;             /* hellos were exchanged; release after fd */
    pthread_mutex_t send_mutex; /* protects what follows */
    struct tmbi_tcp_buffer out; /* what the socket is still to take, from `gone` on */
    size_t gone;
    bool held;           /* `out` waits for more, or for who needs it sent */
    const uint8_t *lent; /* the caller's: follows `out` up to lent_at */
    size_t lent_bytes, lent_at;
    uint64_t loans;
    bool flushed;        /* after the last put that is not urgent, and the last get */
    unsigned quiet_puts; /* puts since the last that asked for an answer */
    size_t quiet_bytes;
    unsigned lookers;  /* threads that look for what comes and goes, before they sleep */
    atomic_bool waits; /* something for room in the socket; relaxed */
    uint32_t watched;  /* the events that wake the progress thread */
    pthread_mutex_t receive_mutex; /* protects what follows */
    struct tmbi_tcp_buffer in;
    struct tmbi_request put; /* of which a part has come; its count is 0: none */
    uint64_t put_done;       /* bytes of it */
    int32_t put_status;
    bool put_asks;
    uint64_t puts_taken; /* puts of the peer's that were executed and not answered */
    bool puts_asked;     /* for an answer */
    int32_t puts_status;
    bool over;                         /* the peer sends no more */
    _Atomic int64_t sent_ns, heard_ns; /* relaxed: when last */
};

/* A get whose answer fills `dst`; NULL: nobody wants it any more. */
struct tmbi_tcp_get {
    void *dst;
    uint64_t bytes;
};

/* How many are under way, at most, to one peer. */
#define TMBI_TCP_GETS 256

struct tmbi_tcp_peer {
    int rank;
    const char *unreachable; /* why; NULL: reached */
    _Atomic int state;       /* enum tmb_peer_state; seq_cst after ALIVE */
    int64_t pid;
    uint64_t host;
    uint64_t cookie;
    struct sockaddr_storage address; /* of its listener */
    socklen_t address_bytes;
    fi_addr_t fabric;            /* libfabric's name for it */
    uint64_t anchor, anchor_key; /* where its anchor is */
    struct tmbi_tcp_link link;
    /* Writes, counted; seq_cst, changed under the fabric's mutex as is the queue of those
     * that are not complete, in order. A flush waits for those before it only. */
    _Atomic uint64_t posted, completed;
    struct tmbi_tcp_transfer *oldest, *newest;
    /* Puts by the link; seq_cst, changed by who sends them, with the link's send mutex,
     * and who pulls their answers. */
    _Atomic uint64_t sent, answered;
    /* Gets that were begun, in a ring; seq_cst, as those. `gets` is made by the first. */
    struct tmbi_tcp_get *gets;
    _Atomic uint64_t gets_asked, gets_done;
    _Atomic uint64_t gets_bytes; /* of those under way; relaxed */
    _Atomic int put_status;      /* why one of them all failed since the last flush */
};

static inline bool tmbi_tcp_alive(const struct tmbi_tcp_peer *peer)
{
    /* seq_cst: partner is the exchange in tmbi_tcp_peer_end() */
    return atomic_load_explicit(&peer->state, memory_order_seq_cst) == TMB_PEER_ALIVE;
}

/* Gets that were begun and have not ended. */
static inline uint64_t tmbi_tcp_gets_under_way(const struct tmbi_tcp_peer *peer)
{
    /* seq_cst: partner is the store in tmbi_tcp_get_answered(), which comes after the
     * data and after all use of the ring's entry. Loaded first: it never passes
     * gets_asked. */
    uint64_t done = atomic_load_explicit(&peer->gets_done, memory_order_seq_cst);

    return atomic_load_explicit(&peer->gets_asked, memory_order_seq_cst) - done;
}

/* A write or read that libfabric has, with the memory that it works on. */
struct tmbi_tcp_transfer;

struct tmbi_tcp_fabric {
    pthread_mutex_t mutex; /* protects all below but what open() sets */
    struct fi_info *info;
    uint64_t link_max; /* puts and gets up to here go by links */
    struct fid_fabric *fabric;
    struct fid_domain *domain;
    struct fid_ep *ep;
    struct fid_av *av;
    struct fid_cq *cq;
    int wait_fd;
    uint64_t next_key;
    struct tmbi_tcp_transfer *free, *all;
    unsigned transfers, transfers_max;
    unsigned under_way; /* of them: libfabric has them */
    unsigned lookers;   /* threads that look for completions */
    unsigned sleepers;  /* threads that sleep until there are some */
    bool watched;       /* wait_fd wakes the progress thread */
    bool settled;       /* and will: libfabric has not been called since it said so */
};

struct tmbi_tcp_registration {
    struct fid_mr *mr;
    uint64_t address, key; /* as peers name it */
};

struct tmbi_tcp_call;

#define TMBI_TCP_STRANGERS 64 /* connections that have not said hello */

struct tmbi_tcp {
    struct tmbi_endpoint head;
    struct tmbi_tcp_config config;
    struct tmbi_tcp_place place;
    struct tmbi_tcp_fabric fabric;
    uint64_t host, cookie;
    uint64_t anchor; /* what peers read to see that they can */
    struct tmbi_tcp_registration anchor_mr;
    struct tmbi_tcp_peer *peers;
    _Atomic uint32_t deaths;
    struct tmbi_wake_slot wake[TMBI_LINES];
    int bell[TMBI_LINES]; /* eventfds */

    /* What comes, and who takes it: one thread at a time. */
    pthread_mutex_t events_mutex; /* protects strangers, asker, and taking events */
    pthread_mutex_t look_mutex;   /* protects lookers, and whether nest has `epoll` */
    atomic_uint lookers;       /* threads of the application that take events; relaxed */
    atomic_bool awhile;        /* one of them is whoever looked at `awhile_ns`; relaxed */
    _Atomic int64_t awhile_ns; /* relaxed */
    struct tmbi_tcp_peer *_Atomic stayed; /* one looks after its link between its waits */
    _Atomic int64_t stayed_ns;            /* since when; relaxed */
    _Atomic int64_t streak_ns;            /* when that streak began; relaxed */
    atomic_bool naps;                     /* the thread sees when that is over */
    const struct tmbi_tcp_peer *asker;    /* of whom a thread that looks last took some */
    int64_t asker_ns;                     /* when */
    unsigned asks;                        /* how often in a row */
    pthread_t thread;
    bool running;
    atomic_bool stop;
    int epoll;      /* all that is watched */
    int nest, kick; /* what the thread sleeps on: these two, or kick alone */
    int listener;
    struct {
        int fd; /* -1: free */
        struct tmbi_tcp_buffer in;
    } strangers[TMBI_TCP_STRANGERS];
    int64_t looked_ns;        /* when it last looked at all links */
    _Atomic int64_t asked_ns; /* when a peer last asked for something; relaxed */

    pthread_mutex_t calls_mutex; /* protects calls, call_id */
    struct tmbi_tcp_call *calls;
    uint64_t call_id;
};

static inline struct tmbi_tcp *tmbi_tcp(struct tmbi_endpoint *ep)
{
    return (struct tmbi_tcp *)ep;
}

/* ---- place.c ---- */

/* Choose the address to listen on; check the ports. Logs. */
int tmbi_tcp_place_choose(const struct tmbi_tcp_config *config,
                          struct tmbi_tcp_place *place);
/* A listening socket there, or a negative errno. Logs. */
int tmbi_tcp_place_listen(const struct tmbi_tcp_place *place);
/* Say that no port is free. */
void tmbi_tcp_place_full(const struct tmbi_tcp_place *place);

/* ---- socket.c ---- */

/* Whether this host has what TMB_TCP_CONGESTION names. -EINVAL, logged: it has not. */
int tmbi_tcp_congestion_check(const struct tmbi_tcp_config *config);
/* Make a connected socket one of a link. */
void tmbi_tcp_socket_tune(const struct tmbi_tcp_config *config, int fd);

/* ---- library.c ---- */

/* Before anything of libfabric's is called. -ENODEV, logged at info: it isn't there. */
int tmbi_tcp_library_load(void);

/* ---- fabric.c ---- */

int tmbi_tcp_fabric_open(struct tmbi_tcp *tcp);
void tmbi_tcp_fabric_close(struct tmbi_tcp *tcp);
int tmbi_tcp_register(struct tmbi_tcp *tcp, void *base, size_t bytes,
                      struct tmbi_tcp_registration *registration);
void tmbi_tcp_unregister(struct tmbi_tcp *tcp,
                         struct tmbi_tcp_registration *registration);

/* ---- transfer.c ---- */

/* Look for completions; with the fabric's mutex. */
void tmbi_tcp_complete(struct tmbi_tcp *tcp);
/* Read a peer's anchor: connects, and shows that it works. */
int tmbi_tcp_anchor_read(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                         int64_t deadline);
void tmbi_tcp_transfers_free(struct tmbi_tcp *tcp);

/* ---- put.c, get.c ---- */

int tmbi_tcp_put(const struct tmbi_remote *remote, uint64_t offset, const void *src,
                 size_t bytes);
int tmbi_tcp_get_begin(const struct tmbi_remote *remote, uint64_t offset, void *dst,
                       size_t bytes);
int tmbi_tcp_get_end(const struct tmbi_remote *remote);
/* What a get asked for has come. Whether it can be. With the receive mutex. */
bool tmbi_tcp_get_answered(struct tmbi_tcp_peer *peer,
                           const struct tmbi_tcp_header *header, const uint8_t *body);
/* After a time-out: what comes of gets is thrown away. */
void tmbi_tcp_gets_give_up(struct tmbi_tcp_peer *peer);
/* Before something is sent by the link: what libfabric has is waited for. */
int tmbi_tcp_link_ready(const struct tmbi_remote *remote, tmbi_ready *has_room, void *arg,
                        int64_t deadline);
int tmbi_tcp_post(const struct tmbi_remote *remote, const struct tmbi_request *request,
                  const void *in, size_t in_bytes, bool urgent);
/* Wait for the puts that libfabric has, or for those that went by the link: one way
 * overtakes the other. */
int tmbi_tcp_writes_await(const struct tmbi_remote *remote);
int tmbi_tcp_sent_await(const struct tmbi_remote *remote);
/* A peer has executed as many puts of ours, of which one may have failed. False: we have
 * sent no such. */
bool tmbi_tcp_puts_answered(struct tmbi_tcp_peer *peer, uint64_t count, int status);
int tmbi_tcp_flush(const struct tmbi_remote *remote);
void tmbi_tcp_flush_begin(const struct tmbi_remote *remote);
int tmbi_tcp_get(const struct tmbi_remote *remote, uint64_t offset, void *dst,
                 size_t bytes);

/* ---- wait.c ---- */

/* What a wait is for: an answer on a peer's link, or a completion. */
enum tmbi_tcp_source { TMBI_TCP_LINK = 1, TMBI_TCP_FABRIC = 2 };

/* This thread looks for completions, or no longer. Around what has several, of which each
 * would wake the progress thread. */
void tmbi_tcp_fabric_look(struct tmbi_tcp *tcp, bool begin);
/* Wait as tmbi_wait_until(): ready() looks for what comes from the source itself. */
int tmbi_tcp_wait(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                  enum tmbi_tcp_source source, tmbi_ready *ready, void *arg,
                  int64_t deadline);
/* The same for a link that this thread looks after already, since
 * tmbi_tcp_link_look_begin(); no longer on return. */
int tmbi_tcp_link_look_wait(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                            tmbi_ready *ready, void *arg, int64_t deadline);
/* Log that an operation did not end in time. Returns -ETIMEDOUT. */
int tmbi_tcp_late(const struct tmbi_tcp_peer *peer, const char *what);

/* ---- streak.c ---- */

/* This thread looks after a link, again and again, until it has its answer or gives up.
 */
void tmbi_tcp_link_look_begin(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer);
void tmbi_tcp_link_look_end(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                            bool answered);
/* With the events' mutex, by a thread of the application: a peer's link had something. */
void tmbi_tcp_asked_again(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer);
/* By one that looks: serve the link where one stayed. Whether that will do. */
bool tmbi_tcp_stay_look(struct tmbi_tcp *tcp);
/* Who stayed at a link does so no longer. */
void tmbi_tcp_stay_end(struct tmbi_tcp *tcp);
/* By the progress thread: the same if that was long ago. For how many milliseconds it may
 * sleep; 0: until something happens. */
int tmbi_tcp_stay_check(struct tmbi_tcp *tcp);

/* ---- link.c ---- */

/* Room for at least so much; what is used stays. */
int tmbi_tcp_buffer_resize(struct tmbi_tcp_buffer *buffer, size_t capacity);
/* An empty one is made small again: a peer costs little while it is idle. */
void tmbi_tcp_buffer_trim(struct tmbi_tcp_buffer *buffer);
int tmbi_tcp_link_init(struct tmbi_tcp_link *link);
void tmbi_tcp_link_fini(struct tmbi_tcp_link *link);
/* Send a message, or keep what the socket does not take. What is a put to the wire is
 * held back, unless it is urgent, while others are under way, until more has come
 * together, or something else is sent on this link, or tmbi_tcp_link_ask(). Errors:
 * -ENOMEM, -EHOSTDOWN. */
int tmbi_tcp_link_post(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                       struct tmbi_tcp_header *header, const void *body,
                       size_t body_bytes, const void *payload, size_t payload_bytes,
                       bool urgent);
static inline int tmbi_tcp_link_send(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                                     struct tmbi_tcp_header *header, const void *body,
                                     size_t body_bytes, const void *payload,
                                     size_t payload_bytes)
{
    return tmbi_tcp_link_post(tcp, peer, header, body, body_bytes, payload, payload_bytes,
                              true);
}
/* Send a put whose payload is the caller's until it has gone: at most until the
 * deadline, then it is copied. Logs a time-out. */
int tmbi_tcp_link_lend(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                       struct tmbi_tcp_header *header, const void *body,
                       size_t body_bytes, const void *payload, size_t payload_bytes,
                       int64_t deadline);
/* Ask for a get, which is answered later; its number is chosen here. As a put's, and
 * -EAGAIN: TMBI_TCP_GETS are under way. */
int tmbi_tcp_link_get(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                      struct tmbi_tcp_header *header, const struct tmbi_request *request,
                      void *dst);
/* Send what is held. */
void tmbi_tcp_link_release(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer);
/* The same, and have all puts answered that were sent. Errors: -ENOMEM, -EHOSTDOWN. */
int tmbi_tcp_link_ask(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer);
/* Send what was kept, but not what is held. Returns how much still is. */
size_t tmbi_tcp_link_push(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer);
/* What a thread that looks does for a link: sends what waits, takes what has come. */
void tmbi_tcp_link_serve(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer);
/* A thread looks after a link, or no longer: while one does, it isn't watched. */
void tmbi_tcp_link_look(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, bool begin);
/* A peer has ended, for good. why: for the log, NULL: it is known or expected. */
void tmbi_tcp_peer_end(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, int state,
                       const char *why);
/* So much is kept that the peer has to read first. */
bool tmbi_tcp_link_backlogged(struct tmbi_tcp_peer *peer);

/* ---- receive.c ---- */

/* Take what has come, unless another thread does. */
void tmbi_tcp_link_pull(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer);
/* Take what has come, after whoever does: for the progress thread, which would be woken
 * again and again, and keep a thread from its end that it has interrupted. */
void tmbi_tcp_link_pull_after(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer);
/* ---- meet.c ---- */

int tmbi_tcp_identify(struct tmbi_tcp *tcp);
void tmbi_tcp_address(struct tmbi_endpoint *ep, uint8_t address[TMBI_ADDRESS_BYTES]);
int tmbi_tcp_connect(struct tmbi_endpoint *ep, const uint8_t *addresses, size_t stride,
                     int64_t deadline);
int tmbi_tcp_reach(struct tmbi_endpoint *ep, int rank, const char **why);
int tmbi_tcp_peer_state(struct tmbi_endpoint *ep, int rank);
void tmbi_tcp_peer_host(struct tmbi_endpoint *ep, int rank, uint64_t *host, int64_t *pid);
/* Check a peer's hello; logs. -EPROTONOSUPPORT: it is that rank, but of another version;
 * -EPROTO: it is none of the job. */
int tmbi_tcp_hello_check(const struct tmbi_tcp *tcp, const struct tmbi_tcp_hello *hello,
                         int rank);
int tmbi_tcp_hello_send(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer);

/* ---- stranger.c ---- */

void tmbi_tcp_strangers_open(struct tmbi_tcp *tcp);
void tmbi_tcp_strangers_close(struct tmbi_tcp *tcp);
/* A connection has come; what a stranger said: a peer's link, or the end of it. */
void tmbi_tcp_stranger_accept(struct tmbi_tcp *tcp);
void tmbi_tcp_stranger_hear(struct tmbi_tcp *tcp, unsigned index);

/* ---- watch.c ---- */

int tmbi_tcp_watches_open(struct tmbi_tcp *tcp);
/* What an event is of: a link, by its rank, a stranger, or one of these. */
#define TMBI_TCP_LISTENER        (UINT64_MAX - 1)
#define TMBI_TCP_COMPLETIONS     (UINT64_MAX - 2)
#define TMBI_TCP_STRANGER(index) ((UINT64_C(1) << 32) + (index))
int tmbi_tcp_watch_add(struct tmbi_tcp *tcp, int fd, uint64_t what);
/* Watch a link for what comes, for room to send, or both; with its send mutex. */
void tmbi_tcp_watch_link(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, bool receive,
                         bool send);
/* Watch libfabric's descriptor, or don't. */
void tmbi_tcp_watch_fabric(struct tmbi_tcp *tcp, bool on);
void tmbi_tcp_unwatch(struct tmbi_tcp *tcp, int fd);
/* Wake the progress thread by all that is watched, or by nothing: somebody looks. */
void tmbi_tcp_watch_thread(struct tmbi_tcp *tcp, bool on);
/* Take a connected socket for a peer's link. */
int tmbi_tcp_link_adopt(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer, int fd);

/* ---- progress.c ---- */

int tmbi_tcp_progress_open(struct tmbi_tcp *tcp);
int tmbi_tcp_progress_start(struct tmbi_tcp *tcp);
void tmbi_tcp_progress_stop(struct tmbi_tcp *tcp);
void tmbi_tcp_progress_close(struct tmbi_tcp *tcp);
/* Wake the thread from a long sleep. */
void tmbi_tcp_progress_kick(const struct tmbi_tcp *tcp);
/* A thread of the application begins to look, looks, and ends it. */
void tmbi_tcp_look_begin(struct tmbi_endpoint *ep);
void tmbi_tcp_look(struct tmbi_endpoint *ep);
void tmbi_tcp_look_end(struct tmbi_endpoint *ep);
void tmbi_tcp_look_awhile(struct tmbi_endpoint *ep);
/* Look for completions and have libfabric's descriptor tell of the next. Returns whether
 * it will; with the fabric's mutex. */
bool tmbi_tcp_fabric_settle(struct tmbi_tcp *tcp);

/* ---- memory.c ---- */

int tmbi_tcp_mem_alloc(struct tmbi_endpoint *ep, size_t bytes, size_t control_bytes,
                       struct tmbi_mem **mem);
int tmbi_tcp_mem_create(struct tmbi_endpoint *ep, void *base, size_t bytes,
                        size_t control_bytes, struct tmbi_mem **mem);
void tmbi_tcp_mem_free(struct tmbi_mem *mem);
void tmbi_tcp_mem_key(const struct tmbi_mem *mem, uint8_t key[TMBI_KEY_BYTES]);
int tmbi_tcp_mem_attach(struct tmbi_endpoint *ep, int rank,
                        const uint8_t key[TMBI_KEY_BYTES], struct tmbi_remote *remote);
void tmbi_tcp_mem_detach(struct tmbi_remote *remote);

/* ---- call.c ---- */

int tmbi_tcp_call(const struct tmbi_remote *remote, struct tmbi_request *request,
                  const void *in, size_t in_bytes, void *out, size_t out_bytes);
/* Ask for a put, which is answered later: at most TMBI_TCP_PUT_BYTES. */
int tmbi_tcp_put_send(const struct tmbi_remote *remote, uint64_t offset, const void *src,
                      size_t bytes, int64_t deadline);
/* A peer's request and a peer's answer, by whoever pulled it. */
void tmbi_tcp_request_take(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                           const struct tmbi_tcp_header *header, const uint8_t *body);
/* A put of a peer's has been executed, or not. */
void tmbi_tcp_put_taken(struct tmbi_tcp_peer *peer, bool asks, int status);
/* Answer the puts among the requests that were taken. */
void tmbi_tcp_puts_answer(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer);
/* False: it answers nothing that was asked. */
bool tmbi_tcp_response_take(struct tmbi_tcp *tcp, struct tmbi_tcp_peer *peer,
                            const struct tmbi_tcp_header *header, const uint8_t *body);

/* ---- bell.c ---- */

int tmbi_tcp_bells_open(struct tmbi_tcp *tcp);
void tmbi_tcp_bells_close(struct tmbi_tcp *tcp);
struct tmbi_wake_slot *tmbi_tcp_wake_slot(struct tmbi_endpoint *ep, int rank,
                                          enum tmbi_line line);
void tmbi_tcp_ring(struct tmbi_endpoint *ep, int rank, enum tmbi_line line);
int tmbi_tcp_sleep(struct tmbi_endpoint *ep, enum tmbi_line line, int64_t timeout_ns);

extern const struct tmbi_provider tmbi_provider_tcp;
extern const struct tmbi_env_table tmbi_tcp_env;

#endif
