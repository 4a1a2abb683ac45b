/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPI's one-sided communication on Tombolo. Calls of the application come in by the MPI_
 * names, which this library defines in front of MPICH's; whatever is not served here goes
 * on by the PMPI_ names.
 *
 * A window of MPI is two of Tombolo's: `memory`, the members' parts, and `control`, where
 * the locks, the accumulates' stripes and the counters of post-start-complete-wait are.
 * Under it there is a window of MPICH's, which has the handle, name, attributes, group
 * and error handler, and no memory.
 */
#ifndef TMBM_ADAPTER_H
#define TMBM_ADAPTER_H

#include <mpi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../core/adapter.h"
#include "../../core/include/tombolo.h"
#include "datatype.h"
#include "report.h"

#define TMBM_API __attribute__((visibility("default")))

/* How windows on the application's memory are made. */
#define TMBM_CREATE_FLAGS TMB_WIN_ADOPT

#define tmbm_likely(x)   __builtin_expect(!!(x), 1)
#define tmbm_unlikely(x) __builtin_expect(!!(x), 0)

/* ---- what members share, in `control` ---- */

/* Accumulates exclude each other by blocks of the target's memory, each of which has one
 * of these stripes. */
#define TMBM_STRIPES      16
#define TMBM_STRIPE_BYTES 4096

struct tmbm_stripe {
    _Atomic uint32_t taken;
    uint8_t reserved[60];
};
_Static_assert(sizeof(struct tmbm_stripe) == 64, "a stripe has its cache line");

/* What a member has for each other one: how many exposure epochs that one has opened to
 * it, and how many access epochs that one has completed at it. */
struct tmbm_pair {
    uint64_t posted, completed;
};

/* rounds[k]: how many barriers of the window have signalled this member in round k. All
 * counters are changed by signals and read by waits, hence no atomics here. */
struct tmbm_control {
    struct tmbm_stripe stripes[TMBM_STRIPES];
    uint64_t rounds[32];
    struct tmbm_pair pairs[]; /* by rank of the window */
};

/* ---- a window ---- */

/* What opens a target to this process. */
enum tmbm_hold {
    TMBM_UNHELD = 0,
    TMBM_HELD_SHARED,
    TMBM_HELD_EXCLUSIVE,
    TMBM_HELD_NOCHECK, /* the application says that nobody contends: no lock is taken */
    TMBM_STARTED       /* by MPI_Win_start */
};

/* Operations on memory that isn't mapped: counted after they have begun, and as far as a
 * flush has ended that began after that; so threads may flush while others begin more. */
struct tmbm_pending {
    _Atomic uint64_t begun, completed; /* release, acquire */
};

/* A member as it is reached from here. */
struct tmbm_target {
    uint8_t *base; /* where this process has its part; NULL: calls reach it */
    uint64_t bytes;
    uint64_t unit;                /* of displacement */
    uint64_t shift;               /* where its part begins in `part`'s */
    struct tmbm_control *control; /* mapped, or NULL */
    int part;                     /* of `memory`: its own; in shared windows, rank 0's */
    _Atomic uint8_t hold;         /* enum tmbm_hold; relaxed */
    atomic_bool met;              /* has the window: it has answered; relaxed */
    struct tmbm_pending pending;  /* it isn't mapped */
};

/* Which epoch lets this process access others' parts. From FENCE on it is open to all. */
enum tmbm_access {
    TMBM_ACCESS_NONE = 0,
    TMBM_ACCESS_START, /* to the group that was started */
    TMBM_ACCESS_LOCK,  /* to targets that are locked */
    TMBM_ACCESS_FREED, /* never again */
    TMBM_ACCESS_FENCE, /* since a fence; ends when another kind begins */
    TMBM_ACCESS_LOCK_ALL
};

/* What of a window changes with its epochs. Threads may share an access epoch; who begins
 * and ends one is one thread at a time, as MPI demands. */
