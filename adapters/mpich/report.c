/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/context.h"
#include "../../core/log.h"
#include "adapter.h"

bool tmbm_reporting;

static const char *destination; /* NULL: stderr */

enum column { CALLS, BYTES, COLUMNS };

/* Relaxed: each counts for itself, and is read when all calls have returned. */
static _Atomic uint64_t counts[TMBM_CALL_COUNT][TMBM_ROUTES][COLUMNS];

static const char *const names[] = {
#define NAME(name) "MPI_" #name,
    TMBM_CALLS(NAME)
#undef NAME
};

void tmbm_report_add(enum tmbm_call call, enum tmbm_route route, uint64_t bytes)
{
    atomic_fetch_add_explicit(&counts[call][route][CALLS], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts[call][route][BYTES], bytes, memory_order_relaxed);
}

void tmbm_report_open(const char *wanted)
{
    int reporting = wanted && strcmp(wanted, "0") != 0;

    PMPI_Bcast(&reporting, 1, MPI_INT, 0, tmbm_world);
    tmbm_reporting = reporting;
    if (reporting && wanted && strcmp(wanted, "1") != 0)
        destination = wanted;
}

/* ---- sums over the ranks ---- */

struct sums {
    uint64_t calls[TMBM_CALL_COUNT][TMBM_ROUTES][COLUMNS];
    /* Ordered pairs of ranks, by the provider between them. */
    uint64_t pairs[TMBI_ENDPOINTS_MAX];
    uint64_t mapped, ranks;
};
_Static_assert(sizeof(struct sums) % sizeof(uint64_t) == 0, "summed as numbers");

static void add_peer(struct sums *sums, const struct tmb_peer_info *info)
{
    size_t count;
    const struct tmbi_provider *const *providers = tmbi_providers(&count);

    for (size_t i = 0; i < count; i++)
        if (!strcmp(providers[i]->name, info->provider)) {
            sums->pairs[i]++;
            sums->mapped += info->mapped != 0;
        }
}

static void add_peers(struct sums *sums)
{
    struct tmb_peer_info info;
    int size = 0;

    if (!tmbm_enabled || tmb_size(&size))
        return;
    for (int rank = 0; rank < size; rank++)
        if (!tmb_peer_info(rank, &info, sizeof info))
            add_peer(sums, &info);
}

static void sums_take(struct sums *sums, int *rank)
{
    memset(sums, 0, sizeof *sums);
    for (int call = 0; call < TMBM_CALL_COUNT; call++)
        for (int route = 0; route < TMBM_ROUTES; route++)
            for (int column = 0; column < COLUMNS; column++)
                sums->calls[call][route][column] = atomic_load_explicit(
                    &counts[call][route][column], memory_order_relaxed);
    add_peers(sums);
    sums->ranks = 1;
    PMPI_Comm_rank(tmbm_world, rank);
    PMPI_Reduce(*rank == 0 ? MPI_IN_PLACE : (void *)sums, sums,
                sizeof *sums / sizeof(uint64_t), MPI_UINT64_T, MPI_SUM, 0, tmbm_world);
}

/* ---- the table ---- */

static void print_line(FILE *out, const char *name, const uint64_t (*routes)[COLUMNS])
{
    fprintf(out, "tombolo: %-22s", name);
    for (int route = 0; route < TMBM_ROUTES; route++)
        fprintf(out, " %12" PRIu64 " %16" PRIu64, routes[route][CALLS],
                routes[route][BYTES]);
    fputc('\n', out);
}

static void print_calls(FILE *out, const struct sums *sums)
{
    for (int call = 0; call < TMBM_CALL_COUNT; call++) {
        uint64_t made = 0;
        for (int route = 0; route < TMBM_ROUTES; route++)
            made += sums->calls[call][route][CALLS];
        if (made)
            print_line(out, names[call], sums->calls[call]);
    }
}

static void print_routes(FILE *out, const struct sums *sums)
{
    size_t count;
    const struct tmbi_provider *const *providers = tmbi_providers(&count);

    fprintf(out, "tombolo: %" PRIu64 " ranks; pairs by provider:", sums->ranks);
    for (size_t i = 0; i < count; i++)
        fprintf(out, " %s %" PRIu64, providers[i]->name, sums->pairs[i]);
    fprintf(out, "; %" PRIu64 " mapped\n", sums->mapped);
}

static void print(FILE *out, const struct sums *sums)
{
    if (!tmbm_enabled)
        fputs("tombolo: nothing was served: see the warning at MPI_Init\n", out);
    fprintf(out, "tombolo: %-22s %12s %16s %12s %16s %12s %16s\n", "call", "mapped",
            "bytes", "remote", "bytes", "to MPICH", "bytes");
    print_calls(out, sums);
    if (tmbm_enabled)
        print_routes(out, sums);
}

static void print_to_file(const struct sums *sums)
{
    FILE *out = fopen(destination, "we");
    int rc = out ? 0 : errno;

    if (out) {
        print(out, sums);
        if (fclose(out))
            rc = errno;
    }
    if (rc)
        tmbi_error("TMB_MPICH_REPORT=%s: the file can't be written: %s", destination,
                   strerror(rc));
}

void tmbm_report_print(void)
{
    static struct sums sums;
    int rank;

    if (!tmbm_reporting)
        return;
    sums_take(&sums, &rank);
    if (rank > 0)
        return;
    if (destination)
        print_to_file(&sums);
    else
        print(stderr, &sums);
}
