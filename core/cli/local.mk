# SPDX-License-Identifier: BSD-3-Clause
bin_PROGRAMS += tombolo
tombolo_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) $(SYSTEMD_CFLAGS)
tombolo_LDADD = libtombolo.la $(JANSSON_LIBS) $(SYSTEMD_LIBS)
tombolo_SOURCES = core/cli/cli.h core/cli/main.c \
	core/cli/info.h core/cli/info.c core/cli/info_json.c \
	core/cli/job.h core/cli/job.c core/cli/job_json.c \
	core/cli/run.c core/cli/launch.h core/cli/launch.c core/cli/ending.c \
	core/cli/machines.h core/cli/machines.c \
	core/cli/process.h core/cli/process.c \
	core/cli/output.h core/cli/output.c \
	core/cli/embedded.h core/cli/embedded.c core/cli/guard.h core/cli/guard.c \
	core/cli/server.c core/cli/keeper.h core/cli/keeper.c core/cli/broker.c \
	core/cli/program.c core/cli/mpich.c \
	core/cli/perf/perf.h core/cli/perf/perf.c core/cli/perf/sample.c \
	core/cli/perf/start.h core/cli/perf/start.c core/cli/perf/plot.h core/cli/perf/plot.c \
	core/cli/perf/compare.h core/cli/perf/compare.c \
	core/cli/perf/report.c core/cli/perf/target.c core/cli/perf/limit.c core/cli/perf/limit_tcp.c \
	core/cli/perf/transfer.c core/cli/perf/sync.c core/cli/perf/handoff.c
dist_man_MANS += core/man/tombolo.1
