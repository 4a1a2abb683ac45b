/* SPDX-License-Identifier: BSD-3-Clause */
/* PMI-1's messages are lines of NAME=VALUE, separated by blanks; bytes that travel in
 * values are written in base64 with the alphabet for URLs, and without padding. */
#ifndef TMBI_PMI_TEXT_H
#define TMBI_PMI_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "../export.h"

/* Characters that `bytes` take, and bytes that `length` characters hold. */
#define TMBI_PMI_CHARS(bytes)  (((bytes)*4 + 2) / 3)
#define TMBI_PMI_BYTES(length) ((length)*3 / 4)

/* `text` has room for the characters and a NUL. */
void tmbi_pmi_encode(const void *data, size_t bytes, char *text);

/* 0, or -EPROTO: it is not what `bytes` bytes are written as. */
int tmbi_pmi_decode(const char *text, void *data, size_t bytes);

/* The value of a line's field, NUL-terminated: 0; -ENOENT: there is none; -EMSGSIZE. */
TMBI_TOOL int tmbi_pmi_field(const char *line, const char *name, char *value,
                             size_t bytes);
int tmbi_pmi_number(const char *line, const char *name, int64_t *value);

#endif
