/* SPDX-License-Identifier: BSD-3-Clause */
/* Teams, and how their members meet. */
#ifndef TMBI_TEAM_H
#define TMBI_TEAM_H

#include "window.h"

#define TMBI_TEAM_MAGIC UINT64_C(0x6d6165742d424d54)

/* A collective moves at most this much of each member at once, and less in a team so
 * large that what all give would not fit into a buffer. */
#define TMBI_CHUNK_BYTES  512
#define TMBI_BUFFER_BYTES 1024

/* What a member keeps for the others' use, in a window that the team has for itself; two
 * buffers (tmbi_buffer_bytes()) follow, which collectives use by turns.
 * flags[k]: the number of exchanges whose round k this member was signalled in.
 * meet: the number of meetings (of survivors) that this member came to, and, in the
 * highest bit, whether it has given up the team's collectives. */
struct tmbi_sync {
    _Atomic uint64_t flags[32];
    _Atomic uint64_t meet;
    uint64_t reserved[7];
};
_Static_assert(sizeof(struct tmbi_sync) == 320, "sync layout");

/* A chunk of each member of a team of `size`. Never less in a larger team: where one is
 * made, its parent's size is all that is known. */
static inline size_t tmbi_buffer_bytes(int size)
{
    size_t most = (size_t)size * TMBI_CHUNK_BYTES, least = (size_t)size * 8;

    return most < TMBI_BUFFER_BYTES    ? most
           : least > TMBI_BUFFER_BYTES ? least
                                       : TMBI_BUFFER_BYTES;
}

static inline size_t tmbi_sync_bytes(int size)
{
    return sizeof(struct tmbi_sync) + 2 * tmbi_buffer_bytes(size);
}

/* A collective that is under way; see tmb_barrier() about resuming. */
struct tmbi_collective {
    const char *name; /* NULL: none */
    size_t bytes;     /* its size, to recognize the resuming call */
    size_t done;
    bool published; /* the chunk at `done` */
    bool signalled; /* in this round of the exchange */
    int round;
};

struct tmb_team {
    struct tmbi_handle handle;
    struct tmb_team *next; /* of all teams in use */
    int size, rank;
    int *ranks; /* of the job, by rank of the team */
    struct tmb_win *sync;
    struct tmbi_collective collective;
    bool adapters; /* an adapter's: it may be left open at the end */
    bool broken; /* a collective failed: its signals are no longer those of the others */
    uint64_t exchanges; /* ended ones */
    uint64_t meets;
    atomic_int windows;         /* of the application */
    _Atomic uint64_t mortality; /* key << 2 | what it meant; see tmbi_team_mortality() */
};

/* Resolve and check a handle; logs. */
int tmbi_team_check(tmb_team *handle, const char *call, struct tmb_team **team);

/* Whether members have died. */
enum tmbi_mortality { TMBI_ALL_ALIVE = 0, TMBI_DEATHS_KNOWN = 1, TMBI_DEATHS_NEWS = 2 };
enum tmbi_mortality tmbi_team_mortality(struct tmb_team *team);

/* The world, from the descriptors that bootstrap exchanged. */
int tmbi_team_world(int size, int rank, struct tmb_win *sync,
                    const struct tmbi_window_desc *descs, size_t stride,
                    struct tmb_team **team);
void tmbi_team_release(struct tmb_team *team, bool keep_sync);
/* All teams, the world last; those that the application left open with a warning. */
void tmbi_teams_release_all(void);

/* Wait until all members that are alive have come, also when some are dead: for the
 * calls that free. Returns 0, or -EHOSTDOWN if only survivors met. */
int tmbi_team_meet(struct tmb_team *team);

/* Count a meeting that the caller won't come to, for it did not get what the others may
 * have got and will free: so that all count the same meetings. */
void tmbi_team_excuse(struct tmb_team *team);

#endif
