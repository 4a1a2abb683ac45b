# SPDX-License-Identifier: BSD-3-Clause
# For guests (image.sh), which builds what needs MPI itself.
noinst_PROGRAMS += tcp_pingpong uio_pingpong waiting
tcp_pingpong_SOURCES = test/vm/guest/tcp_pingpong.c test/vm/guest/bench.h
uio_pingpong_SOURCES = test/vm/guest/uio_pingpong.c test/vm/guest/bench.h
waiting_SOURCES = test/vm/guest/waiting.c
waiting_LDADD = libtombolo.la