struct tmbm_epochs {
    _Atomic uint8_t access; /* enum tmbm_access; relaxed */
    atomic_int held;        /* TMBM_ACCESS_LOCK: targets; relaxed */
    bool lock_all_nocheck;
    uint64_t fences; /* barriers of this window that ended */
    int *started, started_count;
    bool started_nocheck;
    int *posted, posted_count; /* -1: no exposure epoch */
    uint64_t *opened;    /* exposure epochs that each member opened to us and we used */
    uint64_t *completed; /* access epochs that each member completed at us, expected */
};

struct tmbm_win {
    MPI_Win handle; /* of MPICH's window */
    int size, rank;
    struct tmbm_target *targets;
    struct tmbm_pending pending; /* at any target */
    struct tmbm_epochs epochs;
    struct tmbm_group *group;
    struct tmbm_shell *shell;
    tmb_win *memory; /* NULL: dynamic */
    tmb_win *control;
    struct tmbm_control *own; /* control of ours */
    void *private;            /* the own part, where the region has no room for it */
    void *base;               /* what attributes say of the own part */
    MPI_Aint bytes;
    int unit, flavor, model;
    bool informed; /* some member has set info at MPICH's window */
    int *keyvals;  /* of attributes that are set there, the oldest first */
    int keyval_count;
    struct tmbm_attachments *attachments; /* dynamic.c's; NULL: not dynamic */
};

/* ---- table.c: windows by handle ---- */

extern struct tmbm_win *_Atomic tmbm_last; /* the one that was found last */
struct tmbm_win *tmbm_win_search(MPI_Win handle);

/* NULL: MPICH's own. */
static inline struct tmbm_win *tmbm_win_find(MPI_Win handle)
{
    /* acquire: partner is the release in table.c */
    struct tmbm_win *win = atomic_load_explicit(&tmbm_last, memory_order_acquire);

    if (tmbm_likely(win && win->handle == handle))
        return win;
    return tmbm_win_search(handle);
}

/* A window, or one that was freed, from malloc(): it is the table's until its handle is
 * added again. */
int tmbm_table_add(struct tmbm_win *win);
void tmbm_table_remove(struct tmbm_win *win);
/* The handle is a window of MPICH's own now. */
void tmbm_table_forget(MPI_Win handle);

/* What MPICH returned that made a window by itself. */
static inline int tmbm_passed(int rc, const MPI_Win *win)
{
    if (rc == MPI_SUCCESS)
        tmbm_table_forget(*win);
    return rc;
}

/* ---- attribute.c ---- */

/* An attribute was set at MPICH's window. */
void tmbm_attribute_note(MPI_Win handle, int keyval);
/* Make MPICH's window as new, but for info; what a callback returns that says no. */
int tmbm_attributes_reset(struct tmbm_win *win);

/* ---- init.c ---- */

/* Whether windows are served: after a successful start, until MPI_Finalize. */
extern bool tmbm_enabled;
/* MPI_THREAD_MULTIPLE was granted. */
extern bool tmbm_threads;
/* A duplicate of MPI_COMM_WORLD, for our own traffic. */
extern MPI_Comm tmbm_world;
/* The rank in MPI_COMM_WORLD, which is the rank of the job, of each member of a group.
 * MPI error class; MPI_ERR_RANK: one of them is of another world. */
int tmbm_world_ranks(MPI_Group group, int size, int *ranks);

/* ---- error.c: all of these are MPI error classes, MPI_SUCCESS among them ---- */

/* Raise a window's error handler, unless it is MPI_SUCCESS; returns the class. */
int tmbm_raise(MPI_Win win, int error_class);
/* What a Tombolo error is to MPI. */
int tmbm_class(int rc);

static inline bool tmbm_freed(const struct tmbm_win *win)
{
    return atomic_load_explicit(&win->epochs.access, memory_order_relaxed) ==
           TMBM_ACCESS_FREED;
}

static inline int tmbm_end(const struct tmbm_win *win, int error_class)
{
    return tmbm_likely(error_class == MPI_SUCCESS) ? MPI_SUCCESS
                                                   : tmbm_raise(win->handle, error_class);
}

/* ---- group.c: what windows of one communicator share ---- */

