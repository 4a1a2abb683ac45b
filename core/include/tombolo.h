/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file tombolo.h
 * One-sided access to the memory of other processes: put, get, atomics, locks
 * and waits, over memory that virtual machines of one host share and, where they
 * share none, over a network.
 *
 * Conventions, which hold for every function below:
 *
 *  - The result is 0, or a negative errno. Values come back through the last
 *    pointers, which are written on success only unless said otherwise.
 *  - Sizes and offsets are bytes. Ranks count from 0. Time-outs are nanoseconds:
 *    negative waits for ever, 0 tests and returns at once.
 *  - Handles are opaque. A freed, foreign or NULL handle gives -EBADF.
 *  - A NULL pointer where a value comes back, or where bytes are to be moved, gives
 *    -EFAULT.
 *  - While a collective that timed out is under way, every other collective call on its
 *    team gives -EBUSY, those that make and free windows and teams, and tmb_finalize(),
 *    included.
 *  - Before tmb_init() and after tmb_finalize() every call gives -ENOTCONN,
 *    except tmb_init(), tmb_version() and tmb_strerror().
 *  - A rank that died gives -EHOSTDOWN, a lock whose holder died -EOWNERDEAD; see
 *    tmb_peer_state() and tmb_lock().
 *  - What was wrong is logged once, to stderr, by the part that saw it first
 *    (TMB_LOG=error|warn|info|debug; the default is warn).
 *  - Thread safety: with TMB_THREAD_MULTIPLE any thread may call anything at any
 *    time, with one rule: collective calls on one team are made by one thread at
 *    a time and in the same order on all members.
 *
 * "Collective" calls are made by every member of the team, in the same order.
 */
#ifndef TOMBOLO_H
#define TOMBOLO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TMB_VERSION_MAJOR 0
#define TMB_VERSION_MINOR 1
#define TMB_VERSION_PATCH 0

#if defined(__GNUC__)
#define TMB_API __attribute__((visibility("default")))
#else
#define TMB_API
#endif

typedef struct tmb_team tmb_team; /**< an ordered set of ranks */
typedef struct tmb_win tmb_win;   /**< memory of a team that its members reach */
typedef struct tmb_op tmb_op;     /**< an operation under way */

/** The team of all ranks of the job; never freed. */
#define TMB_TEAM_WORLD ((tmb_team *)-1)
/** No team; a handle that no call takes. */
#define TMB_TEAM_NONE ((tmb_team *)0)

/** Wait for ever. */
#define TMB_FOREVER ((int64_t)-1)

/* ---------------------------------------------------------------- library -- */

/** The version of the library that is linked, not of the header. */
TMB_API int tmb_version(int *major, int *minor, int *patch);

/**
 * What an error of Tombolo's means, in a sentence.
 * @param err  0 or a negative errno as these functions return it.
 * @return a string that is never NULL and need not be freed.
 */
TMB_API const char *tmb_strerror(int err);

/** How many threads call Tombolo. */
enum tmb_thread_level {
    TMB_THREAD_SINGLE = 0,     /**< one thread, always the same */
    TMB_THREAD_SERIALIZED = 1, /**< several, never two at once */
    TMB_THREAD_MULTIPLE = 2    /**< several, at once */
};

/**
 * Join the job. Collective over all of its ranks; waits until all have come, for
 * at most TMB_INIT_TIMEOUT. A process that no launcher started is a job of one.
 *
 * @param thread_level  one of enum tmb_thread_level.
 * @retval 0          joined.
 * @retval -EALREADY  the process has joined before; a process joins once.
 * @retval -EINVAL    unknown thread level, or an environment variable is wrong.
 * @retval -ENODEV    no provider in TMB_PROVIDER reaches all ranks.
 * @retval -ECONNREFUSED, -ENOENT, -EACCES  the server's socket, as connect(2).
 * @retval -ECONNRESET the server ended the connection.
 * @retval -EPROTO    the server or the region speaks another version, or garbage.
 * @retval -ENOMEM    memory, or the region, is exhausted.
 * @retval -EACCES    also: a variable demands what the kernel refuses; or the job's
 *                    secret is another (TMB_SECRET), or not its owner's alone.
 * @retval -EADDRINUSE, -EADDRNOTAVAIL  rank 0 can't listen at TMB_RENDEZVOUS.
 * @retval -EEXIST    another process came to TMB_RENDEZVOUS with this TMB_RANK.
 * @retval -EOPNOTSUPP the environment calls for what this build has not.
 * @retval -ETIMEDOUT not all ranks came; the log names them.
 * @retval -EHOSTDOWN a rank died on the way.
 */
