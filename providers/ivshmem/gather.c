/* SPDX-License-Identifier: BSD-3-Clause */
/* Who has come to the meeting, and which ranks are whose. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/log.h"
#include "meeting_private.h"

/* Lists such as "2 from peer 3 (this machine), 2 from peer 5". */
struct text {
    char *at;
    size_t left;
};

static void text_add(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void text_add(struct text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int used = vsnprintf(text->at, text->left, format, args);
    va_end(args);
    size_t step = used < 0 ? 0 : (size_t)used;
    step = step < text->left ? step : text->left - 1;
    text->at += step;
    text->left -= step;
}

/* ---- who is there ---- */

static bool slot_names(const struct tmbi_meeting *meeting, const struct tmbi_slot *slot)
{
    /* acquire: partner is the release in tmbi_job_join() */
    return atomic_load_explicit(&slot->job, memory_order_acquire) == meeting->job + 1;
}

/* Fill in a mate by its slot. -EAGAIN: it has no mailbox yet. */
static int mate_fill(const struct tmbi_meeting *meeting, uint32_t index,
                     struct tmbi_mate_entry *entry)
{
    const struct tmbi_slot *slot = &meeting->region->slots[index];
    /* acquire: partner is the release in mailbox_publish() */
    uint64_t offset = atomic_load_explicit(&slot->mailbox, memory_order_acquire);
    struct tmbi_mailbox_sender sender;

    if (!offset)
        return -EAGAIN;
    uint32_t id = __atomic_load_n(&slot->peer_id, __ATOMIC_RELAXED);
    uint32_t doorbell =
        __atomic_load_n(&slot->wake[TMBI_LINE_WAIT].doorbell, __ATOMIC_RELAXED);
    if (tmbi_mailbox_open(meeting->region, offset, &sender) || id >= TMBI_PEER_IDS ||
        doorbell >> 16 != id || (doorbell & 0xffff) >= meeting->region->vectors) {
        tmbi_error("job %s: the mailbox of peer %" PRIu32
                   " is garbage: are all launchers of one version?",
                   meeting->name, id);
        return -EPROTO;
    }
    *entry = (struct tmbi_mate_entry){
        .mate = {.ranks = (int)sender.ranks,
                 .peer_id = id,
                 .pid = __atomic_load_n(&slot->pid, __ATOMIC_RELAXED),
                 .here = __atomic_load_n(&slot->host, __ATOMIC_RELAXED) == meeting->host,
                 .own = index == meeting->way->slot},
        .box = sender.box,
        .slot = index,
        .epoch = __atomic_load_n(&slot->epoch, __ATOMIC_RELAXED),
        .doorbell = doorbell,
        .given = sender.first_rank};
    return 0;
}

static bool mate_known(struct tmbi_meeting *meeting, uint32_t slot)
{
    for (int i = 0; i < meeting->count; i++)
        if (meeting->mates[i].slot == slot)
            return true;
    return false;
}

static int mate_add(struct tmbi_meeting *meeting, uint32_t slot)
{
    struct tmbi_mate_entry *more =
        realloc(meeting->mates, ((size_t)meeting->count + 1) * sizeof *meeting->mates);

    if (!more)
        return -ENOMEM;
    meeting->mates = more;
    int status = mate_fill(meeting, slot, &more[meeting->count]);
    meeting->count += !status;
    return status;
}

/* Enter those who have come since the last look. */
static int mates_add(struct tmbi_meeting *meeting)
{
    for (uint32_t i = 0; i < meeting->region->slot_count; i++) {
        if (!slot_names(meeting, &meeting->region->slots[i]) || mate_known(meeting, i))
            continue;
        int status = mate_add(meeting, i);
        if (status && status != -EAGAIN)
            return status;
    }
    return 0;
}

static int mates_ranks(const struct tmbi_meeting *meeting)
{
    int ranks = 0;

    for (int i = 0; i < meeting->count; i++)
        ranks += meeting->mates[i].mate.ranks;
    return ranks;
}

/* A launcher that has gone before all were there: nobody will ever be complete. One that
 * left afterwards has ended well, or says how it failed. */
static int nobody_gone(const struct tmbi_meeting *meeting, bool complete)
{
    for (uint32_t i = 0; i < meeting->region->slot_count; i++) {
        const struct tmbi_slot *slot = &meeting->region->slots[i];
        if (!slot_names(meeting, slot))
            continue;
        enum tmbi_slot_state state = tmbi_slot_state(slot);
        if (state == TMBI_SLOT_LIVE || (complete && state == TMBI_SLOT_LEFT))
            continue;
        tmbi_error(
            "job %s: a launcher of it (peer %" PRIu32 ", pid %lld) has gone before "
            "all its %d ranks had come: start the job again",
            meeting->name, slot->peer_id, (long long)slot->pid, meeting->plan.size);
        return -EHOSTDOWN;
    }
    return 0;
}

/* ---- which ranks are whose ---- */

static int by_place(const void *left, const void *right)
{
    const struct tmbi_mate_entry *a = left, *b = right;

    if (a->given != b->given)
        return a->given < b->given ? -1 : 1;
    if (a->mate.peer_id != b->mate.peer_id)
        return a->mate.peer_id < b->mate.peer_id ? -1 : 1;
    return a->slot < b->slot ? -1 : a->slot > b->slot;
}

static int ranks_error(const struct tmbi_meeting *meeting, int rank, bool twice)
{
    if (meeting->mates[0].given < 0)
        tmbi_error(
            "job %s: only some of its launchers were given --first-rank: give it to "
            "all or to none",
            meeting->name);
    else
        tmbi_error("job %s: the launchers' --first-rank and -n give rank %d to %s: they "
                   "must be adjacent, from rank 0 on",
                   meeting->name, rank, twice ? "two of them" : "none of them");
    return -EINVAL;
}

/* Number the ranks of launchers that are as many as shall be. */
static int ranks_place(struct tmbi_meeting *meeting)
{
    int rank = 0;
    bool given;

    qsort(meeting->mates, (size_t)meeting->count, sizeof *meeting->mates, by_place);
    given = meeting->mates[meeting->count - 1].given >= 0;
    for (int i = 0; i < meeting->count; i++) {
        struct tmbi_mate_entry *entry = &meeting->mates[i];
        if (given && entry->given != rank)
            return ranks_error(meeting, rank < entry->given ? rank : entry->given,
                               entry->given < rank);
        entry->mate.first = rank;
        rank += entry->mate.ranks;
        if (entry->mate.own)
            meeting->own = i;
    }
    return 0;
}

static void say_places(const struct tmbi_meeting *meeting)
{
    char line[512] = "";
    struct text text = {line, sizeof line};

    for (int i = 0; i < meeting->count; i++) {
        const struct tmbi_mate *mate = &meeting->mates[i].mate;
        text_add(&text, "%s%d-%d: peer %" PRIu32 "%s", i ? ", " : "", mate->first,
                 mate->first + mate->ranks - 1, mate->peer_id,
                 mate->here ? " (this machine)" : "");
    }
    tmbi_info("job %s: %d ranks have met in the region: %s", meeting->name,
              meeting->plan.size, line);
}

int tmbi_meeting_find(struct tmbi_meeting *meeting)
{
    if (meeting->found)
        return nobody_gone(meeting, true);
    int status = mates_add(meeting);
    int ranks = mates_ranks(meeting);
    if (status)
        return status;
    if (ranks > meeting->plan.size) {
        tmbi_error("job %s: its launchers' mailboxes have %d ranks, of %d", meeting->name,
                   ranks, meeting->plan.size);
        return -EPROTO;
    }
    if (ranks == meeting->plan.size)
        status = ranks_place(meeting);
    if (!status)
        status = nobody_gone(meeting, ranks == meeting->plan.size);
    if (!status && ranks < meeting->plan.size)
        return -EAGAIN;
    if (status)
        return status;
    meeting->found = true;
    say_places(meeting);
    return 0;
}

/* ---- who has not come ---- */

/* By their numbers, if those are given. */
static void missing_add(struct tmbi_meeting *meeting, struct text *text)
{
    int rank = 0, missing = meeting->plan.size - mates_ranks(meeting);
    const char *separator = "";

    qsort(meeting->mates, (size_t)meeting->count, sizeof *meeting->mates, by_place);
    if (!meeting->count || meeting->mates[0].given < 0) {
        text_add(text, "%d", missing);
        return;
    }
    text_add(text, "rank%s ", missing > 1 ? "s" : "");
    for (int i = 0; i <= meeting->count; i++) {
        int next = i < meeting->count ? meeting->mates[i].given : meeting->plan.size;
        if (next > rank) {
            text_add(text, next > rank + 1 ? "%s%d-%d" : "%s%d", separator, rank,
                     next - 1);
            separator = ", ";
        }
        rank = i < meeting->count ? next + meeting->mates[i].mate.ranks : rank;
    }
}

void tmbi_meeting_missing(struct tmbi_meeting *meeting, int64_t waited_ns)
{
    char line[640] = "";
    struct text text = {line, sizeof line};

    if (!meeting->joined) {
        tmbi_error("job %s: an earlier job of that name has not ended after %.1f s: end "
                   "it, or choose another --job",
                   meeting->name, (double)waited_ns / 1e9);
        return;
    }
    if (meeting->found) {
        tmbi_error(
            "job %s: all its ranks have come, but %s did not announce the doorbells "
            "of all launchers within %.1f s",
            meeting->name, meeting->way->name, (double)waited_ns / 1e9);
        return;
    }
    for (int i = 0; i < meeting->count; i++) {
        const struct tmbi_mate *mate = &meeting->mates[i].mate;
        text_add(&text, "%s%d from peer %" PRIu32 "%s", i ? ", " : "", mate->ranks,
                 mate->peer_id, mate->here ? " (this machine)" : "");
    }
    text_add(&text, "; missing: ");
    missing_add(meeting, &text);
    tmbi_error("job %s: %d of %d ranks have come after %.1f s: %s", meeting->name,
               mates_ranks(meeting), meeting->plan.size, (double)waited_ns / 1e9, line);
}
