/* SPDX-License-Identifier: BSD-3-Clause */
/* The back ends that tmbi_bootstrap_open() chooses from. */
#ifndef TMBI_BACKENDS_H
#define TMBI_BACKENDS_H

#include "bootstrap.h"

extern const struct tmbi_bootstrap_ops tmbi_bootstrap_run; /* ranks of `tombolo run` */
extern const struct tmbi_bootstrap_ops tmbi_bootstrap_rendezvous; /* a port of rank 0 */
extern const struct tmbi_bootstrap_ops tmbi_bootstrap_pmi;        /* ranks of mpiexec */
extern const struct tmbi_bootstrap_ops tmbi_bootstrap_pmix;       /* of a PMIx launcher */
extern const struct tmbi_bootstrap_ops tmbi_bootstrap_single;     /* a job of one */

#endif
