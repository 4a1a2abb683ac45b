/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 1024

/* Relaxed: a level or rank that another thread has just set may come a line late. */
static _Atomic int log_level = TMBI_LOG_WARN;
static _Atomic int log_rank = -1;

void tmbi_log_set_level(enum tmbi_log_level level)
{
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

void tmbi_log_set_rank(int rank)
{
    atomic_store_explicit(&log_rank, rank, memory_order_relaxed);
}

bool tmbi_log_wants(enum tmbi_log_level level)
{
    return (int)level <= atomic_load_explicit(&log_level, memory_order_relaxed);
}

static size_t prefix(char *line, enum tmbi_log_level level)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    int rank = atomic_load_explicit(&log_rank, memory_order_relaxed);

    if (rank < 0)
        return (size_t)snprintf(line, LINE_BYTES, "tombolo: %s: ", names[level]);
    return (size_t)snprintf(line, LINE_BYTES, "tombolo: [%d] %s: ", rank, names[level]);
}

/* Values come from the environment and from peers: one event stays one line, and can't
 * drive the terminal. */
static void defuse(char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < ' ' || c == 0x7f)
            *text = '?';
    }
}

void tmbi_log(enum tmbi_log_level level, const char *format, ...)
{
    int saved = errno;
    char line[LINE_BYTES];
    size_t used;
    va_list args;

    if (!tmbi_log_wants(level))
        return;
    used = prefix(line, level);
    va_start(args, format);
    if (vsnprintf(line + used, sizeof line - used - 1, format, args) >=
        (int)(sizeof line - used - 1))
        memcpy(line + sizeof line - 5, "...", 4);
    va_end(args);
    defuse(line);
    used = strlen(line);
    line[used++] = '\n';
    while (write(STDERR_FILENO, line, used) < 0 && errno == EINTR)
        ;
    errno = saved;
}
