/* SPDX-License-Identifier: BSD-3-Clause */
#include "kmod.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PART ((size_t)16 << 20)

const char *kmod_path;
struct device device;

/* ---- the module ---- */

int kmod_load(const char *mode)
{
    char command[256];

    if (kmod_path)
        snprintf(command, sizeof command, "insmod %s map=%s", kmod_path, mode);
    else
        snprintf(command, sizeof command, "modprobe tombolo_uio map=%s", mode);
    return system(command) ? -EIO : 0;
}

int kmod_unload(void)
{
    return syscall(SYS_delete_module, "tombolo_uio", O_NONBLOCK) ? -errno : 0;
}

static bool text_read(const char *path, char *text, size_t bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, bytes - 1);

    if (fd >= 0)
        close(fd);
    if (n < 0)
        return false;
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return true;
}

int kmod_bind(bool bind)
{
    const char *path = bind ? "/sys/bus/pci/drivers/tombolo_uio/bind"
                            : "/sys/bus/pci/drivers/tombolo_uio/unbind";
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t length = strlen(device.pci);
    bool done = fd >= 0 && write(fd, device.pci, length) == (ssize_t)length;

    if (fd >= 0)
        close(fd);
    return done ? 0 : -EIO;
}

/* ---- its devices ---- */

static size_t map_number(const char *uio, unsigned map, const char *what)
{
    char path[128], text[32];

    snprintf(path, sizeof path, "%s/maps/map%u/%s", uio, map, what);
    return text_read(path, text, sizeof text) ? strtoull(text, NULL, 0) : 0;
}

static void device_fill(struct device *found, const char *uio)
{
    char path[128], target[256], text[64];
    ssize_t n;

    found->size = map_number(uio, TMBI_UIO_MAP_REGION, "size");
    found->registers_at = map_number(uio, TMBI_UIO_MAP_REGISTERS, "offset");
    snprintf(path, sizeof path, "%s/device", uio);
    n = readlink(path, target, sizeof target - 1);
    target[n > 0 ? n : 0] = '\0';
    const char *slash = strrchr(target, '/');
    snprintf(found->pci, sizeof found->pci, "%.31s", slash ? slash + 1 : "");
    snprintf(path, sizeof path, "%s/device/" TMBI_UIO_MAPPING, uio);
    if (text_read(path, text, sizeof text))
        sscanf(text, "%15s %31s", found->mode, found->type);
}

static bool uio_take(struct device *found, const char *uio)
{
    char path[128], name[64];
    unsigned number = 0;

    snprintf(path, sizeof path, "%s/name", uio);
    if (!text_read(path, name, sizeof name) ||
        strncmp(name, TMBI_UIO_NAME, strlen(TMBI_UIO_NAME)))
        return false;
    if (sscanf(name, TMBI_UIO_NAME "%u", &number) == 1 && number < VECTORS_MAX)
        found->vectors++;
    else if (strcmp(name, TMBI_UIO_NAME TMBI_UIO_PLAIN))
        return false;
    snprintf(found->paths[number], sizeof found->paths[0], "/dev/%.20s",
             strrchr(uio, '/') + 1);
    device_fill(found, uio);
    return true;
}

int kmod_find(void)
{
    struct device found = {0};
    int count = 0;
    glob_t uios;

    if (glob("/sys/class/uio/uio*", 0, NULL, &uios))
        return -ENODEV;
    for (size_t i = 0; i < uios.gl_pathc; i++)
        count += uio_take(&found, uios.gl_pathv[i]);
    globfree(&uios);
    if (count == 0)
        return -ENODEV;
    device = found;
    return 0;
}

/* ---- a process's way ---- */

void access_open(struct access *access)
{
    memset(access, 0, sizeof *access);
    for (unsigned i = 0; i == 0 || i < device.vectors; i++) {
        access->fds[i] = open(device.paths[i], O_RDWR | O_CLOEXEC | O_NONBLOCK);
        expect(access->fds[i] >= 0);
    }
}

static void *map_at(const struct access *access, size_t bytes, int map)
{
    return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, access->fds[0],
                map * getpagesize());
}

void access_map(struct access *access)
{
    access_map_part(access, device.size);
}

void access_map_part(struct access *access, size_t bytes)
{
    access->bytes = bytes;
    access->region = map_at(access, bytes, TMBI_UIO_MAP_REGION);
    expect(access->region != MAP_FAILED);
    uint8_t *page = map_at(access, (size_t)getpagesize(), TMBI_UIO_MAP_REGISTERS);
    expect(page != MAP_FAILED);
    access->registers = (volatile uint32_t *)(page + device.registers_at);
    access->id = device.vectors ? access->registers[TMBI_IVSHMEM_ID / 4] : 0;
    access->header = (struct tmbi_region_header *)access->region;
    if (access->header->magic == 0)
        region_format(access->region, device.size);
    access->slots = (struct tmbi_slot *)(access->region + access->header->slots_offset);
}

int access_own(const struct access *access, uint32_t slot)
{
    uint32_t word = TMBI_UIO_OWN | slot;

    return write(access->fds[0], &word, sizeof word) == sizeof word ? 0 : -errno;
}

