/* SPDX-License-Identifier: BSD-3-Clause */
/* What is read of the kernel's list of a process's memory, and what of it may be
 * replaced. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../providers/ivshmem/maps.h"
#include "another.h"

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

static bool parse(const char *text, struct tmbi_mapping *mapping)
{
    static char line[512];

    snprintf(line, sizeof line, "%s\n", text);
    return tmbi_mapping_parse(line, mapping);
}

static void lines_are_parsed(void **state)
{
    struct tmbi_mapping m;

    (void)state;
    assert_true(parse("5581e0a1c000-5581e0a3d000 rw-p 00000000 00:00 0    [heap]", &m));
    assert_int_equal(m.start, 0x5581e0a1c000);
    assert_int_equal(m.end, 0x5581e0a3d000);
    assert_string_equal(m.access, "rw-p");
    assert_int_equal(m.inode, 0);
    assert_string_equal(m.name, "[heap]");
    assert_true(
        parse("7f0000000000-7f0000001000 r-xs 0012f000 fe:01 1234 /a b (deleted)", &m));
    assert_string_equal(m.access, "r-xs");
    assert_int_equal(m.offset, 0x12f000);
    assert_int_equal(m.major, 0xfe);
    assert_int_equal(m.minor, 1);
    assert_int_equal(m.inode, 1234);
    assert_string_equal(m.name, "/a b (deleted)");
    assert_true(parse("7f0000000000-7f0000001000 rw-p 00000000 00:00 0 ", &m));
    assert_string_equal(m.name, "");
    assert_true(parse("7f0000000000-7f0000001000 rw-p 00000000 00:00 0", &m));
    assert_string_equal(m.name, "");
}

static void garbage_is_refused(void **state)
{
    static const char *const lines[] = {"",
                                        "7f0000000000",
                                        "7f0000000000-7f0000001000",
                                        "7f0000000000-7f0000001000 rw 00000000 00:00 0",
                                        "7f0000001000-7f0000001000 rw-p 00000000 00:00 0",
                                        "7f0000002000-7f0000001000 rw-p 00000000 00:00 0",
                                        "7f0000000000-7f0000001000 rw-p 00000000 0000 0",
                                        "Size:                132 kB"};
    struct tmbi_mapping m;

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_false(parse(lines[i], &m));
}

static uint8_t *pages(size_t count, int access, int flags, int fd)
{
    uint8_t *at = mmap(NULL, count * PAGE, access, flags, fd, 0);

    assert_ptr_not_equal(at, MAP_FAILED);
    return at;
}

/* Why that can't be replaced; NULL: it can. */
static const char *objection(const void *at, size_t bytes)
{
    uintptr_t start = (uintptr_t)at & ~(PAGE - 1);
    const char *why = NULL;

    return tmbi_memory_replaceable(start, start + bytes, &why) ? NULL : why;
}

static void objects(const char *why, const char *reason)
{
    if (why)
        print_message("# refused: %s\n", why);
    if (!reason) {
        assert_null(why);
        return;
    }
    assert_non_null(why);
    assert_non_null(strstr(why, reason));
}

static void replaceable(const void *at, size_t bytes, const char *reason)
{
    objects(objection(at, bytes), reason);
}

static void own_memory_is_replaceable(void **state)
{
    (void)state;
    not_under_another();

    static uint8_t beside[100000];
    uint8_t *heap = malloc(100000);
    uint8_t *at = pages(8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

    replaceable(beside, 5 * PAGE, "library's own"); /* it is in this program */
    replaceable(heap, 5 * PAGE, NULL);
    free(heap);
    replaceable(at, 8 * PAGE, NULL);
    madvise(at + 3 * PAGE, PAGE, MADV_HUGEPAGE); /* two mappings now */
    replaceable(at, 8 * PAGE, NULL);
    munmap(at, 8 * PAGE);
}

enum { BESIDE = 16, STACK = 512 }; /* pages */

/* The stack of who asks lies amid the pages. */
struct beside {
    uint8_t *at;
    const char *below, *touched, *bottom, *top, *above; /* objections */
};

static void *beside_own_stack(void *arg)
{
    struct beside *beside = arg;
    uint8_t *at = beside->at;

    beside->below = objection(at, BESIDE * PAGE);
    beside->touched = objection(at, (BESIDE + 1) * PAGE);
    beside->bottom = objection(at + BESIDE * PAGE, PAGE);
    beside->top = objection(at + (BESIDE + STACK - 1) * PAGE, PAGE);
    beside->above = objection(at + (BESIDE + STACK) * PAGE, BESIDE * PAGE);
    return NULL;
}

static void memory_beside_a_stack_is_replaceable(void **state)
{
    (void)state;
    not_under_another();

    struct beside beside = {.at = pages(BESIDE + STACK + BESIDE, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1)};
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, beside.at + BESIDE * PAGE, STACK * PAGE);
    assert_int_equal(pthread_create(&thread, &attributes, beside_own_stack, &beside), 0);
    pthread_join(thread, NULL);
    objects(beside.below, NULL);
    objects(beside.touched, "stack");
    objects(beside.bottom, "stack");
    objects(beside.top, "stack");
    objects(beside.above, NULL);
    pthread_attr_destroy(&attributes);
    munmap(beside.at, (BESIDE + STACK + BESIDE) * PAGE);
}

