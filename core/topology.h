/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine: CPUs, NUMA nodes, and where processes and memory are put. */
#ifndef TMBI_TOPOLOGY_H
#define TMBI_TOPOLOGY_H

#include <stddef.h>
#include <stdint.h>

#include "export.h"

enum tmbi_bind { TMBI_BIND_NONE, TMBI_BIND_CORE, TMBI_BIND_NUMA };

/* CPUs that this process may use. Cheap: reads no topology. */
TMBI_TOOL int tmbi_topology_cpus(void);

/* CPUs that the host has. */
int tmbi_topology_online(void);

/* Bytes of the last-level cache that this process's CPU shares; a usual size where the
 * system does not tell. Cheap, too. */
size_t tmbi_topology_cache(void);

/* Read the machine's topology, which takes a while; the functions below do it when
 * they first need it. Before a fork it spares the children that. -ENOSYS, -ENOMEM. */
TMBI_TOOL int tmbi_topology_load(void);

/* Bind this process to a core, or to a NUMA node's cores, as number `index` of `total`
 * that spread over the machine; of as many as there are they wrap around. */
TMBI_TOOL int tmbi_topology_bind(enum tmbi_bind bind, int index, int total);

/* Have memory's pages lie on a NUMA node (-1: the one that the caller runs on). Does
 * nothing on a machine of one node. */
TMBI_TOOL int tmbi_topology_bind_memory(void *base, size_t bytes, int node);

/* For `tombolo info`. Sizes are bytes. */
struct tmbi_topology_node {
    int number;
    int cores;
    int cpus;
    uint64_t memory;
    uint64_t huge_page;  /* the usual size of huge pages; 0: none */
    uint64_t huge_pages; /* how many of them there are */
};

struct tmbi_topology_machine {
    char model[80]; /* the CPU's name, may be empty */
    int packages, cores, cpus, nodes;
    uint64_t memory;
    uint64_t page;
};

TMBI_TOOL int tmbi_topology_machine(struct tmbi_topology_machine *machine);
/* The index-th node, 0 .. nodes-1. */
TMBI_TOOL int tmbi_topology_node(int index, struct tmbi_topology_node *node);

#endif