bool access_heard(const struct access *access, unsigned vector, int ms)
{
    struct pollfd wait = {.fd = access->fds[vector], .events = POLLIN};
    int32_t events;

    if (poll(&wait, 1, ms) != 1)
        return false;
    expect(read(access->fds[vector], &events, sizeof events) == sizeof events);
    return true;
}

void access_enter(struct access *access)
{
    access_open(access);
    access_map_part(access, device.size < PART ? device.size : PART);
}

void access_by_sysfs(struct access *access)
{
    char pattern[] = "/sys/bus/pci/devices/*/device", path[160], text[16];
    glob_t devices;
    int fd = -1;

    memset(access, 0, sizeof *access);
    expect(glob(pattern, 0, NULL, &devices) == 0);
    for (size_t i = 0; i < devices.gl_pathc && fd < 0; i++) {
        const char *name = devices.gl_pathv[i];
        if (!text_read(name, text, sizeof text) || strcmp(text, "0x1110"))
            continue;
        snprintf(path, sizeof path, "%.*s/resource2", (int)(strrchr(name, '/') - name),
                 name);
        fd = open(path, O_RDWR | O_CLOEXEC);
    }
    globfree(&devices);
    struct stat status;
    expect(fstat(fd, &status) == 0 && status.st_size > 0);
    device.size = (size_t)status.st_size;
    access->region = mmap(NULL, device.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    expect(access->region != MAP_FAILED);
    close(fd);
    access->header = (struct tmbi_region_header *)access->region;
    access->slots = (struct tmbi_slot *)(access->region + access->header->slots_offset);
}

/* ---- the region ---- */

void region_format(uint8_t *base, size_t size)
{
    struct tmbi_region_header *header = (struct tmbi_region_header *)base;

    header->version = TMBI_REGION_VERSION;
    header->header_bytes = sizeof *header;
    header->size = size;
    header->slots_offset = TMBI_HEADER_BYTES;
    header->slot_count = 64;
    header->page_shift = TMBI_PAGE_SHIFT;
    header->vectors = 1;
    __atomic_store_n(&header->magic, TMBI_REGION_MAGIC, __ATOMIC_RELEASE);
}

static bool slot_change(struct tmbi_slot *slot, uint32_t from, uint32_t to)
{
    return atomic_compare_exchange_strong(&slot->word, &from, to);
}

uint32_t slot_claim(const struct access *access, uint32_t job)
{
    uint32_t i = access->header->slot_count;
    uint32_t claimed = TMBI_SLOT_WORD(TMBI_SLOT_CLAIMED, access->id);

    do
        expect(i-- > 0);
    while (!slot_change(&access->slots[i], TMBI_SLOT_FREE, claimed));
    struct tmbi_slot *slot = &access->slots[i];
    slot->peer_id = access->id;
    slot->epoch++;
    slot->kind = TMBI_SLOT_OWN;
    slot->pid = getpid();
    slot->job = job;
    slot->heartbeat = 0;
    for (uint32_t line = 0; line < TMBI_LINES; line++)
        slot->wake[line].doorbell = access->id << 16 | line;
    slot_state_set(slot, TMBI_SLOT_LIVE);
    return i;
}

void slot_state_set(struct tmbi_slot *slot, uint32_t state)
{
    atomic_store(&slot->word, state ? TMBI_SLOT_WORD(state, slot->epoch) : 0);
}

uint32_t slot_state(const struct tmbi_slot *slot)
{
    return atomic_load(&slot->word) & TMBI_SLOT_STATE_MASK;
}

bool slot_becomes(const struct tmbi_slot *slot, uint32_t state, int ms)
{
    for (; slot_state(slot) != state && ms > 0; ms -= 5)
        usleep(5000);
    return slot_state(slot) == state;
}

/* ---- other processes ---- */

/* Maps the region, owns a slot of the job, says so, and goes on with what is asked. */
struct child owner_start(uint32_t job, child_fn *then)
{
    struct child child;
    int ready[2];

    expect(pipe(ready) == 0);
    child.pid = fork();
    if (child.pid == 0) {
        struct access access;
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a case that fails leaves nobody behind */
        access_enter(&access);
        uint32_t slot = slot_claim(&access, job);
        expect(access_own(&access, slot) == 0);
        expect(write(ready[1], &slot, sizeof slot) == sizeof slot);
        then(&access, slot);
        _exit(0);
    }
    close(ready[1]);
    expect(read(ready[0], &child.slot, sizeof child.slot) == sizeof child.slot);
    close(ready[0]);
    return child;
}

void owner_wait(struct access *access, uint32_t slot)
{
    (void)access;
    (void)slot;
    pause();
}

int child_end(pid_t pid)
{
    int status = -1;

    expect(waitpid(pid, &status, 0) == pid);
    return status;
}

int child_kill(pid_t pid)
{
    expect(kill(pid, SIGKILL) == 0);
    return child_end(pid);
}

void slot_free(const struct access *access, uint32_t slot)
{
    access->slots[slot].job = 0;
    slot_state_set(&access->slots[slot], TMBI_SLOT_FREE);
}