TMB_API int tmb_init(int thread_level);

/**
 * Leave the job. Collective: waits for all ranks that are alive. Windows, teams and
 * memory of tmb_mem_alloc() that are left are freed, with a warning that names them.
 * @retval 0
 * @retval -ENOTCONN  not initialized.
 * @retval -EHOSTDOWN a rank had died; the caller has left all the same.
 */
TMB_API int tmb_finalize(void);

/**
 * End the whole job: the launcher stops the other ranks, and the caller exits
 * with @p exit_code (1 .. 255; anything else counts as 1). Does not return. Without a
 * launcher (TMB_RENDEZVOUS) the others see that this rank is dead.
 */
TMB_API void tmb_abort(int exit_code) __attribute__((noreturn));

/** The caller's rank in the job, 0 .. size-1. */
TMB_API int tmb_rank(int *rank);
/** The number of ranks in the job. */
TMB_API int tmb_size(int *size);

/** What is known of a rank. */
enum tmb_peer_state {
    TMB_PEER_ALIVE = 0,
    TMB_PEER_LEFT = 1, /**< has finalized */
    TMB_PEER_DEAD = 2  /**< ended without tmb_finalize, or was lost */
};

/**
 * The state of a rank of the job. A death is reported by -EHOSTDOWN from every
 * wait and collective of a team that the dead rank belongs to, until the caller
 * has asked for that rank's state here and so knows; waits then go on with the
 * rest, and only collectives, which can't, keep failing. A rank whose machine was stopped
 * for too long is declared dead by the others, finds itself dead, and can only end: its
 * waits fail from then on.
 * @param rank   rank in the job.
 * @param state  one of enum tmb_peer_state.
 * @retval 0
 * @retval -EINVAL  no such rank.
 */
TMB_API int tmb_peer_state(int rank, int *state);

/** How a rank is reached. */
struct tmb_peer_info {
    int state;         /**< enum tmb_peer_state, without acknowledging a death */
    int mapped;        /**< 1: put and get are loads and stores */
    uint64_t host;     /**< equal for ranks under one kernel */
    int64_t pid;       /**< its process under that kernel */
    char provider[16]; /**< the provider's name, "self" for the caller */
    char hostname[32]; /**< its host's name, without a domain */
    char region[16];   /**< a short name of the region that it has, "" if none */
};

/**
 * How a rank of the job is reached.
 * @param rank  rank in the job.
 * @param info  filled in.
 * @param bytes sizeof *info, so that the structure may grow.
 * @retval 0
 * @retval -EINVAL  no such rank, or bytes is larger than this version knows.
 */
TMB_API int tmb_peer_info(int rank, struct tmb_peer_info *info, size_t bytes);

/** What a process did since tmb_init(); counters only grow. */
struct tmb_stats {
    uint64_t doorbells_rung;  /**< doorbells that the caller rang */
    uint64_t sleeps;          /**< times that a thread of the caller slept */
    uint64_t doorbells_heard; /**< sleeps that a doorbell ended */
    uint64_t agent_calls;     /**< operations that a target's agent did for us */
    uint64_t agent_served;    /**< operations that our agent did for others */
    uint64_t cma_calls;       /**< process_vm_readv and process_vm_writev calls */
    uint64_t lock_waits;      /**< locks that were not free at once */
    uint64_t locks_recovered; /**< locks taken over from a dead rank */
    uint64_t windows_made;    /**< windows made and not failed */
};

/**
 * The caller's counters.
 * @param bytes  sizeof *stats, so that the structure may grow.
 * @retval 0
 * @retval -EINVAL  bytes is larger than this version knows.
 */
TMB_API int tmb_stats_get(struct tmb_stats *stats, size_t bytes);

/* ------------------------------------------------------------------ teams -- */

/**
 * Make a team of some ranks of @p parent. Collective over the parent: members all
 * pass the same list, the others pass count 0. Disjoint teams can be made by one
 * call.
 * @param ranks  ranks in the parent, without repetition; their order is the
 *               team's order.
 * @param team   the team, or TMB_TEAM_NONE for callers with count 0, and on failure.
 *               Owned by the caller: tmb_team_free().
 * @retval 0
 * @retval -EINVAL   bad count or rank, a repetition, or members disagree.
 * @retval -ENOMEM
 * @retval -EHOSTDOWN a member of the parent died.
 */
