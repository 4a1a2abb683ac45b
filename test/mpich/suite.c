/* SPDX-License-Identifier: BSD-3-Clause */
/* The runner. Windows and epochs of all kinds are in setting.c. */
#include "suite.h"

#include <dlfcn.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define CASE_SECONDS     120
#define FINALIZE_SECONDS 15
#define TEXT_BYTES       256

int me, ranks, to, from;

/* Errors last: what goes wrong with those may end the program. */
static const struct suite_case *const families[] = {
    window_cases,        communicator_cases, attribute_cases,  info_cases,
    communication_cases, request_cases,      accumulate_cases, element_cases,
    fence_cases,         pscw_cases,         lock_cases,       datatype_cases,
    layout_cases,        dynamic_cases,      shared_cases,     large_cases,
    thread_cases,        progress_cases,     error_cases};

static atomic_int failures; /* of this rank in the current case */
static char first_failure[TEXT_BYTES];
static char note[96];
static const char *running;

/* The library that the loader has bound a one-sided call to. */
static const char *library(void)
{
    Dl_info info = {0};

    return dladdr((void *)(uintptr_t)&MPI_Win_create, &info) && info.dli_fname
               ? info.dli_fname
               : "unknown";
}

bool suite_adapter(void)
{
    return !strstr(library(), "libmpich.so");
}

void suite_note(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(note, sizeof(note), format, arguments);
    va_end(arguments);
}

bool suite_check(bool ok, const char *text, const char *file, int line)
{
    const char *name = strrchr(file, '/');
    int before;

    if (ok)
        return true;
    before = atomic_fetch_add(&failures, 1);
    if (before == 0)
        snprintf(first_failure, sizeof(first_failure), "%s:%d: %.120s%s%s%s",
                 name ? name + 1 : file, line, text, note[0] ? " (" : "", note,
                 note[0] ? ")" : "");
    return false;
}

bool suite_number(long long got, long long wanted, const char *text, const char *file,
                  int line)
{
    char line_text[TEXT_BYTES];

    if (got == wanted)
        return true;
    snprintf(line_text, sizeof(line_text), "%.80s is %lld instead of %lld", text, got,
             wanted);
    return suite_check(false, line_text, file, line);
}

static const char *class_name(int class)
{
    static _Thread_local char text[MPI_MAX_ERROR_STRING];
    int length;

    if (class == MPI_SUCCESS)
        return "success";
    if (MPI_Error_string(class, text, &length))
        return "no class";
    text[strcspn(text, ",")] = 0;
    return text;
}

bool suite_class(int code, int wanted, const char *text, const char *file, int line)
{
    char line_text[TEXT_BYTES];
    int class = -1, length;

    MPI_Error_class(code, &class);
    if (class == wanted)
        return true;
    length = snprintf(line_text, sizeof(line_text), "%.80s gave class %d (%.40s)", text,
                      class, class_name(class));
    snprintf(line_text + length, sizeof(line_text) - (size_t)length,
             " instead of %d (%.40s)", wanted, class_name(wanted));
    return suite_check(false, line_text, file, line);
}

int rounds(int number)
{
    cpu_set_t cores;

    if (ranks == 1 || sched_getaffinity(0, sizeof(cores), &cores))
        return number;
    return suite_adapter() && CPU_COUNT(&cores) >= ranks ? number : (number + 9) / 10;
}

/* xorshift64 (Marsaglia, Journal of Statistical Software 8, 2003). */
uint64_t suite_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        _exit(98);
}

static void too_long(int number)
{
    (void)number;
    if (me == 0) {
        say("not ok ");
        say(running);
        say(": took too long");
    } else {
        say("# took too long on another rank: ");
        say(running);
    }
    if (note[0])
        say(", ");
    say(note);
    say("\n");
    _exit(99);
}

struct tally {
    int passed, failed, skipped;
};

static bool wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strncmp(name, argv[i], strlen(argv[i])))
            return true;
    return argc < 2;
}

/* How many ranks failed; rank 0 gets to know the first one, and why. */
static int outcome(int *first, char *why)
{
    int mine = atomic_load(&failures) != 0, all = 0, candidate = mine ? me : ranks;

    PMPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    PMPI_Allreduce(&candidate, first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (all) {
        memcpy(why, first_failure, TEXT_BYTES);
        PMPI_Bcast(why, TEXT_BYTES, MPI_CHAR, *first, MPI_COMM_WORLD);
    }
    return all;
}

static void run_case(const struct suite_case *c, struct tally *tally)
{
    char why[TEXT_BYTES] = "";
    int all, first;

    running = c->name;
    atomic_store(&failures, 0);
    suite_note("%s", "");
    alarm(CASE_SECONDS);
    PMPI_Barrier(MPI_COMM_WORLD);
    c->run();
    PMPI_Barrier(MPI_COMM_WORLD);
    alarm(0);
    all = outcome(&first, why);
    if (me == 0 && all && c->only == MPICH_WRONG && !suite_adapter()) {
        printf("ok %s (MPICH alone is wrong here, as known: %s)\n", c->name, why);
        tally->passed++;
        return;
    }
    tally->passed += all == 0;
    tally->failed += all != 0;
    if (me == 0 && all)
        printf("not ok %s: rank %d%s: %s\n", c->name, first, all > 1 ? " and others" : "",
               why);
    else if (me == 0)
        printf("ok %s\n", c->name);
}

static void run_family(const struct suite_case *cases, int argc, char **argv,
                       struct tally *tally)
{
    for (const struct suite_case *c = cases; c->name; c++) {
        if (!wanted(c->name, argc, argv) || ranks < c->ranks)
            continue; /* a smaller job has no such case; it is no skip */
        if (c->only == ADAPTER && !suite_adapter())
            continue; /* nor has MPICH alone such a feature */
        run_case(c, tally);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    struct tally tally = {0, 0, 0};
    int level;

    running = "start";
    signal(SIGALRM, too_long);
    alarm(CASE_SECONDS);
    if (MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level))
        return 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &me);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (ranks > RANKS_MAX || level != MPI_THREAD_MULTIPLE)
        MPI_Abort(MPI_COMM_WORLD, 1);
    to = (me + 1) % ranks;
    from = (me + ranks - 1) % ranks;
    if (me == 0)
        printf("# one-sided calls are those of %s\n", library());
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
        run_family(families[i], argc, argv, &tally);
    if (me == 0)
        printf("%d passed, %d failed, %d skipped\n", tally.passed, tally.failed,
               tally.skipped);
    fflush(stdout);
    running = "MPI_Finalize";
    alarm(FINALIZE_SECONDS);
    MPI_Finalize();
    return tally.failed ? 1 : 0;
}
