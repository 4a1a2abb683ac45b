# SPDX-License-Identifier: BSD-3-Clause
noinst_PROGRAMS += conformance
conformance_SOURCES = test/conformance/suite.h test/conformance/suite.c \
	test/conformance/library.c test/conformance/team.c test/conformance/collective.c \
	test/conformance/window.c test/conformance/block.c test/conformance/adopt.c \
	test/conformance/adopt_threads.c test/conformance/transfer.c test/conformance/strided.c \
	test/conformance/bounds.c test/conformance/atomic.c test/conformance/signal.c \
	test/conformance/lock.c test/conformance/thread.c \
	test/conformance/adapter.h test/conformance/adapter.c test/conformance/adapter_calls.c
conformance_LDADD = libtombolo.la

# It stands in for malloc, as sanitizers do.
if !SANITIZER
noinst_PROGRAMS += quiet
quiet_SOURCES = test/conformance/quiet.c
quiet_LDADD = libtombolo.la

if HAVE_LIBFABRIC
# It stands in for send and sendmsg.
noinst_PROGRAMS += frugal
frugal_SOURCES = test/conformance/frugal.c
frugal_LDADD = libtombolo.la
endif
endif
