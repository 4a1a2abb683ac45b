/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int compare_id(const void *key, const void *element)
{
    uint32_t id = *(const uint32_t *)key;
    const struct tmbi_client *client = *(struct tmbi_client *const *)element;

    return id < client->id ? -1 : id > client->id;
}

int tmbi_table_reserve(struct tmbi_table *table)
{
    uint32_t room = table->room ? table->room * 2 : 64;
    struct tmbi_client **at;

    if (table->count < table->room)
        return 0;
    at = realloc(table->at, room * sizeof(struct tmbi_client *));
    if (!at)
        return -ENOMEM;
    table->at = at;
    table->room = room;
    return 0;
}

void tmbi_table_append(struct tmbi_table *table, struct tmbi_client *client)
{
    table->at[table->count++] = client;
}

void tmbi_table_remove(struct tmbi_table *table, const struct tmbi_client *client)
{
    uint32_t i = 0;

    while (table->at[i] != client)
        i++;
    table->count--;
    memmove(&table->at[i], &table->at[i + 1],
            (table->count - i) * sizeof(struct tmbi_client *));
}

struct tmbi_client *tmbi_table_find(void *arg, uint32_t id)
{
    const struct tmbi_table *table = arg;
    struct tmbi_client **found = NULL;

    if (table->count)
        found = bsearch(&id, table->at, table->count, sizeof(struct tmbi_client *),
                        compare_id);
    return found ? *found : NULL;
}

void tmbi_table_free(struct tmbi_table *table)
{
    for (uint32_t i = 0; i < table->count; i++)
        tmbi_client_free(table->at[i]);
    free(table->at);
}
