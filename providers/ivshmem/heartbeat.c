/* SPDX-License-Identifier: BSD-3-Clause */
#include "heartbeat.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/clock.h"
#include "../../core/log.h"
#include "../../core/provider.h"

/* Whoever waits looks several times in this; who computes in between, or is stopped, has
 * no idea for how long a heart stood still. */
#define PAUSE_NS INT64_C(1000000000)

void tmbi_beat(struct tmbi_slot *slot)
{
    /* relaxed: only its change counts */
    uint64_t beat = atomic_load_explicit(&slot->heartbeat, memory_order_relaxed) + 1;

    atomic_store_explicit(&slot->heartbeat, beat ? beat : 1, memory_order_relaxed);
}

/* ---- watching others ---- */

int tmbi_watch_init(struct tmbi_watch *watch, uint32_t count, int64_t limit_ns)
{
    *watch = (struct tmbi_watch){.limit_ns = limit_ns < 0 ? TMBI_NEVER : limit_ns};
    watch->pulses = calloc(count ? count : 1, sizeof *watch->pulses);
    return watch->pulses ? 0 : -ENOMEM;
}

void tmbi_watch_fini(struct tmbi_watch *watch)
{
    free(watch->pulses);
    watch->pulses = NULL;
}

bool tmbi_watch_begin(struct tmbi_watch *watch, int64_t now)
{
    if (now < atomic_load_explicit(&watch->due, memory_order_relaxed))
        return false;
    /* acquire: partner is the release in tmbi_watch_end() */
    if (atomic_exchange_explicit(&watch->looking, true, memory_order_acquire))
        return false;
    if (now - watch->looked > PAUSE_NS)
        watch->anew = now;
    watch->looked = now;
    return true;
}

void tmbi_watch_end(struct tmbi_watch *watch)
{
    atomic_store_explicit(&watch->due, watch->looked + TMBI_BEAT_NS,
                          memory_order_relaxed);
    /* release: partner is the acquire in tmbi_watch_begin() */
    atomic_store_explicit(&watch->looking, false, memory_order_release);
}

bool tmbi_watch_stale(struct tmbi_watch *watch, uint32_t index, uint64_t heartbeat,
                      int64_t now)
{
    struct tmbi_pulse *pulse = &watch->pulses[index];

    if (pulse->seen != heartbeat)
        *pulse = (struct tmbi_pulse){.seen = heartbeat, .since = now};
    int64_t since = pulse->since > watch->anew ? pulse->since : watch->anew;
    return heartbeat != 0 && now - since > watch->limit_ns;
}

/* ---- one's own ---- */

static void hangup_await(int fd)
{
    struct pollfd hangup = {.fd = fd, .events = POLLRDHUP};

    while (fd >= 0 && poll(&hangup, 1, -1) < 0 && errno == EINTR)
        ;
}

static void *heart_run(void *arg)
{
    struct tmbi_heart *heart = arg;

    hangup_await(heart->after);
    pthread_mutex_lock(&heart->mutex);
    while (!heart->stop &&
           tmbi_slot_word(heart->slot) == TMBI_SLOT_WORD(TMBI_SLOT_LIVE, heart->epoch)) {
        tmbi_beat(heart->slot);
        tmbi_cond_wait(&heart->stopped, &heart->mutex, tmbi_deadline(TMBI_BEAT_NS));
    }
    pthread_mutex_unlock(&heart->mutex);
    return NULL;
}

/* The application's signals are for its own threads. */
int tmbi_heart_start(struct tmbi_heart *heart, struct tmbi_slot *slot, uint32_t epoch,
                     int after)
{
    sigset_t all, before;

    heart->after = after;
    heart->slot = slot;
    heart->epoch = epoch;
    heart->stop = false;
    pthread_mutex_init(&heart->mutex, NULL);
    tmbi_cond_init(&heart->stopped);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&heart->thread, NULL, heart_run, heart);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!status) {
        atomic_fetch_add_explicit(&tmbi_threads, 1, memory_order_relaxed);
        return 0;
    }
    tmbi_error("heartbeat: no thread for it: %s", strerror(status));
    pthread_cond_destroy(&heart->stopped);
    pthread_mutex_destroy(&heart->mutex);
    return -status;
}

void tmbi_heart_stop(struct tmbi_heart *heart)
{
    pthread_mutex_lock(&heart->mutex);
    heart->stop = true;
    pthread_cond_signal(&heart->stopped);
    pthread_mutex_unlock(&heart->mutex);
    pthread_join(heart->thread, NULL);
    atomic_fetch_sub_explicit(&tmbi_threads, 1, memory_order_relaxed);
    pthread_cond_destroy(&heart->stopped);
    pthread_mutex_destroy(&heart->mutex);
}
