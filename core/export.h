/* SPDX-License-Identifier: BSD-3-Clause */
/* Marks what the `tombolo` command uses of the library's inside. Exported under the
 * version TOMBOLO_PRIVATE, for the command of the same build; no promise is made. */
#ifndef TMBI_EXPORT_H
#define TMBI_EXPORT_H

#define TMBI_TOOL __attribute__((visibility("default")))

#endif
