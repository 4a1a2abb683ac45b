/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What ranks and `tombolo run` say to each other, over one AF_UNIX stream socketpair
 * per rank (inherited; its number is in TMB_LAUNCH_FD). Rank to launcher: a header,
 * then `bytes` of payload. The launcher answers an EXCHANGE when every rank has sent
 * its own, with a header and size * bytes of payload by rank, or with FAILED (code:
 * negative errno, rank: the first one to blame, payload: all of them for a message, such
 * as "3, 5-7"). A rank whose deadline has come sends GIVE_UP, which fails the exchange
 * for all, and takes the answer. A rank that leaves closes its socket.
 */
#ifndef TMBI_LAUNCH_H
#define TMBI_LAUNCH_H

#include <stdint.h>

#define TMBI_LAUNCH_MAGIC     0x31424d54u /* "TMB1", the version included */
#define TMBI_LAUNCH_BYTES_MAX (64u << 10)
#define TMBI_LAUNCH_BLAME_MAX 128u /* of FAILED's payload; no NUL at its end */

enum tmbi_launch_kind {
    TMBI_LAUNCH_EXCHANGE = 1,
    TMBI_LAUNCH_ABORT = 2,  /* code: exit code; no answer */
    TMBI_LAUNCH_FAILED = 3, /* launcher to rank only */
    TMBI_LAUNCH_GIVE_UP = 4
};

struct tmbi_launch_header {
    uint32_t magic;
    uint32_t kind;
    uint32_t bytes; /* of each rank's payload, or of FAILED's */
    int32_t code;
    int32_t rank;
    uint32_t reserved;
};
_Static_assert(sizeof(struct tmbi_launch_header) == 24, "launch header layout");

#endif
