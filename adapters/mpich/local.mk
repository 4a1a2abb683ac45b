# SPDX-License-Identifier: BSD-3-Clause
# What needs MPICH and nothing of the adapter's own state; unit tests link it alone.
noinst_LTLIBRARIES += libtmbmpich.la
libtmbmpich_la_CFLAGS = $(AM_CFLAGS) $(MPICH_CFLAGS)
libtmbmpich_la_LIBADD = $(MPICH_LIBS)
libtmbmpich_la_SOURCES = \
	adapters/mpich/datatype.h adapters/mpich/datatype.c adapters/mpich/walk.c \
	adapters/mpich/flatten.h adapters/mpich/flatten.c adapters/mpich/map.c \
	adapters/mpich/operator.h adapters/mpich/operator.c

# The adapter: preloaded, or linked with in front of MPI.
lib_LTLIBRARIES += libtombolo-mpich.la
libtombolo_mpich_la_CFLAGS = $(AM_CFLAGS) $(MPICH_CFLAGS)
libtombolo_mpich_la_LIBADD = libtmbmpich.la libtombolo.la
libtombolo_mpich_la_LDFLAGS = -version-info $(TOMBOLO_LT_VERSION) -Wl,--no-undefined
libtombolo_mpich_la_SOURCES = \
	adapters/mpich/adapter.h adapters/mpich/report.h adapters/mpich/table.c \
	adapters/mpich/error.c adapters/mpich/group.c adapters/mpich/access.c \
	adapters/mpich/window.c adapters/mpich/shared.c adapters/mpich/dynamic.c adapters/mpich/attribute.c \
	adapters/mpich/communication.c adapters/mpich/request.c \
	adapters/mpich/accumulate.c adapters/mpich/stripe.c adapters/mpich/update.c \
	adapters/mpich/pieces.c adapters/mpich/remote.c \
	adapters/mpich/flush.c adapters/mpich/fence.c adapters/mpich/lock.c adapters/mpich/pscw.c
