/* SPDX-License-Identifier: BSD-3-Clause */
/* A window: its own memory, and each member's as it is reached from here. */
#ifndef TMBI_WINDOW_H
#define TMBI_WINDOW_H

#include <pthread.h>
#include <stdbool.h>

#include "context.h"
#include "copy.h"
#include "handle.h"
#include "lockword.h"

#define TMBI_WINDOW_MAGIC UINT64_C(0x776f646e69772d54)

/* How this process holds a member's lock. Under THREAD_MULTIPLE protected by the window's
 * mutex; ACQUIRING: a thread of ours is waiting for it, others wait for that thread. */
struct tmbi_hold {
    enum { TMBI_UNHELD, TMBI_ACQUIRING, TMBI_HELD_SHARED, TMBI_HELD_EXCLUSIVE } mode;
    unsigned holders; /* threads */
    pthread_t owner;  /* the thread that took it from UNHELD */
    bool sole;        /* and no other has joined since */
    bool broken;      /* it was got from a rank that died, and is not mended */
};

/* A member as this window reaches it. The first cache line is all that a mapped put
 * touches. */
struct tmbi_peer {
    uint8_t *base; /* all mapped: the part's start; otherwise NULL, see remote.inner */
    uint64_t bytes;
    struct tmbi_lock *lock;      /* mapped, or NULL */
    struct tmbi_wake_slot *wake; /* of its waits; mapped, or NULL */
    struct tmbi_endpoint *ep;
    int rank;          /* of the job */
    uint32_t misalign; /* address of the part, at its owner, modulo 64 */
    struct tmbi_hold hold;
    struct tmbi_remote remote;
};

struct tmb_win {
    struct tmbi_handle handle;
    int size, rank; /* of the team */
    struct tmbi_peer *peers;
    int unmapped; /* peers without base */
    struct tmb_team *team;
    uint64_t number;      /* names this window to our agent; 0: not registered */
    struct tmbi_mem *mem; /* of the first endpoint, which allocated it */
    struct tmbi_mem *shared[TMBI_ENDPOINTS_MAX]; /* the same memory, of the others */
    struct tmbi_block *block; /* of tmb_mem_alloc(), which it holds; or NULL */
    atomic_bool attached;     /* peers are set; release, and the agent's acquire */
    bool abandoned; /* the application has no handle, but peers may reach its memory */
    void *_Atomic data; /* an adapter's; release, and the agent's acquire */
    int held;           /* locks that are held or being acquired */
    pthread_mutex_t mutex;
    pthread_cond_t released;
};

/* What a member tells the others of its part. Exchanged, hence fixed-width. */
struct tmbi_window_desc {
    int32_t status;    /* 0, or why this member failed */
    uint32_t misalign; /* address of the part modulo 64 */
    uint64_t bytes;
    uint64_t number;
    uint8_t keys[TMBI_ENDPOINTS_MAX][TMBI_KEY_BYTES]; /* by provider; zero: no endpoint */
};
_Static_assert(sizeof(struct tmbi_window_desc) == 152, "window descriptor layout");

enum tmbi_window_kind { TMBI_WINDOW_ALLOC, TMBI_WINDOW_CREATE };

/*
 * The local half of making a window for a team of `size`: memory, lock, number. Fills in
 * *desc, also (status) when it fails.
 */
int tmbi_window_local(enum tmbi_window_kind kind, void *base, size_t bytes,
                      unsigned flags, int size, struct tmb_win **win,
                      struct tmbi_window_desc *desc);

/* The other half: reach all members by their descriptors, `stride` bytes apart.
 * `ranks`: their ranks in the job. */
int tmbi_window_attach(struct tmb_win *win, int rank, const int *ranks,
                       const struct tmbi_window_desc *descs, size_t stride);

/* Undo both halves; no peer touches the memory any more. */
void tmbi_window_release(struct tmb_win *win);

/* After making it failed: undo it, or keep it where members may have it whom a death did
 * not stop. */
void tmbi_window_give_up(struct tmb_win *win, int rc);

/* Release what the application left open, with a warning. */
void tmbi_windows_release_all(void);

/* The lock of a member as the member `me` uses it. (lockcall.c) */
struct tmbi_lock_view tmbi_lock_view_of(struct tmb_win *win, int rank, int me);
/* Do something with a lock that is not mapped: the owner's agent does it. */
int tmbi_lock_call(struct tmb_win *win, int rank, enum tmbi_lock_action action,
                   bool announced, uint64_t *result);
/* Acquire one; as locks.c does, and may return what the route fails with. */
int tmbi_lock_call_acquire(struct tmb_win *win, int rank, enum tmb_lock_mode mode,
                           int64_t deadline, bool test);
/* A peer's request for our lock, by the agent. -EAGAIN: the window is not made yet. */
int tmbi_lock_request_execute(struct tmb_win *win, struct tmbi_request *request);

/* A peer's call of the adapter's handler. -EAGAIN: our adapter has not made its window of
 * this one yet. (adapter.c) */
int tmbi_adapter_request_execute(struct tmb_win *win, const struct tmbi_request *request,
                                 const void *in, size_t in_bytes, void *out,
                                 size_t out_bytes);

/* Have a member's agent execute a request: complete at flush(), or on return. (call.c) */
int tmbi_peer_post(struct tmbi_peer *peer, const struct tmbi_request *request,
                   const void *in, size_t in_bytes, bool urgent);

