/* SPDX-License-Identifier: Apache-2.0 */
/* One mount, from opening its cache to closing it: where the seams are filled
 * in and the modules are put together. */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ckptfs/cache.h"
#include "ckptfs/clock.h"
#include "ckptfs/control.h"
#include "ckptfs/daemon.h"
#include "ckptfs/disk.h"
#include "ckptfs/fs.h"
#include "ckptfs/fuse.h"
#include "ckptfs/host.h"
#include "ckptfs/log.h"
#include "ckptfs/meta.h"
#include "ckptfs/options.h"
#include "ckptfs/rng.h"
#include "ckptfs/source.h"
#include "ckptfs/store.h"
#include "ckptfs/thr.h"

#include "cachedir.h"
#include "commands.h"
#include "open_store.h"
#include "serve.h"
#include "unmount.h"

#define LOG_MODULE "mount"

struct daemon {
	const struct daemon_args *a;
	struct cachedir dir;
	struct host host;
	struct meta *meta;
	struct meta_report report;
	struct cache *cache;
	struct opened_store store;
	struct fs *fs;
	struct fuse_mount *mount;
	struct control *control;
	struct serve serve;
	char *normal;
	char err[1024];
	pthread_t signals;
	bool listening;
	volatile bool told_to_end; /* by a signal */
};

static void ready(struct daemon *d, int r)
{
	char line[1100];
	size_t n;

	if (r < 0) {
		(void)snprintf(line, sizeof(line), "error %s\n",
			       d->err[0] ? d->err : strerror(-r));
		log_line(LOG_LV_ERR, LOG_MODULE, 0, "%s",
			 d->err[0] ? d->err : strerror(-r));
	} else {
		(void)snprintf(line, sizeof(line), "ok\n");
	}
	n = strlen(line);
	if (d->a->ready_fd >= 0) {
		if (write(d->a->ready_fd, line, n) != (ssize_t)n)
			log_debug("nobody waits for the mount");
		(void)close(d->a->ready_fd);
	}
}

static int start_log(const struct daemon_args *a)
{
	static const enum log_level levels[] = { LOG_LV_ERR, LOG_LV_WARN,
						 LOG_LV_INFO, LOG_LV_DEBUG };
	struct log_opts lo = {
		.level = levels[a->opts->log_level],
		.sink = a->opts->log_file ? LOG_TO_FILE :
			a->foreground	  ? LOG_TO_STDERR :
					    LOG_TO_SYSLOG,
		.path = a->opts->log_file,
		.json = a->opts->log_format == FORMAT_JSON,
	};

	return log_init(&lo);
}

/* Recovery asks: did a version's bytes survive? */
static int check_version(void *arg, const struct meta_version *v)
{
	if (v->state != META_SEALED || !v->blob)
		return 0;
	return cache_blob_check(arg, v->blob, v->size);
}

static int open_state(struct daemon *d)
{
	struct cache *probe = NULL;
	struct meta_opts mo = { .source = d->normal,
				.check = check_version,
				.ballast = UINT64_C(64) << 20 };
	int r;

	d->host = (struct host){ .clk = &clk_system,
				 .rng = &rng_system,
				 .thr = &thr_system,
				 .disk = d->dir.disk };
	r = cache_open(&d->host, 0, &probe);
	if (r == 0) {
		mo.check_arg = probe;
		r = meta_open(&d->host, &mo, &d->meta, &d->report);
	}
	cache_close(probe);
	if (r == 0)
		r = cache_open(&d->host, d->report.epoch, &d->cache);
	if (r < 0)
		(void)snprintf(d->err, sizeof(d->err),
			       "the cache %s cannot be opened: %s; see the log",
			       d->dir.path, strerror(-r));
	return r;
}

static mode_t or_masked(uint64_t v, bool set, mode_t all, uint64_t mask)
{
	return set ? (mode_t)v : all & ~(mode_t)mask;
}

static uint64_t default_size(struct daemon *d)
{
	struct disk_space sp;

	if (d->a->opts->cache_size)
		return d->a->opts->cache_size;
	return disk_space(d->dir.disk, &sp) == 0 ? sp.avail / 5 * 4 : 0;
}

