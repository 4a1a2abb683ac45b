/* SPDX-License-Identifier: BSD-3-Clause */
/* This process's windows by number: what its agent looks up for its peers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "team.h"

/* Numbers are index + 1 in the low half and a generation in the high, so that a number
 * of a freed window finds nothing. */

static struct {
    pthread_rwlock_t lock; /* the agent reads, making and freeing windows writes */
    struct tmb_win **wins;
    uint32_t size, used, hint;
    uint32_t generation;
} table = {.lock = PTHREAD_RWLOCK_INITIALIZER};

static int table_grow(void)
{
    uint32_t size = table.size ? table.size * 2 : 64;
    struct tmb_win **wins = realloc(table.wins, size * sizeof(struct tmb_win *));

    if (!wins)
        return -ENOMEM;
    memset(wins + table.size, 0, (size - table.size) * sizeof(struct tmb_win *));
    table.wins = wins;
    table.size = size;
    return 0;
}

int tmbi_window_table_add(struct tmb_win *win)
{
    int rc = 0;

    pthread_rwlock_wrlock(&table.lock);
    if (table.used == table.size)
        rc = table_grow();
    if (rc == 0) {
        while (table.wins[table.hint % table.size])
            table.hint++;
        table.hint %= table.size;
        table.wins[table.hint] = win;
        table.used++;
        win->number = (uint64_t)++table.generation << 32 | (table.hint + 1);
    }
    pthread_rwlock_unlock(&table.lock);
    return rc;
}

void tmbi_window_table_remove(struct tmb_win *win)
{
    if (!win->number)
        return;
    pthread_rwlock_wrlock(&table.lock);
    table.wins[(uint32_t)win->number - 1] = NULL;
    if (--table.used == 0) {
        free(table.wins);
        table.wins = NULL;
        table.size = table.hint = 0;
    }
    pthread_rwlock_unlock(&table.lock);
}

void tmbi_window_abandon(struct tmb_win *win)
{
    pthread_rwlock_wrlock(&table.lock);
    win->abandoned = true;
    pthread_rwlock_unlock(&table.lock);
}

struct tmb_win *tmbi_window_lock_table(uint64_t number)
{
    uint32_t index = (uint32_t)number - 1;
    struct tmb_win *win = NULL;

    pthread_rwlock_rdlock(&table.lock);
    if (index < table.size)
        win = table.wins[index];
    return win && win->number == number && !win->abandoned ? win : NULL;
}

void tmbi_window_unlock_table(void)
{
    pthread_rwlock_unlock(&table.lock);
}

static struct tmb_win *open_window(void)
{
    for (uint32_t i = 0; i < table.size; i++) {
        struct tmb_win *win = table.wins[i];

        if (win && (win->abandoned || win->team->sync != win))
            return win;
    }
    return NULL;
}

void tmbi_windows_release_all(void)
{
    struct tmb_win *win;

    while ((win = open_window())) {
        if (!win->abandoned)
            tmbi_warn("tmb_finalize: window %p (%zu bytes here) was not freed",
                      (void *)win, win->mem->bytes);
        tmbi_window_release(win);
    }
}
