/* SPDX-License-Identifier: Apache-2.0 */
/* The commands; each returns the process's exit status. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stdio.h>

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_TIMED_OUT };

int cmd_mount(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_sync(int argc, char **argv);
int cmd_umount(int argc, char **argv);
int cli_main(int argc, char **argv);

/* An absolute path by its spelling alone: "." and ".." folded, nothing on the
 * disk touched.  malloc()ed. */
char *absolute_path(const char *path);

/* For a person: the status JSON in words.  render.c */
struct json;
void render_status(FILE *f, const struct json *status, int width);
/* "[#####.....]" */
void render_bar(char *ret, unsigned width, double part);

#endif