TMB_API int tmb_team_create(tmb_team *parent, int count, const int *ranks,
                            tmb_team **team);

/** The colour of a rank that joins no new team. */
#define TMB_COLOR_NONE (-1)

/**
 * Split a team: ranks of equal colour form a team, ordered by key and then by rank
 * in the parent. Collective over the parent.
 * @param color  0 or more, or TMB_COLOR_NONE (*team is then TMB_TEAM_NONE).
 * @retval as tmb_team_create().
 */
TMB_API int tmb_team_split(tmb_team *parent, int color, int key, tmb_team **team);

/**
 * Free a team. Collective over it; a member that died is not waited for. Its windows must
 * have been freed.
 * @retval -EBUSY   it has windows; they are named in the log.
 * @retval -EINVAL  the team is TMB_TEAM_WORLD.
 */
TMB_API int tmb_team_free(tmb_team *team);

/** The caller's rank in a team. */
TMB_API int tmb_team_rank(tmb_team *team, int *rank);
/** The number of a team's members. */
TMB_API int tmb_team_size(tmb_team *team, int *size);
/**
 * Which rank a member of @p from has in @p to.
 * @retval -ENOENT  it isn't a member of @p to.
 * @retval -EINVAL  no such rank in @p from.
 */
TMB_API int tmb_team_translate(tmb_team *from, int rank, tmb_team *to, int *to_rank);

/* Types and operations of atomics and reductions. */

/** Element types; all naturally aligned. */
enum tmb_type {
    TMB_I32 = 0,
    TMB_U32 = 1,
    TMB_I64 = 2,
    TMB_U64 = 3,
    TMB_F32 = 4,
    TMB_F64 = 5
};

/** What an atomic does to the target word; each yields the word's old value. */
enum tmb_atomic_op {
    TMB_OP_SET = 0, /**< word = operand */
    TMB_OP_FETCH,   /**< word unchanged */
    TMB_OP_ADD,     /**< integers wrap */
    TMB_OP_AND,     /**< integers only, as OR and XOR */
    TMB_OP_OR,
    TMB_OP_XOR,
    TMB_OP_MIN, /**< as fmin(3) for floating point: a NaN loses */
    TMB_OP_MAX,
    TMB_OP_SWAP, /**< as SET; reads better where the old value is wanted */
    TMB_OP_CAS   /**< word = operand if word == compare, bit for bit */
};

/* ------------------------------------------------------------- collectives -- */

/*
 * A collective that returns -ETIMEDOUT is still under way: call it again with the
 * same arguments (and any time-out) to go on. Until it has ended the team takes no
 * other collective (-EBUSY). With time-out 0 this is a split-phase collective.
 * All return -EHOSTDOWN if a member is dead or dies, on every member.
 */

/** Wait until all members have come. Orders memory: what a member put and flushed,
 *  or stored, before, is seen by the others after. */
TMB_API int tmb_barrier(tmb_team *team, int64_t timeout_ns);

/**
 * Copy @p bytes at @p data of @p root to @p data of all. Any size; 0 is a barrier.
 * @retval -EINVAL  no such root.
 */
TMB_API int tmb_bcast(tmb_team *team, int root, void *data, size_t bytes,
                      int64_t timeout_ns);

/** Gather @p bytes from each member into @p all (size * bytes), by rank, on all. */
TMB_API int tmb_allgather(tmb_team *team, const void *mine, void *all, size_t bytes,
                          int64_t timeout_ns);

/**
 * Reduce @p count elements over all members, in rank order, so that every member
 * gets the same bits. @p mine and @p result may be the same.
 * @param op  TMB_OP_ADD, AND, OR, XOR, MIN or MAX.
 * @retval -EINVAL  no such type, or the operation does not fit it.
 */
TMB_API int tmb_allreduce(tmb_team *team, const void *mine, void *result, size_t count,
                          enum tmb_type type, enum tmb_atomic_op op, int64_t timeout_ns);

/* ---------------------------------------------------------------- windows -- */