/* MPICH's windows that wait for their next use. */
struct tmbm_shell {
    struct tmbm_shell *next;
    MPI_Win handle;
    uint32_t number; /* of its making, from 1 on: equal on all members */
};

struct tmbm_group {
    struct tmbm_group *next; /* of all, the oldest first */
    tmb_team *team;
    int size, rank;
    int users;                 /* the communicator, and windows */
    pthread_mutex_t mutex;     /* protects the following */
    struct tmbm_shell *shells; /* the oldest first */
    uint32_t made;
};

/* The group of a communicator, for one window more. Collective over it. *group NULL: its
 * windows are MPICH's, for a member is outside of MPI_COMM_WORLD. */
int tmbm_group_get(MPI_Comm comm, struct tmbm_group **group);
/* One user less; collective, as what calls it is. */
void tmbm_group_put(struct tmbm_group *group);
void tmbm_groups_close(void);
/*
 * MPICH's windows without memory, over the same members. One that waits is taken, if
 * there is one; and given back, or left, as all members find that theirs is the same, or
 * not. NULL: none waits.
 */
struct tmbm_shell *tmbm_shell_take(struct tmbm_group *group);
void tmbm_shell_give(struct tmbm_group *group, struct tmbm_shell *shell);
/* A new one; collective. */
int tmbm_shell_make(struct tmbm_group *group, MPI_Comm comm, struct tmbm_shell **shell);
/* Its window was freed. reusable: it is as new, on all members. Otherwise collective. */
void tmbm_shell_retire(struct tmbm_group *group, struct tmbm_shell *shell, bool reusable);

/* ---- window.c ---- */

/* What a window is made of. */
struct tmbm_making {
    int flavor;
    void *base;
    MPI_Aint bytes;
    int unit;
    MPI_Info info;
    bool adjacent; /* parts lie one behind the other, in rank 0's memory */
};

/* Make one; what its memory's base is comes back in *making. *served false: it is MPICH's
 * to make. Collective over comm, whose error handler has been called on failure. */
int tmbm_window_make(enum tmbm_call call, MPI_Comm comm, struct tmbm_making *making,
                     MPI_Win *handle, bool *served);

/* ---- access.c: what a call says, checked ---- */

/* A typed buffer, or the shape of one. */
struct tmbm_data {
    uint8_t *buffer;
    uint64_t count;
    MPI_Datatype handle;
    const struct tmbm_type *type; /* NULL: one piece of `bytes` */
    uint64_t bytes;               /* of data */
};

int tmbm_data_typed(struct tmbm_data *data);

static inline int tmbm_data_set(struct tmbm_data *data, const void *buffer,
                                MPI_Count count, MPI_Datatype type)
{
    *data =
        (struct tmbm_data){(uint8_t *)(uintptr_t)buffer, (uint64_t)count, type, NULL, 0};
    if (tmbm_unlikely(count < 0))
        return MPI_ERR_COUNT;
    if (tmbm_unlikely(!tmbm_type_plain(type)))
        return tmbm_data_typed(data);
    data->bytes = (uint64_t)count * tmbm_type_plain_bytes(type);
    return MPI_SUCCESS;
}

/* Its type also where it is one piece. */
const struct tmbm_type *tmbm_data_type(const struct tmbm_data *data);

/* Where in a window. offset: bytes in the target's part; dynamic: an address. */
struct tmbm_place {
    struct tmbm_win *win;
    struct tmbm_target *target;
    int rank;
    uint64_t offset;
};

int tmbm_place_set(struct tmbm_place *place, struct tmbm_win *win, int rank,
                   MPI_Aint displacement, const struct tmbm_data *shape);

/* The epoch is open to a target. */
static inline bool tmbm_open_to(const struct tmbm_win *win,
                                const struct tmbm_target *target)
{
    return atomic_load_explicit(&win->epochs.access, memory_order_relaxed) >=
               TMBM_ACCESS_FENCE ||
           atomic_load_explicit(&target->hold, memory_order_relaxed) != TMBM_UNHELD;
}

/* This thread has stored to mapped parts, of any window, and no fence of its own
 * followed: another thread's does not order them. */
