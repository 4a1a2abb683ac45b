/* SPDX-License-Identifier: BSD-3-Clause */
/* Replacing pages by a region's and back, by each means of holding others off. */
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../providers/ivshmem/replace.h"
#include "another.h"

#define PAGE  4096u
#define PAGES 8u
#define BYTES (UINT64_C(2) << 20)

static struct tmbi_way way;
static struct tmbi_backing backing;
static int file;
/* Volatile: no compiler can know that it is also elsewhere. */
static volatile _Alignas(65536) uint8_t area[PAGES * PAGE];

static int map(struct tmbi_way *self, uint64_t offset, size_t bytes, void **at)
{
    return tmbi_way_map_file(self, file, 0, offset, bytes, at);
}

static const struct tmbi_way_ops ops = {.name = "test", .map = map};

static int region_open(void **state)
{
    (void)state;
    way.ops = &ops;
    if (tmbi_region_private(&way.region, BYTES, &file) ||
        tmbi_backing_find(&way.region, &backing))
        return -1;
    for (size_t i = 0; i < sizeof area; i++)
        area[i] = (uint8_t)(i * 7 + i / 4096);
    return sysconf(_SC_PAGESIZE) == PAGE ? 0 : -1;
}

static int region_close(void **state)
{
    (void)state;
    tmbi_region_unmap(&way.region);
    return close(file);
}

static bool is_filled(const volatile uint8_t *bytes)
{
    for (size_t i = 0; i < sizeof area; i++)
        if (bytes[i] != (uint8_t)(i * 7 + i / 4096))
            return false;
    return true;
}

/* Pages 1 to 6, of which the first and the last have other data, too. */
static struct tmbi_stretch stretch(void)
{
    uintptr_t start = (uintptr_t)area + PAGE, end = (uintptr_t)area + 7 * PAGE;

    return (struct tmbi_stretch){start, end, start + PAGE, end - PAGE};
}

static void there_and_back(enum tmbi_guard_means means)
{
    const struct tmbi_stretch s = stretch();
    uint8_t *at = way.region.heap + 3 * PAGE;
    volatile uint8_t *there = at + 100;

    assert_int_equal(tmbi_stretch_share(&way, &s, at, means), 0);
    assert_true(is_filled(area));
    *there ^= 0xff; /* it is one memory */
    assert_int_equal(area[PAGE + 100], *there);
    area[PAGE + 100] ^= 0xff;
    assert_true(tmbi_stretch_unshare(&way.region, &backing, &s, at));
    assert_true(is_filled(area));
    memset(at, 0, 6 * PAGE); /* and now it isn't */
    assert_true(is_filled(area));
}

static void alone(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        there_and_back(TMBI_GUARD_MUST);
}

/* What the application has mapped there in the meantime stays. */
static void pages_that_were_taken_away(void **state)
{
    size_t bytes = 6 * PAGE;
    uint8_t *at = way.region.heap, *memory;

    (void)state;
    memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    const struct tmbi_stretch s = {(uintptr_t)memory, (uintptr_t)memory + bytes,
                                   (uintptr_t)memory, (uintptr_t)memory + bytes};
    assert_int_equal(tmbi_stretch_share(&way, &s, at, TMBI_GUARD_SURE), 0);
    memset(memory, 1, bytes);
    munmap(memory + PAGE, PAGE);
    assert_ptr_equal(mmap(memory + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                     memory + 3 * PAGE);
    memory[3 * PAGE] = 9;
    assert_true(tmbi_stretch_unshare(&way.region, &backing, &s, at));
    memset(at, 2, bytes);
    assert_int_equal(memory[0], 1);
    assert_int_equal(memory[2 * PAGE], 1);
    assert_int_equal(memory[3 * PAGE], 9);
    assert_int_equal(memory[6 * PAGE - 1], 1);
    assert_int_equal(msync(memory + PAGE, PAGE, MS_ASYNC), -1); /* nothing is there */
    assert_int_equal(errno, ENOMEM);
    munmap(memory, bytes);
}

/* ---- with others ---- */

static atomic_bool stop;
static atomic_int lost;

static void *count(void *arg)
{
    _Atomic uint32_t *word = arg;
    uint32_t own = atomic_load_explicit(word, memory_order_relaxed);

    while (!atomic_load(&stop)) {
        if (atomic_load_explicit(word, memory_order_relaxed) != own)
            atomic_fetch_add(&lost, 1);
        atomic_store_explicit(word, ++own, memory_order_relaxed);
    }
    return NULL;
}

/* Threads that write to the first and the last page. Returns the first error. */
static int among_others(enum tmbi_guard_means means, int rounds)
{
    const struct tmbi_stretch s = stretch();
    pthread_t threads[2];
    int status = 0;

    atomic_store(&stop, false);
    atomic_store(&lost, 0);
    pthread_create(&threads[0], NULL, count, (void *)((uintptr_t)area + PAGE + 8));
    pthread_create(&threads[1], NULL, count, (void *)((uintptr_t)area + 7 * PAGE - 8));
    for (int i = 0; i < rounds && !status; i++) {
        status = tmbi_stretch_share(&way, &s, way.region.heap, means);
        if (!status && !tmbi_stretch_unshare(&way.region, &backing, &s, way.region.heap))
            status = -EIO;
    }
    atomic_store(&stop, true);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return status;
}

/* What a child makes of it that runs as nobody, if `nobody`; 77: -EPERM. */
static int child(bool nobody, enum tmbi_guard_means means)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (nobody && (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
                       setresuid(65534, 65534, 65534)))
            _exit(2);
        status = among_others(means, 100);
        if (status == -EPERM)
            _exit(77);
        _exit(status || atomic_load(&lost) ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void others_wait(void **state)
{
    int code;

    (void)state;
    not_under_another();
    code = child(false, TMBI_GUARD_SURE);
    if (code == 77) {
        print_message(
            "skip others_wait: this user has no userfaultfd for system calls\n");
        skip();
    }
    assert_int_equal(code, 0);
}

static void users_wait(void **state)
{
    int code;

    (void)state;
    not_under_another();
    if (geteuid() != 0) {
        print_message("skip users_wait: needs root, to be somebody else\n");
        skip();
    }
    code = child(true, TMBI_GUARD_USERS);
    if (code == 77) {
        print_message("skip users_wait: this kernel has no userfaultfd\n");
        skip();
    }
    assert_int_equal(code, 0);
    assert_int_equal(child(true, TMBI_GUARD_SURE), 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(alone, region_open, region_close),
        cmocka_unit_test_setup_teardown(pages_that_were_taken_away, region_open,
                                        region_close),
        cmocka_unit_test_setup_teardown(others_wait, region_open, region_close),
        cmocka_unit_test_setup_teardown(users_wait, region_open, region_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
