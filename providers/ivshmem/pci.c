/* SPDX-License-Identifier: BSD-3-Clause */
#include "pci.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VENDOR 0x1af4
#define DEVICE 0x1110

bool tmbi_sysfs_line(const char *path, char *line, size_t bytes)
{
    FILE *file = fopen(path, "re");
    bool got = file && fgets(line, (int)bytes, file);

    if (file)
        fclose(file);
    if (got)
        line[strcspn(line, "\n")] = '\0';
    return got;
}

bool tmbi_sysfs_number(const char *path, uint64_t *number)
{
    char line[32], *end;

    if (!tmbi_sysfs_line(path, line, sizeof line))
        return false;
    *number = strtoull(line, &end, 0);
    return end > line && !*end;
}

static bool device_has(const char *address, const char *name, uint64_t wanted)
{
    char path[PATH_MAX];
    uint64_t number;

    snprintf(path, sizeof path, TMBI_PCI_DEVICES "/%.31s/%s", address, name);
    return tmbi_sysfs_number(path, &number) && number == wanted;
}

bool tmbi_pci_find(const char *wanted, char address[TMBI_PCI_ADDRESS_BYTES])
{
    DIR *directory = opendir(TMBI_PCI_DEVICES);
    struct dirent *at;

    *address = '\0';
    while (directory && (at = readdir(directory)))
        if ((wanted ? !strcmp(at->d_name, wanted)
                    : !*address || strcmp(at->d_name, address) < 0) &&
            device_has(at->d_name, "vendor", VENDOR) &&
            device_has(at->d_name, "device", DEVICE))
            snprintf(address, TMBI_PCI_ADDRESS_BYTES, "%.31s", at->d_name);
    if (directory)
        closedir(directory);
    return *address;
}