/** Flag of tmb_win_alloc(): leave the memory's content undefined. */
#define TMB_WIN_UNINIT 1u
/**
 * Flag of tmb_win_create(): the library may replace pages of the memory by pages that its
 * peers map, with the same content at the same address, until the last window on them is
 * freed. A wish: where it can't be done safely, or there is no room, the window is as
 * without it; each member's part is for itself, and may be mapped but for its ends.
 *
 * While the call runs nobody else may access the memory of the window, and while the
 * window exists the memory is shared with processes that are forked: a child that writes
 * to it writes to its parent's. No input or output may be under way into it, and no
 * device have it registered, in either call.
 */
#define TMB_WIN_ADOPT 2u

/**
 * Make a window of memory that the library allocates, where its providers reach it
 * best. Collective over the team.
 * @param bytes  size of the caller's part; may differ from rank to rank and be 0.
 *               The part is zero-filled and aligned to 64.
 * @param flags  0 or TMB_WIN_UNINIT.
 * @param win    the window, owned by the caller: tmb_win_free().
 * @retval 0
 * @retval -ENOMEM     some rank's part does not fit; no window on any rank.
 * @retval -EINVAL     unknown flag.
 * @retval -EHOSTDOWN  a member died.
 */
TMB_API int tmb_win_alloc(tmb_team *team, size_t bytes, unsigned flags, tmb_win **win);

/**
 * Make a window on memory of the caller's: heap, stack, static. Collective over the
 * team. The memory stays the caller's and must outlive the window.
 * @param base   start of the caller's part; may be NULL when @p bytes is 0. Atomics
 *               need natural alignment of base + offset.
 *               If all of it lies in one block of tmb_mem_alloc(), peers map the part as
 *               they do one of tmb_win_alloc().
 * @param flags  0 or TMB_WIN_ADOPT.
 * @retval as tmb_win_alloc(); -EFAULT if @p base is NULL and @p bytes is not 0.
 */
TMB_API int tmb_win_create(tmb_team *team, void *base, size_t bytes, unsigned flags,
                           tmb_win **win);

/**
 * Free a window. Collective: completes all operations on it, then waits for the
 * other members (those that are alive). The memory of tmb_win_alloc() is gone.
 * @retval 0       also when members have died.
 * @retval -EBADF  not a window, or freed before.
 * @retval -EBUSY  the caller holds a lock in it; nothing was done.
 */
TMB_API int tmb_win_free(tmb_win *win);

/**
 * The address at which the caller can load and store @p rank's part.
 * @param ptr  the address; NULL when the part's size is 0. Valid until the window
 *             is freed. For the caller's own rank always there.
 * @retval -EINVAL      no such rank.
 * @retval -EOPNOTSUPP  that rank's part is not mapped here, or not all of it: use put
 *                      and get.
 */
TMB_API int tmb_win_ptr(tmb_win *win, int rank, void **ptr);

/**
 * Allocate memory of the caller's alone, where peers can map windows that
 * tmb_win_create() makes on it, as many as one likes; where nobody maps anything it is
 * ordinary memory. Not collective: any rank, any thread.
 * @param bytes  0 gives NULL.
 * @param ptr    aligned to 64, and to a page or more if that large; content undefined.
 *               To be freed by tmb_mem_free(), before tmb_finalize().
 * @retval 0
 * @retval -ENOMEM  it does not fit; the log says what is free.
 */
TMB_API int tmb_mem_alloc(size_t bytes, void **ptr);

/**
 * Free memory of tmb_mem_alloc(). NULL is nothing.
 * @retval 0
 * @retval -EINVAL  tmb_mem_alloc() gave no such pointer, or it was freed before.
 * @retval -EBUSY   a window is on it: tmb_win_free() that first; nothing was done.
 */
TMB_API int tmb_mem_free(void *ptr);

/** The size of @p rank's part. */
TMB_API int tmb_win_size(tmb_win *win, int rank, size_t *bytes);
/** The team of a window; not to be freed before it. */
TMB_API int tmb_win_team(tmb_win *win, tmb_team **team);

/* ------------------------------------------------------------ put and get -- */

/*
 * All take the target's rank in the window's team and an offset into its part.
 * Errors of every call that touches a target:
 *   -EBADF      not a window
 *   -EINVAL     no such rank
 *   -ERANGE     offset and size don't lie in the part (checked without overflow)
 *   -EHOSTDOWN  the target is dead and its memory can't be reached any more
 *   -ETIMEDOUT  an unmapped target did not answer within TMB_OP_TIMEOUT
 * Zero bytes are legal everywhere: only the handle, rank and offset are checked.
 * NULL with a size other than 0 gives -EFAULT.
 *
 * Completion: *local*, the caller's buffer can be used again; *remote*, the target
 * and everyone else sees it. An aligned put of 1, 2, 4 or 8 bytes is not torn.
 */

