/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ranks of a launcher that speaks PMIx: Open MPI's mpirun, prterun, srun. libpmix is
 * loaded when such a launcher is there, and not linked: it brings an event loop, a thread
 * and authentication, which nobody else shall carry. PMIx_Init counts its callers, so
 * that an MPI in the same program is no hindrance.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "../log.h"
#include "backends.h"

#define MEANING                                                                          \
    "a launcher has started the ranks that speaks PMIx, such as Open MPI's mpirun"
#define NEEDS                                                                            \
    "PMIX_RANK is not set, or TMB_RANK, TMB_SIZE or TMB_JOB is: the launcher sets the "  \
    "first, and the others are for TMB_RENDEZVOUS"

static int pmix_detect(const struct tmbi_core_config *config)
{
    const char *rank = getenv("PMIX_RANK");

    return rank && *rank && config->rank < 0 && config->size < 0 && !config->job;
}

#ifdef HAVE_PMIX

#include <dlfcn.h>
#include <pmix.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../clock.h"
#include "channel.h"

/* ---- the library ---- */

struct pmix_calls {
    __typeof__(PMIx_Init) *init;
    __typeof__(PMIx_Finalize) *finalize;
    __typeof__(PMIx_Put) *put;
    __typeof__(PMIx_Commit) *commit;
    __typeof__(PMIx_Fence_nb) *fence_nb;
    __typeof__(PMIx_Get) *get;
    __typeof__(PMIx_Abort) *abort;
    __typeof__(PMIx_Error_string) *error_string;
};

static const struct {
    const char *name;
    size_t offset;
} symbols[] = {{"PMIx_Init", offsetof(struct pmix_calls, init)},
               {"PMIx_Finalize", offsetof(struct pmix_calls, finalize)},
               {"PMIx_Put", offsetof(struct pmix_calls, put)},
               {"PMIx_Commit", offsetof(struct pmix_calls, commit)},
               {"PMIx_Fence_nb", offsetof(struct pmix_calls, fence_nb)},
               {"PMIx_Get", offsetof(struct pmix_calls, get)},
               {"PMIx_Abort", offsetof(struct pmix_calls, abort)},
               {"PMIx_Error_string", offsetof(struct pmix_calls, error_string)}};

/* It stays loaded: its thread may be on its way out when PMIx_Finalize returns. */
static int library_load(struct pmix_calls *calls)
{
    void *library = dlopen(TMBI_PMIX_SONAME, RTLD_NOW | RTLD_LOCAL);

    if (!library)
        library = dlopen(TMBI_PMIX_LIBDIR "/" TMBI_PMIX_SONAME, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; library && i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (!symbol)
            library = NULL;
        memcpy((char *)calls + symbols[i].offset, &symbol, sizeof symbol);
    }
    if (library)
        return 0;
    tmbi_error(
        "PMIX_RANK is set, but PMIx's library can't be used: %s (Debian: libpmix2)",
        dlerror());
    return -EOPNOTSUPP;
}

/* ---- what is exchanged ---- */

struct pmix {
    struct pmix_calls calls;
    pmix_proc_t me;
    unsigned round;
    /* The fence under way; done and status: under lock. */
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    pmix_status_t status;
    bool broken; /* a fence may end at any time: this structure must live on */
};

static int pmix_failed(struct pmix *pmix, const char *call, pmix_status_t status)
{
    pmix->broken = true;
    tmbi_error("%s in namespace %s, rank %u: %s", call, pmix->me.nspace, pmix->me.rank,
               pmix->calls.error_string(status));
    return -EPROTO;
}

static int pmix_put(struct pmix *pmix, const char *key, const void *data, size_t bytes)
{
    pmix_value_t value = {.type = PMIX_BYTE_OBJECT,
                          .data.bo = {.bytes = (char *)data, .size = bytes}};
    pmix_status_t status = pmix->calls.put(PMIX_GLOBAL, key, &value);

    if (status != PMIX_SUCCESS)
        return pmix_failed(pmix, "PMIx_Put", status);
    status = pmix->calls.commit();
    return status == PMIX_SUCCESS ? 0 : pmix_failed(pmix, "PMIx_Commit", status);
}

