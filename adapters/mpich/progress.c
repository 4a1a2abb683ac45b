/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * MPICH's waits spin, and know nothing of us. Over TCP a thread of ours would have to be
 * woken for what peers ask meanwhile, where the processor is busy with that spinning. So
 * whoever spins looks for it, too: MPICH's progress is UCX's, which it calls by this
 * name. With another of MPICH's devices nobody calls it, and nothing is lost but time.
 */
#include <dlfcn.h>

#include "adapter.h"

/* As UCX declares it, with its handle's type. */
TMBM_API unsigned ucp_worker_progress(void *worker);

unsigned ucp_worker_progress(void *worker)
{
    static unsigned (*_Atomic found)(void *);
    /* relaxed: whoever looks finds the same */
    unsigned (*function)(void *) = atomic_load_explicit(&found, memory_order_relaxed);

    if (!function) {
        function = (unsigned (*)(void *))dlsym(RTLD_NEXT, "ucp_worker_progress");
        atomic_store_explicit(&found, function, memory_order_relaxed);
    }
    if (tmbm_enabled)
        tmbi_adapter_look();
    return function(worker);
}
