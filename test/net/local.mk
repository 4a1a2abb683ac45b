# SPDX-License-Identifier: BSD-3-Clause
noinst_PROGRAMS += scale
scale_SOURCES = test/net/scale.c
scale_LDADD = libtombolo.la