extern _Thread_local bool tmbm_stored __attribute__((tls_model("initial-exec")));

/* After an operation has begun. */
static inline void tmbm_note_begun(const struct tmbm_place *place)
{
    atomic_fetch_add_explicit(&place->target->pending.begun, 1, memory_order_release);
    atomic_fetch_add_explicit(&place->win->pending.begun, 1, memory_order_release);
}

/* ---- flush.c ---- */

/* Complete at a target, or at all of them, what was put there. */
int tmbm_flush(struct tmbm_win *win, int rank);
int tmbm_flush_all(struct tmbm_win *win);
/* Have what was got, and store before whatever comes next. */
int tmbm_flush_local(struct tmbm_win *win, int rank);
int tmbm_flush_local_all(struct tmbm_win *win);

/* ---- fence.c ---- */

/* A barrier of a window's members, after which what each put before is complete. */
int tmbm_barrier(struct tmbm_win *win);

/* ---- request.c ---- */

/* A request that is complete. */
int tmbm_request_done(MPI_Request *request);

/* ---- stripe.c ---- */

/* The stripes over `bytes` at an offset of a target are the caller's until given back. */
void tmbm_stripes_take(struct tmbm_control *control, uint64_t offset, uint64_t bytes);
void tmbm_stripes_give(struct tmbm_control *control, uint64_t offset, uint64_t bytes);

/* ---- update.c: accumulates on memory that is mapped here ---- */

struct tmbm_update {
    enum tmbm_op op;
    enum tmbm_element element;
    bool sole; /* nobody else can be at it: an exclusive lock is held */
};

/* Whole elements, span by span, at an offset. */
void tmbm_update_piece(struct tmbm_control *control, uint8_t *base,
                       const struct tmbm_update *update, uint64_t offset,
                       const uint8_t *operand, uint8_t *result, uint64_t bytes);
/* MPI_Compare_and_swap on `bytes`. */
void tmbm_swap(struct tmbm_control *control, uint8_t *base, bool sole, uint64_t offset,
               const void *operand, const void *compare, void *result, size_t bytes);

/* ---- pieces.c: a typed buffer in pieces that suit others' ---- */

struct tmbm_walk {
    struct tmbm_cursor cursor;
    uint8_t *at;
    uint64_t left;       /* of the piece */
    uint64_t data, span; /* of elements with a gap inside; or 0 */
    bool typed;
};

/* element: TMBM_MIXED, or what pieces are to be whole ones of, span by span. */
struct tmbm_walk tmbm_walk_make(const struct tmbm_data *data, const void *buffer,
                                enum tmbm_element element);
/* Whether there is more; then `at` and `left` say where. */
bool tmbm_walk_more(struct tmbm_walk *walk);
void tmbm_walk_skip(struct tmbm_walk *walk, uint64_t bytes);

/* ---- remote.c: targets whose memory or control isn't mapped: by their agent ---- */

int tmbm_remote_handle(void *data, int origin, const uint64_t *args, const void *in,
                       size_t in_bytes, void *out, size_t out_bytes);
int tmbm_remote_put(const struct tmbm_place *place, const struct tmbm_data *shape,
                    const struct tmbm_data *from);
int tmbm_remote_get(const struct tmbm_place *place, const struct tmbm_data *shape,
                    const struct tmbm_data *to);
/* operand, result: NULL where there is none. */
int tmbm_remote_update(const struct tmbm_place *place, const struct tmbm_data *shape,
                       struct tmbm_update update, const struct tmbm_data *operand,
                       const struct tmbm_data *result);
int tmbm_remote_swap(const struct tmbm_place *place, size_t bytes, const void *operand,
                     const void *compare, void *result);

/* ---- memory.c ---- */

void tmbm_memory_close(void);

/* ---- dynamic.c ---- */

/* Whether [address, address + bytes) is attached here. */
bool tmbm_attached(struct tmbm_win *win, uint64_t address, uint64_t bytes);
int tmbm_attachments_open(struct tmbm_win *win);
void tmbm_attachments_close(struct tmbm_win *win);

#endif
