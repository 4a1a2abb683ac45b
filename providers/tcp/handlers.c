/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Debian's libfabric links libraries (libpsm2, libinfinipath) whose constructors install
 * handlers for SIGSEGV, SIGINT and others, which print a backtrace and exit with code 1.
 * Signals are the application's: whoever loads Tombolo gets the default actions back.
 * Their constructors run before this one, for we depend on them.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

static bool unasked(const struct sigaction *action)
{
    Dl_info owner;
    void *handler = action->sa_flags & SA_SIGINFO ? (void *)action->sa_sigaction
                                                  : (void *)action->sa_handler;

    return handler && dladdr(handler, &owner) && owner.dli_fname &&
           (strstr(owner.dli_fname, "/libpsm2.so") ||
            strstr(owner.dli_fname, "/libinfinipath.so"));
}

__attribute__((constructor)) static void handlers_restore(void)
{
    struct sigaction action;

    for (int number = 1; number < SIGRTMIN; number++)
        if (!sigaction(number, NULL, &action) && unasked(&action))
            signal(number, SIG_DFL);
}
