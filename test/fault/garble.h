/* SPDX-License-Identifier: BSD-3-Clause */
/* Who is linked with this may send what is no message, in place of the next one. */
#ifndef GARBLE_H
#define GARBLE_H

/* "magic", "kind", "length": a header with that wrong; "truncate": half of a message,
 * and then the end of the connection. */
void garble(const char *what);

/* As $GARBLE says: "version": say hello in the name of version 9.8.7. */
void garble_begin(void);

#endif