/* Have a member's agent, or for our own part this thread, execute a request. While the
 * answer is -EAGAIN, for a member may be late in making the window, it is asked again,
 * until TMB_OP_TIMEOUT. (call.c) */
int tmbi_window_call(struct tmb_win *win, int rank, struct tmbi_request *request,
                     const void *in, size_t in_bytes, void *out, size_t out_bytes);

/* Store a 64-bit word atomically after what was put before, and wake its owner. */
int tmbi_peer_signal(struct tmbi_peer *peer, uint64_t offset, enum tmb_signal_op op,
                     uint64_t value);

/* Our windows by number (window_table.c). Adding sets win->number. */
int tmbi_window_table_add(struct tmb_win *win);
void tmbi_window_table_remove(struct tmb_win *win);
/* Keep a window's memory until the end: a rank died while it was made or freed, and
 * other members may have it still. The agent no longer finds it. */
void tmbi_window_abandon(struct tmb_win *win);
/* Find one for the agent; it stays until tmbi_window_unlock_table(), which is called also
 * if there is none (NULL). */
struct tmb_win *tmbi_window_lock_table(uint64_t number);
void tmbi_window_unlock_table(void);

/* Log and return the error. (Cold: the checks themselves are inline below.) */
int tmbi_window_bad(const struct tmb_win *win, const char *call) __attribute__((cold));
int tmbi_rank_bad(const struct tmb_win *win, const char *call, int rank)
    __attribute__((cold));
int tmbi_range_bad(const struct tmb_win *win, const char *call, int rank, uint64_t offset,
                   uint64_t bytes) __attribute__((cold));
int tmbi_null_bad(const char *call, uint64_t bytes) __attribute__((cold));

#define tmbi_likely(x)   __builtin_expect(!!(x), 1)
#define tmbi_unlikely(x) __builtin_expect(!!(x), 0)

static inline int tmbi_window_check(const struct tmb_win *win, const char *call)
{
    if (tmbi_unlikely(!win || win->handle.magic != TMBI_WINDOW_MAGIC))
        return tmbi_window_bad(win, call);
    return 0;
}

/* Check handle and rank, and find the member. */
static inline int tmbi_window_peer(struct tmb_win *win, const char *call, int rank,
                                   struct tmbi_peer **peer)
{
    int rc = tmbi_window_check(win, call);

    *peer = NULL;
    if (tmbi_unlikely(rc))
        return rc;
    if (tmbi_unlikely((unsigned)rank >= (unsigned)win->size))
        return tmbi_rank_bad(win, call, rank);
    *peer = &win->peers[rank];
    return 0;
}

/* The same, and check [offset, offset + bytes) against the member's part. */
static inline int tmbi_window_target(struct tmb_win *win, const char *call, int rank,
                                     uint64_t offset, uint64_t bytes,
                                     struct tmbi_peer **peer)
{
    int rc = tmbi_window_peer(win, call, rank, peer);

    if (tmbi_unlikely(rc))
        return rc;
    if (tmbi_unlikely(offset > (*peer)->bytes || bytes > (*peer)->bytes - offset))
        return tmbi_range_bad(win, call, rank, offset, bytes);
    return 0;
}

/* Whether a member, as a request names it, is the rank that the request came from. */
static inline bool tmbi_window_member_is(const struct tmb_win *win, uint64_t member,
                                         uint32_t origin)
{
    return member < (uint64_t)win->size && win->peers[member].rank == (int)origin;
}

/* Whether an offset into a part is aligned in its owner's memory. */
static inline bool tmbi_aligned(const struct tmbi_peer *peer, uint64_t offset,
                                uint64_t align)
{
    return ((peer->misalign + offset) & (align - 1)) == 0;
}

/* Where a checked, naturally aligned word is mapped, or NULL: such a word lies on one
 * side of where the mapping begins or ends. */
static inline uint8_t *tmbi_peer_word(const struct tmbi_peer *peer, uint64_t offset)
{
    if (tmbi_likely(peer->base))
        return peer->base + offset;
    if (offset >= peer->remote.from && offset < peer->remote.to)
        return peer->remote.inner + (offset - peer->remote.from);
    return NULL;
}

/* Put and get where not all is mapped. */
int tmbi_peer_put_pieces(struct tmbi_peer *peer, uint64_t offset, const void *src,
                         size_t bytes) __attribute__((cold));
int tmbi_peer_get_pieces(struct tmbi_peer *peer, uint64_t offset, void *dst, size_t bytes)
    __attribute__((cold));

/* Put and get of checked ranges, whatever the route. */
static inline int tmbi_peer_put(struct tmbi_peer *peer, uint64_t offset, const void *src,
                                size_t bytes)
{
    if (tmbi_likely(peer->base)) {
        tmbi_copy(peer->base + offset, src, bytes);
        return 0;
    }
    return tmbi_peer_put_pieces(peer, offset, src, bytes);
}

static inline int tmbi_peer_get(struct tmbi_peer *peer, uint64_t offset, void *dst,
                                size_t bytes)
{
    if (tmbi_likely(peer->base)) {
        tmbi_copy(dst, peer->base + offset, bytes);
        return 0;
    }
    return tmbi_peer_get_pieces(peer, offset, dst, bytes);
}

/* The same in two parts: `dst` is filled after get_end(), or a flush. rc: what the
 * caller has got so far, which get_end() returns rather than an error of its own. */
int tmbi_peer_get_begin(struct tmbi_peer *peer, uint64_t offset, void *dst, size_t bytes);
int tmbi_peer_get_end(struct tmbi_peer *peer, int rc);

#endif
