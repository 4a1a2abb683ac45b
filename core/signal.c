/* SPDX-License-Identifier: BSD-3-Clause */
/* Put-with-signal, and waiting for signals. */
#include <errno.h>

#include "clock.h"
#include "copy.h"
#include "log.h"
#include "team.h"
#include "wake.h"

static int remote_signal(struct tmbi_peer *peer, uint64_t offset, enum tmb_signal_op op,
                         uint64_t value)
{
    struct tmbi_request request = {.kind = TMBI_REQUEST_ATOMIC,
                                   .type = TMB_U64,
                                   .op = op == TMB_SIGNAL_SET ? TMB_OP_SET : TMB_OP_ADD,
                                   .offset = offset,
                                   .count = 1,
                                   .operand = value};

    return tmbi_peer_post(peer, &request, NULL, 0, true);
}

int tmbi_peer_signal(struct tmbi_peer *peer, uint64_t offset, enum tmb_signal_op op,
                     uint64_t value)
{
    _Atomic uint64_t *word;

    word = (_Atomic uint64_t *)(void *)tmbi_peer_word(peer, offset);
    if (!word)
        return remote_signal(peer, offset, op, value);
    /* seq_cst: publishes the data to the load in word_matches(), and comes before the
     * look at the wake slot */
    if (op == TMB_SIGNAL_SET)
        atomic_store_explicit(word, value, memory_order_seq_cst);
    else
        atomic_fetch_add_explicit(word, value, memory_order_seq_cst);
    tmbi_wake_slot_ring(peer->wake, peer->ep, peer->rank, TMBI_LINE_WAIT);
    return 0;
}

static int word_check(tmb_win *win, const char *call, int rank, uint64_t offset)
{
    struct tmbi_peer *peer;
    int rc = tmbi_window_target(win, call, rank, offset, sizeof(uint64_t), &peer);

    if (rc == 0 && !tmbi_aligned(peer, offset, sizeof(uint64_t))) {
        tmbi_error("%s: window %p: the word at offset %llu of rank %d is not 8-aligned",
                   call, (void *)win, (unsigned long long)offset, rank);
        rc = -EINVAL;
    }
    return rc;
}

int tmb_put_signal(tmb_win *win, int rank, uint64_t offset, const void *src, size_t bytes,
                   uint64_t signal_offset, enum tmb_signal_op op, uint64_t value)
{
    struct tmbi_peer *peer;
    int rc = tmbi_window_target(win, "tmb_put_signal", rank, offset, bytes, &peer);

    if (rc == 0)
        rc = word_check(win, "tmb_put_signal", rank, signal_offset);
    if (tmbi_unlikely(rc))
        return rc;
    if (tmbi_unlikely(!src && bytes))
        return tmbi_null_bad("tmb_put_signal", bytes);
    if (tmbi_unlikely((unsigned)op > TMB_SIGNAL_ADD)) {
        tmbi_error("tmb_put_signal: unknown signal operation %u", op);
        return -EINVAL;
    }
    rc = bytes ? tmbi_peer_put(peer, offset, src, bytes) : 0;
    return rc ? rc : tmbi_peer_signal(peer, signal_offset, op, value);
}

struct word_wait {
    _Atomic uint64_t *word;
    enum tmb_cmp cmp;
    uint64_t value, seen;
    struct tmb_team *team;
};

static bool word_matches(struct word_wait *wait)
{
    /* seq_cst: partner is the signal or atomic of another rank; see wake.h */
    uint64_t seen = atomic_load_explicit(wait->word, memory_order_seq_cst);

    wait->seen = seen;
    switch (wait->cmp) {
    case TMB_EQ:
        return seen == wait->value;
    case TMB_NE:
        return seen != wait->value;
    case TMB_GT:
        return seen > wait->value;
    case TMB_GE:
        return seen >= wait->value;
    case TMB_LT:
        return seen < wait->value;
    default:
        return seen <= wait->value;
    }
}

static bool word_ready(void *arg)
{
    struct word_wait *wait = arg;

    return word_matches(wait) || tmbi_team_mortality(wait->team) == TMBI_DEATHS_NEWS;
}

int tmb_wait(tmb_win *win, uint64_t offset, enum tmb_cmp cmp, uint64_t value,
             int64_t timeout_ns, uint64_t *seen)
{
    struct word_wait wait = {.cmp = cmp, .value = value};
    int rc = tmbi_window_check(win, "tmb_wait");

    if (rc == 0)
        rc = word_check(win, "tmb_wait", win->rank, offset);
    if (rc)
        return rc;
    if ((unsigned)cmp > TMB_LE) {
        tmbi_error("tmb_wait: unknown comparison %u", cmp);
        return -EINVAL;
    }
    wait.word = (_Atomic uint64_t *)(win->peers[win->rank].base + offset);
    wait.team = win->team;
    if (!word_matches(&wait) && timeout_ns != 0)
        tmbi_wait_until(TMBI_LINE_WAIT, word_ready, &wait, tmbi_deadline(timeout_ns));
    if (word_matches(&wait))
        rc = 0;
    else if (tmbi_team_mortality(win->team) == TMBI_DEATHS_NEWS)
        rc = -EHOSTDOWN;
    else
        rc = -ETIMEDOUT;
    if (seen)
        *seen = wait.seen;
    return rc;
}

int tmb_notify(tmb_win *win, int rank)
{
    struct tmbi_peer *peer;
    int rc = tmbi_window_peer(win, "tmb_notify", rank, &peer);

    if (rc == 0)
        tmbi_wake(peer->ep, peer->rank, TMBI_LINE_WAIT);
    return rc;
}
