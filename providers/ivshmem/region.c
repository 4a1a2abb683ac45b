/* SPDX-License-Identifier: BSD-3-Clause */
/* Formatting, checking and mapping the region. */
#include "region.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../core/log.h"

#define JOBS_DEFAULT 256u

static uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

/* Where everything lies, from the region's size and its number of slots. */
static void geometry_plan(struct tmbi_region_header *header, uint64_t size,
                          uint32_t slot_count)
{
    uint64_t pages = size >> TMBI_PAGE_SHIFT;

    header->size = size;
    header->page_shift = TMBI_PAGE_SHIFT;
    header->slot_count = slot_count;
    header->job_count = slot_count < JOBS_DEFAULT ? slot_count : JOBS_DEFAULT;
    header->slots_offset = TMBI_HEADER_BYTES;
    header->jobs_offset = header->slots_offset + slot_count * sizeof(struct tmbi_slot);
    header->map_offset =
        header->jobs_offset + header->job_count * sizeof(struct tmbi_job_entry);
    header->heap_offset =
        round_up(header->map_offset + pages * sizeof(tmbi_page_owner), TMBI_PAGE_BYTES);
    header->page_count = (uint32_t)((size - header->heap_offset) >> TMBI_PAGE_SHIFT);
}

/* At most an eighth of a small region goes into slots. */
static uint32_t slots_fit(uint64_t size, uint32_t wanted)
{
    uint64_t most = size / 8 / sizeof(struct tmbi_slot);

    wanted = wanted ? wanted : 1024;
    wanted = wanted < TMBI_SLOTS_MAX ? wanted : TMBI_SLOTS_MAX;
    return wanted < most ? wanted : (uint32_t)most;
}

static int size_check(uint64_t size)
{
    if (size >= TMBI_REGION_MIN && size <= TMBI_REGION_MAX && !(size & (size - 1)))
        return 0;
    tmbi_error("region: size %" PRIu64 " must be a power of two from 1M to 1T", size);
    return -EINVAL;
}

int tmbi_region_format(uint8_t *base, uint64_t size, uint32_t vectors,
                       uint32_t slot_count)
{
    struct tmbi_region_header *header = (struct tmbi_region_header *)base;

    if (size_check(size))
        return -EINVAL;
    geometry_plan(header, size, slots_fit(size, slot_count));
    header->version = TMBI_REGION_VERSION;
    header->header_bytes = sizeof(*header);
    header->vectors = vectors;
    header->server_pid = (uint32_t)getpid();
    if (getrandom(header->uuid, sizeof(header->uuid), 0) != sizeof(header->uuid))
        return -EIO;
    /* release: whoever sees the magic sees the rest; partner in tmbi_region_attach() */
    atomic_store_explicit((_Atomic uint64_t *)&header->magic, TMBI_REGION_MAGIC,
                          memory_order_release);
    return 0;
}

/* ---- memory that no server formats ---- */

#define WORDS      (offsetof(struct tmbi_region_header, reserved0) / sizeof(uint64_t))
#define WORD_MAGIC 0
#define WORD_UUID  3 /* and the next */
_Static_assert(offsetof(struct tmbi_region_header, uuid) == WORD_UUID * 8,
               "header words");

static bool word_is_uuid(size_t word)
{
    return word == WORD_UUID || word == WORD_UUID + 1;
}

bool tmbi_region_formed(const uint8_t *base)
{
    /* acquire: partner is the release in header_settle() and tmbi_region_format() */
    return atomic_load_explicit((const _Atomic uint64_t *)base + WORD_MAGIC,
                                memory_order_acquire) == TMBI_REGION_MAGIC;
}

/* The first word that is neither zero nor what is going to be there, or `end`. */
static uint64_t foreign_find(const _Atomic uint64_t *words, const uint64_t *plan,
                             uint64_t end)
{
    for (uint64_t i = 0; i < end; i++) {
        uint64_t found = atomic_load_explicit(&words[i], memory_order_relaxed);

        if (found && (i >= WORDS || (found != plan[i] && !word_is_uuid(i))))
            return i;
    }
    return end;
}

