/* SPDX-License-Identifier: BSD-3-Clause */
/* MPI's predefined operations. */
#include "operator.h"
