/* SPDX-License-Identifier: BSD-3-Clause */
/* Whole messages over a stream socket, until a deadline. Nothing is logged. */
#ifndef TMBI_STREAM_H
#define TMBI_STREAM_H

#include <stddef.h>
#include <stdint.h>

/* Until the descriptor is ready for POLLIN or POLLOUT: 0, -ETIMEDOUT, or poll's error. */
int tmbi_stream_wait(int fd, short events, int64_t deadline);

/* 0, -ETIMEDOUT, or -ECONNRESET: the other end is gone. */
int tmbi_stream_send(int fd, const void *data, size_t bytes, int64_t deadline);
int tmbi_stream_receive(int fd, void *data, size_t bytes, int64_t deadline);

#endif
