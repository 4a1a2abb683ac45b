/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's first process after /init: runs what the host asks for. Each virtio-serial
 * port is served by a process of its own and runs one command at a time. The host sends
 * frames (a type, a little-endian length, so many bytes):
 *   C  begin a command: a mark of 16 bytes, then text for the shell; ends what ran before
 *   I  bytes for the command's standard input; none: its end
 * and gets the mark, by which it finds where the answer begins, and frames of its own:
 *   O  standard output    E  standard error    X  the exit code, one byte, the last frame
 * When the host goes away the command is killed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MARK = 16, MOST = 1 << 16, CHUNK = 32 << 10 };

struct header {
    uint8_t type;
    uint8_t bytes[4];
};

struct session {
    int port;
    int input;    /* of the command, or -1 */
    pid_t runner; /* leads the process group of the command, or 0 */
};

static void write_all(int fd, const void *data, size_t bytes)
{
    const char *at = data;

    while (bytes) {
        ssize_t n = write(fd, at, bytes);

        if (n < 0 && errno != EINTR && errno != EAGAIN)
            _exit(1);
        if (n > 0) {
            at += n;
            bytes -= (size_t)n;
        }
    }
}

/* A frame in one write. */
static void send_frame(int port, char type, const void *data, uint32_t bytes)
{
    static char frame[sizeof(struct header) + CHUNK];
    struct header header = {.type = (uint8_t)type};

    for (int i = 0; i < 4; i++)
        header.bytes[i] = (uint8_t)(bytes >> (8 * i));
    memcpy(frame, &header, sizeof header);
    memcpy(frame + sizeof header, data, bytes);
    write_all(port, frame, sizeof header + bytes);
}

/* False when the host isn't there: only then does a port's read give nothing. */
static bool read_all(int port, void *data, size_t bytes)
{
    char *at = data;

    while (bytes) {
        ssize_t n = read(port, at, bytes);

        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        if (n > 0) {
            at += n;
            bytes -= (size_t)n;
        }
    }
    return true;
}

/* What comes from one pipe; false at its end. */
static bool forward(int port, struct pollfd *from, char type)
{
    static char data[CHUNK];
    ssize_t n;

    if (!from->revents)
        return true;
    n = read(from->fd, data, sizeof data);
    if (n > 0)
        send_frame(port, type, data, (uint32_t)n);
    return n > 0 || (n < 0 && errno == EINTR);
}

/* Output until the command ends. What it leaves running may keep the pipes: that is
   waited for no longer. */
static void forward_all(int port, struct pollfd from[2], pid_t command)
{
    static const char types[] = {'O', 'E'};
    bool ended = false;
    int status = 0, ready;

    while (from[0].fd >= 0 || from[1].fd >= 0) {
        ready = poll(from, 2, ended ? 0 : 100);
        if (ready == 0 && ended)
            break;
        for (int i = 0; ready > 0 && i < 2; i++)
            if (from[i].fd >= 0 && !forward(port, &from[i], types[i]))
                from[i].fd = -1;
        ended = ended || waitpid(command, &status, WNOHANG) == command;
    }
    if (!ended)
        waitpid(command, &status, 0);
    send_frame(port, 'X',
               &(uint8_t){(uint8_t)(WIFEXITED(status) ? WEXITSTATUS(status)
                                                      : 128 + WTERMSIG(status))},
               1);
}

static void become(const char *text, int in, int out, int err)
{
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    execl("/bin/sh", "sh", "-c", text, (char *)NULL);
    _exit(127);
}

static void run(int port, const char *mark, const char *text, int input)
{
    int out[2], err[2];
    pid_t command;

    setpgid(0, 0);
    if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC) || (command = fork()) < 0)
        _exit(1);
    if (command == 0)
        become(text, input, out[1], err[1]);
    close(input);
    close(out[1]);
    close(err[1]);
    write_all(port, mark, MARK);
    forward_all(port,
                (struct pollfd[]){{.fd = out[0], .events = POLLIN},
                                  {.fd = err[0], .events = POLLIN}},
                command);
    _exit(0);
}

static void end_input(struct session *s)
{
    if (s->input >= 0)
        close(s->input);
    s->input = -1;
}

static void end_command(struct session *s)
{
    end_input(s);
    if (s->runner > 0) {
        kill(-s->runner, SIGKILL);
        kill(s->runner, SIGKILL);
        waitpid(s->runner, NULL, 0);
    }
    s->runner = 0;
}

static void begin_command(struct session *s, const char *mark, const char *text)
{
    int in[2];

    end_command(s);
    if (pipe2(in, O_CLOEXEC))
        return;
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    s->runner = fork();
    if (s->runner == 0) {
        close(in[1]);
        run(s->port, mark, text, in[0]);
    }
    close(in[0]);
    s->input = in[1];
}

/* A command that doesn't read must not keep us from seeing that the host is gone. */
static void give_input(struct session *s, const char *data, size_t bytes)
{
    while (bytes && s->input >= 0) {
        struct pollfd wait[] = {{.fd = s->input, .events = POLLOUT}, {.fd = s->port}};
        ssize_t n;

        poll(wait, 2, -1);
        if (wait[1].revents & POLLHUP)
            return;
        n = write(s->input, data, bytes);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            end_input(s);
        if (n > 0) {
            data += n;
            bytes -= (size_t)n;
        }
    }
}

/* One frame of the host's; false when the host is gone, or sends what is none. */
static bool take_frame(struct session *s)
{
    static char data[MOST + 1];
    struct header header;
    uint32_t bytes = 0;

    if (!read_all(s->port, &header, sizeof header))
        return false;
    for (int i = 0; i < 4; i++)
        bytes |= (uint32_t)header.bytes[i] << (8 * i);
    if (bytes > MOST || !read_all(s->port, data, bytes))
        return false;
    data[bytes] = '\0';
    if (header.type == 'C' && bytes >= MARK)
        begin_command(s, data, data + MARK);
    else if (header.type == 'I' && bytes)
        give_input(s, data, bytes);
    else if (header.type == 'I')
        end_input(s);
    return true;
}

static void serve(const char *path)
{
    struct session s = {.port = open(path, O_RDWR | O_CLOEXEC), .input = -1};

    if (s.port < 0) {
        fprintf(stderr, "agent: %s: %s\n", path, strerror(errno));
        _exit(1);
    }
    for (;;) {
        /* Sleeps until the host is there; it skips what comes before its mark. */
        write_all(s.port, "\n", 1);
        while (take_frame(&s))
            ;
        end_command(&s);
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i < argc; i++)
        if (fork() == 0)
            serve(argv[i]);
    /* The first process inherits orphans. */
    for (;;)
        if (wait(NULL) < 0)
            pause();
}
