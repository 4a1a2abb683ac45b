/* SPDX-License-Identifier: BSD-3-Clause */
#include "topology.h"

#include <errno.h>
#include <hwloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "provider.h"

/* Written once, under `once`. Lives as long as the process. */
static hwloc_topology_t topology;
static int load_result;
static pthread_once_t once = PTHREAD_ONCE_INIT;

int tmbi_topology_online(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);

    return online > 0 ? (int)online : 1;
}

int tmbi_topology_cpus(void)
{
    cpu_set_t set;

    /* Fails where the machine has more than CPU_SETSIZE CPUs. */
    if (!sched_getaffinity(0, sizeof set, &set))
        return CPU_COUNT(&set);
    return tmbi_topology_online();
}

#define CACHE_FILE  "/sys/devices/system/cpu/cpu0/cache/index3/size" /* "32768K" */
#define CACHE_USUAL ((size_t)32 << 20)

size_t tmbi_topology_cache(void)
{
    FILE *file = fopen(CACHE_FILE, "re");
    size_t kib = 0;

    if (!file)
        return CACHE_USUAL;
    if (fscanf(file, "%zuK", &kib) != 1 || kib == 0)
        kib = CACHE_USUAL >> 10;
    fclose(file);
    return kib << 10;
}

static void load(void)
{
    if (hwloc_topology_init(&topology)) {
        load_result = -ENOMEM;
        return;
    }
    hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
    if (hwloc_topology_load(topology)) {
        load_result = -ENOSYS;
        hwloc_topology_destroy(topology);
    }
    if (load_result)
        tmbi_error("the machine's topology can't be read: %s", strerror(-load_result));
}

int tmbi_topology_load(void)
{
    pthread_once(&once, load);
    return load_result;
}

/* Of a type's objects that have CPUs in `usable`: how many there are, and the CPUs there
 * of the index-th into `cpus`, unless that is NULL. */
static int places(hwloc_obj_type_t type, hwloc_const_cpuset_t usable, int index,
                  hwloc_cpuset_t cpus)
{
    hwloc_obj_t object = NULL;
    int count = 0;

    while ((object = hwloc_get_next_obj_by_type(topology, type, object))) {
        if (!hwloc_bitmap_intersects(object->cpuset, usable))
            continue;
        if (count++ == index && cpus)
            hwloc_bitmap_and(cpus, object->cpuset, usable);
    }
    return count;
}

static int bind_within(hwloc_const_cpuset_t usable, enum tmbi_bind bind, int index,
                       int total, hwloc_cpuset_t cpus)
{
    hwloc_obj_type_t type = bind == TMBI_BIND_CORE ? HWLOC_OBJ_CORE : HWLOC_OBJ_NUMANODE;
    int count = places(type, usable, 0, NULL);

    if (!count) { /* some virtual machines show no cores */
        type = HWLOC_OBJ_PU;
        count = places(type, usable, 0, NULL);
    }
    /* Few ranks spread out over many places; many fill them evenly, neighbours together.
     */
    places(type, usable, (int)((int64_t)index * count / total), cpus);
    return hwloc_set_cpubind(topology, cpus, HWLOC_CPUBIND_PROCESS) ? -errno : 0;
}

int tmbi_topology_bind(enum tmbi_bind bind, int index, int total)
{
    hwloc_cpuset_t usable, cpus;
    int rc;

    if (bind == TMBI_BIND_NONE)
        return 0;
    rc = tmbi_topology_load();
    if (rc)
        return rc;
    usable = hwloc_bitmap_alloc();
    cpus = hwloc_bitmap_alloc();
    if (!usable || !cpus)
        rc = -ENOMEM;
    else if (hwloc_get_cpubind(topology, usable, HWLOC_CPUBIND_PROCESS))
        rc = -errno;
    else
        rc = bind_within(usable, bind, index, total, cpus);
    hwloc_bitmap_free(usable);
    hwloc_bitmap_free(cpus);
    return rc;
}

/* The nodes that this process's CPUs are near to. */
static int nodes_of_caller(hwloc_nodeset_t nodes)
{
    hwloc_cpuset_t cpus = hwloc_bitmap_alloc();
    int rc = 0;

    if (!cpus)
        return -ENOMEM;
    if (hwloc_get_last_cpu_location(topology, cpus, HWLOC_CPUBIND_THREAD))
        rc = -errno;
    else
        hwloc_cpuset_to_nodeset(topology, cpus, nodes);
    hwloc_bitmap_free(cpus);
    return rc;
}

