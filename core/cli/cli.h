/* SPDX-License-Identifier: BSD-3-Clause */
/* The commands of `tombolo`, and what they share. */
#ifndef TMBI_CLI_H
#define TMBI_CLI_H

#define TMBI_EXIT_USAGE          2
#define TMBI_EXIT_NOT_EXECUTABLE 126
#define TMBI_EXIT_NOT_FOUND      127

/* Each returns the program's exit code. argv[0] is "tombolo COMMAND", for messages. */
int tmbi_cli_run(int argc, char **argv);
int tmbi_cli_info(int argc, char **argv);
int tmbi_cli_perf(int argc, char **argv);
int tmbi_cli_server(int argc, char **argv);
int tmbi_cli_broker(int argc, char **argv);
int tmbi_cli_mpich(int argc, char **argv);

/* Whether execvp() would find a program, once before it is started: 0, or the exit code,
 * and why has been said. */
int tmbi_cli_program_check(const char *name);

/* Say one line on stderr by one write, behind the command's name. */
void tmbi_cli_say(const char *format, ...) __attribute__((format(printf, 1, 2), cold));

#endif
