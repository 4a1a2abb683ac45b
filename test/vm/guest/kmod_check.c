/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Checks the kernel module tombolo_uio from within a guest, as root, with nobody else
 * using it: loads and unloads it, once for each way to map the region.
 *   kmod_check [FILE.ko [MODE...]]   without a file: modprobe
 * Pieces of tests that are driven from outside:
 *   kmod_check own     own a slot, say which, and read all of the region for ever
 *   kmod_check slots   number and state of each slot of a process of this kind; by sysfs
 *                      while the module isn't loaded
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <unistd.h>

#include "kmod.h"

static int passed, failed, skipped;

void expect_at(bool holds, const char *what, int line)
{
    if (holds)
        return;
    printf("    line %d: not so: %s (errno: %s)\n", line, what, strerror(errno));
    fflush(stdout);
    _exit(1);
}

static void report(const char *mode, const char *name, int status)
{
    printf("%s %s/%s", status ? "not ok" : "ok", mode, name);
    printf(status ? " (status %#x)\n" : "\n", (unsigned)status);
    fflush(stdout);
    *(status ? &failed : &passed) += 1;
}

static const char *lacks(unsigned needs)
{
    if (needs & KMOD_DOORBELLS && device.vectors == 0)
        return "the device has no doorbells";
    if (needs & KMOD_PLAIN && device.vectors > 0)
        return "the device has doorbells";
    if (needs & KMOD_PAGES && strcmp(device.mode, "pages"))
        return "the region is not mapped by pages";
    return NULL;
}

static void run(const char *mode, const struct kmod_case *one)
{
    const char *reason = lacks(one->needs);

    if (reason) {
        printf("skip %s/%s: %s\n", mode, one->name, reason);
        skipped++;
        return;
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        one->run();
        fflush(stdout);
        _exit(0);
    }
    report(mode, one->name, child_end(pid));
}

static void run_all(const char *mode, const struct kmod_case *cases)
{
    for (; cases->name; cases++) {
        kmod_find(); /* a case may have loaded it anew */
        run(mode, cases);
    }
}

static void check_mode(const char *mode)
{
    int rc = kmod_load(mode);

    if (!rc)
        rc = kmod_find();
    report(mode, "load", rc);
    if (rc)
        return;
    printf("# %u vectors, %zu bytes, mapping: %s %s\n", device.vectors, device.size,
           device.mode, device.type);
    run_all(mode, kmod_map_cases);
    run_all(mode, kmod_owner_cases);
    run_all(mode, kmod_life_cases);
    report(mode, "unload", kmod_unload());
}

/* What the kernel says when it finds itself wrong. */
static void check_log(void)
{
    static const char *const bad[] = {"BUG",        "WARNING",           "Oops",
                                      "Bad page",   "Bad rss",           "Call Trace",
                                      "INFO: task", "general protection"};
    static char text[1 << 18];
    int n = klogctl(3 /* SYSLOG_ACTION_READ_ALL */, text, sizeof text - 1), found = 0;

    for (char *line = n > 0 ? strtok(text, "\n") : NULL; line; line = strtok(NULL, "\n"))
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
            if (strstr(line, bad[i]) && !strstr(line, "MP-BIOS bug")) {
                printf("    %s\n", line);
                found = 1;
            }
    report("kernel", "log", n <= 0 || found);
}

static _Noreturn void command_own(void)
{
    struct access access;

    expect(kmod_find() == 0);
    access_open(&access);
    access_map(&access);
    uint32_t slot = slot_claim(&access, 0);
    expect(access_own(&access, slot) == 0);
    printf("%u\n", slot);
    fflush(stdout);
    for (size_t at = 0;; at = (at + 4096) % device.size)
        (void)*(volatile uint8_t *)(access.region + at);
}

static int command_slots(void)
{
    struct access access;

    if (kmod_find() == 0)
        access_enter(&access);
    else
        access_by_sysfs(&access);
    for (uint32_t i = 0; i < access.header->slot_count; i++)
        if (access.slots[i].kind == TMBI_SLOT_OWN)
            printf("%u %#x\n", i, slot_state(&access.slots[i]));
    return 0;
}

int main(int count, char **arguments)
{
    static const char *const modes[] = {"auto", "pfn", "uncached", NULL};

    if (count == 2 && strcmp(arguments[1], "own") == 0)
        command_own();
    if (count == 2 && strcmp(arguments[1], "slots") == 0)
        return command_slots();
    kmod_path = count > 1 ? arguments[1] : NULL;
    report("any", "wrong-parameter", kmod_load("fastest") == 0);
    if (count > 2)
        for (int i = 2; i < count; i++)
            check_mode(arguments[i]);
    else
        for (const char *const *mode = modes; *mode; mode++)
            check_mode(*mode);
    check_log();
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed > 0;
}
