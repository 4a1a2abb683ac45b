/* SPDX-License-Identifier: BSD-3-Clause */
/* Dynamic windows (MPI-3.1, section 11.2.4): displacements are addresses. */
#include "suite.h"

static MPI_Aint address_of(const void *memory)
{
    MPI_Aint address;

    MPI_Get_address(memory, &address);
    return address;
}

static void publish(MPI_Aint mine, MPI_Aint *all)
{
    MPI_Allgather(&mine, 1, MPI_AINT, all, 1, MPI_AINT, MPI_COMM_WORLD);
}

static MPI_Win dynamic_window(void)
{
    MPI_Win win;

    OK(MPI_Win_create_dynamic(MPI_INFO_NULL, MPI_COMM_WORLD, &win));
    OK(MPI_Win_set_errhandler(win, MPI_ERRORS_RETURN));
    return win;
}

/* Several pieces of memory of all kinds. */
static void case_pieces(void)
{
    enum { PIECES = 20, BYTES = 3000 };
    static uint8_t fixed[BYTES];
    uint8_t *pieces[PIECES], out[BYTES];
    MPI_Aint all[PIECES][RANKS_MAX];
    MPI_Win win = dynamic_window();

    for (int i = 0; i < PIECES; i++) {
        pieces[i] = i ? memory_get(BYTES) : fixed;
        OK(MPI_Win_attach(win, pieces[i], BYTES));
        publish(address_of(pieces[i]), all[i]);
    }
    OK(MPI_Win_lock_all(0, win));
    for (int i = 0; i < PIECES; i++) {
        pattern_fill(out, BYTES, (unsigned)(me * 100 + i));
        OK(MPI_Put(out + 5, BYTES - 5, MPI_BYTE, to, MPI_Aint_add(all[i][to], 5),
                   BYTES - 5, MPI_BYTE, win));
        OK(MPI_Win_flush_local(to, win));
    }
    OK(MPI_Win_unlock_all(win));
    window_meet(win);
    for (int i = 0; i < PIECES; i++) {
        pattern_fill(out, BYTES, (unsigned)(from * 100 + i));
        CHECK(!memcmp(pieces[i] + 5, out + 5, BYTES - 5));
        OK(MPI_Win_detach(win, pieces[i]));
        if (i)
            free(pieces[i]);
    }
    OK(MPI_Win_free(&win));
}

/* Attached and detached while others work; the same memory attached again. */
static void case_come_and_go(void)
{
    MPI_Aint all[RANKS_MAX];
    MPI_Win win = dynamic_window();
    int *memory = memory_get(4096), value, got;

    for (int round = 0; round < rounds(40) + 8; round++) {
        int *start = memory + round % 8 * 16;

        OK(MPI_Win_attach(win, start, 256));
        start[0] = round;
        publish(address_of(start), all);
        window_meet(win);
        value = round * 100 + me;
        OK(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, to, 0, win));
        OK(MPI_Get(&got, 1, MPI_INT, to, all[to], 1, MPI_INT, win));
        OK(MPI_Put(&value, 1, MPI_INT, to, MPI_Aint_add(all[to], 8), 1, MPI_INT, win));
        OK(MPI_Win_unlock(to, win));
        EQUAL(got, round);
        window_meet(win);
        EQUAL(start[2], round * 100 + from);
        OK(MPI_Win_detach(win, start));
    }
    free(memory);
    OK(MPI_Win_free(&win));
}

/* Two pieces attached side by side are one to an access. */
static void case_side_by_side(void)
{
    MPI_Aint all[RANKS_MAX];
    MPI_Win win = dynamic_window();
    uint8_t *memory = memory_get(8192), out[1000];

    OK(MPI_Win_attach(win, memory, 4096));
    OK(MPI_Win_attach(win, memory + 4096, 4096));
    publish(address_of(memory), all);
    pattern_fill(out, sizeof(out), (unsigned)me);
    OK(MPI_Win_fence(0, win));
    OK(MPI_Put(out, 1000, MPI_BYTE, to, MPI_Aint_add(all[to], 3600), 1000, MPI_BYTE,
               win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, win));
    CHECK(pattern_is(memory + 3600, 1000, (unsigned)from));
    OK(MPI_Win_detach(win, memory + 4096));
    OK(MPI_Win_detach(win, memory));
    OK(MPI_Win_free(&win));
    free(memory);
}

/* A linked list that lives in all ranks' memory: each appends elements at its end by
 * compare-and-swap (as MPI-3.1's own example 11.22 does). */
struct element {
    int64_t value;
    int64_t next; /* an element's number on all ranks, + 1; 0: none */
};

