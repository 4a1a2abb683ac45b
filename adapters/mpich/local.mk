# SPDX-License-Identifier: BSD-3-Clause
# What needs MPICH and nothing of the adapter's own state; unit tests link it alone.
noinst_LTLIBRARIES += libtmbmpich.la
libtmbmpich_la_CFLAGS = $(AM_CFLAGS) $(MPICH_CFLAGS)
libtmbmpich_la_LIBADD = $(MPICH_LIBS)
libtmbmpich_la_SOURCES = \
	adapters/mpich/datatype.h adapters/mpich/datatype.c adapters/mpich/walk.c \
	adapters/mpich/flatten.h adapters/mpich/flatten.c adapters/mpich/map.c \
	adapters/mpich/operator.h adapters/mpich/operator.c