static int pmix_get(struct pmix *pmix, int rank, const char *key, void *data,
                    size_t bytes)
{
    pmix_proc_t proc = pmix->me;
    pmix_value_t *value = NULL;
    pmix_status_t status;
    bool good;

    proc.rank = (pmix_rank_t)rank;
    status = pmix->calls.get(&proc, key, NULL, 0, &value);
    if (status != PMIX_SUCCESS)
        return pmix_failed(pmix, "PMIx_Get", status);
    good = value->type == PMIX_BYTE_OBJECT && value->data.bo.size == bytes;
    if (good)
        memcpy(data, value->data.bo.bytes, bytes);
    else
        tmbi_error(
            "PMIx_Get: what rank %d has put as %s is of type %u, and not %zu bytes", rank,
            key, value->type, bytes);
    if (value->type == PMIX_BYTE_OBJECT)
        free(value->data.bo.bytes);
    free(value);
    return good ? 0 : -EPROTO;
}

static void fence_done(pmix_status_t status, void *arg)
{
    struct pmix *pmix = arg;

    pthread_mutex_lock(&pmix->lock);
    pmix->status = status;
    pmix->done = true;
    pthread_cond_signal(&pmix->cond);
    pthread_mutex_unlock(&pmix->lock);
}

/* The blocking call knows no time-out that every launcher keeps. */
static int fence_wait(struct pmix *pmix, int64_t deadline)
{
    int rc = 0;

    pthread_mutex_lock(&pmix->lock);
    while (!rc && !pmix->done)
        rc = tmbi_cond_wait(&pmix->cond, &pmix->lock, deadline);
    rc = pmix->done ? 0 : -ETIMEDOUT;
    pthread_mutex_unlock(&pmix->lock);
    return rc;
}

static int pmix_fence(struct pmix *pmix, int64_t deadline)
{
    pmix_info_t collect = {.key = PMIX_COLLECT_DATA,
                           .value = {.type = PMIX_BOOL, .data.flag = true}};
    pmix_status_t status;

    pmix->done = false; /* no fence is under way: nobody else looks */
    status = pmix->calls.fence_nb(NULL, 0, &collect, 1, fence_done, pmix);
    if (status == PMIX_OPERATION_SUCCEEDED)
        return 0;
    if (status != PMIX_SUCCESS)
        return pmix_failed(pmix, "PMIx_Fence_nb", status);
    if (fence_wait(pmix, deadline)) {
        pmix->broken = true;
        tmbi_error("not all ranks came in time, and PMIx does not tell which "
                   "(TMB_INIT_TIMEOUT is how long to wait)");
        return -ETIMEDOUT;
    }
    return pmix->status == PMIX_SUCCESS ? 0
                                        : pmix_failed(pmix, "PMIx_Fence", pmix->status);
}

static int pmix_exchange(struct tmbi_bootstrap *b, const void *mine, size_t bytes,
                         void *all, int64_t deadline)
{
    struct pmix *pmix = b->state;
    char key[32];
    int rc = tmbi_channel_check(bytes);

    if (rc)
        return rc;
    snprintf(key, sizeof key, "tombolo-%u", ++pmix->round);
    if (bytes)
        rc = pmix_put(pmix, key, mine, bytes);
    if (!rc)
        rc = pmix_fence(pmix, deadline);
    for (int i = 0; bytes && !rc && i < b->job.size; i++)
        rc = pmix_get(pmix, i, key, (char *)all + (size_t)i * bytes, bytes);
    return rc;
}

/* ---- opening and closing ---- */

static int job_size(struct pmix *pmix, int *size)
{
    pmix_proc_t job = pmix->me;
    pmix_value_t *value = NULL;
    pmix_status_t status;
    uint32_t count;

    job.rank = PMIX_RANK_WILDCARD;
    status = pmix->calls.get(&job, PMIX_JOB_SIZE, NULL, 0, &value);
    if (status != PMIX_SUCCESS)
        return pmix_failed(pmix, "PMIx_Get of the job's size", status);
    count = value->type == PMIX_UINT32 ? value->data.uint32 : 0;
    free(value);
    if (count > pmix->me.rank && count <= TMBI_SIZE_MAX) {
        *size = (int)count;
        return 0;
    }
    tmbi_error("PMIx: rank %u of %u: at most %d ranks are possible, numbered from 0 on",
               pmix->me.rank, count, TMBI_SIZE_MAX);
    return -EINVAL;
}