/* All who do this at once write the same, and nothing over anything: each word, but for
 * the magic, first, the version as the first of them. */
static bool header_settle(_Atomic uint64_t *words, const uint64_t *plan)
{
    for (size_t i = 1; i <= WORDS; i++) {
        size_t at = i < WORDS ? i : WORD_MAGIC;
        uint64_t found = 0;

        /* release: whoever sees the magic sees the rest */
        if (!atomic_compare_exchange_strong_explicit(&words[at], &found, plan[at],
                                                     memory_order_acq_rel,
                                                     memory_order_acquire) &&
            found != plan[at] && !word_is_uuid(at))
            return false;
    }
    return true;
}

int tmbi_region_form(uint8_t *base, uint64_t size, const char *name)
{
    _Atomic uint64_t *words = (_Atomic uint64_t *)base;
    struct tmbi_region_header plan = {.magic = TMBI_REGION_MAGIC,
                                      .version = TMBI_REGION_VERSION,
                                      .header_bytes = sizeof(plan)};

    if (size_check(size))
        return -EPROTO;
    if (tmbi_region_formed(base))
        return 0;
    geometry_plan(&plan, size, slots_fit(size, 0));
    if (getrandom(plan.uuid, sizeof(plan.uuid), 0) != sizeof(plan.uuid))
        return -EIO;
    uint64_t end = plan.heap_offset / sizeof(*words);
    uint64_t foreign = foreign_find(words, (const uint64_t *)&plan, end);
    /* acquire: who writes behind the header has seen the magic before */
    atomic_thread_fence(memory_order_acquire);
    if (tmbi_region_formed(base) ||
        (foreign == end && header_settle(words, (const uint64_t *)&plan)))
        return 0;
    tmbi_error("%s: holds neither zeros nor a region of this version (byte %" PRIu64
               "), and is left alone: fill it with zeros if nobody needs what is there",
               name, (foreign == end ? 1 : foreign) * sizeof(*words));
    return -EPROTO;
}

static bool table_fits(uint64_t offset, uint64_t count, uint64_t bytes, uint64_t end)
{
    return offset >= TMBI_HEADER_BYTES && offset % 64 == 0 && offset <= end &&
           count <= (end - offset) / bytes;
}

static bool geometry_sane(const struct tmbi_region_header *h, uint64_t size)
{
    return h->size == size && h->header_bytes == sizeof(*h) &&
           h->page_shift == TMBI_PAGE_SHIFT && h->vectors <= 64 && h->slot_count >= 1 &&
           h->slot_count <= TMBI_SLOTS_MAX && h->job_count >= 1 &&
           h->job_count <= TMBI_JOBS_MAX && h->page_count >= 1 &&
           h->heap_offset % TMBI_PAGE_BYTES == 0 &&
           table_fits(h->slots_offset, h->slot_count, sizeof(struct tmbi_slot),
                      h->jobs_offset) &&
           table_fits(h->jobs_offset, h->job_count, sizeof(struct tmbi_job_entry),
                      h->map_offset) &&
           table_fits(h->map_offset, h->page_count, sizeof(tmbi_page_owner),
                      h->heap_offset) &&
           table_fits(h->heap_offset, h->page_count, TMBI_PAGE_BYTES, size);
}

static void region_fill(struct tmbi_region *region, uint8_t *base,
                        const struct tmbi_region_header *h)
{
    *region = (struct tmbi_region){
        .base = base,
        .size = h->size,
        .header = (struct tmbi_region_header *)base,
        .slots = (struct tmbi_slot *)(base + h->slots_offset),
        .jobs = (struct tmbi_job_entry *)(base + h->jobs_offset),
        .pages = (tmbi_page_owner *)(base + h->map_offset),
        .heap = base + h->heap_offset,
        .heap_offset = h->heap_offset,
        .slot_count = h->slot_count,
        .job_count = h->job_count,
        .page_count = h->page_count,
        .vectors = h->vectors,
    };
    memcpy(region->uuid, h->uuid, sizeof(region->uuid));
}

