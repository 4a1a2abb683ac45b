/* SPDX-License-Identifier: BSD-3-Clause */
/* The adapter's variables. They are part of libtombolo, whose programs know them when
 * they meet them, and so need no mpi.h. */
#ifndef TMBM_ENV_H
#define TMBM_ENV_H

#include "../../core/env.h"

enum tmbm_mode { TMBM_ON, TMBM_OFF, TMBM_REQUIRED };

struct tmbm_config {
    int mode;           /* TMB_MPICH: enum tmbm_mode */
    const char *report; /* TMB_MPICH_REPORT */
};
TMBI_TOOL extern const struct tmbi_env_table tmbi_mpich_env;

#endif
