# SPDX-License-Identifier: BSD-3-Clause
examples = hello_put shared_counter halo2d work_queue
noinst_PROGRAMS += $(examples)
hello_put_SOURCES = examples/hello_put.c
hello_put_LDADD = libtombolo.la
shared_counter_SOURCES = examples/shared_counter.c
shared_counter_LDADD = libtombolo.la
halo2d_SOURCES = examples/halo2d.c
halo2d_LDADD = libtombolo.la
work_queue_SOURCES = examples/work_queue.c
work_queue_LDADD = libtombolo.la
EXTRA_DIST += examples/quickstart.sh
