/* SPDX-License-Identifier: BSD-3-Clause */
/* ivshmem devices of this machine, and what sysfs says of them. */
#ifndef TMBI_PCI_H
#define TMBI_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TMBI_PCI_DEVICES       "/sys/bus/pci/devices"
#define TMBI_PCI_ADDRESS_BYTES 32 /* "0000:00:04.0" */

/* The first line of a file in sysfs, without its end; or the number that it is. */
bool tmbi_sysfs_line(const char *path, char *line, size_t bytes);
bool tmbi_sysfs_number(const char *path, uint64_t *number);

/* The ivshmem device of the lowest address, or the one that is wanted. */
bool tmbi_pci_find(const char *wanted, char address[TMBI_PCI_ADDRESS_BYTES]);

#endif
