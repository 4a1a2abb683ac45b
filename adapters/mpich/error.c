/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "adapter.h"

int tmbm_raise(MPI_Win win, int error_class)
{
    const struct tmbm_win *known = tmbm_win_find(win);

    if (error_class == MPI_SUCCESS)
        return MPI_SUCCESS;
    if (known && tmbm_freed(known)) {
        PMPI_Comm_call_errhandler(MPI_COMM_WORLD, MPI_ERR_WIN);
        return MPI_ERR_WIN;
    }
    PMPI_Win_call_errhandler(win, error_class);
    return error_class;
}

int tmbm_class(int rc)
{
    switch (rc) {
    case 0:
    case -EOWNERDEAD: /* held; the job of a rank that died is ending */
        return MPI_SUCCESS;
    case -ENOMEM:
        return MPI_ERR_NO_MEM;
    case -ERANGE:
        return MPI_ERR_RMA_RANGE;
    case -EINVAL:
        return MPI_ERR_ARG;
    default: /* -EHOSTDOWN, -ETIMEDOUT: the log has said which rank */
        return MPI_ERR_OTHER;
    }
}