/** Put: locally complete on return, remotely at flush or unlock. */
TMB_API int tmb_put(tmb_win *win, int rank, uint64_t offset, const void *src,
                    size_t bytes);
/** Get: complete on return. */
TMB_API int tmb_get(tmb_win *win, int rank, uint64_t offset, void *dst, size_t bytes);

/**
 * Put without waiting for local completion.
 * @param op  the operation, to be ended by tmb_op_wait() or a tmb_op_test() that
 *            says done. NULL: no handle; tmb_flush_local() and tmb_flush() end it.
 */
TMB_API int tmb_put_nb(tmb_win *win, int rank, uint64_t offset, const void *src,
                       size_t bytes, tmb_op **op);
/** Get without waiting; @p dst holds the data when the operation has ended. */
TMB_API int tmb_get_nb(tmb_win *win, int rank, uint64_t offset, void *dst, size_t bytes,
                       tmb_op **op);
/**
 * Whether an operation has ended. If so its handle is freed and *op set to NULL;
 * a NULL *op has ended.
 * @param done  1 or 0.
 * @return 0, or the operation's own error (which ends it).
 */
TMB_API int tmb_op_test(tmb_op **op, int *done);
/** Wait for an operation; -ETIMEDOUT leaves it under way. */
TMB_API int tmb_op_wait(tmb_op **op, int64_t timeout_ns);

/** A piece of a vectored transfer. */
struct tmb_iov {
    void *addr;      /**< the caller's memory */
    uint64_t offset; /**< in the target's part */
    size_t bytes;
};

/** Put @p count pieces; all are checked before any is moved. Count 0 is legal. */
TMB_API int tmb_putv(tmb_win *win, int rank, const struct tmb_iov *iov, size_t count);
/** Get @p count pieces. */
TMB_API int tmb_getv(tmb_win *win, int rank, const struct tmb_iov *iov, size_t count);

/** The most levels of a strided transfer. */
#define TMB_STRIDED_MAX 8

/**
 * Put a regular section. counts[0] is the size in bytes of a contiguous block;
 * counts[i], for i = 1 .. levels, how often level i repeats what is below it, its
 * repetitions lying target_strides[i-1] bytes apart in the target and
 * source_strides[i-1] at the source. (The convention of ARMCI_PutS and of GASNet's
 * strided calls.) Strides may be negative; levels 0 is a plain put.
 * @param levels  0 .. TMB_STRIDED_MAX.
 * @retval -EINVAL  levels out of range.
 * @retval -ERANGE  some block lies outside of the part; nothing was moved.
 */
TMB_API int tmb_put_strided(tmb_win *win, int rank, uint64_t offset,
                            const ptrdiff_t *target_strides, const void *src,
                            const ptrdiff_t *source_strides, const size_t *counts,
                            int levels);
/** Get a regular section; as tmb_put_strided(). */
TMB_API int tmb_get_strided(tmb_win *win, int rank, uint64_t offset,
                            const ptrdiff_t *target_strides, void *dst,
                            const ptrdiff_t *local_strides, const size_t *counts,
                            int levels);

/* ------------------------------------------------------- signals and waits -- */

/** What a signal does to its word. */
enum tmb_signal_op { TMB_SIGNAL_SET = 0, TMB_SIGNAL_ADD = 1 };

/** How tmb_wait() compares, unsigned: word OP value. */
enum tmb_cmp { TMB_EQ = 0, TMB_NE, TMB_GT, TMB_GE, TMB_LT, TMB_LE };

/**
 * Put data, then change a 64-bit word of the same target's part and wake whoever
 * waits there. Who sees the word's new value sees the data. Both are locally complete
 * on return, and remotely at flush or unlock; the signal is on its way without that.
 * @param bytes          0: signal only.
 * @param signal_offset  of the word; base + offset must be 8-aligned.
 * @retval -EINVAL  misaligned word or unknown operation, beside the errors above.
 */
TMB_API int tmb_put_signal(tmb_win *win, int rank, uint64_t offset, const void *src,
                           size_t bytes, uint64_t signal_offset, enum tmb_signal_op op,
                           uint64_t value);

