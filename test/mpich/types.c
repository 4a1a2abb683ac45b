/* SPDX-License-Identifier: BSD-3-Clause */
/* Accumulates of every predefined type with every operation that MPI defines for it
 * (MPI-3.1, section 11.3.4), by all ranks at once. */
#include "element.h"

#define LENGTH 5  /* elements in an operation's part of the memory */
#define SLOT   32 /* of an element: no type is larger */
#define PART   (LENGTH * SLOT)
#define PARTS  14 /* operations */

/* What the n-th element begins as. */
static struct value first_of(const struct element *e, const struct operation *o, int n)
{
    if (o->op == MPI_PROD)
        return (struct value){1, 0};
    return value_of(e, o, 3, n + 1);
}

/* A rank's values for an operation, or what it begins with. */
static void fill(const struct element *e, const struct operation *o, uint8_t *buffer,
                 int rank, bool first)
{
    memset(buffer, 0, PART);
    for (int n = 0; n < LENGTH; n++)
        e->store(buffer + (size_t)n * e->extent,
                 first ? first_of(e, o, n) : value_of(e, o, rank, n));
}

/* All ranks' values have come together, in whatever order. */
static bool is_result(const struct element *e, const struct operation *o, int n,
                      struct value got)
{
    struct value all = first_of(e, o, n);
    bool one = false;

    for (int i = 0; i < ranks; i++) {
        all = o->apply(e->class, all, value_of(e, o, i, n));
        one |= value_same(got, value_of(e, o, i, n));
    }
    return o->op == MPI_REPLACE ? one : value_same(got, all);
}

static void check_result(const struct element *e, const struct operation *o,
                         const uint8_t *memory)
{
    suite_note("%s with %s", e->name, o->name);
    for (int n = 0; n < LENGTH; n++)
        CHECK(is_result(e, o, n, e->load(memory + (size_t)n * e->extent)));
}

/* A type's memory, with a part for each operation. */
static MPI_Aint area_of(const struct element *e)
{
    return (e - elements) * PARTS * PART;
}

static void begin(const struct window *w)
{
    for (const struct element *e = elements; e->name; e++)
        for (int i = 0; operations[i].name; i++)
            fill(e, &operations[i], w->base + area_of(e) + i * PART, 0, true);
    window_meet(w->win);
}

static void check_all(const struct window *w)
{
    window_meet(w->win);
    for (const struct element *e = elements; e->name; e++)
        for (int i = 0; operations[i].name; i++)
            if (operation_takes(&operations[i], e))
                check_result(e, &operations[i], w->base + area_of(e) + i * PART);
}

/* One operation of one type: what the caller gives, and what each target had. */
struct trial {
    const struct element *element;
    const struct operation *operation;
    MPI_Aint part;
    _Alignas(16) uint8_t values[PART];
    _Alignas(16) uint8_t old[RANKS_MAX][PART];
};

/* MPI_Accumulate alone has no MPI_NO_OP. */
static void accumulate(struct trial *t, int target, MPI_Win win)
{
    if (t->operation->op != MPI_NO_OP)
        OK(MPI_Accumulate(t->values, LENGTH, t->element->type, target, t->part, LENGTH,
                          t->element->type, t->operation->op, win));
}

static void get_accumulate(struct trial *t, int target, MPI_Win win)
{
    OK(MPI_Get_accumulate(t->values, LENGTH, t->element->type, t->old[target], LENGTH,
                          t->element->type, target, t->part, LENGTH, t->element->type,
                          t->operation->op, win));
}

static void fetch_and_op(struct trial *t, int target, MPI_Win win)
{
    for (size_t n = 0; n < LENGTH; n++) {
        size_t place = n * t->element->extent;

        OK(MPI_Fetch_and_op(t->values + place, t->old[target] + place, t->element->type,
                            target, t->part + (MPI_Aint)place, t->operation->op, win));
    }
}

/* What came back is some state of the element: what it was at first, where nobody else
 * takes part or nothing changes. */
static void check_old(const struct trial *t)
{
    const struct element *e = t->element;

    suite_note("%s with %s", e->name, t->operation->name);
    for (int target = 0; target < ranks; target++)
        for (int n = 0; n < LENGTH; n++)
            CHECK(value_same(e->load(t->old[target] + (size_t)n * e->extent),
                             first_of(e, t->operation, n)));
}

