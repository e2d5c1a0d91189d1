/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckptfs/cache.h"
#include "ckptfs/clock.h"
#include "ckptfs/cred.h"
#include "ckptfs/disk.h"
#include "ckptfs/http.h"
#include "ckptfs/log.h"
#include "ckptfs/meta.h"
#include "ckptfs/store.h"

#include "cmd.h"
#include "offline.h"

#define PATH_MOST 4096

/* Nothing of it may be made here. */
static int check_there(const struct daemon *d)
{
	char db[PATH_MOST], blobs[PATH_MOST];

	(void)snprintf(db, sizeof(db), "%s/db", d->cache_path);
	(void)snprintf(blobs, sizeof(blobs), "%s/blobs", d->cache_path);
	if (access(db, F_OK) == 0 || access(blobs, F_OK) == 0)
		return CLI_DONE;
	cmd_say("%s has no cache here: %s is not there; give the cache_dir it "
		"was mounted with, by -o cache_dir=",
		d->src.name, d->cache_path);
	return CLI_FAILED;
}

/* What the recovery of a mount logs is for that mount to say. */
static int quiet(void)
{
	const struct log_opts lo = { .level = LOG_LV_ERR,
				     .sink = LOG_TO_FILE,
				     .path = "/dev/null" };

	return log_init(&lo) < 0 ? CLI_FAILED : CLI_DONE;
}

/* What it is; nothing is opened. */
static int take(const char *command, const char *source, const char *dash_o,
		struct offline *ret)
{
	struct daemon *d = &ret->d;
	int status;

	memset(ret, 0, sizeof(*ret));
	d->o = &ret->o;
	d->say.fd = d->null_fd = d->lock_fd = -1;
	(void)pthread_mutex_init(&d->lock, NULL);
	if (options_init(&ret->o) < 0) {
		cmd_say("out of memory");
		return CLI_FAILED;
	}
	status = daemon_take_source(d, command, source, dash_o);
	if (status == CLI_DONE)
		status = daemon_find_endpoint(d);
	return status;
}

int offline_open(const char *command, const char *source, const char *dash_o,
		 struct offline *ret)
{
	struct daemon *d = &ret->d;
	int status = take(command, source, dash_o, ret);

	if (status == CLI_DONE)
		status = daemon_find_cache(d);
	if (status == CLI_DONE)
		status = check_there(d);
	return status == CLI_DONE ? daemon_open_cache(d) : status;
}

int offline_bucket(const char *command, const char *source, const char *dash_o,
		   struct offline *ret)
{
	int status = take(command, source, dash_o, ret);

	return status == CLI_DONE ? daemon_make_store(&ret->d) : status;
}

static struct store *no_store(const char *prefix)
{
	static const struct store_fault away = { .err = -ENETUNREACH,
						 .act = STORE_FAULT_BEFORE };
	struct store *mem = store_mem_new(&clk_system), *s;

	if (!mem)
		return NULL;
	s = store_fault_new(mem);
	if (s && store_probe(s, prefix, false) == 0 &&
	    store_fault_set(s, &away, 1) == 0)
		return s;
	store_free(s);
	return NULL;
}

int offline_fs(struct offline *off)
{
	struct daemon *d = &off->d;
	struct fs_opts fo;
	int r, status;

	memset(&fo, 0, sizeof(fo));
	status = quiet();
	if (status == CLI_DONE)
		status = daemon_open_meta(d, &fo);
	if (status != CLI_DONE)
		return status;
	d->store = no_store(d->src.prefix);
	fo.prefix = d->src.prefix;
	fo.uid = off->o.uid;
	fo.gid = off->o.gid;
	fo.file_mode = off->o.file_mode;
	fo.dir_mode = off->o.dir_mode;
	fo.ro = true; /* no uploads */
	fo.passthrough = FS_PT_OFF;
	fo.remote_timeout_ns = CLK_NEVER;
	fo.cache_size = UINT64_MAX / 2;
	fo.cache_min_free = 1;
	fo.metadata_ttl_ns = fo.negative_ttl_ns = NS_PER_S;
	fo.max_downloads = 1;
	fo.transfer.prefix = fo.prefix;
	fo.transfer.max_uploads = 1;
	fo.transfer.upload_max_delay_ns = INT64_MAX / 2;
	memcpy(fo.transfer.cache_id, fo.cache_id, sizeof(fo.cache_id));
	r = d->store ? fs_new(&d->host, d->meta, d->cache, d->store, &fo,
			      &d->fs) :
		       -ENOMEM;
	if (r < 0) {
		cmd_say("the state in %s cannot be used: %s", d->cache_path,
			strerror(-r));
		return CLI_FAILED;
	}
	return CLI_DONE;
}

void offline_close(struct offline *off)
{
	struct daemon *d = &off->d;

	fs_free(d->fs);
	cache_close(d->cache);
	meta_close(d->meta);
	store_free(d->store);
	cred_chain_free(d->creds);
	http_free(d->http);
	if (d->host.disk) {
		disk_close(d->host.disk, d->lock_fd);
		disk_free(d->host.disk);
	}
	free(d->endpoint);
	free(d->normal);
	free(d->cache_path);
	(void)pthread_mutex_destroy(&d->lock);
	source_clear(&d->src);
	options_clear(&off->o);
}
