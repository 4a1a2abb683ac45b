/* SPDX-License-Identifier: BSD-3-Clause */
/* What the programs that let ranks die share: each is a table of cases, run one at a time
 * by name. Rank 1 is the one that suffers; the others look at the clock. */
#ifndef FAULT_H
#define FAULT_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tombolo.h"

#define SECOND INT64_C(1000000000)
#define VICTIM 1
/* Keeps what the others are to know of deaths: not all routes reach a dead rank's memory.
 */
#define KEEPER 0
/* No test of speed: within this a death is noticed on any machine, however busy. */
#define BOUND (10 * SECOND)

extern int me, size;
extern int thread_level; /* for tmb_init(): TMB_THREAD_SINGLE unless changed */

#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition))                                                                \
            fault_fail(__FILE__, __LINE__, #condition);                                  \
    } while (0)
#define EXPECT(call, wanted) fault_expect((call), (wanted), __FILE__, __LINE__, #call)
#define OK(call)             EXPECT(call, 0)

_Noreturn void fault_fail(const char *file, int line, const char *text);
void fault_expect(int got, int wanted, const char *file, int line, const char *text);

int64_t now(void);
void pause_ms(long ms);

/* Whether a rank is known to be dead, without acknowledging it. */
bool is_dead(int rank);
void until_dead(int rank);

/* The victim notes when it dies, in memory that the others map; the others note how long
 * after that they came to know. */
void deaths_open(void);
void deaths_close(void);
/* As a barrier, but no collective: who is in it has left all collectives before, and is
 * not told of a death by one that he was about to leave. */
void gather(void);
_Noreturn void die(void);
void death_noticed(const char *by);

/* All but the victim, in the order of their ranks. */
tmb_team *survivors(void);

struct fault_case {
    const char *name;
    void (*run)(void);
    int end; /* what tmb_finalize() says */
};

/* Run the case that the first argument names, between tmb_init() and tmb_finalize(). */
int fault_main(int argc, char **argv, const struct fault_case *cases);

#endif
