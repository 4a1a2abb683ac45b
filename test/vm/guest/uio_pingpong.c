/* SPDX-License-Identifier: BSD-3-Clause */
/* A doorbell to and fro between two guests that sleep in read(), by the device alone,
 * without the library: what bounds its wake-ups. The time of one way is half of the round
 * trip.
 *   uio_pingpong id                  our peer ID
 *   uio_pingpong answer PEER         until a second passes without a ring
 *   uio_pingpong ask PEER ITERS */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define DEVICE   "/dev/uio0"
#define OFFSET   "/sys/class/uio/uio0/maps/map0/offset"
#define ID       8
#define DOORBELL 12
#define WARM_UP  20

static int device;
static volatile uint32_t *doorbell;
static uint32_t peer; /* as the doorbell takes it: peer << 16, vector 0 */
static volatile sig_atomic_t rounds, rounds_seen;

static uint8_t *registers_map(void)
{
    FILE *file = fopen(OFFSET, "re");
    unsigned long offset = 0;
    uint8_t *page;

    if (!file || fscanf(file, "%lx", &offset) != 1)
        bench_die(OFFSET);
    fclose(file);
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
    if (page == MAP_FAILED)
        bench_die("mmap");
    return page + offset;
}

static void hear(void)
{
    uint32_t count;

    if (read(device, &count, sizeof(count)) != sizeof(count))
        bench_die("read");
}

static int heard_within(int ms)
{
    return poll(&(struct pollfd){.fd = device, .events = POLLIN}, 1, ms) == 1;
}

static void look_whether_quiet(int signal)
{
    (void)signal;
    if (rounds > 0 && rounds == rounds_seen)
        _exit(0);
    rounds_seen = rounds;
    alarm(1);
}

static void answer(void)
{
    struct sigaction action = {.sa_handler = look_whether_quiet, .sa_flags = SA_RESTART};

    sigaction(SIGALRM, &action, NULL);
    alarm(1);
    for (;; rounds++) {
        hear();
        *doorbell = peer;
    }
}

/* Who isn't there yet doesn't hear: ring until there is an answer, and let those to the
 * rings before it pass. */
static void find_answerer(void)
{
    do
        *doorbell = peer;
    while (!heard_within(100));
    while (heard_within(100))
        hear();
}

static void ask(struct bench *bench)
{
    find_answerer();
    for (long i = -WARM_UP; i < bench->iters; i++) {
        double start = bench_clock_us();

        *doorbell = peer;
        hear();
        if (i >= 0)
            bench->us[i] = (bench_clock_us() - start) / 2;
    }
    bench_report(bench, 0, bench->iters);
}

int main(int argc, char **argv)
{
    uint8_t *registers;
    uint32_t id;

    device = open(DEVICE, O_RDWR | O_CLOEXEC);
    if (device < 0)
        bench_die(DEVICE);
    registers = registers_map();
    id = *(volatile uint32_t *)(registers + ID);
    doorbell = (volatile uint32_t *)(registers + DOORBELL);
    if (argc > 2)
        peer = (uint32_t)atoi(argv[2]) << 16;
    if (argc == 2 && !strcmp(argv[1], "id")) {
        printf("%u\n", id);
    } else if (argc > 2 && peer == id << 16) {
        fprintf(stderr, "uio_pingpong: %u is our own ID\n", id);
        return 2;
    } else if (argc == 3 && !strcmp(argv[1], "answer")) {
        answer();
    } else if (argc == 4 && !strcmp(argv[1], "ask")) {
        char *arguments[] = {"1", "1", "1", argv[3]};
        struct bench bench = bench_begin("uio-doorbell", 4, arguments);

        ask(&bench);
        free(bench.us);
    } else {
        fprintf(stderr, "usage: uio_pingpong id | answer PEER | ask PEER ITERS\n");
        return 2;
    }
    return 0;
}
