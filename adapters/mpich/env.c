/* SPDX-License-Identifier: BSD-3-Clause */
#include "env.h"

static const struct tmbi_env_var vars[] = {
    {.name = "TMB_MPICH",
     .type = TMBI_ENV_CHOICE,
     .fallback = "on",
     .choices = "on|off|required",
     .meaning = "Whether MPI's one-sided calls are served here; required: or the job "
                "ends.",
     .field = offsetof(struct tmbm_config, mode)},
    {.name = "TMB_MPICH_REPORT",
     .type = TMBI_ENV_STRING,
     .meaning = "1: MPI_Finalize tells on stderr what was served how; else the file "
                "where it does.",
     .field = offsetof(struct tmbm_config, report)},
};

const struct tmbi_env_table tmbi_mpich_env = {
    .owner = "mpich", .vars = vars, .count = sizeof vars / sizeof *vars};
