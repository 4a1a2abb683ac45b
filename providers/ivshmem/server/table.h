/* SPDX-License-Identifier: BSD-3-Clause */
/* The server's clients, in the order of their IDs, which is that of their coming. */
#ifndef TMBI_SERVER_TABLE_H
#define TMBI_SERVER_TABLE_H

#include "client.h"

struct tmbi_table {
    struct tmbi_client **at;
    uint32_t count, room;
};

/* Make room for one more. -ENOMEM. */
int tmbi_table_reserve(struct tmbi_table *table);
/* Its ID is higher than all others'; room was reserved. */
void tmbi_table_append(struct tmbi_table *table, struct tmbi_client *client);
void tmbi_table_remove(struct tmbi_table *table, const struct tmbi_client *client);
/* As a tmbi_client_find, whose argument is the table. */
struct tmbi_client *tmbi_table_find(void *table, uint32_t id);
/* With all clients that are in it. */
void tmbi_table_free(struct tmbi_table *table);

#endif
