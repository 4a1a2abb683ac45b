/* SPDX-License-Identifier: BSD-3-Clause */
#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../core/log.h"

#define NAME_BYTES 40
#define BELLS_MAX  64u

/* "region", "listener", and for each client "client-ID-socket" and "client-ID-VECTOR". */
static void socket_name(char name[NAME_BYTES], uint32_t id)
{
    snprintf(name, NAME_BYTES, "client-%u-socket", id);
}

static void bell_name(char name[NAME_BYTES], uint32_t id, uint32_t vector)
{
    snprintf(name, NAME_BYTES, "client-%u-%u", id, vector);
}

void tmbi_store_server(const struct tmbi_keeper *keeper, int region, int listener)
{
    if (!keeper)
        return;
    keeper->keep("region", region);
    keeper->keep("listener", listener);
}

void tmbi_store_client(const struct tmbi_keeper *keeper, const struct tmbi_client *client)
{
    char name[NAME_BYTES];

    if (!keeper)
        return;
    for (uint32_t i = 0; i < client->vectors; i++) {
        bell_name(name, client->id, i);
        keeper->keep(name, client->bells[i]);
    }
    socket_name(name, client->id); /* last: then all of it is there */
    keeper->keep(name, client->socket);
}

void tmbi_store_forget(const struct tmbi_keeper *keeper, const struct tmbi_client *client)
{
    char name[NAME_BYTES];

    if (!keeper)
        return;
    socket_name(name, client->id);
    keeper->forget(name);
    for (uint32_t i = 0; i < client->vectors; i++) {
        bell_name(name, client->id, i);
        keeper->forget(name);
    }
}

/* ---- what the former server left ---- */

static void fd_replace(int *to, int fd)
{
    if (*to >= 0)
        close(*to);
    *to = fd;
}

static struct tmbi_stored_client *client_of(struct tmbi_stored *stored, uint32_t id)
{
    struct tmbi_stored_client *client = stored->clients;
    struct tmbi_stored_client *end = client + stored->client_count;

    while (client < end && client->id != id)
        client++;
    if (client == end) {
        *client = (struct tmbi_stored_client){.id = id, .socket = -1};
        memset(client->bells, -1, sizeof client->bells);
        stored->client_count++;
    }
    return client;
}

/* Where a descriptor of that name belongs, or NULL. */
static int *place_of(struct tmbi_stored *stored, const char *name)
{
    unsigned id, vector;
    int end = 0;

    if (!strcmp(name, "region"))
        return &stored->region;
    if (!strcmp(name, "listener"))
        return &stored->listener;
    if (sscanf(name, "client-%u-socket%n", &id, &end) == 1 && end && !name[end])
        return &client_of(stored, id)->socket;
    end = 0;
    if (sscanf(name, "client-%u-%u%n", &id, &vector, &end) == 2 && !name[end] &&
        vector < BELLS_MAX)
        return &client_of(stored, id)->bells[vector];
    return NULL;
}

static int by_id(const void *a, const void *b)
{
    uint32_t left = ((const struct tmbi_stored_client *)a)->id;
    uint32_t right = ((const struct tmbi_stored_client *)b)->id;

    return left < right ? -1 : left > right;
}

int tmbi_stored_read(struct tmbi_stored *stored, const struct tmbi_keeper *keeper)
{
    *stored = (struct tmbi_stored){.region = -1, .listener = -1};
    if (!keeper || !keeper->count)
        return 0;
    stored->clients = calloc(keeper->count, sizeof *stored->clients);
    if (!stored->clients)
        return -ENOMEM;
    for (size_t i = 0; i < keeper->count; i++) {
        int *place = place_of(stored, keeper->names[i]);
        if (place) {
            fd_replace(place, keeper->fds[i]);
        } else {
            tmbi_warn("server: was handed a descriptor called %s, which is not ours",
                      keeper->names[i]);
            close(keeper->fds[i]);
        }
    }
    qsort(stored->clients, stored->client_count, sizeof *stored->clients, by_id);
    return 0;
}

static void fd_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

void tmbi_stored_close(struct tmbi_stored *stored)
{
    for (uint32_t i = 0; i < stored->client_count; i++) {
        fd_close(stored->clients[i].socket);
        for (uint32_t vector = 0; vector < BELLS_MAX; vector++)
            fd_close(stored->clients[i].bells[vector]);
    }
    fd_close(stored->region);
    fd_close(stored->listener);
    free(stored->clients);
    *stored = (struct tmbi_stored){.region = -1, .listener = -1};
}
