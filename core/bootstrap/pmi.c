/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * PMI-1, as MPICH's mpiexec (Hydra) offers it: PMI_FD is a stream to the launcher, on
 * which each request is a line and so is its answer. Ranks exchange bytes by putting
 * them under keys, a barrier, and getting the others'. Keys are never used twice. There
 * is one stream for a process: a program that calls MPI_Init needs it for that.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../clock.h"
#include "../log.h"
#include "backends.h"
#include "channel.h"
#include "pmi_stream.h"
#include "pmi_text.h"
#include "stream.h"

#define KEY_MAX    32u /* ours are shorter; every launcher allows 64 */
#define VALUE_MAX  512u
#define NAME_BYTES 32u /* of the job: a value that fits every launcher's limits */
#define ABORT_NS   INT64_C(1000000000)

struct pmi {
    struct tmbi_pmi_stream stream;
    unsigned round;
    size_t value_max; /* characters of a value */
    char space[257];  /* the kvsname */
};

static int pmi_put(struct pmi *pmi, int rank, size_t chunk, const void *data,
                   size_t bytes, int64_t deadline)
{
    char answer[TMBI_PMI_LINE], value[VALUE_MAX + 1];
    int rc;

    tmbi_pmi_encode(data, bytes, value);
    rc = tmbi_pmi_ask(&pmi->stream, "put_result", answer, deadline,
                      "cmd=put kvsname=%s key=tmb-%u-%d-%zu value=%s\n", pmi->space,
                      pmi->round, rank, chunk, value);
    if (rc == -EREMOTEIO)
        return tmbi_pmi_garbage(&pmi->stream, "cmd=put", answer);
    return rc;
}

static int pmi_get(struct pmi *pmi, int rank, size_t chunk, void *data, size_t bytes,
                   int64_t deadline)
{
    char answer[TMBI_PMI_LINE], value[VALUE_MAX + 1];
    int rc = tmbi_pmi_ask(&pmi->stream, "get_result", answer, deadline,
                          "cmd=get kvsname=%s key=tmb-%u-%d-%zu\n", pmi->space,
                          pmi->round, rank, chunk);

    if (rc && rc != -EREMOTEIO)
        return rc;
    if (rc || tmbi_pmi_field(answer, "value", value, sizeof value) ||
        tmbi_pmi_decode(value, data, bytes)) {
        tmbi_error("PMI_FD=%d: the launcher has no part of rank %d's: it answered "
                   "\"%.100s\"",
                   pmi->stream.fd, rank, answer);
        return -EPROTO;
    }
    return 0;
}

/* PMI does not tell who is missing. */
static int pmi_barrier(struct pmi *pmi, int64_t deadline)
{
    static const char ask[] = "cmd=barrier_in\n";
    char answer[TMBI_PMI_LINE], command[64];
    int rc = tmbi_pmi_exchange(&pmi->stream, ask, sizeof ask - 1, answer, deadline);

    if (rc == -ETIMEDOUT) {
        pmi->stream.broken = true;
        tmbi_error("not all ranks came in time, and PMI does not tell which "
                   "(TMB_INIT_TIMEOUT is how long to wait)");
        return rc;
    }
    if (rc)
        return tmbi_pmi_gone(&pmi->stream, rc);
    if (tmbi_pmi_field(answer, "cmd", command, sizeof command) ||
        strcmp(command, "barrier_out"))
        return tmbi_pmi_garbage(&pmi->stream, "cmd=barrier_in", answer);
    return 0;
}

/* ---- exchanges ---- */

static size_t chunk_bytes(const struct pmi *pmi)
{
    return TMBI_PMI_BYTES(pmi->value_max);
}

static int part_put(struct pmi *pmi, int rank, const uint8_t *part, size_t bytes,
                    int64_t deadline)
{
    size_t step = chunk_bytes(pmi);
    int rc = 0;

    for (size_t at = 0; !rc && at < bytes; at += step)
        rc = pmi_put(pmi, rank, at / step, part + at,
                     bytes - at < step ? bytes - at : step, deadline);
    return rc;
}

