/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be mounted, and how, in the user's words. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "daemon.h"

static int take_options(struct daemon *d, const char *command,
			const char *source, const char *dash_o)
{
	char err[OPTIONS_ERR_MAX];
	char source_err[SOURCE_ERR_MAX];
	int r = options_load(d->o, dash_o, (const char *const *)environ, err);

	if (r < 0)
		return cmd_usage(command, "%s", err);
	if (d->o->warnings)
		cmd_say("warning: %s", d->o->warnings);
	if (source_parse(source, source_err, &d->src) < 0)
		return cmd_usage(command, "%s", source_err);
	return CLI_DONE;
}

/* A folder by its real name, so that one folder has one cache. */
static int find_folder(struct daemon *d)
{
	char *real;

	if (d->src.kind != SOURCE_DIR)
		return CLI_DONE;
	real = realpath(d->src.where, NULL);
	if (!real) {
		cmd_say("%s: %s: make the folder first, or check its name",
			d->src.name, strerror(errno));
		return CLI_FAILED;
	}
	free(d->src.where);
	d->src.where = real;
	return CLI_DONE;
}

/* The daemon leaves the folder it is called in. */
static int absolute(char **path)
{
	char cwd[PATH_MAX], *s = NULL;

	if (!*path || **path == '/')
		return CLI_DONE;
	if (!getcwd(cwd, sizeof(cwd)) ||
	    asprintf(&s, "%s/%s", cwd, *path) < 0) {
		cmd_say("%s: %s", *path, strerror(errno));
		return CLI_FAILED;
	}
	free(*path);
	*path = s;
	return CLI_DONE;
}

int daemon_take_source(struct daemon *d, const char *command,
		       const char *source, const char *dash_o)
{
	int r = take_options(d, command, source, dash_o);

	if (r == CLI_DONE)
		r = find_folder(d);
	if (r == CLI_DONE)
		r = absolute(&d->o->cache_dir);
	if (r == CLI_DONE)
		r = absolute(&d->o->log_file);
	if (r == CLI_DONE)
		r = absolute(&d->o->ca_bundle);
	if (r == 0)
		r = absolute(&d->o->sse_c_key_file);
	return r;
}
