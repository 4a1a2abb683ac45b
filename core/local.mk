# SPDX-License-Identifier: BSD-3-Clause
include_HEADERS += core/include/tombolo.h
pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = core/tombolo.pc
EXTRA_DIST += core/DESIGN.md core/tombolo.map

# Core and providers, for the library and for the unit tests.
noinst_LTLIBRARIES += libtmbcore.la
libtmbcore_la_CFLAGS = $(AM_CFLAGS) $(HWLOC_CFLAGS) $(NETTLE_CFLAGS) $(PMIX_CFLAGS)
libtmbcore_la_LIBADD = $(HWLOC_LIBS) $(NETTLE_LIBS)
libtmbcore_la_SOURCES = \
	core/provider.h core/shared.h core/request.h core/clock.h core/log.h core/env.h core/stats.h core/export.h core/fence.h \
	core/bootstrap/bootstrap.h core/bootstrap/launch.h \
	core/lockword.h core/lockword.c core/wake.h core/wake.c \
	core/handle.h core/handle.c core/context.h core/context.c core/meet.h core/meet.c core/place.c \
	core/routes.h core/routes.c core/ranks.h core/ranks.c core/world.c core/provider.c \
	core/team.h core/team.c core/collective.c core/exchange.h core/exchange.c core/window.h core/window.c core/window_table.c \
	core/block.h core/block.c \
	core/copy.h core/copy.c core/rma.c core/strided.c core/signal.c core/reduce.h core/reduce.c \
	core/atomics.c core/locks.c core/lockcall.c core/host.c core/agent.h core/agent.c core/status.c \
	core/adapter.h core/adapter.c core/call.c core/bootstrap/callbacks.c
libtmbcore_la_SOURCES += \
	core/topology.h core/topology.c core/log.c core/env.c core/parse.c core/bootstrap/backends.h \
	core/bootstrap/bootstrap.c core/bootstrap/run.c core/bootstrap/single.c \
	core/bootstrap/stream.h core/bootstrap/stream.c \
	core/bootstrap/channel.h core/bootstrap/channel.c \
	core/bootstrap/address.h core/bootstrap/address.c \
	core/bootstrap/secret.h core/bootstrap/secret.c \
	core/bootstrap/greeting.h core/bootstrap/greeting.c core/bootstrap/join.c \
	core/bootstrap/door.h core/bootstrap/door.c core/bootstrap/rendezvous.c \
	core/bootstrap/pmi_text.h core/bootstrap/pmi_text.c \
	core/bootstrap/pmi_stream.h core/bootstrap/pmi_stream.c core/bootstrap/pmi.c core/bootstrap/pmix.c \
	core/bootstrap/loop.h core/bootstrap/loop.c core/bootstrap/hub.h core/bootstrap/hub.c
# An adapter's variables; its rest is a library of its own.
if HAVE_MPICH
libtmbcore_la_SOURCES += adapters/mpich/env.h adapters/mpich/env.c
endif

lib_LTLIBRARIES += libtombolo.la
libtombolo_la_SOURCES =
libtombolo_la_LIBADD = libtmbcore.la libtmbivshmem.la
libtombolo_la_DEPENDENCIES = libtmbcore.la libtmbivshmem.la core/tombolo.map
if HAVE_LIBFABRIC
libtombolo_la_LIBADD += libtmbtcp.la
libtombolo_la_DEPENDENCIES += libtmbtcp.la
endif
libtombolo_la_LDFLAGS = -version-info $(TOMBOLO_LT_VERSION) \
	-Wl,--version-script=$(top_srcdir)/core/tombolo.map -Wl,--no-undefined