static void fill_transfer(struct daemon *d, struct transfer_opts *t)
{
	const struct options *o = d->a->opts;

	t->prefix = d->a->source->prefix;
	memcpy(t->cache_id, d->report.cache_id, sizeof(t->cache_id));
	t->order = o->order == ORDER_STRICT ? TRANSFER_STRICT :
		   o->order == ORDER_OPEN   ? TRANSFER_OPEN :
					      TRANSFER_NONE;
	t->max_uploads = (unsigned)o->max_uploads;
	t->part_size = o->part_size;
	t->upload_limit = o->upload_limit;
	t->upload_delay_ns = o->upload_delay;
	t->upload_interval_ns = o->upload_interval;
	t->upload_max_delay_ns = o->upload_max_delay;
	t->overwrite = o->conflict == CONFLICT_OVERWRITE;
}

static int open_fs(struct daemon *d)
{
	const struct options *o = d->a->opts;
	struct fs_opts f = {
		.prefix = d->a->source->prefix,
		.epoch = d->report.epoch,
		.same_boot = d->report.same_boot,
		.uid = o->uid_set ? (uid_t)o->uid : geteuid(),
		.gid = o->gid_set ? (gid_t)o->gid : getegid(),
		.file_mode = or_masked(o->file_mode, o->file_mode_set, 0666,
				       o->umask),
		.dir_mode = or_masked(o->dir_mode, o->dir_mode_set, 0777,
				      o->umask),
		.ro = o->ro,
		.passthrough = o->passthrough == PASSTHROUGH_OFF ? FS_PT_OFF :
			       o->passthrough == PASSTHROUGH_ON	 ? FS_PT_ON :
								   FS_PT_AUTO,
		.close_mode = o->close == CLOSE_REMOTE ? FS_REMOTE :
			      o->close == CLOSE_LOCAL  ? FS_LOCAL :
							 FS_ASYNC,
		.fsync_remote = o->fsync == FSYNC_REMOTE,
		.remote_timeout_ns = o->remote_timeout ? o->remote_timeout :
							 CLK_NEVER,
		.full_enospc = o->full == FULL_ENOSPC,
		.cache_size = default_size(d),
		.cache_min_free = o->cache_min_free,
		.metadata_ttl_ns = o->metadata_ttl,
		.negative_ttl_ns = o->negative_ttl,
		.held_open_delay_ns = o->held_open_delay,
		.max_downloads = (unsigned)o->max_downloads,
		.download_limit = o->download_limit,
	};
	int r;

	memcpy(f.cache_id, d->report.cache_id, sizeof(f.cache_id));
	fill_transfer(d, &f.transfer);
	r = fs_new(&d->host, d->meta, d->cache, d->store.store, &f, &d->fs);
	if (r < 0)
		(void)snprintf(d->err, sizeof(d->err),
			       "the cache %s cannot be recovered: %s; see the "
			       "log",
			       d->dir.path, strerror(-r));
	return r;
}

static int open_mount(struct daemon *d)
{
	struct fuse_mount_opts mo = {
		.mountpoint = d->a->mountpoint,
		.source = d->normal,
		.allow_other = d->a->opts->allow_other,
		.ro = d->a->opts->ro,
		.want_passthrough =
			d->a->opts->passthrough != PASSTHROUGH_OFF &&
			geteuid() == 0,
	};
	int r = fuse_mount_new(d->fs, &mo, &d->mount);

	if (r == -ENODEV)
		(void)snprintf(d->err, sizeof(d->err),
			       "/dev/fuse is missing: load the fuse module, or "
			       "give the container the device");
	else if (r < 0)
		(void)snprintf(d->err, sizeof(d->err),
			       "%s cannot be mounted: is fusermount3 (package "
			       "fuse3) installed, and allow_other allowed in "
			       "/etc/fuse.conf?",
			       d->a->mountpoint);
	return r;
}

static int open_control(struct daemon *d)
{
	int r;

	d->serve = (struct serve){ .fs = d->fs,
				   .mountpoint = d->a->mountpoint,
				   .source = d->normal,
				   .cache_dir = d->dir.path,
				   .promise = d->dir.promise };
	r = control_start(d->a->mountpoint, serve_request, &d->serve,
			  &d->control);
	if (r < 0)
		(void)snprintf(d->err, sizeof(d->err),
			       "the control socket cannot be made: %s",
			       strerror(-r));
	return r;
}