static void append(MPI_Win win, const MPI_Aint *all, int number, int each)
{
    int64_t place = 0, next = number + 1, none = 0, found;
    MPI_Aint there;

    for (;;) { /* element 0 is the list's head */
        there = MPI_Aint_add(all[place / each],
                             (MPI_Aint)(place % each * (int64_t)sizeof(struct element) +
                                        (int64_t)sizeof(int64_t)));
        OK(MPI_Compare_and_swap(&next, &none, &found, MPI_INT64_T, (int)(place / each),
                                there, win));
        OK(MPI_Win_flush((int)(place / each), win));
        if (found == 0)
            return;
        place = found - 1;
    }
}

static void case_list(void)
{
    const int each = rounds(20);
    struct element *mine = memory_get((size_t)each * sizeof(struct element)),
                   got = {0, 0};
    MPI_Aint all[RANKS_MAX];
    MPI_Win win = dynamic_window();
    int64_t place = 0, sum = 0, length = 0;

    for (int i = 0; i < each; i++)
        mine[i].value = me * each + i;
    OK(MPI_Win_attach(win, mine, each * (MPI_Aint)sizeof(struct element)));
    publish(address_of(mine), all);
    window_meet(win);
    OK(MPI_Win_lock_all(0, win));
    for (int i = me ? 0 : 1; i < each; i++)
        append(win, all, me * each + i, each);
    MPI_Barrier(MPI_COMM_WORLD);
    do {
        OK(MPI_Get(&got, 2, MPI_INT64_T, (int)(place / each),
                   MPI_Aint_add(all[place / each],
                                (MPI_Aint)(place % each * (int64_t)sizeof(got))),
                   2, MPI_INT64_T, win));
        OK(MPI_Win_flush((int)(place / each), win));
        sum += got.value;
        length++;
        place = got.next - 1;
    } while (got.next && length < each * RANKS_MAX);
    EQUAL(length, each * ranks);
    EQUAL(sum, (int64_t)each * ranks * (each * ranks - 1) / 2);
    OK(MPI_Win_unlock_all(win));
    MPI_Barrier(MPI_COMM_WORLD);
    OK(MPI_Win_detach(win, mine));
    OK(MPI_Win_free(&win));
    free(mine);
}

/* Memory of size zero, and a window with nothing attached. */
static void case_nothing(void)
{
    MPI_Win win = dynamic_window();
    int memory;

    OK(MPI_Win_fence(0, win));
    OK(MPI_Win_fence(0, win));
    OK(MPI_Win_attach(win, &memory, 0));
    OK(MPI_Win_detach(win, &memory));
    OK(MPI_Win_free(&win));
}

/* Target types, with the address as displacement. */
static void case_types(void)
{
    MPI_Aint all[RANKS_MAX];
    MPI_Win win = dynamic_window();
    int *memory = memory_get(4096), out[10];
    MPI_Datatype type;

    OK(MPI_Win_attach(win, memory, 4096));
    publish(address_of(memory), all);
    MPI_Type_vector(10, 1, 7, MPI_INT, &type);
    MPI_Type_commit(&type);
    for (int i = 0; i < 10; i++)
        out[i] = me + i * 10;
    OK(MPI_Win_fence(0, win));
    OK(MPI_Accumulate(out, 10, MPI_INT, to, MPI_Aint_add(all[to], 12), 1, type, MPI_SUM,
                      win));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, win));
    for (int i = 0; i < 10; i++)
        EQUAL(memory[3 + 7 * i], from + i * 10);
    MPI_Type_free(&type);
    OK(MPI_Win_detach(win, memory));
    OK(MPI_Win_free(&win));
    free(memory);
}

/* Memory that is still attached when the window is freed is the user's again. */
static void case_still_attached(void)
{
    MPI_Win win = dynamic_window();
    int *memory = memory_get(4096);

    OK(MPI_Win_attach(win, memory, 4096));
    OK(MPI_Win_free(&win));
    memory[0] = 5;
    free(memory);
}

const struct suite_case dynamic_cases[] = {
    {"dynamic: many pieces", 1, case_pieces, ALWAYS},
    {"dynamic: pieces come and go", 1, case_come_and_go, ALWAYS},
    {"dynamic: side by side", 1, case_side_by_side, ALWAYS},
    {"dynamic: a list in all memories", 1, case_list, ALWAYS},
    {"dynamic: nothing attached", 1, case_nothing, ALWAYS},
    {"dynamic: derived types", 1, case_types, ALWAYS},
    {"dynamic: freed with memory attached", 1, case_still_attached, ALWAYS},
    {0}};
