/* SPDX-License-Identifier: BSD-3-Clause */
/* What hangs on a window: attributes, keyvals of the user, names. */
#include "suite.h"

struct expected {
    void *base;
    MPI_Aint size;
    int unit, flavor;
};

static void attributes_are(MPI_Win win, const struct expected *e)
{
    void *base, *value;
    int found = 0, *unit, *flavor, *model;
    MPI_Aint *size;

    OK(MPI_Win_get_attr(win, MPI_WIN_BASE, &base, &found));
    CHECK(found && base == e->base);
    OK(MPI_Win_get_attr(win, MPI_WIN_SIZE, &size, &found));
    CHECK(found);
    EQUAL(*size, e->size);
    OK(MPI_Win_get_attr(win, MPI_WIN_DISP_UNIT, &unit, &found));
    CHECK(found);
    EQUAL(*unit, e->unit);
    OK(MPI_Win_get_attr(win, MPI_WIN_CREATE_FLAVOR, &flavor, &found));
    CHECK(found);
    EQUAL(*flavor, e->flavor);
    OK(MPI_Win_get_attr(win, MPI_WIN_MODEL, &model, &found));
    CHECK(found);
    EQUAL(*model, MPI_WIN_UNIFIED);
    OK(MPI_Win_get_attr(win, MPI_WIN_BASE, &value, &found)); /* twice the same */
    CHECK(value == base);
}

static void case_predefined(void)
{
    struct expected e = {memory_get(100), 100 - me % 2, 5, MPI_WIN_FLAVOR_CREATE};
    void *mine = e.base;
    MPI_Win win;

    OK(MPI_Win_create(e.base, e.size, e.unit, MPI_INFO_NULL, MPI_COMM_WORLD, &win));
    attributes_are(win, &e);
    OK(MPI_Win_free(&win));
    e = (struct expected){NULL, 80 + me * 8, 8, MPI_WIN_FLAVOR_ALLOCATE};
    OK(MPI_Win_allocate(e.size, e.unit, MPI_INFO_NULL, MPI_COMM_WORLD, &e.base, &win));
    attributes_are(win, &e);
    OK(MPI_Win_free(&win));
    e = (struct expected){NULL, 80, 4, MPI_WIN_FLAVOR_SHARED};
    OK(MPI_Win_allocate_shared(e.size, e.unit, MPI_INFO_NULL, MPI_COMM_SELF, &e.base,
                               &win));
    attributes_are(win, &e);
    OK(MPI_Win_free(&win));
    e = (struct expected){MPI_BOTTOM, 0, 1, MPI_WIN_FLAVOR_DYNAMIC};
    OK(MPI_Win_create_dynamic(MPI_INFO_NULL, MPI_COMM_WORLD, &win));
    attributes_are(win, &e);
    OK(MPI_Win_free(&win));
    free(mine);
}

static int deleted, delete_saw;

static int note_delete(MPI_Win win, int keyval, void *value, void *extra)
{
    (void)keyval;
    deleted++;
    delete_saw += win != MPI_WIN_NULL && value == &deleted && extra == &delete_saw;
    return MPI_SUCCESS;
}

static void case_keyvals(void)
{
    int key, other, found, *value, *base;
    MPI_Win win, second;

    deleted = delete_saw = 0;
    OK(MPI_Win_create_keyval(MPI_WIN_NULL_COPY_FN, note_delete, &key, &delete_saw));
    OK(MPI_Win_create_keyval(MPI_WIN_DUP_FN, MPI_WIN_NULL_DELETE_FN, &other, NULL));
    OK(MPI_Win_allocate(64, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
    OK(MPI_Win_allocate(64, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &second));
    OK(MPI_Win_get_attr(win, key, &value, &found));
    CHECK(!found);
    OK(MPI_Win_set_attr(win, key, &deleted));
    OK(MPI_Win_set_attr(win, other, base));
    OK(MPI_Win_get_attr(win, key, &value, &found));
    CHECK(found && value == &deleted);
    OK(MPI_Win_get_attr(second, key, &value, &found));
    CHECK(!found);
    OK(MPI_Win_set_attr(win, key, &deleted)); /* replaced: the old value is deleted */
    EQUAL(deleted, 1);
    OK(MPI_Win_delete_attr(win, key));
    EQUAL(deleted, 2);
    OK(MPI_Win_get_attr(win, key, &value, &found));
    CHECK(!found);
    OK(MPI_Win_set_attr(win, key, &deleted));
    OK(MPI_Win_set_attr(second, key, &deleted));
    OK(MPI_Win_free(&win));
    EQUAL(deleted, 3);
    OK(MPI_Win_free_keyval(&key)); /* values that are set stay */
    CHECK(key == MPI_KEYVAL_INVALID);
    OK(MPI_Win_free(&second));
    EQUAL(deleted, 4);
    EQUAL(delete_saw, 4);
    OK(MPI_Win_free_keyval(&other));
}

/* Windows of an application come and go, and nothing of one is left on the next. */
static void case_keyvals_of_the_next(void)
{
    int key, found, *value, *base;
    char name[MPI_MAX_OBJECT_NAME];
    int length;
    MPI_Win win;

    deleted = delete_saw = 0;
    OK(MPI_Win_create_keyval(MPI_WIN_NULL_COPY_FN, note_delete, &key, &delete_saw));
    for (int i = 0; i < 20; i++) {
        OK(MPI_Win_allocate(64, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
        OK(MPI_Win_get_attr(win, key, &value, &found));
        CHECK(!found);
        OK(MPI_Win_get_name(win, name, &length));
        EQUAL(length, 0);
        OK(MPI_Win_set_attr(win, key, &deleted));
        OK(MPI_Win_set_name(win, "one of twenty"));
        OK(MPI_Win_free(&win));
        EQUAL(deleted, i + 1);
    }
    EQUAL(delete_saw, 20);
    OK(MPI_Win_free_keyval(&key));
}

static void case_name(void)
{
    char name[MPI_MAX_OBJECT_NAME];
    int length = -1, *base;
    MPI_Win win;

    OK(MPI_Win_allocate(64, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
    OK(MPI_Win_get_name(win, name, &length));
    EQUAL(length, 0);
    OK(MPI_Win_set_name(win, "temperature"));
    OK(MPI_Win_get_name(win, name, &length));
    EQUAL(length, 11);
    CHECK(!strcmp(name, "temperature"));
    OK(MPI_Win_free(&win));
}

/* Handles go to Fortran and back. */
static void case_handles(void)
{
    int *base, value = me, found, *unit;
    MPI_Win win, again;

    OK(MPI_Win_allocate(64, 4, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win));
    again = MPI_Win_f2c(MPI_Win_c2f(win));
    CHECK(again == win);
    OK(MPI_Win_get_attr(again, MPI_WIN_DISP_UNIT, &unit, &found));
    CHECK(found && *unit == 4);
    OK(MPI_Win_fence(0, again));
    OK(MPI_Put(&value, 1, MPI_INT, to, 0, 1, MPI_INT, again));
    OK(MPI_Win_fence(MPI_MODE_NOSUCCEED, again));
    EQUAL(*base, from);
    OK(MPI_Win_free(&again));
}

const struct suite_case attribute_cases[] = {
    {"attribute: base, size, unit, flavor, model", 1, case_predefined, ALWAYS},
    {"attribute: keyvals of the user", 1, case_keyvals, ALWAYS},
    {"attribute: nothing is left for the next window", 1, case_keyvals_of_the_next,
     ALWAYS},
    {"attribute: names", 1, case_name, ALWAYS},
    {"attribute: handles of Fortran", 1, case_handles, ALWAYS},
    {0}};