/* A type with all its operations, on all targets. */
static void try_type(const struct element *e, MPI_Win win,
                     void (*body)(struct trial *t, int target, MPI_Win win))
{
    static _Alignas(16) struct trial trials[PARTS];
    const struct operation *o;

    for (int i = 0; (o = &operations[i])->name; i++) {
        suite_note("%s with %s", e->name, o->name);
        trials[i] = (struct trial){.element = e, .operation = o};
        trials[i].part = area_of(e) + i * PART;
        fill(e, o, trials[i].values, me, false);
        for (int target = 0; operation_takes(o, e) && target < ranks; target++)
            body(&trials[i], target, win);
    }
    OK(MPI_Win_flush_all(win));
    for (int i = 0; (o = &operations[i])->name; i++)
        if (operation_takes(o, e) && (ranks == 1 || o->op == MPI_NO_OP) &&
            body != accumulate)
            check_old(&trials[i]);
}

static void each_type(void (*body)(struct trial *t, int target, MPI_Win win))
{
    const struct element *end = elements;
    struct window w;

    while (end->name)
        end++;
    for (enum memory memory = ALLOCATE; memory <= HEAP; memory++) {
        window_open(&w, memory, area_of(end));
        begin(&w);
        OK(MPI_Win_lock_all(0, w.win));
        for (const struct element *e = elements; e->name; e++)
            try_type(e, w.win, body);
        OK(MPI_Win_unlock_all(w.win));
        check_all(&w);
        MPI_Barrier(MPI_COMM_WORLD);
        window_close(&w);
    }
}

static void case_accumulate(void)
{
    each_type(accumulate);
}

static void case_get_accumulate(void)
{
    each_type(get_accumulate);
}

static void case_fetch_and_op(void)
{
    each_type(fetch_and_op);
}

/* Compare-and-swap takes integers, logicals and bytes. */
static bool comparable(const struct element *e)
{
    return e->class == INTEGER || e->class == LOGICAL || e->class == BYTE ||
           e->class == ADDRESS;
}

static void swap_type(const struct element *e, const struct window *w, int target)
{
    _Alignas(16) uint8_t one[SLOT] = {0}, zero[SLOT] = {0}, old[SLOT] = {0};
    MPI_Aint place = (MPI_Aint)me * SLOT;

    e->store(one, (struct value){1, 0});
    e->store(zero, (struct value){0, 0});
    OK(MPI_Compare_and_swap(one, zero, old, e->type, target, place, w->win));
    OK(MPI_Win_flush(target, w->win));
    EQUAL(e->load(old).a, 0);
    OK(MPI_Compare_and_swap(one, zero, old, e->type, target, place, w->win));
    OK(MPI_Win_flush(target, w->win));
    EQUAL(e->load(old).a, 1); /* no swap: it is 1 */
    OK(MPI_Compare_and_swap(zero, one, old, e->type, target, place, w->win));
    OK(MPI_Win_flush(target, w->win));
    EQUAL(e->load(old).a, 1);
    OK(MPI_Compare_and_swap(one, one, old, e->type, target, place, w->win));
    OK(MPI_Win_flush(target, w->win));
    EQUAL(e->load(old).a, 0);
}

static void case_compare_and_swap(void)
{
    struct window w;

    window_open(&w, ALLOCATE, RANKS_MAX * SLOT);
    OK(MPI_Win_lock_all(0, w.win));
    for (const struct element *e = elements; e->name; e++) {
        suite_note("%s", e->name);
        for (int target = 0; comparable(e) && target < ranks; target++)
            swap_type(e, &w, target);
    }
    OK(MPI_Win_unlock_all(w.win));
    window_meet(w.win);
    CHECK(all_are(w.base, RANKS_MAX * SLOT, 0));
    window_close(&w);
}

const struct suite_case element_cases[] = {
    {"type: accumulate with every operation", 1, case_accumulate, ALWAYS},
    {"type: get_accumulate with every operation", 1, case_get_accumulate, ALWAYS},
    {"type: fetch_and_op with every operation", 1, case_fetch_and_op, ALWAYS},
    {"type: compare_and_swap", 1, case_compare_and_swap, ALWAYS},
    {0}};
