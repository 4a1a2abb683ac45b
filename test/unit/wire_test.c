/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages of the provider tcp, taken apart: whole, in pieces, and garbage. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../../providers/tcp/wire.h"

static uint8_t bytes[TMBI_TCP_PUT_HEAD + TMBI_TCP_PUT_BYTES + 64];
static struct tmbi_tcp_header got;
static const char *why;

static ssize_t next(const struct tmbi_tcp_header *header, size_t have)
{
    memcpy(bytes, header, sizeof *header);
    return tmbi_tcp_next(bytes, have, &got, &why);
}

static struct tmbi_tcp_header header_of(enum tmbi_tcp_kind kind, uint32_t length)
{
    return (struct tmbi_tcp_header){
        .magic = TMBI_TCP_MAGIC, .kind = (uint16_t)kind, .bytes = length};
}

static void a_part_is_waited_for(void **state)
{
    struct tmbi_tcp_header header = header_of(TMBI_TCP_RESPONSE, 100);

    (void)state;
    for (size_t have = 0; have < sizeof header + 100; have++)
        assert_int_equal(next(&header, have), 0);
    assert_int_equal(next(&header, sizeof header + 100), sizeof header + 100);
    assert_int_equal(next(&header, sizeof bytes), sizeof header + 100);
    assert_int_equal(got.bytes, 100);
}

/* The shortest and the longest that each kind can be, and one byte more or less. */
static void lengths_are_the_kinds(void **state)
{
    static const struct {
        enum tmbi_tcp_kind kind;
        uint64_t id;
        uint32_t least, most;
    } kinds[] = {
        {TMBI_TCP_HELLO, 1, 72, 72},
        {TMBI_TCP_REQUEST, 1, 64, 64 + TMBI_TCP_CALL_BYTES},
        {TMBI_TCP_REQUEST, TMBI_TCP_PUTS, 64, 64 + TMBI_TCP_PUT_BYTES},
        {TMBI_TCP_RING, 1, 0, 0},
        {TMBI_TCP_RESPONSE, 1, 0, TMBI_TCP_CALL_BYTES},
        {TMBI_TCP_BEAT, 1, 0, 0},
        {TMBI_TCP_BYE, 1, 0, 0},
        {TMBI_TCP_DEAD, 1, 0, 0},
        {TMBI_TCP_ASK, 1, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct tmbi_tcp_header header = header_of(kinds[i].kind, kinds[i].least);

        header.id = kinds[i].id;
        assert_int_equal(next(&header, sizeof bytes), sizeof header + kinds[i].least);
        header.bytes = kinds[i].most;
        assert_int_equal(next(&header, sizeof bytes), sizeof header + kinds[i].most);
        header.bytes = kinds[i].most + 1;
        assert_int_equal(next(&header, sizeof bytes), -EPROTO);
        header.bytes = kinds[i].least - 1; /* or nearly 4 GiB */
        assert_int_equal(next(&header, sizeof bytes), -EPROTO);
    }
}

static void garbage_is_refused(void **state)
{
    struct tmbi_tcp_header header = header_of(TMBI_TCP_RING, 0);

    (void)state;
    header.magic ^= 1u << 24; /* another version */
    assert_int_equal(next(&header, sizeof bytes), -EPROTO);
    assert_non_null(why);
    header = header_of(0, 0);
    assert_int_equal(next(&header, sizeof bytes), -EPROTO);
    header.kind = TMBI_TCP_ASK + 1;
    assert_int_equal(next(&header, sizeof bytes), -EPROTO);
    header = header_of(TMBI_TCP_RING, 0);
    header.line = TMBI_LINES;
    assert_int_equal(next(&header, sizeof bytes), -EPROTO);
    header = header_of(TMBI_TCP_RESPONSE, 0);
    header.status = 1;
    assert_int_equal(next(&header, sizeof bytes), -EPROTO);
    header.status = INT32_MIN;
    assert_int_equal(next(&header, sizeof bytes), -EPROTO);
    header = header_of(TMBI_TCP_REQUEST, 64);
    header.value = TMBI_TCP_CALL_BYTES + 1;
    assert_int_equal(next(&header, sizeof bytes), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_is_waited_for),
        cmocka_unit_test(lengths_are_the_kinds),
        cmocka_unit_test(garbage_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
