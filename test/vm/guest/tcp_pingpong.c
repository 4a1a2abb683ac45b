/* SPDX-License-Identifier: BSD-3-Clause */
/* A message to and fro over one TCP connection, what bounds any library over TCP. The
 * time of one way is half of the round trip.
 *   tcp_pingpong serve MIN MAX ITERS
 *   tcp_pingpong ADDRESS MIN MAX ITERS */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define PORT       7447
#define CONNECT_US 10000000.0 /* the server may come up a little later */

static int serve(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int one = 1, peer, fd = socket(AF_INET, SOCK_STREAM, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 1))
        bench_die("listen");
    peer = accept(fd, NULL, NULL);
    if (peer < 0)
        bench_die("accept");
    close(fd);
    return peer;
}

static int reach(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    double end = bench_clock_us() + CONNECT_US;

    inet_pton(AF_INET, address, &to.sin_addr);
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);

        if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
            return fd;
        if (bench_clock_us() > end)
            bench_die(address);
        close(fd);
        usleep(50000);
    }
}

static void give(int fd, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = write(fd, data, bytes);

        if (n <= 0)
            bench_die("write");
        data += n;
        bytes -= (size_t)n;
    }
}

static void take(int fd, char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = read(fd, data, bytes);

        if (n <= 0)
            bench_die("read");
        data += n;
        bytes -= (size_t)n;
    }
}

static void trips(struct bench *bench, int fd, char *data, long bytes, int server)
{
    long iters = bench_iters(bench, bytes);

    for (long i = -5; i < iters; i++) { /* the first ones warm up */
        double start = bench_clock_us();

        if (server)
            take(fd, data, (size_t)bytes);
        give(fd, data, (size_t)bytes);
        if (!server)
            take(fd, data, (size_t)bytes);
        if (i >= 0)
            bench->us[i] = (bench_clock_us() - start) / 2;
    }
    if (!server)
        bench_report(bench, bytes, iters);
}

int main(int argc, char **argv)
{
    struct bench bench = bench_begin("tcp-pingpong", argc, argv);
    int server = argc > 4 && !strcmp(argv[1], "serve"), one = 1;
    char *data = calloc(1, (size_t)bench.max);
    int fd = server ? serve() : reach(argv[1]);

    if (!data)
        bench_die("calloc");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    for (long bytes = bench.min; bytes <= bench.max; bytes *= 2)
        trips(&bench, fd, data, bytes, server);
    close(fd);
    free(data);
    free(bench.us);
    return 0;
}
