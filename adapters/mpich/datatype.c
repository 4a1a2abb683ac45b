/* SPDX-License-Identifier: BSD-3-Clause */
/* MPI datatypes taken apart. */
#include "datatype.h"
