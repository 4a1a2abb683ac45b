/* SPDX-License-Identifier: BSD-3-Clause */
/* What MPI_Init finds out before anything is served. */
#ifndef TMBM_START_H
#define TMBM_START_H

#include <stdbool.h>
#include <stddef.h>

/* ---- library.c: which MPI this is ---- */

/* Whether it is the MPICH that this was built for; if not, `why` says what is amiss. Ends
 * the process if it is an MPI whose handles aren't MPICH's: its programs can't even be
 * let through. */
bool tmbm_library_check(char *why, size_t bytes);

/* ---- marks.c: who else has this library ---- */

/* Before PMPI_Init: tell the launcher that this process has the adapter. */
void tmbm_mark_put(void);

/* After PMPI_Init: whether all of MPI_COMM_WORLD have it, in this version; otherwise one
 * of those who have it says who doesn't. Collective over those who have put a mark. */
bool tmbm_marks_agree(int rank, int size);

#endif
