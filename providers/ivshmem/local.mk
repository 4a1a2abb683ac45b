# SPDX-License-Identifier: BSD-3-Clause
noinst_LTLIBRARIES += libtmbivshmem.la
# Where the command is, which serves the region of ranks that nobody made one for.
libtmbivshmem_la_CPPFLAGS = $(AM_CPPFLAGS) -DTMBI_BINDIR='"$(bindir)"'
libtmbivshmem_la_SOURCES = \
	providers/ivshmem/layout.h providers/ivshmem/region.h providers/ivshmem/kmod/tombolo_uio.h \
	providers/ivshmem/region.c providers/ivshmem/heap.c providers/ivshmem/slot.c \
	providers/ivshmem/job.c
libtmbivshmem_la_SOURCES += \
	providers/ivshmem/ivshmem.h providers/ivshmem/provider.c providers/ivshmem/peers.c \
	providers/ivshmem/wire.h providers/ivshmem/wire.c \
	providers/ivshmem/way.h providers/ivshmem/way.c providers/ivshmem/host.h \
	providers/ivshmem/host.c providers/ivshmem/host_way.c providers/ivshmem/uio.c \
	providers/ivshmem/uio_device.h providers/ivshmem/uio_device.c \
	providers/ivshmem/pci.h providers/ivshmem/pci.c \
	providers/ivshmem/claim.h providers/ivshmem/claim.c providers/ivshmem/plain.c \
	providers/ivshmem/broker.h providers/ivshmem/broker.c providers/ivshmem/vfio.c \
	providers/ivshmem/vfio_device.h providers/ivshmem/vfio_device.c \
	providers/ivshmem/place.c providers/ivshmem/doorbell.c providers/ivshmem/deaths.c \
	providers/ivshmem/heartbeat.h providers/ivshmem/heartbeat.c \
	providers/ivshmem/arena.h providers/ivshmem/arena.c providers/ivshmem/memory.c \
	providers/ivshmem/adopt.h providers/ivshmem/adopt.c providers/ivshmem/replace.h \
	providers/ivshmem/replace.c providers/ivshmem/guard.h providers/ivshmem/guard.c \
	providers/ivshmem/maps.h providers/ivshmem/maps.c \
	providers/ivshmem/remote.c providers/ivshmem/call.h providers/ivshmem/call.c \
	providers/ivshmem/mailbox.h providers/ivshmem/mailbox.c \
	providers/ivshmem/meeting.h providers/ivshmem/meeting_private.h providers/ivshmem/meeting.c \
	providers/ivshmem/gather.c providers/ivshmem/talk.c

libtmbivshmem_la_SOURCES += \
	providers/ivshmem/server/server.h providers/ivshmem/server/server.c \
	providers/ivshmem/server/client.h providers/ivshmem/server/client.c \
	providers/ivshmem/server/serving.h providers/ivshmem/server/clients.c \
	providers/ivshmem/server/store.h providers/ivshmem/server/store.c \
	providers/ivshmem/server/listen.h providers/ivshmem/server/listen.c \
	providers/ivshmem/server/table.h providers/ivshmem/server/table.c \
	providers/ivshmem/server/memory.h providers/ivshmem/server/memory.c \
	providers/ivshmem/server/await.c
dist_man_MANS += providers/ivshmem/man/tombolo-ivshmem.7 \
	providers/ivshmem/man/tombolo-vm.7 providers/ivshmem/man/tombolo-server.8 \
	providers/ivshmem/man/tombolo-broker.8
EXTRA_DIST += providers/ivshmem/PROTOCOL.md

systemdsystemunit_DATA = providers/ivshmem/server/tombolo-server@.service
EXTRA_DIST += providers/ivshmem/server/tombolo-server@.service.in
CLEANFILES += providers/ivshmem/server/tombolo-server@.service
providers/ivshmem/server/tombolo-server@.service: \
		$(srcdir)/providers/ivshmem/server/tombolo-server@.service.in Makefile
	$(AM_V_GEN)mkdir -p providers/ivshmem/server && \
		sed 's|@bindir[@]|$(bindir)|' \
		'$(srcdir)/providers/ivshmem/server/tombolo-server@.service.in' >$@.new && mv $@.new $@
