/* SPDX-License-Identifier: BSD-3-Clause */
/* The stream to a launcher that speaks PMI-1: a line for each request, and one for its
 * answer. */
#ifndef TMBI_PMI_STREAM_H
#define TMBI_PMI_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../export.h"

#define TMBI_PMI_LINE 4096u

struct tmbi_pmi_stream {
    int fd;
    bool broken; /* an answer is outstanding, or was garbage */
    size_t held; /* bytes in `line` */
    char line[TMBI_PMI_LINE];
};

/* Ask, and wait for the answer, whose command must be `expected`. What is asked ends with
 * a newline. -EREMOTEIO: the answer has an rc that is not 0, and nothing is logged. */
TMBI_TOOL int tmbi_pmi_ask(struct tmbi_pmi_stream *pmi, const char *expected,
                           char answer[TMBI_PMI_LINE], int64_t deadline,
                           const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Send a line, and wait for the next that comes; nothing is logged. -EMSGSIZE: that is
 * longer than a line. */
int tmbi_pmi_exchange(struct tmbi_pmi_stream *pmi, const char *asked, size_t bytes,
                      char answer[TMBI_PMI_LINE], int64_t deadline);

/* The stream is of no more use: log why, and return it. */
int tmbi_pmi_gone(struct tmbi_pmi_stream *pmi, int rc);

/* An answer makes no sense: say so, and ask nothing more. -EPROTO. */
TMBI_TOOL int tmbi_pmi_garbage(struct tmbi_pmi_stream *pmi, const char *asked,
                               const char *answer);

#endif
