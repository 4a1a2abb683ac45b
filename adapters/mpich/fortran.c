/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What Fortran calls behind C's back. mpif.h and the module mpi come by the MPI_ names.
 * The module mpi_f08 calls PMPI_ itself where a routine has no choice buffer, so those of
 * its routines that concern us are defined here too, and go by the MPI_ names. Attributes
 * go by functions of MPICH's own in all three.
 *
 * Handles of mpi_f08 are structures of one integer, which is the handle of C; `error` is
 * NULL where the program leaves it out. test/mpich/intercept.sh looks for routines that
 * are missing here.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"

/* A routine: its parameters in Fortran, and what C is called with. */
#define ROUTINE(name, parameters, call)                                                  \
    TMBM_API void mpi_##name parameters;                                                 \
    void mpi_##name parameters                                                           \
    {                                                                                    \
        int rc = MPI_##call;                                                             \
        if (error)                                                                       \
            *error = rc;                                                                 \
    }

#define IN(type, name) const type *name
#define ERROR          MPI_Fint *error

/* ---- starting; memory ---- */

ROUTINE(init_f08_, (ERROR), Init(NULL, NULL))
ROUTINE(init_thread_f08_, (IN(int, required), int *provided, ERROR),
        Init_thread(NULL, NULL, *required, provided))
ROUTINE(alloc_mem_f08_, (IN(MPI_Aint, bytes), IN(MPI_Info, info), void **base, ERROR),
        Alloc_mem(*bytes, *info, base))

/* ---- windows ---- */

ROUTINE(win_allocate_f08_,
        (IN(MPI_Aint, bytes), IN(int, unit), IN(MPI_Info, info), IN(MPI_Comm, comm),
         void **base, MPI_Win *win, ERROR),
        Win_allocate(*bytes, *unit, *info, *comm, base, win))
ROUTINE(win_allocate_f08_large_,
        (IN(MPI_Aint, bytes), IN(MPI_Aint, unit), IN(MPI_Info, info), IN(MPI_Comm, comm),
         void **base, MPI_Win *win, ERROR),
        Win_allocate_c(*bytes, *unit, *info, *comm, base, win))
ROUTINE(win_allocate_shared_f08_,
        (IN(MPI_Aint, bytes), IN(int, unit), IN(MPI_Info, info), IN(MPI_Comm, comm),
         void **base, MPI_Win *win, ERROR),
        Win_allocate_shared(*bytes, *unit, *info, *comm, base, win))
ROUTINE(win_allocate_shared_f08_large_,
        (IN(MPI_Aint, bytes), IN(MPI_Aint, unit), IN(MPI_Info, info), IN(MPI_Comm, comm),
         void **base, MPI_Win *win, ERROR),
        Win_allocate_shared_c(*bytes, *unit, *info, *comm, base, win))
ROUTINE(win_create_dynamic_f08_,
        (IN(MPI_Info, info), IN(MPI_Comm, comm), MPI_Win *win, ERROR),
        Win_create_dynamic(*info, *comm, win))
ROUTINE(win_shared_query_f08_,
        (IN(MPI_Win, win), IN(int, rank), MPI_Aint *bytes, int *unit, void **base, ERROR),
        Win_shared_query(*win, *rank, bytes, unit, base))
ROUTINE(win_shared_query_f08_large_,
        (IN(MPI_Win, win), IN(int, rank), MPI_Aint *bytes, MPI_Aint *unit, void **base,
         ERROR),
        Win_shared_query_c(*win, *rank, bytes, unit, base))
ROUTINE(win_free_f08_, (MPI_Win * win, ERROR), Win_free(win))

/* ---- synchronization ---- */

ROUTINE(win_fence_f08_, (IN(int, assertion), IN(MPI_Win, win), ERROR),
        Win_fence(*assertion, *win))
ROUTINE(win_start_f08_,
        (IN(MPI_Group, group), IN(int, assertion), IN(MPI_Win, win), ERROR),
        Win_start(*group, *assertion, *win))
ROUTINE(win_post_f08_,
        (IN(MPI_Group, group), IN(int, assertion), IN(MPI_Win, win), ERROR),
        Win_post(*group, *assertion, *win))
