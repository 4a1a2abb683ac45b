/* SPDX-License-Identifier: BSD-3-Clause */
#include "pmi_text.h"

#include <errno.h>
#include <string.h>

#include "../env.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void tmbi_pmi_encode(const void *data, size_t bytes, char *text)
{
    const uint8_t *from = data;
    uint32_t bits = 0;
    unsigned held = 0;

    for (size_t i = 0; i < bytes; i++) {
        bits = bits << 8 | from[i];
        for (held += 8; held >= 6; held -= 6)
            *text++ = alphabet[bits >> (held - 6) & 63];
    }
    if (held)
        *text++ = alphabet[bits << (6 - held) & 63];
    *text = '\0';
}

int tmbi_pmi_decode(const char *text, void *data, size_t bytes)
{
    uint8_t *to = data, *end = to + bytes;
    uint32_t bits = 0;
    unsigned held = 0;

    if (strlen(text) != TMBI_PMI_CHARS(bytes))
        return -EPROTO;
    for (; *text; text++) {
        const char *at = strchr(alphabet, *text);
        if (!at)
            return -EPROTO;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        held += 6;
        if (held >= 8 && to < end) {
            held -= 8;
            *to++ = (uint8_t)(bits >> held);
        }
    }
    return 0;
}

int tmbi_pmi_field(const char *line, const char *name, char *value, size_t bytes)
{
    size_t length = strlen(name), room;

    for (line += strspn(line, " "); *line; line += strspn(line, " ")) {
        size_t word = strcspn(line, " ");
        if (word > length && line[length] == '=' && !memcmp(line, name, length)) {
            room = word - length - 1;
            if (room >= bytes)
                return -EMSGSIZE;
            memcpy(value, line + length + 1, room);
            value[room] = '\0';
            return 0;
        }
        line += word;
    }
    return -ENOENT;
}

int tmbi_pmi_number(const char *line, const char *name, int64_t *value)
{
    char text[24];
    int rc = tmbi_pmi_field(line, name, text, sizeof text);

    return rc ? rc : tmbi_parse_int(text, INT32_MIN, INT32_MAX, value);
}
