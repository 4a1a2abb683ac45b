/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Large copies. A store that misses fetches its cache line first, only to overwrite it;
 * streaming stores don't, but leave nothing in the caches for who reads next. Measured on
 * an EPYC with 32 MiB of last-level cache (GB/s, memcpy and streaming; warm buffers, then
 * cold ones): 4 MiB 48 and 29, 13 and 20; 8 MiB 42 and 29, 13 and 20; 16 MiB 18 and 26,
 * 12 and 20; 64 MiB 12 and 22, 12 and 20. So they win in every case from half of that
 * cache, where source and target together no longer fit. (The C library's own memcpy
 * streams from three quarters of the caches of all cores together.)
 */
#include "copy.h"

#include <stdint.h>

#include "topology.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

size_t tmbi_copy_stream_bytes = SIZE_MAX;

#if defined(__x86_64__)

#define LINE 64u

/* Copy whole lines to an aligned target. */
typedef void lines_copy(uint8_t *to, const uint8_t *from, size_t lines);

static void lines_copy_sse2(uint8_t *to, const uint8_t *from, size_t lines)
{
    for (; lines; lines--, to += LINE, from += LINE)
        for (int i = 0; i < 4; i++)
            _mm_stream_si128((__m128i *)(void *)to + i,
                             _mm_loadu_si128((const __m128i *)(const void *)from + i));
}

__attribute__((target("avx"))) static void
lines_copy_avx(uint8_t *to, const uint8_t *from, size_t lines)
{
    for (; lines; lines--, to += LINE, from += LINE)
        for (int i = 0; i < 2; i++)
            _mm256_stream_si256(
                (__m256i *)(void *)to + i,
                _mm256_loadu_si256((const __m256i *)(const void *)from + i));
}

static lines_copy *copy_lines = lines_copy_sse2;

void tmbi_copy_start(void)
{
    if (__builtin_cpu_supports("avx"))
        copy_lines = lines_copy_avx;
    tmbi_copy_stream_bytes = tmbi_topology_cache() / 2;
}

void tmbi_copy_stream(void *to, const void *from, size_t bytes)
{
    size_t head = -(uintptr_t)to % LINE;
    uint8_t *target = (uint8_t *)to + head;
    const uint8_t *source = (const uint8_t *)from + head;
    size_t body = (bytes - head) / LINE * LINE;

    memcpy(to, from, head);
    copy_lines(target, source, body / LINE);
    memcpy(target + body, source + body, bytes - head - body);
    /* Streaming stores are weakly ordered; what comes after must not pass them. */
    _mm_sfence();
}

#else

void tmbi_copy_start(void)
{
}

void tmbi_copy_stream(void *to, const void *from, size_t bytes)
{
    memcpy(to, from, bytes);
}

#endif
