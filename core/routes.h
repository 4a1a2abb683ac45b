/* SPDX-License-Identifier: BSD-3-Clause */
/* The routes of this process to all ranks: whether one is missing, and what they are, for
 * people. */
#ifndef TMBI_ROUTES_H
#define TMBI_ROUTES_H

/* How many ranks have none. */
int tmbi_routes_missing(void);

/* 0, or -ENODEV with the ranks that have none, and why, logged. */
int tmbi_routes_check(void);

/*
 * At info: rank 0 logs its whole table, a line for ranks that are alike. What others
 * reach in another way depends on the region that they have, so the first rank of each
 * region, and the first that has none, log in a line what their own routes are.
 */
void tmbi_routes_log(void);

#endif
