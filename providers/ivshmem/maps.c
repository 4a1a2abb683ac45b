/* SPDX-License-Identifier: BSD-3-Clause */
#include "maps.h"

#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "../../core/provider.h"

bool tmbi_mapping_parse(char *line, struct tmbi_mapping *mapping)
{
    int name = -1;

    line[strcspn(line, "\n")] = '\0';
    int found = sscanf(line,
                       "%" SCNxPTR "-%" SCNxPTR " %4s %" SCNx64 " %" SCNx32 ":%" SCNx32
                       " %" SCNu64 " %n",
                       &mapping->start, &mapping->end, mapping->access, &mapping->offset,
                       &mapping->major, &mapping->minor, &mapping->inode, &name);
    if (found != 7 || name < 0 || strlen(mapping->access) != 4 ||
        mapping->start >= mapping->end)
        return false;
    mapping->name = line + name;
    return true;
}

int tmbi_mappings_each(uintptr_t start, uintptr_t end, tmbi_mapping_take *take, void *arg)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    struct tmbi_mapping mapping;
    char *line = NULL;
    size_t room = 0;
    int status = 0;

    if (!maps)
        return -errno;
    while (getline(&line, &room, maps) > 0) {
        if (!tmbi_mapping_parse(line, &mapping)) {
            status = -EPROTO;
            break;
        }
        if (mapping.start >= end)
            break;
        if (mapping.end > start && !take(&mapping, arg))
            break;
    }
    if (ferror(maps))
        status = -EIO;
    free(line);
    fclose(maps);
    return status;
}

/* ---- what may be replaced ---- */

struct range {
    uintptr_t start, end;
};

struct survey {
    uintptr_t at;    /* what lies before is all right */
    const char *why; /* what is there is not */
};

static bool holds(const struct tmbi_mapping *mapping, const void *address)
{
    return (uintptr_t)address >= mapping->start && (uintptr_t)address < mapping->end;
}

static bool is_huge(const char *path)
{
    struct statfs file_system;

    return !statfs(path, &file_system) && file_system.f_type == HUGETLBFS_MAGIC;
}

/* A file's pages of which the process has its own copies: data of programs and libraries.
 * What has no name any more could be of any kind. */
static const char *file_objection(const char *path)
{
    static const char deleted[] = " (deleted)";
    size_t length = strlen(path);

    if (*path != '/' || !strncmp(path, "/dev/", 5))
        return "it is a device's";
    if (length >= sizeof deleted - 1 &&
        !strcmp(path + length - (sizeof deleted - 1), deleted))
        return "its file has been deleted";
    return is_huge(path) ? "it is of huge pages" : NULL;
}

static const char *objection(const struct tmbi_mapping *mapping)
{
    if (holds(mapping, &tmbi_threads)) /* in a static program: our threads write there */
        return "it is with this library's own data";
    if (strcmp(mapping->access, "rw-p"))
        return mapping->access[3] == 's' ? "it is shared already"
                                         : "it is not readable and writable only";
    if (mapping->inode)
        return file_objection(mapping->name);
    if (!*mapping->name || !strcmp(mapping->name, "[heap]") ||
        !strncmp(mapping->name, "[anon:", 6))
        return NULL;
    return "it is of a kind of its own";
}

static bool overlaps(const struct range *range, const void *at, size_t bytes)
{
    return range->start < (uintptr_t)at + bytes && (uintptr_t)at < range->end;
}

/* A program may switch to stacks of its own making; this one's frames are near then. */
static bool is_of_stack(const struct range *range)
{
    enum { NEAR = 65536 }; /* bytes */
    const uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    pthread_attr_t attributes;
    size_t bytes;
    void *at;

    if (pthread_getattr_np(pthread_self(), &attributes))
        return true; /* not known: rather not */
    pthread_attr_getstack(&attributes, &at, &bytes);
    pthread_attr_destroy(&attributes);
    if (overlaps(range, at, bytes))
        return true;
    return frame - (uintptr_t)at >= bytes &&
           overlaps(range, (void *)(frame - NEAR), (size_t)2 * NEAR);
}

static int module_variables(struct dl_phdr_info *module, size_t size, void *arg)
{
    (void)size;
    for (int i = 0; module->dlpi_tls_data && i < module->dlpi_phnum; i++)
        if (module->dlpi_phdr[i].p_type == PT_TLS &&
            overlaps(arg, module->dlpi_tls_data, module->dlpi_phdr[i].p_memsz))
            return 1;
    return 0;
}

/* By addresses: the kernel makes one mapping of all private memory that lies side by
 * side, so that a program's own may be in that of the thread's variables or stack. */
static const char *thread_objection(struct range *range)
{
    enum { DESCRIPTOR_BYTES = 2048 }; /* struct pthread is not smaller */

    if (is_of_stack(range))
        return "it is of a stack";
    if (overlaps(range, (void *)pthread_self(), DESCRIPTOR_BYTES) ||
        dl_iterate_phdr(module_variables, range))
        return "it is with this thread's own variables";
    return NULL;
}

static bool survey_take(const struct tmbi_mapping *mapping, void *arg)
{
    struct survey *survey = arg;

    survey->why =
        mapping->start > survey->at ? "not all of it is mapped" : objection(mapping);
    survey->at = mapping->end;
    return !survey->why;
}

/* Numbers of /proc/self/status; the most that there could be where it has none. */
struct status {
    uint64_t locked, pinned, threads;
};

static void status_line(const char *line, const char *key, uint64_t *number)
{
    size_t length = strlen(key);

    if (!strncmp(line, key, length) && sscanf(line + length, ": %" SCNu64, number) != 1)
        *number = UINT64_MAX;
}

static struct status status_read(void)
{
    struct status found = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
    FILE *status = fopen("/proc/self/status", "re");
    char *line = NULL;
    size_t room = 0;

    while (status && getline(&line, &room, status) > 0) {
        status_line(line, "VmLck", &found.locked);
        status_line(line, "VmPin", &found.pinned);
        status_line(line, "Threads", &found.threads);
    }
    free(line);
    if (status)
        fclose(status);
    return found;
}

/* Which memory it is would take long to find out, and is hardly ever worth it. */
static const char *locked_objection(void)
{
    const struct status status = status_read();

    if (status.locked)
        return "the process has locked memory";
    return status.pinned ? "the process has memory registered with devices" : NULL;
}

bool tmbi_memory_replaceable(uintptr_t start, uintptr_t end, const char **why)
{
    struct range range = {start, end};
    struct survey survey = {.at = start};

    *why = locked_objection();
    if (!*why)
        *why = thread_objection(&range);
    if (*why)
        return false;
    if (tmbi_mappings_each(start, end, survey_take, &survey))
        survey.why = "/proc/self/maps can't be read";
    else if (!survey.why && survey.at < end)
        survey.why = "not all of it is mapped";
    *why = survey.why;
    return !survey.why;
}

int tmbi_threads_count(void)
{
    uint64_t count = status_read().threads;

    return count <= INT32_MAX ? (int)count : INT32_MAX;
}
