/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPI's one-sided communication on Tombolo. Calls of the application come in by the MPI_
 * names, which this library defines in front of MPICH's; whatever is not served here goes
 * on by the PMPI_ names.
 *
 * A window of MPI is two of Tombolo's: `memory`, the members' parts, and `control`, where
 * the locks, the accumulates' stripes and the counters of post-start-complete-wait are.
 * Under it there is a window of MPICH's, which has the handle, name, attributes, group and
 * error handler, and no memory.
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
 * it, and how many access epochs that one has completed at it. Signals: see pscw.c. */
struct tmbm_pair {
    _Atomic uint64_t posted, completed;
};

struct tmbm_control {
    struct tmbm_stripe stripes[TMBM_STRIPES];
    struct tmbm_pair pairs[]; /* by rank of the window */
};

/* ---- a window ---- */

/* A member as it is reached from here. */
struct tmbm_target {
    uint8_t *base; /* where this process has its part; NULL: calls reach it */
    uint64_t bytes;
    uint64_t unit; /* of displacement */
    uint64_t shift; /* of `base` in the part of `part`, for shared windows */
    struct tmbm_control *control; /* mapped, or NULL */
    int part; /* whose part of `memory` it is in: its own, or for shared windows rank 0 */
    _Atomic uint8_t lock; /* enum tmbm_hold */
    bool dirty;           /* unmapped: it was put to since the last flush */
};

enum tmbm_hold {
    TMBM_UNHELD = 0,
    TMBM_HELD_SHARED,
    TMBM_HELD_EXCLUSIVE,
    TMBM_HELD_NOCHECK /* the application says that nobody contends */
};

/* What lets this process access others' parts now; and others its own. */
enum tmbm_access {
    TMBM_ACCESS_NONE = 0,
    TMBM_ACCESS_FENCE,    /* since a fence; ends when another kind begins */
    TMBM_ACCESS_START,    /* to the group that was started */
    TMBM_ACCESS_LOCK,     /* to targets that are locked */
    TMBM_ACCESS_LOCK_ALL
};

struct tmbm_win {
    MPI_Win handle; /* of MPICH's window */
    int size, rank;
    struct tmbm_target *targets;
    _Atomic uint8_t access; /* enum tmbm_access */
    bool exposed;           /* between post and wait */
    bool put_since_fence;   /* stores to mapped parts that no fence follows yet */
    int flavor;             /* MPI_WIN_FLAVOR_... */
    int unmapped;           /* targets without base */
    int held;               /* TMBM_ACCESS_LOCK: how many */
    bool lock_all_checked;  /* lock_all took the locks: it was not NOCHECK */
    tmb_win *memory;        /* NULL: dynamic */
    tmb_win *control;
    tmb_team *team;
    MPI_Comm comm; /* the duplicate that the team, and MPICH's window, are of */
    void *base;    /* what attributes say of the own part */
    MPI_Aint bytes;
    int unit;
    struct tmbm_start *start; /* pscw.c's */
    struct tmbm_attachments *attachments; /* dynamic.c's */
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

int tmbm_table_add(struct tmbm_win *win);
void tmbm_table_remove(struct tmbm_win *win);

/* ---- init.c ---- */

/* Whether windows are served: after a successful start, until MPI_Finalize. */
extern bool tmbm_enabled;
/* MPI_THREAD_MULTIPLE was granted. */
extern bool tmbm_threads;
/* The rank in MPI_COMM_WORLD, which is the rank of the job, of each member of a group. */
int tmbm_world_ranks(MPI_Group group, int size, int *ranks);

/* ---- error.c ---- */

/* Raise a window's error handler with a class; returns what it returns. */
int tmbm_raise(MPI_Win win, int error_class);
/* What a Tombolo error is to MPI; logs nothing. */
int tmbm_class(int rc);

/* ---- team.c: the team of a communicator ---- */

/* A team, and a duplicate of the communicator for our own traffic, kept with `comm` until
 * that is freed. Collective. MPI error class. */
struct tmbm_group {
    tmb_team *team;
    MPI_Comm comm;
    int size, rank;
    struct tmbm_shell *shells; /* MPICH's windows that wait for their next use */
};
int tmbm_group_get(MPI_Comm comm, struct tmbm_group **group);
void tmbm_groups_close(void);

/* ---- communication.c ---- */

/* A checked target of an operation. */
struct tmbm_place {
    struct tmbm_win *win;
    struct tmbm_target *target;
    int rank;
    uint64_t offset; /* bytes in the target's part; dynamic: an address */
};

/* ---- remote.c: targets that aren't mapped ---- */

int tmbm_remote_open(void);
int tmbm_remote_put(const struct tmbm_place *place, const struct tmbm_type *target_type,
                    uint64_t target_count, const void *origin,
                    const struct tmbm_type *origin_type, uint64_t origin_count);
int tmbm_remote_get(const struct tmbm_place *place, const struct tmbm_type *target_type,
                    uint64_t target_count, void *origin,
                    const struct tmbm_type *origin_type, uint64_t origin_count);
