/* SPDX-License-Identifier: BSD-3-Clause */
/* A rank's side of launch.h, over the socket b->fd to whoever serves (b->server). */
#ifndef TMBI_CHANNEL_H
#define TMBI_CHANNEL_H

#include "bootstrap.h"

/* As tmbi_bootstrap_ops has them. */
int tmbi_channel_exchange(struct tmbi_bootstrap *b, const void *mine, size_t bytes,
                          void *all, int64_t deadline);
void tmbi_channel_abort(struct tmbi_bootstrap *b, int exit_code);
void tmbi_channel_close(struct tmbi_bootstrap *b);

/* Whether a part may be so large: 0 or -EMSGSIZE. */
int tmbi_channel_check(size_t bytes);

/* Log why an exchange failed, and because of which ranks; returns `code`. */
int tmbi_channel_failed(int code, const char *blame);

#endif