ROUTINE(win_complete_f08_, (IN(MPI_Win, win), ERROR), Win_complete(*win))
ROUTINE(win_wait_f08_, (IN(MPI_Win, win), ERROR), Win_wait(*win))
/* C's 1 is gfortran's .true. */
ROUTINE(win_test_f08_, (IN(MPI_Win, win), MPI_Fint *flag, ERROR), Win_test(*win, flag))
ROUTINE(win_lock_f08_,
        (IN(int, type), IN(int, rank), IN(int, assertion), IN(MPI_Win, win), ERROR),
        Win_lock(*type, *rank, *assertion, *win))
ROUTINE(win_unlock_f08_, (IN(int, rank), IN(MPI_Win, win), ERROR),
        Win_unlock(*rank, *win))
ROUTINE(win_lock_all_f08_, (IN(int, assertion), IN(MPI_Win, win), ERROR),
        Win_lock_all(*assertion, *win))
ROUTINE(win_unlock_all_f08_, (IN(MPI_Win, win), ERROR), Win_unlock_all(*win))
ROUTINE(win_flush_f08_, (IN(int, rank), IN(MPI_Win, win), ERROR), Win_flush(*rank, *win))
ROUTINE(win_flush_all_f08_, (IN(MPI_Win, win), ERROR), Win_flush_all(*win))
ROUTINE(win_flush_local_f08_, (IN(int, rank), IN(MPI_Win, win), ERROR),
        Win_flush_local(*rank, *win))
ROUTINE(win_flush_local_all_f08_, (IN(MPI_Win, win), ERROR), Win_flush_local_all(*win))
ROUTINE(win_sync_f08_, (IN(MPI_Win, win), ERROR), Win_sync(*win))

/* ---- what is kept with a window ---- */

ROUTINE(win_delete_attr_f08_, (IN(MPI_Win, win), IN(int, keyval), ERROR),
        Win_delete_attr(*win, *keyval))
ROUTINE(win_set_info_f08_, (IN(MPI_Win, win), IN(MPI_Info, info), ERROR),
        Win_set_info(*win, *info))

/* ---- attributes ---- */

/* MPICH's own functions, and its word for who sets an attribute or asks for one. */
enum attribute_type { ATTRIBUTE_C = 0, ATTRIBUTE_FORTRAN = 1 };

TMBM_API int MPII_Win_get_attr(MPI_Win handle, int keyval, void *value, int *flag,
                               int type);
TMBM_API int MPII_Win_set_attr(MPI_Win handle, int keyval, void *value, int type);

/* MPICH's function behind ours of the same name. Relaxed: whoever looks finds the same.
 */
static void *behind(void *_Atomic *found, const char *name)
{
    void *function = atomic_load_explicit(found, memory_order_relaxed);

    if (!function) {
        function = dlsym(RTLD_NEXT, name);
        atomic_store_explicit(found, function, memory_order_relaxed);
    }
    return function;
}

/* C has a predefined attribute's address, but for BASE; Fortran has its value, and
 * numbers its keyvals one higher. */
static bool predefined(const struct tmbm_win *win, int keyval, intptr_t *value)
{
    switch (keyval - 1) {
    case MPI_WIN_BASE:
        *value = (intptr_t)win->base;
        return true;
    case MPI_WIN_SIZE:
        *value = win->bytes;
        return true;
    case MPI_WIN_DISP_UNIT:
        *value = win->unit;
        return true;
    case MPI_WIN_CREATE_FLAVOR:
        *value = win->flavor;
        return true;
    case MPI_WIN_MODEL:
        *value = win->model;
        return true;
    default:
        return false;
    }
}

/* C's own calls come by here, too, and are let through. */
int MPII_Win_get_attr(MPI_Win handle, int keyval, void *value, int *flag, int type)
{
    static void *_Atomic found;
    int (*mpich)(MPI_Win, int, void *, int *, int) = behind(&found, "MPII_Win_get_attr");
    const struct tmbm_win *win = type == ATTRIBUTE_C ? NULL : tmbm_win_find(handle);
    intptr_t known;

    if (!win || !predefined(win, keyval, &known))
        return mpich(handle, keyval, value, flag, type);
    *(intptr_t *)value = known;
    *flag = 1;
    return MPI_SUCCESS;
}

int MPII_Win_set_attr(MPI_Win handle, int keyval, void *value, int type)
{
    static void *_Atomic found;
    int (*mpich)(MPI_Win, int, void *, int) = behind(&found, "MPII_Win_set_attr");

    tmbm_attribute_note(handle, keyval);
    return mpich(handle, keyval, value, type);
}