static int part_get(struct pmi *pmi, int rank, uint8_t *part, size_t bytes,
                    int64_t deadline)
{
    size_t step = chunk_bytes(pmi);
    int rc = 0;

    for (size_t at = 0; !rc && at < bytes; at += step)
        rc = pmi_get(pmi, rank, at / step, part + at,
                     bytes - at < step ? bytes - at : step, deadline);
    return rc;
}

static int pmi_exchange(struct tmbi_bootstrap *b, const void *mine, size_t bytes,
                        void *all, int64_t deadline)
{
    struct pmi *pmi = b->state;
    int rc = tmbi_channel_check(bytes);

    if (rc)
        return rc;
    pmi->round++;
    rc = part_put(pmi, b->job.rank, mine, bytes, deadline);
    if (!rc)
        rc = pmi_barrier(pmi, deadline);
    for (int i = 0; !rc && i < b->job.size; i++)
        rc = part_get(pmi, i, (uint8_t *)all + (size_t)i * bytes, bytes, deadline);
    return rc;
}

/* What rank 0 makes up: names of PMI's are unique for their launcher only. */
static int name_agree(struct tmbi_bootstrap *b, int64_t deadline)
{
    struct pmi *pmi = b->state;
    char name[NAME_BYTES];
    int rc = 0;

    if (b->job.rank == 0) {
        rc = tmbi_bootstrap_name(b->job.name);
        if (!rc)
            rc = pmi_put(pmi, 0, 0, b->job.name, sizeof name, deadline);
    }
    if (!rc)
        rc = pmi_barrier(pmi, deadline);
    if (!rc)
        rc = pmi_get(pmi, 0, 0, name, sizeof name, deadline);
    if (!rc)
        snprintf(b->job.name, sizeof b->job.name, "%.*s", (int)sizeof name, name);
    return rc;
}

/* ---- opening and closing ---- */

static int pmi_detect(const struct tmbi_core_config *config)
{
    const char *fd = getenv("PMI_FD");

    return fd && *fd && config->rank < 0 && config->size < 0 && !config->job;
}

static int number_of(const char *name, int min, int *value)
{
    const char *text = getenv(name);
    int64_t number;

    if (!text || tmbi_parse_int(text, min, INT32_MAX, &number)) {
        tmbi_error(
            "%s=%s: must be a number from %d on: mpiexec sets PMI_FD, PMI_RANK and "
            "PMI_SIZE together",
            name, text ? text : "", min);
        return -EINVAL;
    }
    *value = (int)number;
    return 0;
}

/* MPI_Init would find its stream used up, or use it up for us. */
static int check_mpi(const struct tmbi_core_config *config)
{
    if (config->bootstrap || !dlsym(RTLD_DEFAULT, "MPI_Init"))
        return 0;
    tmbi_error(
        "PMI_FD is set, but this program has MPI, which uses it itself: set "
        "TMB_RENDEZVOUS, TMB_RANK and TMB_SIZE before tmb_init, or, if MPI_Init is "
        "not called, TMB_BOOTSTRAP=pmi; TMB_BOOTSTRAP=single makes a job of one");
    return -EINVAL;
}

static int check_socket(int fd)
{
    int type = 0;
    socklen_t bytes = sizeof type;

    if (!getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) && type == SOCK_STREAM &&
        !fcntl(fd, F_SETFD, FD_CLOEXEC))
        return 0;
    tmbi_error("PMI_FD=%d is not the launcher's socket: was it closed, or is this a "
               "program that a rank started? Unset PMI_FD to run it alone",
               fd);
    return -EINVAL;
}

static int check_variables(struct tmbi_bootstrap *b, int *fd)
{
    int rc = number_of("PMI_FD", 0, fd);

    if (!rc)
        rc = number_of("PMI_RANK", 0, &b->job.rank);
    if (!rc)
        rc = number_of("PMI_SIZE", 1, &b->job.size);
    if (rc)
        return rc;
    if (b->job.rank < b->job.size && b->job.size <= TMBI_SIZE_MAX)
        return check_socket(*fd);
    tmbi_error("PMI_RANK=%d of PMI_SIZE=%d: at most %d ranks are possible, numbered from "
               "0 on",
               b->job.rank, b->job.size, TMBI_SIZE_MAX);
    return -EINVAL;
}

