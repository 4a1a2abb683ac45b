# SPDX-License-Identifier: BSD-3-Clause
# libfabric is loaded when it is needed, and not linked: library.c.
noinst_LTLIBRARIES += libtmbtcp.la
libtmbtcp_la_CFLAGS = $(AM_CFLAGS) $(LIBFABRIC_CFLAGS)
libtmbtcp_la_SOURCES = \
	providers/tcp/tcp.h providers/tcp/provider.c providers/tcp/place.c providers/tcp/socket.c \
	providers/tcp/fabric.c providers/tcp/memory.c \
	providers/tcp/transfer.h providers/tcp/transfer.c providers/tcp/put.c providers/tcp/get.c \
	providers/tcp/wire.h providers/tcp/wire.c providers/tcp/link.c providers/tcp/send.c providers/tcp/receive.c providers/tcp/call.c \
	providers/tcp/meet.c providers/tcp/stranger.c providers/tcp/watch.c providers/tcp/progress.c \
	providers/tcp/wait.c providers/tcp/streak.c providers/tcp/bell.c providers/tcp/library.c providers/tcp/raw.h providers/tcp/raw.c
dist_man_MANS += providers/tcp/man/tombolo-tcp.7