static struct beside *passed;

/* As user-level threads do. */
static void own_stack(void)
{
    struct beside *beside = passed;

    beside->below = objection(beside->at, BESIDE * PAGE);
    beside->touched = objection(__builtin_frame_address(0), PAGE);
}

static void stack_of_own_making_is_not(void **state)
{
    (void)state;
    not_under_another();
#ifdef __SANITIZE_ADDRESS__
    print_message("AddressSanitizer doesn't know switched stacks\n");
    skip();
#endif

    struct beside beside = {.at = pages(BESIDE + STACK, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS, -1)};
    ucontext_t here, there;

    assert_int_equal(getcontext(&there), 0);
    there.uc_stack.ss_sp = beside.at + BESIDE * PAGE;
    there.uc_stack.ss_size = STACK * PAGE;
    there.uc_link = &here;
    passed = &beside;
    makecontext(&there, own_stack, 0);
    assert_int_equal(swapcontext(&here, &there), 0);
    objects(beside.below, NULL);
    objects(beside.touched, "stack");
    munmap(beside.at, (BESIDE + STACK) * PAGE);
}

static _Thread_local int variable;

static void other_memory_is_not(void **state)
{
    (void)state;
    not_under_another();

    uint8_t *at = pages(8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    int fd = memfd_create("maps", MFD_CLOEXEC);
    uint8_t *shared, *deleted;

    assert_int_equal(ftruncate(fd, (off_t)(4 * PAGE)), 0);
    shared = pages(4, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    deleted = pages(4, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
    replaceable(__builtin_frame_address(0), PAGE, "stack");
    replaceable((void *)pthread_self(), PAGE, "thread's own");
    replaceable(&variable, PAGE, "thread's own");
    replaceable(shared, 4 * PAGE, "shared");
    replaceable(deleted, 4 * PAGE, "deleted");
    replaceable((void *)(uintptr_t)other_memory_is_not, PAGE,
                "not readable and writable");
    mprotect(at + 3 * PAGE, PAGE, PROT_READ);
    replaceable(at, 8 * PAGE, "not readable and writable");
    munmap(at + 3 * PAGE, PAGE);
    replaceable(at, 8 * PAGE, "not all");
    replaceable(at + 3 * PAGE, PAGE, "not all");
    munmap(at, 8 * PAGE);
    munmap(shared, 4 * PAGE);
    munmap(deleted, 4 * PAGE);
    close(fd);
}

static void locked_memory_is_not(void **state)
{
    (void)state;
    not_under_another();

    uint8_t *at = pages(2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

    /* sanitizers replace the function */
    assert_int_equal(syscall(SYS_mlock, at, PAGE), 0);
    replaceable(at, 2 * PAGE, "locked");
    assert_int_equal(syscall(SYS_munlock, at, PAGE), 0);
    replaceable(at, 2 * PAGE, NULL);
    munmap(at, 2 * PAGE);
}

static void *wait_for(void *arg)
{
    pthread_barrier_wait(arg);
    pthread_barrier_wait(arg);
    return NULL;
}

static void threads_are_counted(void **state)
{
    int before = tmbi_threads_count();
    pthread_barrier_t barrier;
    pthread_t thread;

    (void)state;
#ifdef __SANITIZE_THREAD__
    print_message("ThreadSanitizer's own threads come and go\n");
    skip();
#endif
    assert_true(before >= 1); /* a sanitizer has some of its own */
    pthread_barrier_init(&barrier, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, wait_for, &barrier), 0);
    pthread_barrier_wait(&barrier);
    assert_int_equal(tmbi_threads_count(), before + 1);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_parsed),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(own_memory_is_replaceable),
        cmocka_unit_test(memory_beside_a_stack_is_replaceable),
        cmocka_unit_test(stack_of_own_making_is_not),
        cmocka_unit_test(other_memory_is_not),
        cmocka_unit_test(locked_memory_is_not),
        cmocka_unit_test(threads_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
