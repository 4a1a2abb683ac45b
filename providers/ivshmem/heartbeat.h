/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Heartbeats: how ranks in other machines learn that a process is gone when nobody can
 * tell them, because its whole machine is. A slot's heartbeat grows every TMBI_BEAT_MS,
 * by the kernel module, by a broker, or by a thread of the process itself; one that is 0
 * is not beating, and says nothing.
 */
#ifndef TMBI_HEARTBEAT_H
#define TMBI_HEARTBEAT_H

#include <pthread.h>

#include "region.h"

#define TMBI_BEAT_NS (INT64_C(1000000) * TMBI_BEAT_MS)

/* Beat once for a slot. One process or thread does it for a slot. */
void tmbi_beat(struct tmbi_slot *slot);

/* ---- watching others ---- */

struct tmbi_pulse {
    uint64_t seen;
    int64_t since; /* when it was seen to change */
};

/* What this process knows of some hearts. All but the atomics belong to who looks. */
struct tmbi_watch {
    int64_t limit_ns;     /* so long without a beat is death; TMBI_NEVER */
    _Atomic int64_t due;  /* when to look next; relaxed: a hint */
    _Atomic bool looking; /* a thread is at it */
    int64_t looked;       /* when that was last */
    int64_t anew;         /* no time before this counts */
    struct tmbi_pulse *pulses;
};

/* For `count` hearts; limit_ns -1: they are not watched. -ENOMEM. */
int tmbi_watch_init(struct tmbi_watch *watch, uint32_t count, int64_t limit_ns);
void tmbi_watch_fini(struct tmbi_watch *watch);

/* Whether the caller is to look at all hearts now, and then to end that: about once per
 * TMBI_BEAT_MS it is. When the last look is long ago, we were stopped ourselves, and all
 * hearts get their whole time again. */
bool tmbi_watch_begin(struct tmbi_watch *watch, int64_t now);
void tmbi_watch_end(struct tmbi_watch *watch);

/* Look at one: whether it has not beaten for too long. */
bool tmbi_watch_stale(struct tmbi_watch *watch, uint32_t index, uint64_t heartbeat,
                      int64_t now);

/* ---- one's own ---- */

/* A thread that lets a slot's heart beat while the slot is LIVE, whatever else the
 * process does. */
struct tmbi_heart {
    struct tmbi_slot *slot;
    uint32_t epoch;
    pthread_t thread;
    pthread_mutex_t mutex; /* protects `stop` */
    pthread_cond_t stopped;
    bool stop;
};

int tmbi_heart_start(struct tmbi_heart *heart, struct tmbi_slot *slot, uint32_t epoch);
void tmbi_heart_stop(struct tmbi_heart *heart);

#endif
