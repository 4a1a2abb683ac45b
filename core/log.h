/* SPDX-License-Identifier: BSD-3-Clause */
/* One line to stderr per event: who detects it first, logs it, naming object,
 * operation and value. "tombolo: [rank] level: text". */
#ifndef TMBI_LOG_H
#define TMBI_LOG_H

#include <stdbool.h>

#include "export.h"

enum tmbi_log_level { TMBI_LOG_ERROR, TMBI_LOG_WARN, TMBI_LOG_INFO, TMBI_LOG_DEBUG };

TMBI_TOOL void tmbi_log_set_level(enum tmbi_log_level level);
TMBI_TOOL void tmbi_log_set_rank(int rank); /* negative: none */
TMBI_TOOL bool tmbi_log_wants(enum tmbi_log_level level);

/* Writes one line by one write(2). Keeps errno. */
TMBI_TOOL void tmbi_log(enum tmbi_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

#define tmbi_error(...) tmbi_log(TMBI_LOG_ERROR, __VA_ARGS__)
#define tmbi_warn(...)  tmbi_log(TMBI_LOG_WARN, __VA_ARGS__)
#define tmbi_info(...)  tmbi_log(TMBI_LOG_INFO, __VA_ARGS__)
#define tmbi_debug(...) tmbi_log(TMBI_LOG_DEBUG, __VA_ARGS__)

#endif