/* All ranks take the name that rank 0 has made. */
static int name_agree(struct tmbi_bootstrap *b, int64_t deadline)
{
    char(*names)[sizeof b->job.name] = calloc((size_t)b->job.size, sizeof *names);
    int rc = names ? tmbi_bootstrap_name(b->job.name) : -ENOMEM;

    if (!rc)
        rc = pmix_exchange(b, b->job.name, sizeof b->job.name, names, deadline);
    if (!rc)
        memcpy(b->job.name, names[0], sizeof b->job.name - 1);
    free(names);
    return rc;
}

static void pmix_close(struct tmbi_bootstrap *b)
{
    struct pmix *pmix = b->state;

    b->state = NULL;
    if (pmix->broken)
        return; /* the launcher ends the job; a fence may still want the memory */
    pmix->calls.finalize(NULL, 0);
    pthread_cond_destroy(&pmix->cond);
    pthread_mutex_destroy(&pmix->lock);
    free(pmix);
}

static int pmix_start(struct tmbi_bootstrap *b, struct pmix *pmix, int64_t deadline)
{
    int rc;

    b->job.rank = (int)pmix->me.rank;
    rc = job_size(pmix, &b->job.size);
    return rc ? rc : name_agree(b, deadline);
}

static int pmix_open(struct tmbi_bootstrap *b, const struct tmbi_core_config *config)
{
    int64_t deadline = tmbi_deadline(config->init_timeout_ns);
    struct pmix *pmix = calloc(1, sizeof *pmix);
    pmix_status_t status;
    int rc = pmix ? library_load(&pmix->calls) : -ENOMEM;

    if (rc)
        goto free_pmix;
    status = pmix->calls.init(&pmix->me, NULL, 0);
    if (status != PMIX_SUCCESS) {
        tmbi_error("PMIX_RANK is set, but PMIx_Init failed: %s. Is this a program that a "
                   "rank started? Unset PMIX_RANK to run it alone",
                   pmix->calls.error_string(status));
        rc = -EPROTO;
        goto free_pmix;
    }
    pthread_mutex_init(&pmix->lock, NULL);
    tmbi_cond_init(&pmix->cond);
    b->state = pmix;
    rc = pmix_start(b, pmix, deadline);
    if (rc)
        pmix_close(b);
    return rc;

free_pmix:
    free(pmix);
    return rc;
}

static void pmix_abort(struct tmbi_bootstrap *b, int exit_code)
{
    struct pmix *pmix = b->state;

    pmix->calls.abort(exit_code, "tmb_abort", NULL, 0);
}

const struct tmbi_bootstrap_ops tmbi_bootstrap_pmix = {.name = "pmix",
                                                       .meaning = MEANING,
                                                       .needs = NEEDS,
                                                       .detect = pmix_detect,
                                                       .open = pmix_open,
                                                       .exchange = pmix_exchange,
                                                       .abort = pmix_abort,
                                                       .close = pmix_close};

#else

/* Ranks must not run alone, each of them, without a word. */
static int pmix_open(struct tmbi_bootstrap *b, const struct tmbi_core_config *config)
{
    (void)b;
    (void)config;
    tmbi_error("PMIX_RANK is set, but this build of Tombolo knows no PMIx: it was not "
               "there (Debian: libpmix-dev). Set TMB_RENDEZVOUS, or TMB_BOOTSTRAP=single "
               "for jobs of one");
    return -EOPNOTSUPP;
}

const struct tmbi_bootstrap_ops tmbi_bootstrap_pmix = {.name = "pmix",
                                                       .meaning =
                                                           MEANING " (not in this build)",
                                                       .needs = NEEDS,
                                                       .detect = pmix_detect,
                                                       .open = pmix_open};

#endif
