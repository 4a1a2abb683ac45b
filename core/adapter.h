/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an adapter, which offers another programming model's interface on top of this
 * library, uses of it besides the API. Exported like what the command uses: for adapters
 * of the same build, with no promise.
 */
#ifndef TMBI_ADAPTER_H
#define TMBI_ADAPTER_H

#include <stddef.h>
#include <stdint.h>

#include "export.h"
#include "include/tombolo.h"

/* ---- joining ---- */

/*
 * How ranks that another library has brought together exchange bytes. Called by the
 * thread that calls tmbi_adapter_init() or tmb_finalize(); abort by any thread.
 */
struct tmbi_adapter_callbacks {
    int rank, size;
    /* Give `bytes` (the same number on all ranks; 0: a barrier), get everybody's by rank.
     * 0 or a negative errno. */
    int (*exchange)(void *arg, const void *mine, size_t bytes, void *all);
    /* End the whole job; returns if it can't. */
    void (*abort)(void *arg, int exit_code);
    void *arg;
};

/* tmb_init(), with these callbacks as the bootstrap, whatever the environment calls for.
 * *callbacks is copied. TMB_INIT_TIMEOUT does not limit the callbacks. */
TMBI_TOOL int tmbi_adapter_init(int thread_level,
                                const struct tmbi_adapter_callbacks *callbacks);

/*
 * Called now and then, on the waiting thread, while a wait of the application's (not of
 * the agent) has not ended: after it has spun, first after 20 us, then in growing
 * intervals of at most 1 ms. For another library that makes progress only in its calls.
 * Of several threads that wait each calls it, but one at a time: who would have to wait
 * for that goes without; nor is it called while it is being called. NULL: none. Must not
 * call this library. To be set before tmbi_adapter_init().
 */
TMBI_TOOL void tmbi_adapter_poll(void (*poll)(void));

/*
 * For a thread that spins in another library, again and again: take what has come from
 * peers, if they have asked for something lately, so that no thread of this library has
 * to be woken for it. Doesn't block; may execute calls of peers', so it must not be
 * called where their handler would have to wait for the caller. Any thread, also before
 * tmbi_adapter_init(). Next to nothing where all peers are reached by memory.
 */
TMBI_TOOL void tmbi_adapter_look(void);

/* Between these two, or until it sleeps, this thread looks itself for what comes from
 * peers, in tmb_wait(), and no other is woken: for who sends a signal that is answered at
 * once, and does nothing else between. To end twice does no harm. */
TMBI_TOOL void tmbi_adapter_look_begin(void);
TMBI_TOOL void tmbi_adapter_look_end(void);

/* ---- teams ---- */

/*
 * Make a team of ranks of the job that no team of ours has in common: `ranks` by rank of
 * the team, `rank` the caller's. Collective over these, who bring their bytes together by
 * `exchange` as above. To be freed by tmb_team_free(), or left to tmb_finalize(). Errors
 * as tmb_team_create(), or what `exchange` returns.
 */
TMBI_TOOL int tmbi_adapter_team(int size, int rank, const int *ranks,
                                int (*exchange)(void *arg, const void *mine, size_t bytes,
                                                void *all),
                                void *arg, tmb_team **team);

/* ---- windows ---- */

/* A pointer of the adapter's with a window; NULL until it is set. */
TMBI_TOOL void tmbi_adapter_data_set(tmb_win *win, void *data);

/*
 * Free a window without a meeting of its members: each has come to a point, by means of
 * the adapter's, from where on no member uses it. Threads may free several windows of one
 * team at once, and others use the team. Errors as tmb_win_free().
 */
TMBI_TOOL int tmbi_adapter_win_free(tmb_win *win);

/*
 * Locks of the process as a whole: any thread may release, and nobody is asked whether a
 * thread holds it. The caller sees to it that it holds each lock once at most. Errors as
 * tmb_lock(), but for -EDEADLK. Unlocking does not flush.
 */
TMBI_TOOL int tmbi_adapter_lock(tmb_win *win, int rank, enum tmb_lock_mode mode,
                                int64_t timeout_ns);
TMBI_TOOL int tmbi_adapter_unlock(tmb_win *win, int rank, enum tmb_lock_mode mode);

/* ---- calls ---- */

#define TMBI_ADAPTER_ARGS 4

/*
 * Executed at the target for a peer's tmbi_adapter_call(), by its agent or, for the
 * caller's own rank, by the caller; must neither block nor call this library, other than
 * tmb_win_ptr() and tmb_win_size(). What comes in is a peer's and is to be validated; it
 * may change while it is read. `in` and `out` don't overlap. Several may run at a time.
 * data: tmbi_adapter_data_set()'s; the window is not served before that is set. Returns 0
 * or a negative errno for the caller; with -EAGAIN the call is made again after a pause,
 * until TMB_OP_TIMEOUT. Waits of the target's process don't notice what it changes:
 * tmb_notify() makes them look.
 */
typedef int tmbi_adapter_handler(void *data, int origin, const uint64_t *args,
                                 const void *in, size_t in_bytes, void *out,
                                 size_t out_bytes);
/* The process's one handler, once it has joined. Starts the agent. */
TMBI_TOOL int tmbi_adapter_handle(tmbi_adapter_handler *handler);

/*
 * Have the target's handler run: args as they are, `in_bytes` to there, `out_bytes` back.
 * origin: the caller's rank in the window's team. Complete on return, and ordered after
 * the caller's earlier puts to that rank once those are flushed.
 * -EMSGSIZE: more bytes than tmbi_adapter_call_bytes(); -EHOSTDOWN, -ETIMEDOUT, or what
 * the handler returned.
 */
TMBI_TOOL int tmbi_adapter_call(tmb_win *win, int rank, const uint64_t *args,
                                const void *in, size_t in_bytes, void *out,
                                size_t out_bytes);
/*
 * The same where nothing comes back: locally complete on return, and at the target by
 * tmb_flush() of the rank in any window, which returns its failure unless this does;
 * executed in order with the caller's puts to that rank. -EAGAIN fails it: for ranks that
 * have answered a call of the window.
 */
TMBI_TOOL int tmbi_adapter_post(tmb_win *win, int rank, const uint64_t *args,
                                const void *in, size_t in_bytes);
/* The most bytes of a call's `in` and of its `out` to a rank. */
TMBI_TOOL size_t tmbi_adapter_call_bytes(tmb_win *win, int rank);

#endif
