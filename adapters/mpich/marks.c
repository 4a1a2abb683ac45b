/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who has the adapter: ranks without it can't be asked by MPI, for they make no call of
 * ours. So each rank that has it puts a mark among its launcher's keys (PMI-1) before
 * PMPI_Init, whose own barriers publish it. Rank 0 then looks for all marks, and tells
 * those who have one.
 *
 * Other launchers' jobs are taken to be all alike.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../../core/bootstrap/pmi_stream.h"
#include "../../core/bootstrap/pmi_text.h"
#include "../../core/clock.h"
#include "../../core/env.h"
#include "../../core/log.h"
#include "adapter.h"
#include "start.h"

#define ANSWER_NS  INT64_C(10000000000)
#define MARK_BYTES 32
#define TAG        0x746d62 /* of the verdict; before the application sends anything */

/* What has to be the same for two to work together. */
#define TMBM_TEXT_(x) #x
#define TMBM_TEXT(x)  TMBM_TEXT_(x)
static const char mark[MARK_BYTES] = TMBM_TEXT(TMB_VERSION_MAJOR) "." TMBM_TEXT(
    TMB_VERSION_MINOR) "." TMBM_TEXT(TMB_VERSION_PATCH);

static struct tmbi_pmi_stream *pmi; /* NULL: no PMI-1, or no other rank */
static char space[257];             /* the kvsname */

/* A variable of mpiexec's; -1: there is none. */
static int variable(const char *name)
{
    const char *text = getenv(name);
    int64_t number;

    if (!text || tmbi_parse_int(text, 0, INT32_MAX, &number))
        return -1;
    return (int)number;
}

/* A program that a rank has started has the variable, and no socket. */
static bool is_stream(int fd)
{
    int type = 0;
    socklen_t bytes = sizeof type;

    return fd >= 0 && !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) &&
           type == SOCK_STREAM;
}

/* Hydra forgets what was put before the first "init" that it gets. It takes any number of
 * them, so that MPICH's own comes as if it were the first. */
static int greet(void)
{
    char answer[TMBI_PMI_LINE];
    int rc = tmbi_pmi_ask(pmi, "response_to_init", answer, tmbi_deadline(ANSWER_NS),
                          "cmd=init pmi_version=1 pmi_subversion=1\n");

    if (!rc)
        rc = tmbi_pmi_ask(pmi, "my_kvsname", answer, tmbi_deadline(ANSWER_NS),
                          "cmd=get_my_kvsname\n");
    if (!rc && tmbi_pmi_field(answer, "kvsname", space, sizeof space))
        rc = tmbi_pmi_garbage(pmi, "cmd=get_my_kvsname", answer);
    return rc;
}

static void pmi_close(void)
{
    free(pmi);
    pmi = NULL;
}

void tmbm_mark_put(void)
{
    char answer[TMBI_PMI_LINE];
    int fd = variable("PMI_FD"), rank = variable("PMI_RANK");

    if (!is_stream(fd) || rank < 0 || variable("PMI_SIZE") <= 1)
        return;
    pmi = calloc(1, sizeof *pmi);
    if (!pmi)
        return;
    pmi->fd = fd;
    if (greet() ||
        tmbi_pmi_ask(pmi, "put_result", answer, tmbi_deadline(ANSWER_NS),
                     "cmd=put kvsname=%s key=tombolo-%d value=%s\n", space, rank, mark))
        pmi_close();
}

/* Empty: there is none. */
static void mark_get(int rank, char text[MARK_BYTES])
{
    char answer[TMBI_PMI_LINE];
    int rc = tmbi_pmi_ask(pmi, "get_result", answer, tmbi_deadline(ANSWER_NS),
                          "cmd=get kvsname=%s key=tombolo-%d\n", space, rank);

    if (rc || tmbi_pmi_field(answer, "value", text, MARK_BYTES))
        text[0] = '\0';
}

/* ---- who has not ---- */

/* Ranks as people write them: "0,2-5". */
struct list {
    char text[256];
    size_t used;
    int first, last; /* the range that is not written yet; none: last < first */
};

static void list_flush(struct list *list)
{
    const char *comma = list->used ? "," : "";
    size_t room = sizeof list->text - list->used;
    int more;

    if (list->last < list->first)
        return;
    if (list->last == list->first)
        more = snprintf(list->text + list->used, room, "%s%d", comma, list->first);
    else
        more = snprintf(list->text + list->used, room, "%s%d-%d", comma, list->first,
                        list->last);
    list->used = (size_t)more < room ? list->used + (size_t)more : sizeof list->text - 1;
}

static void list_add(struct list *list, int rank)
{
    if (list->last >= list->first && rank == list->last + 1) {
        list->last = rank;
        return;
    }
    list_flush(list);
    list->first = list->last = rank;
}

static void complain(const char *ranks, const char *has)
{
    tmbi_warn("MPI's one-sided calls go to MPICH: rank %s of this job %s; give "
              "LD_PRELOAD and TMB_MPICH to all ranks alike",
              ranks, has);
}

static void complain_missing(int size)
{
    struct list missing = {.last = -1};
    char text[MARK_BYTES], has[MARK_BYTES + 64];
    int other = -1;

    for (int rank = 0; rank < size; rank++) {
        mark_get(rank, text);
        if (!text[0]) {
            list_add(&missing, rank);
        } else if (strcmp(text, mark) && other < 0) {
            other = rank;
            snprintf(has, sizeof has, "has libtombolo-mpich %s, and others %s", text,
                     mark);
        }
    }
    list_flush(&missing);
    if (missing.used) {
        complain(missing.text, "has no libtombolo-mpich, or TMB_MPICH=off");
    } else if (other >= 0) {
        snprintf(text, sizeof text, "%d", other);
        complain(text, has);
    }
}

/* ---- the verdict ---- */

static bool judge(int size)
{
    char(*marks)[MARK_BYTES] = calloc((size_t)size, sizeof *marks);
    int agree = marks != NULL;

    for (int rank = 0; marks && rank < size; rank++) {
        mark_get(rank, marks[rank]);
        agree = agree && !strcmp(marks[rank], mark);
    }
    if (!agree)
        complain_missing(size);
    for (int rank = 1; marks && rank < size; rank++)
        if (marks[rank][0])
            PMPI_Send(&agree, 1, MPI_INT, rank, TAG, MPI_COMM_WORLD);
    free(marks);
    return agree;
}

/* Rank 0 has no mark, and will tell nothing: the first that has one does. */
static void no_judge(int rank, int size)
{
    char text[MARK_BYTES];

    for (int other = 1; other < rank; other++) {
        mark_get(other, text);
        if (text[0])
            return;
    }
    complain_missing(size);
}

static bool await_verdict(int rank, int size)
{
    char text[MARK_BYTES];
    int agree = 0;

    mark_get(0, text);
    if (text[0])
        PMPI_Recv(&agree, 1, MPI_INT, 0, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    else
        no_judge(rank, size);
    return agree;
}

bool tmbm_marks_agree(int rank, int size)
{
    bool agree = true;

    if (pmi && size > 1)
        agree = rank == 0 ? judge(size) : await_verdict(rank, size);
    pmi_close();
    return agree;
}
