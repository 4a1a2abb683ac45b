# SPDX-License-Identifier: BSD-3-Clause
include test/conformance/local.mk
include test/fault/local.mk
include test/net/local.mk
include test/vm/local.mk
include test/mpich/local.mk
noinst_PROGRAMS += bad_input bad_calls
bad_input_SOURCES = test/bad_input.c
bad_input_LDADD = libtombolo.la
bad_calls_SOURCES = test/bad_calls.c
bad_calls_LDADD = libtombolo.la
noinst_PROGRAMS += bootstrap_rounds
bootstrap_rounds_SOURCES = test/bootstrap_rounds.c
bootstrap_rounds_LDADD = libtmbcore.la libtmbivshmem.la libtmbcore.la
# Runs in a guest.
noinst_PROGRAMS += kmod_check
kmod_check_SOURCES = test/vm/guest/kmod.h test/vm/guest/kmod.c test/vm/guest/kmod_check.c \
	test/vm/guest/kmod_map.c test/vm/guest/kmod_owner.c test/vm/guest/kmod_life.c
if HAVE_CMOCKA
unit_cflags = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
# Core and providers call each other: one archive of both.
check_LTLIBRARIES = libtmbunit.la
libtmbunit_la_SOURCES =
libtmbunit_la_LIBADD = libtmbcore.la libtmbivshmem.la
if HAVE_LIBFABRIC
libtmbunit_la_LIBADD += libtmbtcp.la
endif
unit_libs = libtmbunit.la $(CMOCKA_LIBS)
unit_tests =
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)

unit_tests += test/unit/log_test test/unit/env_test test/unit/launch_test
test_unit_log_test_SOURCES = test/unit/log_test.c
test_unit_log_test_CFLAGS = $(unit_cflags)
test_unit_log_test_LDADD = $(unit_libs)
test_unit_env_test_SOURCES = test/unit/env_test.c
test_unit_env_test_CFLAGS = $(unit_cflags)
test_unit_env_test_LDADD = $(unit_libs)
test_unit_launch_test_SOURCES = test/unit/launch_test.c
test_unit_launch_test_CFLAGS = $(unit_cflags)
test_unit_launch_test_LDADD = $(unit_libs)

unit_tests += test/unit/rendezvous_test test/unit/pmi_test
test_unit_pmi_test_SOURCES = test/unit/pmi_test.c
test_unit_pmi_test_CFLAGS = $(unit_cflags)
test_unit_pmi_test_LDADD = $(unit_libs)
test_unit_rendezvous_test_SOURCES = test/unit/rendezvous_test.c
test_unit_rendezvous_test_CFLAGS = $(unit_cflags)
test_unit_rendezvous_test_LDADD = $(unit_libs)

unit_tests += test/unit/callbacks_test
test_unit_callbacks_test_SOURCES = test/unit/callbacks_test.c
test_unit_callbacks_test_CFLAGS = $(unit_cflags)
test_unit_callbacks_test_LDADD = $(unit_libs)

unit_tests += test/unit/arena_test test/unit/host_test test/unit/peers_test
test_unit_arena_test_SOURCES = test/unit/arena_test.c
test_unit_arena_test_CFLAGS = $(unit_cflags)
test_unit_arena_test_LDADD = $(unit_libs)
test_unit_host_test_SOURCES = test/unit/host_test.c
test_unit_host_test_CFLAGS = $(unit_cflags)
test_unit_host_test_LDADD = $(unit_libs)
test_unit_peers_test_SOURCES = test/unit/peers_test.c
test_unit_peers_test_CFLAGS = $(unit_cflags)
test_unit_peers_test_LDADD = $(unit_libs)

unit_tests += test/unit/region_test test/unit/heap_test test/unit/slot_job_test \
	test/unit/server_slot_test
test_unit_region_test_SOURCES = test/unit/region_test.c
test_unit_region_test_CFLAGS = $(unit_cflags)
test_unit_region_test_LDADD = $(unit_libs)
test_unit_heap_test_SOURCES = test/unit/heap_test.c
test_unit_heap_test_CFLAGS = $(unit_cflags)
test_unit_heap_test_LDADD = $(unit_libs)
test_unit_slot_job_test_SOURCES = test/unit/slot_job_test.c
test_unit_slot_job_test_CFLAGS = $(unit_cflags)
test_unit_slot_job_test_LDADD = $(unit_libs)
test_unit_server_slot_test_SOURCES = test/unit/server_slot_test.c
test_unit_server_slot_test_CFLAGS = $(unit_cflags)
test_unit_server_slot_test_LDADD = $(unit_libs)

if HAVE_LIBFABRIC
unit_tests += test/unit/wire_test
test_unit_wire_test_SOURCES = test/unit/wire_test.c
test_unit_wire_test_CFLAGS = $(unit_cflags)
test_unit_wire_test_LDADD = $(unit_libs)
endif
unit_tests += test/unit/meeting_test
test_unit_meeting_test_SOURCES = test/unit/meeting_test.c
test_unit_meeting_test_CFLAGS = $(unit_cflags)
test_unit_meeting_test_LDADD = $(unit_libs)
unit_tests += test/unit/heartbeat_test test/unit/form_test
test_unit_form_test_SOURCES = test/unit/form_test.c
test_unit_form_test_CFLAGS = $(unit_cflags)
test_unit_form_test_LDADD = $(unit_libs)
test_unit_heartbeat_test_SOURCES = test/unit/heartbeat_test.c
test_unit_heartbeat_test_CFLAGS = $(unit_cflags)
test_unit_heartbeat_test_LDADD = $(unit_libs)

unit_tests += test/unit/maps_test test/unit/replace_test
test_unit_maps_test_SOURCES = test/unit/maps_test.c test/unit/another.h
test_unit_maps_test_CFLAGS = $(unit_cflags)
test_unit_maps_test_LDADD = $(unit_libs)
test_unit_replace_test_SOURCES = test/unit/replace_test.c test/unit/another.h
test_unit_replace_test_CFLAGS = $(unit_cflags)
test_unit_replace_test_LDADD = $(unit_libs)

unit_tests += test/unit/budget_test
test_unit_budget_test_SOURCES = test/unit/budget_test.c
test_unit_budget_test_CFLAGS = $(unit_cflags)
test_unit_budget_test_LDADD = $(unit_libs)

unit_tests += test/unit/server_job_test
test_unit_server_job_test_SOURCES = test/unit/server_job_test.c
test_unit_server_job_test_CFLAGS = $(unit_cflags)
test_unit_server_job_test_LDADD = $(unit_libs)

unit_tests += test/unit/server_test
test_unit_server_test_SOURCES = test/unit/server_test.c
test_unit_server_test_CFLAGS = $(unit_cflags)
test_unit_server_test_LDADD = $(unit_libs)

# MPI programs of one rank, without the adapter.
if HAVE_MPICH
unit_tests += test/unit/datatype_test test/unit/operator_test
test_unit_datatype_test_SOURCES = test/unit/datatype_test.c test/unit/mpi_start.h \
	test/unit/random_type.h test/unit/random_type.c
test_unit_datatype_test_CFLAGS = $(unit_cflags) $(MPICH_CFLAGS)
test_unit_datatype_test_LDADD = libtmbmpich.la $(MPICH_LIBS) $(CMOCKA_LIBS)
test_unit_operator_test_SOURCES = test/unit/operator_test.c test/unit/mpi_start.h
test_unit_operator_test_CFLAGS = $(unit_cflags) $(MPICH_CFLAGS)
test_unit_operator_test_LDADD = libtmbmpich.la $(MPICH_LIBS) $(CMOCKA_LIBS)
endif
endif
