# SPDX-License-Identifier: BSD-3-Clause
fault_programs = fault_locks fault_waits fault_routes fault_chaos fault_jobs \
	fault_machines fault_pauses fault_links
noinst_PROGRAMS += $(fault_programs)
fault_sources = test/fault/fault.h test/fault/fault.c
fault_locks_SOURCES = test/fault/locks.c $(fault_sources)
fault_locks_LDADD = libtombolo.la
fault_waits_SOURCES = test/fault/waits.c $(fault_sources)
fault_waits_LDADD = libtombolo.la
fault_routes_SOURCES = test/fault/routes.c $(fault_sources)
fault_routes_LDADD = libtombolo.la
fault_chaos_SOURCES = test/fault/chaos.c $(fault_sources)
fault_chaos_LDADD = libtombolo.la
fault_jobs_SOURCES = test/fault/jobs.c $(fault_sources)
fault_jobs_LDADD = libtombolo.la
fault_machines_SOURCES = test/fault/machines.c $(fault_sources)
fault_machines_LDADD = libtombolo.la
fault_pauses_SOURCES = test/fault/pauses.c $(fault_sources)
fault_pauses_LDADD = libtombolo.la
fault_links_SOURCES = test/fault/links.c test/fault/garble.h test/fault/garble.c $(fault_sources)
fault_links_LDADD = libtombolo.la
