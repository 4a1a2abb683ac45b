/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the cases of adapters. */
#ifndef ADAPTER_H
#define ADAPTER_H

#include "../../core/adapter.h"
#include "suite.h"

/* The handler of all cases, by what the first argument says. */
tmbi_adapter_handler adapter_answer;

#endif