static int select_nodes(hwloc_nodeset_t nodes, int node)
{
    if (node < 0)
        return nodes_of_caller(nodes);
    if (!hwloc_get_numanode_obj_by_os_index(topology, (unsigned)node))
        return -EINVAL;
    return hwloc_bitmap_only(nodes, (unsigned)node) ? -ENOMEM : 0;
}

/* Without reading the topology: ranks of a machine with one node need none. */
static bool is_single_node(void)
{
    char nodes[64] = "";
    FILE *online = fopen("/sys/devices/system/node/online", "re");

    if (!online)
        return true;
    if (!fgets(nodes, sizeof nodes, online))
        nodes[0] = '\0';
    fclose(online);
    return !strpbrk(nodes, ",-");
}

int tmbi_topology_bind_memory(void *base, size_t bytes, int node)
{
    hwloc_nodeset_t nodes;
    int rc;

    if (!bytes || (node <= 0 && is_single_node()))
        return 0;
    rc = tmbi_topology_load();
    if (rc)
        return rc;
    nodes = hwloc_bitmap_alloc();
    if (!nodes)
        return -ENOMEM;
    rc = select_nodes(nodes, node);
    if (!rc && hwloc_set_area_membind(topology, base, bytes, nodes, HWLOC_MEMBIND_BIND,
                                      HWLOC_MEMBIND_BYNODESET))
        rc = -errno;
    if (rc)
        tmbi_error("%zu bytes of memory can't be bound to NUMA node %d: %s", bytes, node,
                   strerror(-rc));
    hwloc_bitmap_free(nodes);
    return rc;
}

#define PLACE_BYTES (UINT64_C(2) << 20)

void tmbi_memory_place(void *base, size_t bytes)
{
    if (bytes >= PLACE_BYTES)
        tmbi_topology_bind_memory(base, bytes, -1);
}

static int count_objects(hwloc_obj_type_t type)
{
    int count = hwloc_get_nbobjs_by_type(topology, type);

    return count > 0 ? count : 0;
}

int tmbi_topology_machine(struct tmbi_topology_machine *machine)
{
    int rc = tmbi_topology_load();
    hwloc_obj_t package;
    const char *model;

    if (rc)
        return rc;
    package = hwloc_get_obj_by_type(topology, HWLOC_OBJ_PACKAGE, 0);
    model = package ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;
    *machine = (struct tmbi_topology_machine){
        .packages = count_objects(HWLOC_OBJ_PACKAGE),
        .cores = count_objects(HWLOC_OBJ_CORE),
        .cpus = count_objects(HWLOC_OBJ_PU),
        .nodes = count_objects(HWLOC_OBJ_NUMANODE),
        .memory = hwloc_get_root_obj(topology)->total_memory,
        .page = (uint64_t)sysconf(_SC_PAGESIZE)};
    snprintf(machine->model, sizeof machine->model, "%s", model ? model : "");
    return 0;
}

static int count_inside(hwloc_obj_t node, hwloc_obj_type_t type)
{
    int count = hwloc_get_nbobjs_inside_cpuset_by_type(topology, node->cpuset, type);

    return count > 0 ? count : 0;
}

/* hwloc lists page sizes in ascending order, ordinary pages first. */
static void count_huge_pages(hwloc_obj_t object, struct tmbi_topology_node *node)
{
    const struct hwloc_numanode_attr_s *attr = &object->attr->numanode;

    for (unsigned i = 0; i < attr->page_types_len; i++) {
        if (attr->page_types[i].size <= (uint64_t)sysconf(_SC_PAGESIZE) ||
            (node->huge_page && !attr->page_types[i].count))
            continue;
        node->huge_page = attr->page_types[i].size;
        node->huge_pages = attr->page_types[i].count;
    }
}

int tmbi_topology_node(int index, struct tmbi_topology_node *node)
{
    int rc = tmbi_topology_load();
    hwloc_obj_t object;

    if (rc)
        return rc;
    object = hwloc_get_obj_by_type(topology, HWLOC_OBJ_NUMANODE, (unsigned)index);
    if (!object)
        return -EINVAL;
    *node = (struct tmbi_topology_node){.number = (int)object->os_index,
                                        .cores = count_inside(object, HWLOC_OBJ_CORE),
                                        .cpus = count_inside(object, HWLOC_OBJ_PU),
                                        .memory = object->attr->numanode.local_memory};
    count_huge_pages(object, node);
    return 0;
}