/* What the launcher says of itself. */
static int pmi_meet(struct pmi *pmi, int64_t deadline)
{
    char answer[TMBI_PMI_LINE];
    int64_t keys = 0, values = 0;
    int rc = tmbi_pmi_ask(&pmi->stream, "response_to_init", answer, deadline,
                          "cmd=init pmi_version=1 pmi_subversion=1\n");

    if (rc == -EREMOTEIO)
        return tmbi_pmi_garbage(&pmi->stream, "cmd=init pmi_version=1 pmi_subversion=1",
                                answer);
    if (!rc)
        rc = tmbi_pmi_ask(&pmi->stream, "maxes", answer, deadline, "cmd=get_maxes\n");
    if (rc)
        return rc;
    if (tmbi_pmi_number(answer, "keylen_max", &keys) || keys < (int64_t)KEY_MAX ||
        tmbi_pmi_number(answer, "vallen_max", &values) ||
        values <= (int64_t)TMBI_PMI_CHARS(NAME_BYTES))
        return tmbi_pmi_garbage(&pmi->stream, "cmd=get_maxes", answer);
    pmi->value_max = values > (int64_t)VALUE_MAX ? VALUE_MAX : (size_t)values - 1;
    rc = tmbi_pmi_ask(&pmi->stream, "my_kvsname", answer, deadline,
                      "cmd=get_my_kvsname\n");
    if (!rc && (tmbi_pmi_field(answer, "kvsname", pmi->space, sizeof pmi->space) ||
                !pmi->space[0]))
        return tmbi_pmi_garbage(&pmi->stream, "cmd=get_my_kvsname", answer);
    return rc;
}

/* A launcher that is told nothing ends the job when we end. */
static void pmi_close(struct tmbi_bootstrap *b)
{
    struct pmi *pmi = b->state;
    char answer[TMBI_PMI_LINE];

    if (!pmi->stream.broken)
        tmbi_pmi_ask(&pmi->stream, "finalize_ack", answer, tmbi_deadline(ABORT_NS),
                     "cmd=finalize\n");
    close(pmi->stream.fd);
    free(pmi);
    b->state = NULL;
}

static int pmi_open(struct tmbi_bootstrap *b, const struct tmbi_core_config *config)
{
    int64_t deadline = tmbi_deadline(config->init_timeout_ns);
    struct pmi *pmi;
    int fd = -1;
    int rc = check_mpi(config);

    if (!rc)
        rc = check_variables(b, &fd);
    if (rc)
        return rc;
    pmi = calloc(1, sizeof *pmi);
    if (!pmi)
        return -ENOMEM;
    pmi->stream.fd = fd;
    b->state = pmi;
    rc = pmi_meet(pmi, deadline);
    if (!rc)
        rc = name_agree(b, deadline);
    if (rc)
        pmi_close(b);
    return rc;
}

static void pmi_abort(struct tmbi_bootstrap *b, int exit_code)
{
    const struct pmi *pmi = b->state;
    char text[64];
    int length = snprintf(text, sizeof text, "cmd=abort exitcode=%d\n", exit_code);

    tmbi_stream_send(pmi->stream.fd, text, (size_t)length, tmbi_deadline(ABORT_NS));
}

const struct tmbi_bootstrap_ops tmbi_bootstrap_pmi = {
    .name = "pmi",
    .meaning = "mpiexec has started the ranks (PMI-1, as MPICH's Hydra offers it)",
    .needs = "PMI_FD is not set, or TMB_RANK, TMB_SIZE or TMB_JOB is: mpiexec sets the "
             "first, and the others are for TMB_RENDEZVOUS",
    .detect = pmi_detect,
    .open = pmi_open,
    .exchange = pmi_exchange,
    .abort = pmi_abort,
    .close = pmi_close};
