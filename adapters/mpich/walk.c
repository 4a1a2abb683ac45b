/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Walking typed buffers. Both sides of a copy are walked in strips: as many equal blocks
 * at equal distances as both have next. Addresses are computed as numbers: a buffer may
 * be NULL with absolute offsets (MPI_BOTTOM).
 */
#include <string.h>

#include "datatype.h"

bool tmbm_type_bounds(const struct tmbm_type *type, uint64_t count, int64_t *low,
                      int64_t *high)
{
    int64_t last;

    *low = *high = 0;
    if (count == 0 || type->size == 0)
        return true;
    if (__builtin_mul_overflow(type->extent, count - 1, &last))
        return false;
    return !__builtin_add_overflow(type->low, last < 0 ? last : 0, low) &&
           !__builtin_add_overflow(type->high, last > 0 ? last : 0, high);
}

/* Repetitions of a type that is one block are one run, or one block. */
struct tmbm_cursor tmbm_cursor_make(const struct tmbm_type *type, const void *buffer,
                                    uint64_t count)
{
    struct tmbm_cursor cursor = {
        .type = type, .buffer = (uintptr_t)buffer, .left = count};

    if (count == 0 || type->runs == 0) {
        cursor.left = 0;
        return cursor;
    }
    cursor.run = type->run[0];
    if (type->runs == 1 && cursor.run.count == 1) {
        cursor.left = 1;
        if (type->contiguous) {
            cursor.run.bytes *= count;
        } else {
            cursor.run.stride = type->extent;
            cursor.run.count = count;
        }
    }
    return cursor;
}

static void next_run(struct tmbm_cursor *cursor)
{
    const struct tmbm_type *type = cursor->type;

    cursor->block = 0;
    if (++cursor->index == type->runs) {
        cursor->index = 0;
        cursor->buffer += (uint64_t)type->extent;
        if (--cursor->left == 0)
            return;
    }
    cursor->run = type->run[cursor->index];
}

static uint8_t *at(const struct tmbm_cursor *cursor)
{
    uintptr_t offset = (uint64_t)cursor->run.offset + cursor->within +
                       (uint64_t)cursor->run.stride * cursor->block;

    return (uint8_t *)(cursor->buffer + offset);
}

static uint64_t block_left(const struct tmbm_cursor *cursor)
{
    return cursor->run.bytes - cursor->within;
}

static void advance(struct tmbm_cursor *cursor, uint64_t bytes)
{
    cursor->within += bytes;
    if (cursor->within == cursor->run.bytes) {
        cursor->within = 0;
        if (++cursor->block == cursor->run.count)
            next_run(cursor);
    }
}

uint64_t tmbm_cursor_next(struct tmbm_cursor *cursor, uint64_t most, uint8_t **piece)
{
    uint64_t bytes;

    if (cursor->left == 0)
        return 0;
    bytes = block_left(cursor);
    if (bytes > most)
        bytes = most;
    *piece = at(cursor);
    if (bytes)
        advance(cursor, bytes);
    return bytes;
}

