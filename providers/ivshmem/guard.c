/* SPDX-License-Identifier: BSD-3-Clause */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../core/provider.h"
#include "maps.h"

/* Those of the library write to nothing but windows', and its own, memory. */
static bool is_alone(void)
{
    return tmbi_threads_count() <=
           1 + atomic_load_explicit(&tmbi_threads, memory_order_relaxed);
}

/* ---- userfaultfd ---- */

static bool fault_enable(int fd, bool shared)
{
    struct uffdio_api api = {.api = UFFD_API,
                             .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP |
                                         (shared ? UFFD_FEATURE_WP_HUGETLBFS_SHMEM : 0)};

    return !ioctl(fd, UFFDIO_API, &api);
}

/* With system calls that wait, too: for who has the privilege, or may open the device. */
static int fault_open_full(void)
{
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    int device;

    if (fd >= 0)
        return fd;
    device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    if (device < 0)
        return -1;
#ifdef USERFAULTFD_IOC_NEW
    fd = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
#endif
    close(device);
    return fd;
}

static int fault_open_users(void)
{
#ifdef UFFD_USER_MODE_ONLY
    return (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
#else
    return -1;
#endif
}

/* Pages that are not there can't be protected: a look brings them. */
TMBI_ALL_SEEING static void pages_touch(const struct tmbi_pages *pages)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (size_t at = 0; at < pages->bytes; at += page)
        (void)*(volatile const char *)(pages->start + at);
}

static bool pages_protect(int fd, const struct tmbi_pages *pages)
{
    const struct uffdio_range range = {.start = (uintptr_t)pages->start,
                                       .len = pages->bytes};
    struct uffdio_register enter = {.range = range, .mode = UFFDIO_REGISTER_MODE_WP};
    struct uffdio_writeprotect protect = {.range = range,
                                          .mode = UFFDIO_WRITEPROTECT_MODE_WP};

    if (!pages->bytes)
        return true;
    pages_touch(pages);
    return !ioctl(fd, UFFDIO_REGISTER, &enter) &&
           !ioctl(fd, UFFDIO_WRITEPROTECT, &protect);
}

/* A descriptor's end is that of its protection: whoever waits tries again. */
static int fault_guard(int fd, bool shared, const struct tmbi_pages *pages, int count)
{
    bool works = fd >= 0 && fault_enable(fd, shared);

    for (int i = 0; i < count && works; i++)
        works = pages_protect(fd, &pages[i]);
    if (works || fd < 0)
        return fd;
    close(fd);
    return -1;
}

/* ---- */

int tmbi_guard_begin(struct tmbi_guard *guard, enum tmbi_guard_means means, bool shared,
                     const struct tmbi_pages *pages, int count)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &guard->signals);
    guard->fault = -1;
    guard->alone = is_alone();
    if (guard->alone)
        return 0;
    guard->fault = fault_guard(fault_open_full(), shared, pages, count);
    if (guard->fault < 0 && means >= TMBI_GUARD_USERS)
        guard->fault = fault_guard(fault_open_users(), shared, pages, count);
    if (guard->fault >= 0 || means == TMBI_GUARD_MUST)
        return 0;
    tmbi_guard_end(guard);
    return -EPERM;
}

void tmbi_guard_end(struct tmbi_guard *guard)
{
    if (guard->fault >= 0)
        close(guard->fault);
    pthread_sigmask(SIG_SETMASK, &guard->signals, NULL);
}
