/* SPDX-License-Identifier: BSD-3-Clause */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES   (64 << 10) /* a longer line is broken */
#define PREFIX_BYTES 16
#define SINK_BYTES   (512 << 10)
/* Room for what one read may add: in the worst case lines of one byte, each prefixed. */
#define READ_BYTES 4096
#define READ_GROWS (LINE_BYTES + READ_BYTES * (PREFIX_BYTES + 1))

/* Where lines go: the launcher's stdout or stderr. It may be slow, or stopped, and the
 * launcher must not block in it: signals wait. */
struct sink {
    struct tmbi_watch watch; /* first */
    struct tmbi_output *output;
    bool polled; /* a pipe, socket or terminal, as opposed to a file */
    bool broken; /* nobody reads it any more */
    size_t used;
    char data[SINK_BYTES];
};

/* A rank's stdout or stderr. */
struct stream {
    struct tmbi_watch watch; /* first; fd -1: closed */
    struct sink *sink;
    char prefix[PREFIX_BYTES];
    size_t used; /* of a line that has no end yet */
    char line[LINE_BYTES];
};

struct tmbi_output {
    struct tmbi_loop *loop;
    struct sink sinks[2];
    int open_streams;
    bool held; /* streams aren't read until the sinks have been emptied */
    int size;
    struct stream *streams; /* two per rank */
};

static void stream_close(struct stream *stream)
{
    struct tmbi_output *output = stream->sink->output;

    tmbi_loop_remove(output->loop, &stream->watch);
    close(stream->watch.fd);
    stream->watch.fd = -1;
    output->open_streams--;
}

/* Streams are read only while a read's worth fits their sink. */
static void output_hold(struct tmbi_output *output)
{
    bool hold = output->sinks[0].used + READ_GROWS > SINK_BYTES ||
                output->sinks[1].used + READ_GROWS > SINK_BYTES;

    if (hold == output->held)
        return;
    output->held = hold;
    for (int i = 0; i < 2 * output->size; i++) {
        struct tmbi_watch *watch = &output->streams[i].watch;
        if (watch->fd >= 0 && hold)
            tmbi_loop_remove(output->loop, watch);
        else if (watch->fd >= 0)
            tmbi_loop_add(output->loop, watch, EPOLLIN);
    }
}

static bool sink_writable(const struct sink *sink)
{
    struct pollfd poll_fd = {.fd = sink->watch.fd, .events = POLLOUT};

    return poll(&poll_fd, 1, 0) == 1;
}

/* Write what can be written without blocking: a pipe that polls writable takes PIPE_BUF.
 */
static void sink_drain(struct sink *sink)
{
    size_t at = 0;

    while (at < sink->used && !sink->broken && sink_writable(sink)) {
        size_t bytes = sink->used - at < PIPE_BUF ? sink->used - at : PIPE_BUF;
        ssize_t wrote = write(sink->watch.fd, sink->data + at, bytes);
        if (wrote >= 0)
            at += (size_t)wrote;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            sink->broken = true;
    }
    if (sink->broken)
        at = sink->used;
    sink->used -= at;
    memmove(sink->data, sink->data + at, sink->used);
    if (sink->polled)
        tmbi_loop_change(sink->output->loop, &sink->watch, sink->used ? EPOLLOUT : 0);
    output_hold(sink->output);
}

static void sink_ready(struct tmbi_watch *watch, uint32_t events)
{
    struct sink *sink = (struct sink *)watch;

    if (events & (EPOLLERR | EPOLLHUP))
        sink->broken = true;
    if (sink->broken && sink->polled) {
        tmbi_loop_remove(sink->output->loop, watch);
        sink->polled = false;
    }
    sink_drain(sink);
}

static void sink_append(struct sink *sink, const char *text, size_t bytes)
{
    memcpy(sink->data + sink->used, text, bytes);
    sink->used += bytes;
}

static void stream_end_line(struct stream *stream)
{
    sink_append(stream->sink, stream->prefix, strlen(stream->prefix));
    sink_append(stream->sink, stream->line, stream->used);
    sink_append(stream->sink, "\n", 1);
    stream->used = 0;
}

static void stream_take(struct stream *stream, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\n' || stream->used == LINE_BYTES)
            stream_end_line(stream);
        if (text[i] != '\n')
            stream->line[stream->used++] = text[i];
    }
}

static void stream_ready(struct tmbi_watch *watch, uint32_t events)
{
    struct stream *stream = (struct stream *)watch;
    char text[READ_BYTES];
    ssize_t got;

    (void)events;
    got = read(watch->fd, text, sizeof text);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0) {
        stream_take(stream, text, (size_t)got);
    } else {
        if (stream->used)
            stream_end_line(stream);
        stream_close(stream);
    }
    sink_drain(stream->sink);
    /* As if the rank itself wrote where nobody reads: let it have the EPIPE. */
    if (stream->sink->broken && watch->fd >= 0)
        stream_close(stream);
}

static void sink_open(struct sink *sink, struct tmbi_output *output, int fd)
{
    sink->watch = (struct tmbi_watch){.fd = fd, .ready = sink_ready};
    sink->output = output;
    sink->polled = tmbi_loop_add(output->loop, &sink->watch, 0) == 0;
}

int tmbi_output_open(struct tmbi_output **output, struct tmbi_loop *loop, int first,
                     int size)
{
    struct tmbi_output *made = calloc(1, sizeof *made);

    if (!made)
        return -ENOMEM;
    made->streams = calloc(2 * (size_t)size, sizeof *made->streams);
    if (!made->streams) {
        free(made);
        return -ENOMEM;
    }
    made->loop = loop;
    made->size = size;
    for (int i = 0; i < 2 * size; i++) {
        struct stream *stream = &made->streams[i];
        stream->watch = (struct tmbi_watch){.fd = -1, .ready = stream_ready};
        stream->sink = &made->sinks[i % 2];
        snprintf(stream->prefix, sizeof stream->prefix, "[%d] ", first + i / 2);
    }
    sink_open(&made->sinks[0], made, STDOUT_FILENO);
    sink_open(&made->sinks[1], made, STDERR_FILENO);
    *output = made;
    return 0;
}

void tmbi_output_close(struct tmbi_output *output)
{
    for (int i = 0; i < 2 * output->size; i++)
        if (output->streams[i].watch.fd >= 0)
            stream_close(&output->streams[i]);
    for (int i = 0; i < 2; i++)
        if (output->sinks[i].polled)
            tmbi_loop_remove(output->loop, &output->sinks[i].watch);
    free(output->streams);
    free(output);
}

static int stream_open(struct stream *stream, int *rank_end)
{
    struct tmbi_output *output = stream->sink->output;
    int ends[2], rc;

    if (pipe2(ends, O_CLOEXEC))
        return -errno;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    stream->watch.fd = ends[0];
    rc = tmbi_loop_add(output->loop, &stream->watch, EPOLLIN);
    if (rc) {
        close(ends[0]);
        close(ends[1]);
        stream->watch.fd = -1;
        return rc;
    }
    output->open_streams++;
    *rank_end = ends[1];
    return 0;
}

int tmbi_output_join(struct tmbi_output *output, int rank, int stdio[3])
{
    int rc = stream_open(&output->streams[2 * rank], &stdio[1]);

    if (rc)
        return rc;
    rc = stream_open(&output->streams[2 * rank + 1], &stdio[2]);
    if (rc) {
        close(stdio[1]);
        stream_close(&output->streams[2 * rank]);
    }
    return rc;
}

bool tmbi_output_done(const struct tmbi_output *output)
{
    return !output->open_streams && !output->sinks[0].used && !output->sinks[1].used;
}
