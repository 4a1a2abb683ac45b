# SPDX-License-Identifier: BSD-3-Clause
# What needs MPICH and nothing of the adapter's own state; unit tests link it alone.
noinst_LTLIBRARIES += libtmbmpich.la
libtmbmpich_la_CFLAGS = $(mpich_cflags)
libtmbmpich_la_SOURCES = \
	adapters/mpich/datatype.h adapters/mpich/datatype.c adapters/mpich/walk.c \
	adapters/mpich/flatten.h adapters/mpich/flatten.c adapters/mpich/map.c \
	adapters/mpich/operator.h adapters/mpich/operator.c \
	adapters/mpich/loops.h adapters/mpich/loops.c

# The adapter: preloaded, or linked with in front of MPI. It gets into programs that have
# no MPI, too (mpiexec, shells), so it does not bring MPICH along: see library.c.
lib_LTLIBRARIES += libtombolo-mpich.la
libtombolo_mpich_la_CFLAGS = $(mpich_cflags)
libtombolo_mpich_la_LIBADD = libtmbmpich.la libtombolo.la
libtombolo_mpich_la_LDFLAGS = -avoid-version -Wl,-z,lazy -Wl,--no-undefined
libtombolo_mpich_la_SOURCES = \
	adapters/mpich/adapter.h adapters/mpich/env.h adapters/mpich/start.h \
	adapters/mpich/init.c adapters/mpich/library.c adapters/mpich/marks.c \
	adapters/mpich/report.h adapters/mpich/report.c \
	adapters/mpich/table.c adapters/mpich/error.c adapters/mpich/group.c \
	adapters/mpich/access.c adapters/mpich/window.c adapters/mpich/memory.c adapters/mpich/shared.c \
	adapters/mpich/dynamic.c adapters/mpich/attribute.c \
	adapters/mpich/communication.c adapters/mpich/request.c \
	adapters/mpich/word.h adapters/mpich/accumulate.c adapters/mpich/stripe.c adapters/mpich/update.c \
	adapters/mpich/pieces.c adapters/mpich/remote.h adapters/mpich/remote.c adapters/mpich/serve.c \
	adapters/mpich/flush.c adapters/mpich/fence.c adapters/mpich/lock.c \
	adapters/mpich/pscw.c adapters/mpich/progress.c \
	adapters/mpich/fortran.c

pkgconfig_DATA += adapters/mpich/tombolo-mpich.pc
dist_man_MANS += adapters/mpich/man/tombolo-mpich.7

# MPICH's functions are weak in all that is compiled for it.
mpich_cflags = $(AM_CFLAGS) $(MPICH_CFLAGS) -include adapters/mpich/weak.h
$(libtmbmpich_la_OBJECTS) $(libtombolo_mpich_la_OBJECTS): adapters/mpich/weak.h
adapters/mpich/weak.h: adapters/mpich/local.mk
	$(AM_V_GEN)$(MKDIR_P) adapters/mpich && echo '#include <mpi.h>' | \
		$(CC) $(MPICH_CFLAGS) -E -xc - | grep -o 'PMPI_[A-Za-z0-9_]* *(' | \
		sed 's/^\([A-Za-z0-9_]*\).*/#pragma weak \1/' | LC_ALL=C sort -u >$@.new
	$(AM_V_at)test -s $@.new && mv $@.new $@
CLEANFILES += adapters/mpich/weak.h
