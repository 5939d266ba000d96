/* Linked into the programs of docs/c.md: a handler of the program's own, which is installed before the
 * library's (BEFORE) or after it. It ends the process with status 77. The later one asks the library first, unless
 * it is one that REFUSES. */
#define _GNU_SOURCE
#include <baremap.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void on_signal(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
#if !defined BEFORE && !defined REFUSES
    if (baremap_on_fault(signal, info, context))
        return;
#endif
    _exit(77);
}

__attribute__((constructor)) static void install(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&action.sa_mask);
#ifndef BEFORE
    baremap_install();
#endif
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
#ifdef REINSTALL
    baremap_reinstall();
#endif
}
