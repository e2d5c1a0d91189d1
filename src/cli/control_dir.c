/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control.h"
#include "source.h"

static int put(char ret[CONTROL_PATH_MAX], int n)
{
	(void)ret;
	return n > 0 && n < CONTROL_PATH_MAX ? 0 : -ENAMETOOLONG;
}

int control_dir(uid_t user, unsigned which, char ret[CONTROL_PATH_MAX])
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	bool own = user == geteuid() && user != 0 && run && *run == '/';

	if (own && which-- == 0)
		return put(ret,
			   snprintf(ret, CONTROL_PATH_MAX, "%s/ckptfs", run));
	if (user == 0 && which-- == 0)
		return put(ret, snprintf(ret, CONTROL_PATH_MAX, "/run/ckptfs"));
	if (which-- == 0)
		return put(ret, snprintf(ret, CONTROL_PATH_MAX,
					 "/tmp/ckptfs-%u", (unsigned)user));
	if (user != 0 && which-- == 0)
		return put(ret,
			   snprintf(ret, CONTROL_PATH_MAX,
				    "/run/user/%u/ckptfs", (unsigned)user));
	return -ENOENT;
}

int control_path(const char *dir, const char *point, char ret[CONTROL_PATH_MAX])
{
	char hash[17];

	source_hash(point, hash);
	return put(ret, snprintf(ret, CONTROL_PATH_MAX, "%s/%s", dir, hash));
}