int tmbi_region_attach(struct tmbi_region *region, uint8_t *base, uint64_t size)
{
    struct tmbi_region_header header;
    uint64_t magic = 0;

    if (size < TMBI_REGION_MIN) {
        tmbi_error("region: %" PRIu64 " bytes are too few: at least 1M", size);
        return -EPROTO;
    }
    /* acquire: partner in tmbi_region_format() */
    magic = atomic_load_explicit((_Atomic uint64_t *)base, memory_order_acquire);
    memcpy(&header, base, sizeof(header));
    if (magic != TMBI_REGION_MAGIC) {
        tmbi_error("region: magic %#" PRIx64 ": not a region that `tombolo server` made",
                   magic);
        return -EPROTO;
    }
    if (header.version != TMBI_REGION_VERSION) {
        tmbi_error("region: layout version %u, this library knows %u: use the server and "
                   "the library of one version",
                   header.version, TMBI_REGION_VERSION);
        return -EPROTO;
    }
    if (!geometry_sane(&header, size)) {
        tmbi_error("region: its header does not fit its %" PRIu64 " bytes: damaged",
                   size);
        return -EPROTO;
    }
    region_fill(region, base, &header);
    return 0;
}

int tmbi_region_map(struct tmbi_region *region, int fd)
{
    struct stat status;
    uint8_t *base;
    uint64_t size;
    int rc;

    if (fstat(fd, &status)) {
        rc = -errno;
        tmbi_error("region: its size can't be read: %s", strerror(errno));
        return rc;
    }
    size = (uint64_t)status.st_size;
    if (size < TMBI_REGION_MIN || size > TMBI_REGION_MAX) {
        tmbi_error("region: %" PRIu64 " bytes: must be 1M to 1T", size);
        return -EPROTO;
    }
    base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        rc = -errno;
        tmbi_error("region: %" PRIu64 " bytes can't be mapped: %s", size,
                   strerror(errno));
        return rc;
    }
    rc = tmbi_region_attach(region, base, size);
    if (rc)
        munmap(base, size);
    return rc;
}

void tmbi_region_unmap(struct tmbi_region *region)
{
    munmap(region->base, region->size);
    region->base = NULL;
}

int tmbi_region_private(struct tmbi_region *region, uint64_t size, int *result)
{
    uint8_t *base;
    uint32_t slot;
    int rc;
    int fd = memfd_create("tombolo-private", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)size)) {
        rc = -errno;
        tmbi_error("region: %" PRIu64 " bytes of private memory: %s", size,
                   strerror(errno));
        goto close_fd;
    }
    base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        rc = -errno;
        tmbi_error("region: %" PRIu64 " bytes can't be mapped: %s", size,
                   strerror(errno));
        goto close_fd;
    }
    rc = tmbi_region_format(base, size, 2, 1);
    if (rc == 0)
        rc = tmbi_region_attach(region, base, size);
    if (rc == 0)
        rc = tmbi_slot_claim(region, 0, 0, getpid(), &slot);
    if (rc)
        goto unmap;
    *result = fd;
    return 0;

unmap:
    munmap(base, size);
close_fd:
    if (fd >= 0)
        close(fd);
    return rc;
}

void *tmbi_region_at(const struct tmbi_region *region, uint64_t offset, uint64_t bytes)
{
    uint64_t end =
        region->heap_offset + ((uint64_t)region->page_count << TMBI_PAGE_SHIFT);

    if (offset < region->heap_offset || offset > end || bytes > end - offset)
        return NULL;
    return region->base + offset;
}

uint64_t tmbi_region_offset(const struct tmbi_region *region, const void *at)
{
    return (uint64_t)((const uint8_t *)at - region->base);
}
