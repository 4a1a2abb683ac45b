/* SPDX-License-Identifier: BSD-3-Clause */
/* What cases run in: windows on every kind of memory, epochs of every kind. */
#include "suite.h"

#include <time.h>

static const char *const memory_names[] = {
    "MPI_Win_allocate",        "heap memory",           "static memory", "MPI_Alloc_mem",
    "MPI_Win_allocate_shared", "MPI_Win_create_dynamic"};
static const char *const synchronization_names[] = {"fence", "PSCW", "lock", "lock_all"};

void *memory_get(size_t bytes)
{
    size_t whole = (bytes + 64) / 64 * 64;
    void *memory = aligned_alloc(64, whole);

    if (!memory)
        abort();
    return memset(memory, 0, whole);
}

static void *part_get(enum memory memory, MPI_Aint bytes)
{
    static _Alignas(64) uint8_t storage[STATIC_BYTES];
    void *base = storage;

    if (memory == ALLOC_MEM)
        OK(MPI_Alloc_mem(bytes, MPI_INFO_NULL, &base));
    else if (memory != STATIC)
        base = memory_get((size_t)bytes);
    return base;
}

/* Whether all ranks are of one host, for MPI. */
static bool one_host(void)
{
    MPI_Comm host;
    int size;

    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
    MPI_Comm_size(host, &size);
    MPI_Comm_free(&host);
    return size == ranks;
}

bool window_open(struct window *w, enum memory memory, MPI_Aint wanted)
{
    MPI_Aint origin = 0, bytes = (wanted + 63) / 64 * 64; /* see "allocate odd sizes" */

    *w = (struct window){.win = MPI_WIN_NULL, .memory = memory};
    if (memory == SHARED && !one_host())
        return false;
    if (memory == ALLOCATE) {
        OK(MPI_Win_allocate(bytes, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &w->base, &w->win));
    } else if (memory == SHARED) {
        OK(MPI_Win_allocate_shared(bytes, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &w->base,
                                   &w->win));
    } else if (memory == DYNAMIC) {
        w->base = part_get(memory, bytes);
        OK(MPI_Win_create_dynamic(MPI_INFO_NULL, MPI_COMM_WORLD, &w->win));
        OK(MPI_Win_attach(w->win, w->base, bytes));
        MPI_Get_address(w->base, &origin);
    } else {
        w->base = part_get(memory, bytes);
        OK(MPI_Win_create(w->base, bytes, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &w->win));
    }
    OK(MPI_Win_set_errhandler(w->win, MPI_ERRORS_RETURN));
    MPI_Allgather(&origin, 1, MPI_AINT, w->origin, 1, MPI_AINT, MPI_COMM_WORLD);
    memset(w->base, 0, (size_t)bytes);
    window_meet(w->win);
    return true;
}

void window_close(struct window *w)
{
    if (w->memory == DYNAMIC)
        OK(MPI_Win_detach(w->win, w->base));
    OK(MPI_Win_free(&w->win));
    CHECK(w->win == MPI_WIN_NULL);
    if (w->memory == ALLOC_MEM)
        OK(MPI_Free_mem(w->base));
    if (w->memory == HEAP || w->memory == DYNAMIC)
        free(w->base);
}

MPI_Aint at(const struct window *w, int rank, MPI_Aint offset)
{
    return w->memory == DYNAMIC ? MPI_Aint_add(w->origin[rank], offset) : offset;
}

void window_meet(MPI_Win win)
{
    int rank;
    MPI_Group group;

    MPI_Win_get_group(win, &group);
    MPI_Group_rank(group, &rank);
    MPI_Group_free(&group);
    OK(MPI_Win_lock(MPI_LOCK_SHARED, rank, 0, win));
    OK(MPI_Win_sync(win));
    OK(MPI_Win_unlock(rank, win));
    MPI_Barrier(MPI_COMM_WORLD);
    OK(MPI_Win_lock(MPI_LOCK_SHARED, rank, 0, win));
    OK(MPI_Win_sync(win));
    OK(MPI_Win_unlock(rank, win));
}

void each_memory(MPI_Aint bytes, void (*body)(struct window *w))
{
    struct window w;

    for (enum memory memory = 0; memory < MEMORIES; memory++) {
        suite_note("%s", memory_names[memory]);
        if (!window_open(&w, memory, bytes))
            continue;
        body(&w);
        MPI_Barrier(MPI_COMM_WORLD);
        window_close(&w);
    }
}

static void neighbours_start(const struct window *w)
{
    MPI_Group all, target, origin;

    MPI_Win_get_group(w->win, &all);
    MPI_Group_incl(all, 1, &to, &target);
    MPI_Group_incl(all, 1, &from, &origin);
    OK(MPI_Win_post(origin, 0, w->win));
    OK(MPI_Win_start(target, 0, w->win));
    MPI_Group_free(&all);
    MPI_Group_free(&target);
    MPI_Group_free(&origin);
}

void epoch_open(const struct window *w, enum synchronization synchronization)
{
    if (synchronization == FENCE)
        OK(MPI_Win_fence(0, w->win));
    else if (synchronization == PSCW)
        neighbours_start(w);
    else if (synchronization == LOCK)
        OK(MPI_Win_lock(MPI_LOCK_SHARED, to, 0, w->win));
    else
        OK(MPI_Win_lock_all(0, w->win));
}

void epoch_close(const struct window *w, enum synchronization synchronization)
{
    if (synchronization == FENCE) {
        OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, w->win));
        return;
    }
    if (synchronization == PSCW) {
        OK(MPI_Win_complete(w->win));
        OK(MPI_Win_wait(w->win));
        return;
    }
    if (synchronization == LOCK)
        OK(MPI_Win_unlock(to, w->win));
    else
        OK(MPI_Win_unlock_all(w->win));
    window_meet(w->win);
}

void each_epoch(MPI_Aint bytes,
                void (*body)(struct window *w, enum synchronization synchronization))
{
    struct window w;

    for (enum memory memory = 0; memory < MEMORIES; memory++) {
        if (!window_open(&w, memory, bytes))
            continue;
        for (enum synchronization s = 0; s < SYNCHRONIZATIONS; s++) {
            suite_note("%s, %s", memory_names[memory], synchronization_names[s]);
            memset(w.base, 0, (size_t)bytes);
            window_meet(w.win);
            body(&w, s);
            MPI_Barrier(MPI_COMM_WORLD);
        }
        window_close(&w);
    }
}

static uint8_t pattern(size_t i, unsigned seed)
{
    return (uint8_t)((i * 131 + seed * 29 + (i >> 8) * 7 + 1) % 251);
}

void pattern_fill(void *buffer, size_t bytes, unsigned seed)
{
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)buffer)[i] = pattern(i, seed);
}

bool pattern_is(const void *buffer, size_t bytes, unsigned seed)
{
    for (size_t i = 0; i < bytes; i++)
        if (((const uint8_t *)buffer)[i] != pattern(i, seed))
            return false;
    return true;
}

bool all_are(const void *buffer, size_t bytes, uint8_t value)
{
    for (size_t i = 0; i < bytes; i++)
        if (((const uint8_t *)buffer)[i] != value)
            return false;
    return true;
}

void compute(double seconds)
{
    volatile double work = 0;
    struct timespec now;
    double end;

    clock_gettime(CLOCK_MONOTONIC, &now);
    end = (double)now.tv_sec + (double)now.tv_nsec * 1e-9 + seconds;
    do {
        for (int i = 0; i < 1000; i++)
            work = work + i;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)now.tv_sec + (double)now.tv_nsec * 1e-9 < end);
}
