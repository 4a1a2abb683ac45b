/* SPDX-License-Identifier: BSD-3-Clause */
/* For cases that are about the kernel itself. After cmocka.h. */
#ifndef TEST_UNIT_ANOTHER_H
#define TEST_UNIT_ANOTHER_H

#include <stdlib.h>
#include <string.h>

/* Valgrind has memory of its own beside the program's, and an emulator's threads and
 * faults are not the kernel's. */
static inline void not_under_another(void)
{
    const char *variant = getenv("VARIANT");

    if (variant && (!strcmp(variant, "valgrind") || !strcmp(variant, "arm64"))) {
        print_message("memory and faults are not the kernel's under %s\n", variant);
        skip();
    }
}

#endif
