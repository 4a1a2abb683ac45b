/* SPDX-License-Identifier: BSD-3-Clause */
/* Regular sections: nested loops over contiguous blocks. */
#include <errno.h>
#include <inttypes.h>

#include "log.h"
#include "window.h"

enum direction { PUT, GET };

struct section {
    struct tmbi_peer *peer;
    enum direction direction;
    const ptrdiff_t *target_strides, *local_strides;
    const size_t *counts;
};

static int block_move(const struct section *s, uint64_t offset, uint8_t *local)
{
    if (s->direction == PUT)
        return tmbi_peer_put(s->peer, offset, local, s->counts[0]);
    return tmbi_peer_get_begin(s->peer, offset, local, s->counts[0]);
}

static int section_move(const struct section *s, int level, uint64_t offset,
                        uint8_t *local)
{
    int rc = 0;

    if (level == 0)
        return block_move(s, offset, local);
    for (size_t i = 0; i < s->counts[level] && rc == 0; i++) {
        rc = section_move(s, level - 1, offset, local);
        offset += (uint64_t)s->target_strides[level - 1];
        local += s->local_strides[level - 1];
    }
    return rc;
}

/* How far one level reaches below and above its first block; false if out of the part. */
static bool extent_add(ptrdiff_t stride, size_t count, uint64_t part, uint64_t *below,
                       uint64_t *above)
{
    uint64_t step = stride < 0 ? -(uint64_t)stride : (uint64_t)stride;
    uint64_t *side = stride < 0 ? below : above;
    uint64_t reach;

    if (__builtin_mul_overflow(step, (uint64_t)count - 1, &reach) || reach > part)
        return false;
    *side += reach;
    return *side <= part;
}

static int section_check(tmb_win *win, const char *call, int rank, uint64_t offset,
                         const struct section *s, int levels)
{
    uint64_t part = s->peer->bytes;
    uint64_t below = 0, above = s->counts[0];

    if (above > part)
        return tmbi_range_bad(win, call, rank, offset, above);
    for (int i = 1; i <= levels; i++)
        if (!extent_add(s->target_strides[i - 1], s->counts[i], part, &below, &above))
            return tmbi_range_bad(win, call, rank, offset, part + 1);
    if (offset > part || below > offset || above > part - offset)
        return tmbi_range_bad(win, call, rank, offset - below, below + above);
    return 0;
}

static bool section_empty(const size_t *counts, int levels)
{
    for (int i = 0; i <= levels; i++)
        if (counts[i] == 0)
            return true;
    return false;
}

static int arguments_check(const char *call, const struct section *s, int levels)
{
    if (levels < 0 || levels > TMB_STRIDED_MAX) {
        tmbi_error("%s: %d levels: must be 0 .. %d", call, levels, TMB_STRIDED_MAX);
        return -EINVAL;
    }
    if (!s->counts || (levels && (!s->target_strides || !s->local_strides)))
        return tmbi_null_bad(call, (uint64_t)levels * sizeof(ptrdiff_t));
    return 0;
}

static int strided(tmb_win *win, const char *call, int rank, uint64_t offset,
                   uint8_t *local, struct section *s, int levels)
{
    int rc = tmbi_window_target(win, call, rank, offset, 0, &s->peer);

    if (rc == 0)
        rc = arguments_check(call, s, levels);
    if (rc || section_empty(s->counts, levels))
        return rc;
    if (!local)
        return tmbi_null_bad(call, s->counts[0]);
    rc = section_check(win, call, rank, offset, s, levels);
    if (rc)
        return rc;
    rc = section_move(s, levels, offset, local);
    return s->direction == GET ? tmbi_peer_get_end(s->peer, rc) : rc;
}

int tmb_put_strided(tmb_win *win, int rank, uint64_t offset,
                    const ptrdiff_t *target_strides, const void *src,
                    const ptrdiff_t *source_strides, const size_t *counts, int levels)
{
    struct section s = {.direction = PUT,
                        .target_strides = target_strides,
                        .local_strides = source_strides,
                        .counts = counts};

    /* Only read from: block_move() puts. */
    return strided(win, "tmb_put_strided", rank, offset, (uint8_t *)(uintptr_t)src, &s,
                   levels);
}

int tmb_get_strided(tmb_win *win, int rank, uint64_t offset,
                    const ptrdiff_t *target_strides, void *dst,
                    const ptrdiff_t *local_strides, const size_t *counts, int levels)
{
    struct section s = {.direction = GET,
                        .target_strides = target_strides,
                        .local_strides = local_strides,
                        .counts = counts};

    return strided(win, "tmb_get_strided", rank, offset, dst, &s, levels);
}
