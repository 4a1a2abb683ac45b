/* SPDX-License-Identifier: BSD-3-Clause */
/* libfabric alone, opened and waited for as the provider does it: what `tombolo perf
 * limits` measures. Two processes, of which one writes into the other. */
#ifndef TMBI_TCP_RAW_H
#define TMBI_TCP_RAW_H

#include <stddef.h>
#include <stdint.h>

#include "../../core/export.h"

/* How an endpoint and its memory are named. */
#define TMBI_TCP_RAW_NAME 128

struct tmbi_tcp_raw;

/* An endpoint with memory of as many bytes, and its name. Logs; -ENODEV: libfabric has no
 * TCP here. */
TMBI_TOOL int tmbi_tcp_raw_open(size_t bytes, struct tmbi_tcp_raw **raw,
                                uint8_t name[TMBI_TCP_RAW_NAME]);
TMBI_TOOL void tmbi_tcp_raw_close(struct tmbi_tcp_raw *raw);
TMBI_TOOL int tmbi_tcp_raw_connect(struct tmbi_tcp_raw *raw,
                                   const uint8_t name[TMBI_TCP_RAW_NAME]);
/* Write into the other's memory as many times, and look for completions until all have
 * been delivered. */
TMBI_TOOL int tmbi_tcp_raw_write(struct tmbi_tcp_raw *raw, size_t bytes, uint64_t times);
/* Look for what comes, once. */
TMBI_TOOL void tmbi_tcp_raw_serve(struct tmbi_tcp_raw *raw);

#endif
