/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel says of this process's memory and threads. */
#ifndef TMBI_MAPS_H
#define TMBI_MAPS_H

#include <stdbool.h>
#include <stdint.h>

/* A line of /proc/self/maps. */
struct tmbi_mapping {
    uintptr_t start, end;
    char access[5];  /* "rw-p" */
    uint64_t offset; /* in the file */
    uint32_t major, minor;
    uint64_t inode;   /* 0: no file */
    const char *name; /* path, "[heap]" or the like, or ""; of the line */
};

/* Parse a line, which is changed, and must stay as long as `mapping`. */
bool tmbi_mapping_parse(char *line, struct tmbi_mapping *mapping);

/* Called for each mapping that overlaps [start, end), in ascending order, until it
 * returns false. -errno: they can't be read. */
typedef bool tmbi_mapping_take(const struct tmbi_mapping *mapping, void *arg);
int tmbi_mappings_each(uintptr_t start, uintptr_t end, tmbi_mapping_take *take,
                       void *arg);

/*
 * Whether all of [start, end) is private memory of the process, readable and writable,
 * whose pages others can stand in for: no stack of the caller's, nothing of a device's,
 * no huge pages, nothing locked or registered with devices. If not, *why says so.
 */
bool tmbi_memory_replaceable(uintptr_t start, uintptr_t end, const char **why);

/* How many threads this process has; INT32_MAX if that can't be found out. */
int tmbi_threads_count(void);

#endif