static int64_t in_ns(int64_t ns)
{
	return clk_mono(&clk_system) + ns;
}

/* SIGTERM and SIGINT: drain while there is time, then let go of the mount. */
static void *await_signal(void *arg)
{
	struct daemon *d = arg;
	sigset_t set;
	int sig, r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGUSR1);
	if (sigwait(&set, &sig) != 0 || sig == SIGUSR1)
		return NULL;
	log_info("told to end by signal %d: draining", sig);
	r = fs_sync(d->fs, "", in_ns(d->a->opts->drain_timeout));
	d->told_to_end = true;
	if (r < 0)
		log_warn("not everything is in the bucket: the rest goes on at "
			 "the next mount");
	if (unmount_now(d->a->mountpoint, true) < 0)
		fuse_mount_stop(d->mount);
	return NULL;
}

/* Signals come to await_signal() alone; every thread inherits this. */
static int block_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGUSR1);
	(void)signal(SIGPIPE, SIG_IGN);
	return -pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void raise_limits(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
	/* No core file: it would hold credentials. */
	l.rlim_cur = l.rlim_max = 0;
	(void)setrlimit(RLIMIT_CORE, &l);
}

static int set_up(struct daemon *d)
{
	const struct daemon_args *a = d->a;
	char *endpoint = endpoint_of(a->opts, a->source);
	int r;

	d->normal = source_normal(a->source, endpoint);
	free(endpoint);
	if (!d->normal)
		return -ENOMEM;
	r = cachedir_open(a->opts, d->normal, a->mountpoint, &d->dir, d->err,
			  sizeof(d->err));
	if (r == 0)
		r = open_state(d);
	if (r == 0)
		r = open_store(a->opts, a->source, &d->host, &d->store, d->err,
			       sizeof(d->err));
	if (r == 0)
		r = open_fs(d);
	if (r == 0)
		r = open_mount(d);
	if (r == 0)
		r = open_control(d);
	if (r == 0) {
		r = -pthread_create(&d->signals, NULL, await_signal, d);
		d->listening = r == 0;
	}
	return r;
}

/* Unmounted by whatever means: what is queued still goes. */
static int drain(struct daemon *d)
{
	unsigned left = serve_at_risk(d->fs, false);

	if (left && !d->told_to_end) {
		cachedir_say(&d->dir, d->a->mountpoint, true);
		d->serve.draining = true;
		log_info("unmounted; %u still to go to the bucket", left);
		if (fs_sync(d->fs, "", CLK_NEVER) < 0)
			log_warn("draining ended early");
	}
	left = serve_at_risk(d->fs, true);
	return left ? EXIT_FAILED : EXIT_DONE;
}

static void tear_down(struct daemon *d)
{
	control_stop(d->control);
	if (d->listening) {
		(void)pthread_kill(d->signals, SIGUSR1);
		(void)pthread_join(d->signals, NULL);
	}
	if (d->store.store)
		store_shutdown(d->store.store);
	fs_free(d->fs);
	fuse_mount_free(d->mount);
	close_store(&d->store);
	cache_close(d->cache);
	meta_close(d->meta);
	cachedir_close(&d->dir);
	free(d->normal);
}

int daemon_run(const struct daemon_args *a)
{
	struct daemon d = { .a = a };
	int status = EXIT_FAILED, r;

	d.dir.lock = -1;
	r = start_log(a);
	if (r < 0)
		(void)snprintf(d.err, sizeof(d.err), "log_file %s: %s",
			       a->opts->log_file ? a->opts->log_file : "",
			       strerror(-r));
	raise_limits();
	if (r == 0)
		r = block_signals();
	if (r == 0)
		r = set_up(&d);
	ready(&d, r);
	if (r == 0) {
		log_info("ckptfs %s: %s on %s, cache %s (%llu MiB), epoch %u",
			 PACKAGE_VERSION, d.normal, a->mountpoint, d.dir.path,
			 (unsigned long long)(default_size(&d) >> 20),
			 d.report.epoch);
		d.serve.passthrough = a->opts->passthrough != PASSTHROUGH_OFF;
		r = fuse_mount_serve(d.mount);
		if (r < 0)
			(void)log_err(r, "serving ended");
		status = drain(&d);
	}
	tear_down(&d);
	return status;
}
