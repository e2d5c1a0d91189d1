/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon answers on its control socket; docs/status.md has the form. */
#ifndef CLI_SERVE_H
#define CLI_SERVE_H

#include <stdbool.h>
#include <stdint.h>

#include "ckptfs/control.h"

struct fs;

struct serve {
	struct fs *fs;
	const char *mountpoint, *source, *cache_dir, *promise;
	bool passthrough, draining;
	/* Ask the daemon to end: it unmounts, stops and exits. */
	void (*stop)(void *arg);
	void *stop_arg;
};

control_fn serve_request;

/* Items not in the bucket that count; also logs each if told to. */
unsigned serve_at_risk(struct fs *fs, bool log_them);

#endif
