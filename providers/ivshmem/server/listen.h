/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TMBI_SERVER_LISTEN_H
#define TMBI_SERVER_LISTEN_H

/* Listen at `path`, for the owner and for `group` (or NULL). A dead server's socket is
 * replaced. -EADDRINUSE: a server lives there; else as bind(2), all logged. */
int tmbi_listen(const char *path, const char *group, int *fd);
/* Remove what is left of it in the file system. */
void tmbi_listen_remove(const char *path);

#endif
