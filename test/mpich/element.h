/* SPDX-License-Identifier: BSD-3-Clause */
/* Predefined types and operations: values of each type, and what an operation makes of
 * them by the standard's tables (MPI-3.1, section 5.9). */
#ifndef ELEMENT_H
#define ELEMENT_H

#include "suite.h"

enum type_class { INTEGER, FLOATING, LOGICAL, COMPLEX, BYTE, ADDRESS, PAIR, CHARACTER };

/* Small integers stand for elements: a complex number's parts; or a pair's value and
 * index. */
struct value {
    int64_t a, b;
};

struct element {
    const char *name;
    MPI_Datatype type;
    enum type_class class;
    size_t extent;
    void (*store)(void *at, struct value value);
    struct value (*load)(const void *at);
};

struct operation {
    const char *name;
    MPI_Op op;
    unsigned classes; /* 1 << enum type_class, of those that it takes */
    struct value (*apply)(enum type_class class, struct value target,
                          struct value operand);
};

extern const struct element elements[];
extern const struct operation operations[];

/* A rank's n-th value for that operation, small enough for every type. */
struct value value_of(const struct element *element, const struct operation *operation,
                      int rank, int n);
bool value_same(struct value one, struct value other);
bool operation_takes(const struct operation *operation, const struct element *element);

#endif
