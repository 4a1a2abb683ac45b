/* SPDX-License-Identifier: BSD-3-Clause */
/* Owners of slots: who may be one, how it ends, and who hears of it. */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kmod.h"

#define JOB 0x7000u /* of no entry in the job table */

static void own_errors(void)
{
    struct access access;

    access_open(&access);
    expect(access_own(&access, 0) == -ENXIO);
    access_map(&access);
    uint32_t slot = slot_claim(&access, 0), second = slot_claim(&access, 0);
    expect(access_own(&access, access.header->slot_count) == -EINVAL);
    slot_state_set(&access.slots[slot], TMBI_SLOT_LEFT);
    expect(access_own(&access, slot) == -EINVAL);
    slot_state_set(&access.slots[slot], TMBI_SLOT_LIVE);
    access.slots[slot].kind = 0;
    expect(access_own(&access, slot) == -EINVAL);
    access.slots[slot].kind = TMBI_SLOT_OWN;
    access.slots[slot].peer_id++;
    expect(!device.vectors || access_own(&access, slot) == -EPERM);
    access.slots[slot].peer_id--;
    expect(access_own(&access, 1u << 16 | slot) == -EINVAL);
    expect(access_own(&access, slot) == 0 && access_own(&access, slot) == 0);
    expect(access_own(&access, second) == -EBUSY);
    slot_free(&access, slot);
    slot_free(&access, second);
}

/* Anything may be written over the header; the mapping goes on. */
static void own_garbage(void)
{
    struct access access;

    access_enter(&access);
    struct tmbi_region_header good = *access.header, *header = access.header;
    uint32_t slot = slot_claim(&access, 0);
    header->magic++;
    expect(access_own(&access, slot) == -EPROTO);
    header->magic = good.magic;
    header->version++;
    expect(access_own(&access, slot) == -EPROTO);
    header->version = good.version;
    header->size *= 2;
    expect(access_own(&access, slot) == -EPROTO);
    header->size = good.size;
    for (unsigned bit = 0; bit < 64; bit++) {
        header->slots_offset = good.slots_offset ^ UINT64_C(1) << bit;
        expect(access_own(&access, TMBI_SLOTS_MAX - 1) < 0);
    }
    header->slots_offset = good.slots_offset;
    header->slot_count = UINT32_MAX;
    expect(access_own(&access, slot) == -EPROTO);
    header->slot_count = good.slot_count;
    expect(access_own(&access, slot) == 0);
    slot_state_set(&access.slots[slot], TMBI_SLOT_LEFT);
    slot_free(&access, slot);
}

static void one_owner(void)
{
    struct access access;

    access_enter(&access);
    struct child child = owner_start(0, owner_wait);
    expect(access_own(&access, child.slot) == -EBUSY);
    child_kill(child.pid);
    slot_free(&access, child.slot);
}

static void heart_beats(void)
{
    struct access access;

    access_enter(&access);
    struct child child = owner_start(0, owner_wait);
    uint64_t first = access.slots[child.slot].heartbeat;
    expect(first > 0);
    usleep(8 * TMBI_BEAT_MS * 1000);
    uint64_t beats = access.slots[child.slot].heartbeat - first;
    expect(beats >= 2 && beats <= 9);
    child_kill(child.pid);
    slot_free(&access, child.slot);
}

/* A survivor of the job, with doorbells 0 and 1, and a stranger, with 2. */
static void end_is_death(child_fn *then, bool kill_it)
{
    struct access access;

    access_enter(&access);
    uint32_t survivor = slot_claim(&access, JOB), stranger = slot_claim(&access, JOB + 1);
    for (uint32_t line = 0; line < TMBI_LINES; line++)
        access.slots[stranger].wake[line].doorbell = access.id << 16 | 2;
    uint32_t deaths = access.header->deaths;
    struct child child = owner_start(JOB, then);
    if (kill_it)
        expect(WTERMSIG(child_kill(child.pid)) == SIGKILL);
    expect(slot_becomes(&access.slots[child.slot], TMBI_SLOT_DEAD, 2000));
    for (unsigned i = 0; i < 2 && i < device.vectors; i++)
        expect(access_heard(&access, i, 2000));
    expect(device.vectors < 3 || !access_heard(&access, 2, 50));
    expect(access.header->deaths == deaths + 1);
    if (!kill_it)
        child_kill(child.pid);
    slot_free(&access, child.slot);
    slot_free(&access, survivor);
    slot_free(&access, stranger);
}

static void kill_is_death(void)
{
    end_is_death(owner_wait, true);
}

static void unmap_and_wait(struct access *access, uint32_t slot)
{
    (void)slot;
    expect(munmap(access->region, access->bytes) == 0);
    pause();
}

static void unmap_is_death(void)
{
    end_is_death(unmap_and_wait, false);
}

static void exec_and_wait(struct access *access, uint32_t slot)
{
    (void)access;
    (void)slot;
    execlp("sleep", "sleep", "100", (char *)NULL);
    _exit(1);
}

static void exec_is_death(void)
{
    end_is_death(exec_and_wait, false);
}

static void close_all_and_wait(struct access *access, uint32_t slot)
{
    (void)slot;
    for (unsigned i = 0; i == 0 || i < device.vectors; i++)
        close(access->fds[i]);
    pause();
}

