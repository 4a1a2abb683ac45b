/* SPDX-License-Identifier: BSD-3-Clause */
/* What kmod_check knows of the kernel module: loading it, and its devices. */
#ifndef TEST_VM_KMOD_H
#define TEST_VM_KMOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../../providers/ivshmem/kmod/tombolo_uio.h"
#include "../../../providers/ivshmem/layout.h"

#define VECTORS_MAX 64u

/* The first ivshmem device of this machine. */
struct device {
    char pci[32];     /* its address: 0000:00:04.0 */
    unsigned vectors; /* 0: it is plain */
    char paths[VECTORS_MAX][32];
    size_t size;             /* of the region */
    size_t registers_at;     /* in their page */
    char mode[16], type[32]; /* as the module says */
};

/* A process's way to it. */
struct access {
    int fds[VECTORS_MAX];
    uint8_t *region;
    size_t bytes; /* of it that are mapped */
    volatile uint32_t *registers;
    struct tmbi_region_header *header;
    struct tmbi_slot *slots;
    uint32_t id;
};

extern const char *kmod_path; /* the module's file, or NULL: modprobe knows */

extern struct device device; /* as kmod_find() found it last */

int kmod_load(const char *mode);
int kmod_unload(void); /* 0 or -errno */
int kmod_find(void);   /* fills `device`, or -ENODEV */
int kmod_bind(bool bind);

void access_open(struct access *access);
void access_map(struct access *access);
void access_map_part(struct access *access, size_t bytes);
/* Open `device` and map the first part of the region: filling in page tables takes time.
 */
void access_enter(struct access *access);
/* The region only: without a driver, sysfs gives it to root. */
void access_by_sysfs(struct access *access);
int access_own(const struct access *access, uint32_t slot); /* 0 or -errno */
/* Whether the vector's doorbell was heard within so long; the events are eaten. */
bool access_heard(const struct access *access, unsigned vector, int ms);

/* A region that nobody has formatted gets a header and slots, and nothing else. */
void region_format(uint8_t *base, size_t size);
/* Take a free slot of the region the way a process of this machine would. */
uint32_t slot_claim(const struct access *access, uint32_t job);
void slot_state_set(struct tmbi_slot *slot, uint32_t state);
uint32_t slot_state(const struct tmbi_slot *slot);
bool slot_becomes(const struct tmbi_slot *slot, uint32_t state, int ms);

void slot_free(const struct access *access, uint32_t slot);

struct child {
    pid_t pid;
    uint32_t slot;
};

typedef void child_fn(struct access *access, uint32_t slot);

/* A child that maps the region and owns a slot of that job, and then does as asked. */
struct child owner_start(uint32_t job, child_fn *then);
void owner_wait(struct access *access, uint32_t slot); /* until killed */
int child_kill(pid_t pid);                             /* both give its status */
int child_end(pid_t pid);

/* A case runs in a process of its own, which ends when something isn't as expected. */
enum kmod_needs { KMOD_DOORBELLS = 1, KMOD_PLAIN = 2, KMOD_PAGES = 4 };
struct kmod_case {
    const char *name;
    void (*run)(void);
    unsigned needs;
};
extern const struct kmod_case kmod_map_cases[];
extern const struct kmod_case kmod_owner_cases[];
extern const struct kmod_case kmod_life_cases[];

void expect_at(bool holds, const char *what, int line);
#define expect(condition) expect_at((condition), #condition, __LINE__)

#endif
