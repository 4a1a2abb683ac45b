/* SPDX-License-Identifier: BSD-3-Clause */
/* Windows by MPICH's handle: open addressing, looked up without a lock. A table that was
 * outgrown is kept, for somebody may be looking into it. */
#include <stdlib.h>

#include "adapter.h"

struct slot {
    struct tmbm_win *_Atomic win; /* NULL: never used; &removed: was */
};

struct table {
    struct table *outgrown;
    size_t mask, used; /* used: slots that are not NULL */
    struct slot slots[];
};

struct tmbm_win *_Atomic tmbm_last;
static struct table *_Atomic table;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* for changes */
static struct tmbm_win removed;

static size_t slot_of(const struct table *t, MPI_Win handle)
{
    /* Fibonacci hashing: handles count up in their low bits (Knuth, TAOCP 3, 6.4). */
    return ((uint32_t)handle * UINT32_C(2654435769) >> 8) & t->mask;
}

struct tmbm_win *tmbm_win_search(MPI_Win handle)
{
    /* acquire: partner is the release in grow() */
    const struct table *t = atomic_load_explicit(&table, memory_order_acquire);
    struct tmbm_win *win;

    if (!t)
        return NULL;
    for (size_t i = slot_of(t, handle);; i = (i + 1) & t->mask) {
        /* acquire: partner is the release in put() */
        win = atomic_load_explicit(&t->slots[i].win, memory_order_acquire);
        if (!win)
            return NULL;
        if (win != &removed && win->handle == handle)
            break;
    }
    /* release: partner is the acquire in tmbm_win_find() */
    atomic_store_explicit(&tmbm_last, win, memory_order_release);
    return win;
}

/* Under a handle that MPICH has freed and given again a freed window may be left. */
static void forget(struct table *t, MPI_Win handle)
{
    struct tmbm_win *win;

    for (size_t i = slot_of(t, handle);; i = (i + 1) & t->mask) {
        win = atomic_load_explicit(&t->slots[i].win, memory_order_relaxed);
        if (!win)
            return;
        if (win == &removed || win->handle != handle)
            continue;
        atomic_store_explicit(&t->slots[i].win, &removed, memory_order_release);
        if (atomic_load_explicit(&tmbm_last, memory_order_relaxed) == win)
            atomic_store_explicit(&tmbm_last, NULL, memory_order_release);
        free(win);
        return;
    }
}

static void put(struct table *t, struct tmbm_win *win)
{
    size_t i = slot_of(t, win->handle);

    while (atomic_load_explicit(&t->slots[i].win, memory_order_relaxed))
        i = (i + 1) & t->mask;
    t->used++;
    atomic_store_explicit(&t->slots[i].win, win, memory_order_release);
}

/* A table with room for one more, without the removed ones. */
static int grow(void)
{
    struct table *old = atomic_load_explicit(&table, memory_order_relaxed), *t;
    size_t live = 0, size = 16;

    for (size_t i = 0; old && i <= old->mask; i++) {
        const struct tmbm_win *win = atomic_load(&old->slots[i].win);

        live += win && win != &removed;
    }
    while (size < 4 * (live + 1))
        size *= 2;
    t = calloc(1, sizeof *t + size * sizeof t->slots[0]);
    if (!t)
        return MPI_ERR_NO_MEM;
    t->mask = size - 1;
    t->outgrown = old;
    for (size_t i = 0; old && i <= old->mask; i++) {
        struct tmbm_win *win = atomic_load(&old->slots[i].win);

        if (win && win != &removed)
            put(t, win);
    }
    atomic_store_explicit(&table, t, memory_order_release);
    return MPI_SUCCESS;
}

int tmbm_table_add(struct tmbm_win *win)
{
    struct table *t;
    int rc = MPI_SUCCESS;

    pthread_mutex_lock(&mutex);
    t = atomic_load_explicit(&table, memory_order_relaxed);
    if (t)
        forget(t, win->handle);
    if (!t || 2 * (t->used + 1) > t->mask)
        rc = grow();
    if (rc == MPI_SUCCESS)
        put(atomic_load_explicit(&table, memory_order_relaxed), win);
    pthread_mutex_unlock(&mutex);
    return rc;
}

void tmbm_table_remove(struct tmbm_win *win)
{
    struct table *t;
    size_t i;

    pthread_mutex_lock(&mutex);
    t = atomic_load_explicit(&table, memory_order_relaxed);
    i = slot_of(t, win->handle);
    while (atomic_load_explicit(&t->slots[i].win, memory_order_relaxed) != win)
        i = (i + 1) & t->mask;
    atomic_store_explicit(&t->slots[i].win, &removed, memory_order_release);
    if (atomic_load_explicit(&tmbm_last, memory_order_relaxed) == win)
        atomic_store_explicit(&tmbm_last, NULL, memory_order_release);
    pthread_mutex_unlock(&mutex);
}

void tmbm_table_forget(MPI_Win handle)
{
    struct table *t;

    pthread_mutex_lock(&mutex);
    t = atomic_load_explicit(&table, memory_order_relaxed);
    if (t)
        forget(t, handle);
    pthread_mutex_unlock(&mutex);
}
