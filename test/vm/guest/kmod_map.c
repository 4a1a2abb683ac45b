/* SPDX-License-Identifier: BSD-3-Clause */
/* Maps and doorbells. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kmod.h"

static void data(void)
{
    struct access access;
    size_t step = device.size / 64;

    access_open(&access);
    access_map(&access);
    for (size_t at = device.size / 2; at < device.size; at += step)
        *(volatile uint64_t *)(access.region + at) = ~at;
    expect(munmap(access.region, device.size) == 0);
    access_map(&access);
    for (size_t at = device.size / 2; at < device.size; at += step)
        expect(*(volatile uint64_t *)(access.region + at) == ~at);
}

static void *map_raw(const struct access *access, size_t bytes, int flags, int map)
{
    return mmap(NULL, bytes, PROT_READ, flags, access->fds[0], map * getpagesize());
}

static void map_rules(void)
{
    struct access access;
    size_t page = (size_t)getpagesize();

    access_open(&access);
    access_map(&access);
    expect(map_raw(&access, device.size, MAP_PRIVATE, 1) == MAP_FAILED);
    expect(map_raw(&access, device.size + page, MAP_SHARED, 1) == MAP_FAILED);
    expect(map_raw(&access, 2 * page, MAP_SHARED, 0) == MAP_FAILED);
    expect(map_raw(&access, page, MAP_SHARED, 2) == MAP_FAILED);
    expect(munmap(access.region, page) && errno == EINVAL);
    expect(mprotect(access.region, page, PROT_READ) && errno == EINVAL);
    expect(mremap(access.region, device.size, device.size + page, MREMAP_MAYMOVE) ==
           MAP_FAILED);
    void *place = mmap(NULL, device.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    expect(mremap(access.region, device.size, device.size, MREMAP_MAYMOVE | MREMAP_FIXED,
                  place) == MAP_FAILED);
    expect(access.header->size == device.size); /* it is still where it was */
}

/* The signal by which a process that reads the region dies, or 0. */
static int read_in_child(const struct access *access)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(*(volatile uint8_t *)access->region & 0);
    int status = child_end(pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void fork_inherits_nothing(void)
{
    struct access access;

    access_enter(&access);
    uint32_t slot = slot_claim(&access, 0);
    expect(access_own(&access, slot) == 0);
    expect(read_in_child(&access) == SIGSEGV);
    if (madvise(access.region, access.bytes, MADV_DOFORK) == 0)
        expect(read_in_child(&access) == SIGBUS);
    expect(slot_state(&access.slots[slot]) == TMBI_SLOT_LIVE);
    slot_free(&access, slot);
}

/* ---- doorbells ---- */

static void ring_by(bool write_it)
{
    struct access access;

    access_enter(&access);
    for (unsigned i = 0; i < device.vectors; i++) {
        uint32_t word = access.id << 16 | i;
        expect(!access_heard(&access, i, 0));
        if (write_it)
            expect(write(access.fds[0], &word, sizeof word) == sizeof word);
        else
            access.registers[TMBI_IVSHMEM_DOORBELL / 4] = word;
        expect(access_heard(&access, i, 2000));
        for (unsigned other = 0; other < device.vectors; other++)
            expect(!access_heard(&access, other, 10));
    }
}

static void ring_by_write(void)
{
    ring_by(true);
}

static void ring_by_register(void)
{
    ring_by(false);
}

static void plain_rings_nobody(void)
{
    struct access access;
    uint32_t word = 1;

    access_enter(&access);
    expect(write(access.fds[0], &word, sizeof word) < 0 && errno == EOPNOTSUPP);
}

const struct kmod_case kmod_map_cases[] = {
    {"data", data, 0},
    {"map-rules", map_rules, 0},
    {"fork-inherits-nothing", fork_inherits_nothing, 0},
    {"ring-by-write", ring_by_write, KMOD_DOORBELLS},
    {"ring-by-register", ring_by_register, KMOD_DOORBELLS},
    {"plain-rings-nobody", plain_rings_nobody, KMOD_PLAIN},
    {NULL, NULL, 0},
};