/**
 * Wait, asleep, until a 64-bit word of the caller's own part compares true.
 * Woken by tmb_put_signal(), tmb_atomic() and its kin, and tmb_notify(); a change
 * by a plain put or store is noticed too, but late (up to 100 ms).
 * @param seen  the value that ended the wait, or the last one seen on -ETIMEDOUT
 *              and -EHOSTDOWN; may be NULL.
 * @retval -ETIMEDOUT
 * @retval -EHOSTDOWN  a member of the team died that the caller does not yet know
 *                     of: see tmb_peer_state().
 * @retval -EINVAL     misaligned word or unknown comparison.
 */
TMB_API int tmb_wait(tmb_win *win, uint64_t offset, enum tmb_cmp cmp, uint64_t value,
                     int64_t timeout_ns, uint64_t *seen);

/** Wake @p rank after plain stores through tmb_win_ptr(). Orders the stores before
 *  the wake-up. Costs a fence if nobody sleeps there. */
TMB_API int tmb_notify(tmb_win *win, int rank);

/* ---------------------------------------------------------------- atomics -- */

/**
 * An atomic operation on a word of the target, sequentially consistent with every
 * other atomic of Tombolo's on it, from every rank and over every provider. Complete
 * at the target on return, and wakes a tmb_wait() there.
 * @param offset   base + offset must be aligned to the type's size.
 * @param operand  NULL for TMB_OP_FETCH.
 * @param compare  for TMB_OP_CAS, otherwise NULL.
 * @param result   the old value; NULL if not wanted (not for TMB_OP_FETCH).
 * @retval -EINVAL  misaligned, or the operation does not fit the type or pointers.
 */
TMB_API int tmb_atomic(tmb_win *win, int rank, uint64_t offset, enum tmb_type type,
                       enum tmb_atomic_op op, const void *operand, const void *compare,
                       void *result);

/**
 * The same operation on each element of an array: element-wise atomic, not as a
 * whole; elements in ascending order.
 * @param src     @p count operands; NULL for TMB_OP_FETCH.
 * @param op      any but TMB_OP_CAS.
 * @param result  the @p count old values, or NULL. Must not overlap @p src.
 */
TMB_API int tmb_accumulate(tmb_win *win, int rank, uint64_t offset, enum tmb_type type,
                           enum tmb_atomic_op op, const void *src, size_t count,
                           void *result);

/*
 * Typed forms, TYPE being i32 u32 i64 u64 f32 f64:
 *   tmb_set_TYPE(win, rank, offset, value)
 *   tmb_fetch_TYPE(win, rank, offset, &old)
 *   tmb_fetch_OP_TYPE(win, rank, offset, value, &old)    OP: add min max, and for
 *                                                        integers and or xor
 *   tmb_swap_TYPE(win, rank, offset, value, &old)
 *   tmb_cas_TYPE(win, rank, offset, compare, value, &old)
 * old may be NULL except in tmb_fetch_TYPE.
 */
#define TMB_DEFINE_FETCH_OP_(opname, OP, suffix, type, TYPE)                             \
    static inline int tmb_##opname##_##suffix(tmb_win *win, int rank, uint64_t offset,   \
                                              type value, type *old)                     \
    {                                                                                    \
        return tmb_atomic(win, rank, offset, TYPE, OP, &value, NULL, old);               \
    }
#define TMB_DEFINE_BITWISE_(suffix, type, TYPE)                                          \
    TMB_DEFINE_FETCH_OP_(fetch_and, TMB_OP_AND, suffix, type, TYPE)                      \
    TMB_DEFINE_FETCH_OP_(fetch_or, TMB_OP_OR, suffix, type, TYPE)                        \
    TMB_DEFINE_FETCH_OP_(fetch_xor, TMB_OP_XOR, suffix, type, TYPE)
