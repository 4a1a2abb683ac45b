# SPDX-License-Identifier: BSD-3-Clause
# MPI programs, which know nothing of the adapter; test/mpich.sh preloads it.
if HAVE_MPICH
mpich_programs = mpich_conformance mpich_halo mpich_hash mpich_bench
check_PROGRAMS += $(mpich_programs)
mpich_conformance_SOURCES = test/mpich/suite.h test/mpich/suite.c test/mpich/setting.c \
	test/mpich/element.h test/mpich/element.c \
	test/mpich/window.c test/mpich/communicator.c test/mpich/attribute.c \
	test/mpich/info.c test/mpich/communication.c test/mpich/request.c \
	test/mpich/accumulate.c test/mpich/types.c test/mpich/fence.c test/mpich/pscw.c \
	test/mpich/lock.c test/mpich/datatype.c test/mpich/layout.c test/mpich/dynamic.c \
	test/mpich/shared.c test/mpich/large.c test/mpich/error.c test/mpich/thread.c \
	test/mpich/progress.c
mpich_conformance_CFLAGS = $(AM_CFLAGS) $(MPICH_CFLAGS)
mpich_conformance_LDADD = $(MPICH_LIBS)
mpich_halo_SOURCES = test/mpich/halo.c
mpich_halo_CFLAGS = $(AM_CFLAGS) $(MPICH_CFLAGS)
mpich_halo_LDADD = $(MPICH_LIBS)
mpich_hash_SOURCES = test/mpich/hash.c
mpich_hash_CFLAGS = $(AM_CFLAGS) $(MPICH_CFLAGS)
mpich_hash_LDADD = $(MPICH_LIBS)
mpich_bench_SOURCES = test/mpich/bench.c test/mpich/bench.h test/mpich/bench_rows.c
mpich_bench_CFLAGS = $(AM_CFLAGS) $(MPICH_CFLAGS)
mpich_bench_LDADD = $(MPICH_LIBS)
endif
