/* SPDX-License-Identifier: BSD-3-Clause */
/* The ranks' output, line by line, each behind its rank. */
#ifndef TMBI_OUTPUT_H
#define TMBI_OUTPUT_H

#include <stdbool.h>

#include "../bootstrap/loop.h"

struct tmbi_output;

int tmbi_output_open(struct tmbi_output **output, struct tmbi_loop *loop, int first,
                     int size);
void tmbi_output_close(struct tmbi_output *output);

/* Make a rank's pipes; stdio[1] and stdio[2] are the rank's ends, the caller's to close.
 */
int tmbi_output_join(struct tmbi_output *output, int rank, int stdio[3]);

/* Whether everything that ranks wrote has been passed on, and their ends are closed. */
bool tmbi_output_done(const struct tmbi_output *output);

#endif