/* The run of a type in which byte `bytes` of its data is. */
static size_t run_of(const struct tmbm_type *type, uint64_t bytes)
{
    size_t low = 0, high = type->runs, middle;

    while (high - low > 1) {
        middle = low + (high - low) / 2;
        if (type->before[middle] <= bytes)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* From the type's start on: whole repetitions, then the run, the block and the rest. */
static void skip_from_start(struct tmbm_cursor *cursor, uint64_t bytes)
{
    const struct tmbm_type *type = cursor->type;
    uint64_t whole = bytes / type->size;

    if (whole >= cursor->left) {
        cursor->left = 0;
        return;
    }
    cursor->left -= whole;
    cursor->buffer += (uint64_t)type->extent * whole;
    bytes -= whole * type->size;
    cursor->index = run_of(type, bytes);
    cursor->run = type->run[cursor->index];
    bytes -= type->before[cursor->index];
    cursor->block = bytes / cursor->run.bytes;
    cursor->within = bytes % cursor->run.bytes;
}

void tmbm_cursor_skip(struct tmbm_cursor *cursor, uint64_t bytes)
{
    const struct tmbm_type *type = cursor->type;
    uint64_t passed;

    if (cursor->left == 0)
        return;
    passed = cursor->block * cursor->run.bytes + cursor->within;
    if (type->runs > 1 || type->run[0].count > 1) {
        passed += type->before[cursor->index];
        skip_from_start(cursor, passed + bytes);
        return;
    }
    /* All is in the one run that the repetitions are. */
    passed += bytes;
    if (passed / cursor->run.bytes >= cursor->run.count) {
        cursor->left = 0;
        return;
    }
    cursor->block = passed / cursor->run.bytes;
    cursor->within = passed % cursor->run.bytes;
}

/* Blocks at equal distances. */
struct strip {
    uint8_t *at;
    int64_t stride;
    uint64_t count;
};

static struct strip strip_next(const struct tmbm_cursor *cursor, uint64_t bytes)
{
    if (cursor->within == 0 && cursor->run.bytes == bytes)
        return (struct strip){at(cursor), cursor->run.stride,
                              cursor->run.count - cursor->block};
    return (struct strip){at(cursor), (int64_t)bytes, block_left(cursor) / bytes};
}

static void strip_done(struct tmbm_cursor *cursor, uint64_t bytes, uint64_t count)
{
    if (cursor->within == 0 && cursor->run.bytes == bytes) {
        cursor->block += count;
        if (cursor->block == cursor->run.count)
            next_run(cursor);
    } else {
        advance(cursor, bytes * count);
    }
}

#define ANYWHERE __attribute__((aligned(1), may_alias))
typedef uint8_t word1 ANYWHERE;
typedef uint16_t word2 ANYWHERE;
typedef uint32_t word4 ANYWHERE;
typedef uint64_t word8 ANYWHERE;
typedef struct __attribute__((packed, may_alias)) {
    uint64_t half[2];
} word16;

/* Blocks that are words: one load and one store each. By four, for the loop's own work is
 * as much as a copy's. */
#define WORDS_COPY(word)                                                                 \
    static void word##_copy(struct strip to, struct strip from)                          \
    {                                                                                    \
        const int64_t go = to.stride, come = from.stride;                                \
        uint64_t left = to.count;                                                        \
                                                                                         \
        for (; left >= 4; left -= 4, to.at += 4 * go, from.at += 4 * come) {             \
            const word a = *(const word *)from.at, b = *(const word *)(from.at + come),  \
                       c = *(const word *)(from.at + 2 * come),                          \
                       d = *(const word *)(from.at + 3 * come);                          \
                                                                                         \
            *(word *)to.at = a;                                                          \
            *(word *)(to.at + go) = b;                                                   \
            *(word *)(to.at + 2 * go) = c;                                               \
            *(word *)(to.at + 3 * go) = d;                                               \
        }                                                                                \
        for (; left; left--, to.at += go, from.at += come)                               \
            *(word *)to.at = *(const word *)from.at;                                     \
    }
WORDS_COPY(word1)
WORDS_COPY(word2)
WORDS_COPY(word4)
WORDS_COPY(word8)
WORDS_COPY(word16)

static void blocks_copy(struct strip to, struct strip from, uint64_t bytes)
{
    for (uint64_t i = to.count; i; i--) {
        memcpy(to.at, from.at, bytes);
        to.at += to.stride;
        from.at += from.stride;
    }
}

static void strip_copy(struct strip to, struct strip from, uint64_t bytes)
{
    switch (bytes) {
    case 1:
        word1_copy(to, from);
        break;
    case 2:
        word2_copy(to, from);
        break;
    case 4:
        word4_copy(to, from);
        break;
    case 8:
        word8_copy(to, from);
        break;
    case 16:
        word16_copy(to, from);
        break;
    default:
        blocks_copy(to, from, bytes);
    }
}

uint64_t tmbm_cursor_strip(struct tmbm_cursor *cursor, uint64_t most,
                           struct tmbm_run *blocks)
{
    uint64_t bytes, count;
    struct strip strip;

    if (cursor->left == 0 || most == 0)
        return 0;
    bytes = tmbm_least(block_left(cursor), most);
    strip = strip_next(cursor, bytes);
    count = tmbm_least(strip.count, most / bytes);
    *blocks = (struct tmbm_run){(int64_t)(uintptr_t)strip.at, strip.stride, bytes, count};
    strip_done(cursor, bytes, count);
    return bytes * count;
}

void tmbm_blocks_copy(void *to, int64_t to_stride, const void *from, int64_t from_stride,
                      uint64_t bytes, uint64_t count)
{
    struct strip to_strip = {to, to_stride, count};
    struct strip from_strip = {(uint8_t *)(uintptr_t)from, from_stride, count};

    strip_copy(to_strip, from_strip, bytes);
}

uint64_t tmbm_cursor_copy(struct tmbm_cursor *to, struct tmbm_cursor *from, uint64_t most)
{
    struct strip to_strip, from_strip;
    uint64_t done = 0, bytes;

    while (done < most && to->left && from->left) {
        bytes = tmbm_least(tmbm_least(block_left(to), block_left(from)), most - done);
        to_strip = strip_next(to, bytes);
        from_strip = strip_next(from, bytes);
        to_strip.count = tmbm_least(tmbm_least(to_strip.count, from_strip.count),
                                    (most - done) / bytes);
        strip_copy(to_strip, from_strip, bytes);
        strip_done(to, bytes, to_strip.count);
        strip_done(from, bytes, to_strip.count);
        done += bytes * to_strip.count;
    }
    return done;
}

void tmbm_type_copy(void *to, const struct tmbm_type *to_type, uint64_t to_count,
                    const void *from, const struct tmbm_type *from_type,
                    uint64_t from_count)
{
    struct tmbm_cursor to_cursor = tmbm_cursor_make(to_type, to, to_count);
    struct tmbm_cursor from_cursor = tmbm_cursor_make(from_type, from, from_count);

    tmbm_cursor_copy(&to_cursor, &from_cursor, UINT64_MAX);
}

struct tmbm_cursor tmbm_cursor_memory(const void *at, uint64_t bytes)
{
    static const struct tmbm_run run = {.bytes = 1, .count = 1};
    static const uint64_t before;
    static const struct tmbm_type byte = {.size = 1,
                                          .extent = 1,
                                          .high = 1,
                                          .contiguous = true,
                                          .runs = 1,
                                          .run = &run,
                                          .before = &before};

    return tmbm_cursor_make(&byte, at, bytes);
}

void tmbm_type_pack(void *to, const void *from, const struct tmbm_type *type,
                    uint64_t count, uint64_t skip, uint64_t bytes)
{
    struct tmbm_cursor cursor = tmbm_cursor_make(type, from, count);
    struct tmbm_cursor packed = tmbm_cursor_memory(to, bytes);

    tmbm_cursor_skip(&cursor, skip);
    tmbm_cursor_copy(&packed, &cursor, bytes);
}

void tmbm_type_unpack(void *to, const struct tmbm_type *type, uint64_t count,
                      uint64_t skip, const void *from, uint64_t bytes)
{
    struct tmbm_cursor cursor = tmbm_cursor_make(type, to, count);
    struct tmbm_cursor packed = tmbm_cursor_memory(from, bytes);

    tmbm_cursor_skip(&cursor, skip);
    tmbm_cursor_copy(&cursor, &packed, bytes);
}
