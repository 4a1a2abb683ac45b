/* SPDX-License-Identifier: BSD-3-Clause */
/* The module's own life: when it may go, what it leaves, and what it finds. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kmod.h"

static void reload(void)
{
    expect(kmod_load(device.mode) == 0);
    expect(kmod_find() == 0);
}

/* EWOULDBLOCK is what the kernel says of a module in use. */
static void busy_is_kept(void)
{
    struct access access;

    access_open(&access);
    expect(kmod_unload() == -EWOULDBLOCK);
    access_map(&access);
    for (unsigned i = 0; i == 0 || i < device.vectors; i++)
        close(access.fds[i]);
    expect(kmod_unload() == -EWOULDBLOCK);
    expect(access.header->size == device.size);
}

static void unload_and_reload(void)
{
    for (int i = 0; i < 5; i++) {
        expect(kmod_unload() == 0);
        expect(kmod_find() == -ENODEV);
        reload();
    }
}

/* What a machine leaves that was reset, and what is another's. */
static void former_boot_is_dead(void)
{
    struct access access, raw;

    access_enter(&access);
    uint32_t live = slot_claim(&access, 0), claimed = slot_claim(&access, 0);
    uint32_t other = slot_claim(&access, 0), others = slot_claim(&access, 0);
    uint32_t id = access.id, deaths;
    munmap(access.region, access.bytes);
    munmap((void *)((uintptr_t)access.registers & ~4095ul), 4096);
    for (unsigned i = 0; i == 0 || i < device.vectors; i++)
        close(access.fds[i]);
    expect(kmod_unload() == 0);
    access_by_sysfs(&raw);
    deaths = raw.header->deaths;
    slot_state_set(&raw.slots[live], TMBI_SLOT_LIVE);
    atomic_store(&raw.slots[claimed].word, TMBI_SLOT_WORD(TMBI_SLOT_CLAIMED, id));
    slot_state_set(&raw.slots[other], TMBI_SLOT_LIVE);
    raw.slots[other].peer_id = id + 1;
    atomic_store(&raw.slots[others].word, TMBI_SLOT_WORD(TMBI_SLOT_CLAIMED, id + 1));
    munmap(raw.region, device.size);
    reload();
    access_enter(&access);
    expect(slot_state(&access.slots[live]) == TMBI_SLOT_DEAD);
    expect(slot_state(&access.slots[claimed]) == TMBI_SLOT_FREE);
    expect(slot_state(&access.slots[other]) == TMBI_SLOT_LIVE);
    expect(slot_state(&access.slots[others]) == TMBI_SLOT_CLAIMED);
    expect(access.header->deaths == deaths + 1);
    for (uint32_t slots[] = {live, other, others}, i = 0; i < 3; i++)
        slot_free(&access, slots[i]);
}

static void read_slowly(struct access *access, uint32_t slot)
{
    (void)slot;
    for (;; usleep(1000))
        (void)*(volatile uint8_t *)access->region;
}

/* Root takes the device away under its users. */
static void unbound_under_users(void)
{
    struct child child = owner_start(0, read_slowly);
    struct access access;

    usleep(50000);
    expect(kmod_bind(false) == 0);
    int status = child_end(child.pid);
    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    expect(kmod_bind(true) == 0);
    expect(kmod_find() == 0);
    access_enter(&access);
    expect(slot_state(&access.slots[child.slot]) == TMBI_SLOT_DEAD);
    slot_free(&access, child.slot);
}

/* The region's pages are in a pipe, by reference: the driver goes when they have. */
static void unbound_under_io(void)
{
    struct access access;
    int ends[2];

    access_enter(&access);
    struct iovec part = {access.region + access.bytes / 2, 4096};
    expect(pipe(ends) == 0);
    expect(vmsplice(ends[1], &part, 1, 0) == 4096);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        close(ends[1]);
        _exit(kmod_bind(false) ? 1 : 0);
    }
    usleep(300000);
    expect(waitpid(pid, NULL, WNOHANG) == 0);
    close(ends[0]);
    close(ends[1]);
    expect(child_end(pid) == 0);
    expect(kmod_bind(true) == 0);
}

static long memory_used(void)
{
    char text[4096] = "";
    long sum = 0;
    int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);

    expect(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    for (const char *const *name =
             (const char *const[]){"\nSlab:", "\nPageTables:", "\nVmallocUsed:", NULL};
         *name; name++) {
        const char *at = strstr(text, *name);
        sum += at ? strtol(at + strlen(*name), NULL, 10) : 0;
    }
    return sum;
}

static void map_and_unmap(int times)
{
    struct access access;

    access_enter(&access);
    for (int i = 0; i < times; i++) {
        uint32_t slot = slot_claim(&access, 0);
        expect(access_own(&access, slot) == 0);
        expect(access_own(&access, 0x7fff) == 0); /* TMBI_UIO_LEAVE */
        slot_free(&access, slot);
        expect(munmap(access.region, access.bytes) == 0);
        expect(munmap((void *)((uintptr_t)access.registers & ~4095ul), 4096) == 0);
        access_map_part(&access, access.bytes);
    }
}

static void memory_is_stable(void)
{
    map_and_unmap(100);
    long before = memory_used();
    map_and_unmap(1000);
    long grown = memory_used() - before;
    printf("    %ld KiB more after 1000 mappings\n", grown);
    expect(grown < 150); /* 1000 mappings of the smallest kernel object are more */
}

const struct kmod_case kmod_life_cases[] = {
    {"busy-is-kept", busy_is_kept, 0},
    {"memory-is-stable", memory_is_stable, 0},
    {"unload-and-reload", unload_and_reload, 0},
    {"former-boot-is-dead", former_boot_is_dead, KMOD_DOORBELLS},
    {"unbound-under-users", unbound_under_users, 0},
    {"unbound-under-io", unbound_under_io, KMOD_PAGES},
    {NULL, NULL, 0},
};