#define TMB_DEFINE_TYPED_(suffix, type, TYPE)                                            \
    static inline int tmb_set_##suffix(tmb_win *win, int rank, uint64_t offset,          \
                                       type value)                                       \
    {                                                                                    \
        return tmb_atomic(win, rank, offset, TYPE, TMB_OP_SET, &value, NULL, NULL);      \
    }                                                                                    \
    static inline int tmb_fetch_##suffix(tmb_win *win, int rank, uint64_t offset,        \
                                         type *old)                                      \
    {                                                                                    \
        return tmb_atomic(win, rank, offset, TYPE, TMB_OP_FETCH, NULL, NULL, old);       \
    }                                                                                    \
    static inline int tmb_cas_##suffix(tmb_win *win, int rank, uint64_t offset,          \
                                       type compare, type value, type *old)              \
    {                                                                                    \
        return tmb_atomic(win, rank, offset, TYPE, TMB_OP_CAS, &value, &compare, old);   \
    }                                                                                    \
    TMB_DEFINE_FETCH_OP_(fetch_add, TMB_OP_ADD, suffix, type, TYPE)                      \
    TMB_DEFINE_FETCH_OP_(fetch_min, TMB_OP_MIN, suffix, type, TYPE)                      \
    TMB_DEFINE_FETCH_OP_(fetch_max, TMB_OP_MAX, suffix, type, TYPE)                      \
    TMB_DEFINE_FETCH_OP_(swap, TMB_OP_SWAP, suffix, type, TYPE)

TMB_DEFINE_TYPED_(i32, int32_t, TMB_I32)
TMB_DEFINE_TYPED_(u32, uint32_t, TMB_U32)
TMB_DEFINE_TYPED_(i64, int64_t, TMB_I64)
TMB_DEFINE_TYPED_(u64, uint64_t, TMB_U64)
TMB_DEFINE_TYPED_(f32, float, TMB_F32)
TMB_DEFINE_TYPED_(f64, double, TMB_F64)
TMB_DEFINE_BITWISE_(i32, int32_t, TMB_I32)
TMB_DEFINE_BITWISE_(u32, uint32_t, TMB_U32)
TMB_DEFINE_BITWISE_(i64, int64_t, TMB_I64)
TMB_DEFINE_BITWISE_(u64, uint64_t, TMB_U64)
#undef TMB_DEFINE_FETCH_OP_
#undef TMB_DEFINE_BITWISE_
#undef TMB_DEFINE_TYPED_

/* ------------------------------------------------------------- completion -- */

/** Complete, at the target, all that the caller put to @p rank. */
TMB_API int tmb_flush(tmb_win *win, int rank);
/** Complete all that the caller put to anyone through this window. */
TMB_API int tmb_flush_all(tmb_win *win);
/** Complete locally: buffers of tmb_put_nb() and tmb_get_nb() can be used again. */
TMB_API int tmb_flush_local(tmb_win *win, int rank);
/** Order: the caller's earlier puts to each target are seen there before its later
 *  ones. Not collective, and cheaper than a flush; see tmb_barrier() for a meeting. */
TMB_API int tmb_fence(tmb_win *win);

/* ------------------------------------------------------------------ locks -- */

/** Modes of a lock. */
enum tmb_lock_mode { TMB_LOCK_SHARED = 0, TMB_LOCK_EXCLUSIVE = 1 };

/**
 * Lock @p rank's part of a window: shared with other shared holders, or exclusive.
 * Fair to both kinds: waiting writers hold off new readers, and readers that wait
 * are let in together when a writer leaves. Advisory: put and get don't check it.
 * A waiter sleeps. Threads of one rank contend as ranks do.
 *
 * @retval 0           held.
 * @retval -EOWNERDEAD held, but a former holder died with it, so what it protects
 *                     may be half-written: set that right, then tmb_lock_recover().
 *                     Until then every new holder gets this.
 * @retval -ETIMEDOUT  not held; with time-out 0, it was not free.
 * @retval -EDEADLK    the calling thread holds it.
 * @retval -EHOSTDOWN  the target is dead and its lock can't be reached; or the others
 * have declared the caller dead, and it would wait for ever.
 */
TMB_API int tmb_lock(tmb_win *win, int rank, enum tmb_lock_mode mode, int64_t timeout_ns);
/**
 * Complete all that the caller put to @p rank, and release its lock.
 * @retval -EPERM  the caller does not hold it.
 */
TMB_API int tmb_unlock(tmb_win *win, int rank);
/** A shared lock on every member; all or none. -EOWNERDEAD as tmb_lock(): all are
 *  held. The time-out is for the whole. */
TMB_API int tmb_lock_all(tmb_win *win, int64_t timeout_ns);
/** Release what tmb_lock_all() took. */
TMB_API int tmb_unlock_all(tmb_win *win);
/**
 * Declare what a lock protects consistent again, after -EOWNERDEAD.
 * @retval -EPERM   the caller does not hold that lock.
 * @retval -EINVAL  nothing was to be recovered.
 */
TMB_API int tmb_lock_recover(tmb_win *win, int rank);

#ifdef __cplusplus
}
#endif

#endif
