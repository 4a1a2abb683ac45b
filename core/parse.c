/* SPDX-License-Identifier: BSD-3-Clause */
/* Parsers of values that people write, and the nearest name to one that they mistyped. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "env.h"

/* Digits only: strtoull alone would take blanks and a sign. */
static int parse_digits(const char *text, uint64_t *value, const char **rest)
{
    char *end;

    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    errno = 0;
    *value = strtoull(text, &end, 10);
    *rest = end;
    return errno ? -ERANGE : 0;
}

int tmbi_parse_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    const char *rest, *unit;
    uint64_t value;
    unsigned shift = 0;
    int rc = parse_digits(text, &value, &rest);

    if (rc)
        return rc;
    if (*rest) {
        unit = strchr(units, toupper((unsigned char)*rest));
        if (!unit || rest[1])
            return -EINVAL;
        shift = 10 * (unsigned)(unit - units + 1);
    }
    if (value > UINT64_MAX >> shift)
        return -ERANGE;
    *bytes = value << shift;
    return 0;
}

int tmbi_parse_duration(const char *text, int64_t *ns)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}};
    const char *rest;
    uint64_t value;
    int rc;

    if (!strcmp(text, "forever")) {
        *ns = -1;
        return 0;
    }
    rc = parse_digits(text, &value, &rest);
    if (rc)
        return rc;
    if (!*rest && value == 0) {
        *ns = 0;
        return 0;
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (!strcmp(rest, units[i].name))
            return __builtin_mul_overflow(value, units[i].ns, ns) ? -ERANGE : 0;
    return -EINVAL;
}

int tmbi_parse_int(const char *text, int64_t min, int64_t max, int64_t *value)
{
    char *end;
    long long parsed;

    if (!isdigit((unsigned char)text[*text == '-']))
        return -EINVAL;
    errno = 0;
    parsed = strtoll(text, &end, 10);
    if (*end)
        return -EINVAL;
    if (errno || parsed < min || parsed > max)
        return -ERANGE;
    *value = parsed;
    return 0;
}

#define WORD_MAX 63

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;

    return ab < c ? ab : c;
}

/* Levenshtein's, one row at a time. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1], length = strlen(b);

    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= length; j++) {
            size_t above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[length];
}

void tmbi_nearest_offer(struct tmbi_nearest *nearest, const char *candidate)
{
    size_t distance, length = strlen(nearest->word);

    if (length > WORD_MAX || strlen(candidate) > WORD_MAX)
        return;
    distance = edit_distance(nearest->word, candidate);
    /* Further than half of the word is no likeness. */
    if (distance > length / 2 || (nearest->name && distance >= nearest->distance))
        return;
    nearest->name = candidate;
    nearest->distance = distance;
}