static void closed_owner_lives(void)
{
    struct access access;

    access_enter(&access);
    struct child child = owner_start(0, close_all_and_wait);
    usleep(100000);
    expect(slot_state(&access.slots[child.slot]) == TMBI_SLOT_LIVE);
    child_kill(child.pid);
    expect(slot_becomes(&access.slots[child.slot], TMBI_SLOT_DEAD, 2000));
    slot_free(&access, child.slot);
}

static void leave(struct access *access, uint32_t slot)
{
    slot_state_set(&access->slots[slot], TMBI_SLOT_LEFT);
}

static void left_is_no_death(void)
{
    struct access access;

    access_enter(&access);
    uint32_t deaths = access.header->deaths;
    struct child child = owner_start(0, leave);
    expect(child_end(child.pid) == 0);
    usleep(50000);
    expect(slot_state(&access.slots[child.slot]) == TMBI_SLOT_LEFT);
    expect(access.header->deaths == deaths);
    slot_free(&access, child.slot);
}

static void leave_and_own_again(void)
{
    struct access access;

    access_enter(&access);
    uint32_t slot = slot_claim(&access, 0);
    expect(access_own(&access, slot) == 0);
    slot_state_set(&access.slots[slot], TMBI_SLOT_LEFT);
    uint32_t second = slot_claim(&access, 0);
    expect(access_own(&access, second) == 0);
    usleep(2 * TMBI_BEAT_MS * 1000);
    slot_free(&access, slot);
    slot_state_set(&access.slots[second], TMBI_SLOT_LEFT);
    usleep(2 * TMBI_BEAT_MS * 1000);
    slot_free(&access, second);
}

static void leave_by_module(struct access *access, uint32_t slot)
{
    (void)slot;
    expect(access_own(access, 0x7fff) == 0);
    expect(access_own(access, 0x7fff) == -ENXIO);
    pause();
}

/* After that the slot is not the process's: whatever becomes of it, the mapping stays. */
static void left_by_module(void)
{
    struct access access;

    access_enter(&access);
    uint32_t deaths = access.header->deaths;
    struct child child = owner_start(0, leave_by_module);
    expect(slot_becomes(&access.slots[child.slot], TMBI_SLOT_LEFT, 2000));
    slot_free(&access, child.slot);
    access.slots[child.slot].epoch++;
    slot_state_set(&access.slots[child.slot], TMBI_SLOT_LIVE);
    usleep(2 * TMBI_BEAT_MS * 1000);
    expect(WTERMSIG(child_kill(child.pid)) == SIGKILL); /* and not of what it saw */
    expect(slot_state(&access.slots[child.slot]) == TMBI_SLOT_LIVE);
    expect(access.header->deaths == deaths);
    slot_free(&access, child.slot);
}

static void read_for_ever(struct access *access, uint32_t slot)
{
    (void)slot;
    for (size_t at = 0;; at = (at + 4096) % access->bytes)
        (void)*(volatile uint8_t *)(access->region + at);
}

/* Taken from it alone: ours goes on. */
static void declared_dead(void)
{
    struct access access;

    access_enter(&access);
    struct child child = owner_start(0, read_for_ever);
    usleep(50000);
    slot_state_set(&access.slots[child.slot], TMBI_SLOT_DEAD);
    int status = child_end(child.pid);
    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    expect(access.header->size == device.size);
    child = owner_start(0, read_for_ever);
    access.slots[child.slot].epoch++; /* it is another's now */
    slot_state_set(&access.slots[child.slot], TMBI_SLOT_LIVE);
    status = child_end(child.pid);
    expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    slot_free(&access, child.slot);
}

/* Owners come and go at once, in every way. */
static void many_deaths(void)
{
    struct access access;
    pid_t parents[8];

    access_enter(&access);
    uint32_t deaths = access.header->deaths;
    for (unsigned i = 0; i < 8; i++) {
        parents[i] = fork();
        if (parents[i] > 0)
            continue;
        access_enter(&access);
        for (unsigned turn = 0; turn < 25; turn++) {
            struct child child = owner_start(JOB, turn % 2 ? owner_wait : read_for_ever);
            child_kill(child.pid);
            expect(slot_state(&access.slots[child.slot]) == TMBI_SLOT_DEAD);
            slot_free(&access, child.slot);
        }
        _exit(0);
    }
    for (unsigned i = 0; i < 8; i++)
        expect(child_end(parents[i]) == 0);
    expect(access.header->deaths == deaths + 8 * 25);
}

const struct kmod_case kmod_owner_cases[] = {
    {"own-errors", own_errors, 0},
    {"own-garbage", own_garbage, 0},
    {"one-owner", one_owner, 0},
    {"heartbeat", heart_beats, 0},
    {"kill-is-death", kill_is_death, 0},
    {"unmap-is-death", unmap_is_death, 0},
    {"exec-is-death", exec_is_death, 0},
    {"closed-owner-lives", closed_owner_lives, 0},
    {"left-is-no-death", left_is_no_death, 0},
    {"left-by-module", left_by_module, 0},
    {"leave-and-own-again", leave_and_own_again, 0},
    {"declared-dead", declared_dead, 0},
    {"many-deaths", many_deaths, 0},
    {NULL, NULL, 0},
};
