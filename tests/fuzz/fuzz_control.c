/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket of a daemon with a file system behind it: whatever bytes
 * come, each line gets one answer, which is a line of JSON, and the next caller
 * is served as if nothing had been.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ckptfs/cache.h"
#include "ckptfs/clock.h"
#include "ckptfs/disk.h"
#include "ckptfs/json.h"
#include "ckptfs/log.h"
#include "ckptfs/meta.h"
#include "ckptfs/rng.h"
#include "ckptfs/store.h"
#include "ckptfs/thr.h"

#include "cli/control.h"
#include "cli/daemon.h"
#include "fuzz.h"

#define LINE_MOST (64U << 10) /* control.c */
#define INPUT_MOST (16U << 10) /* fits a socket: we write before we read */

static char folder[] = "/tmp/ckptfs-fuzz-XXXXXX", source[] = "mem://";
static struct daemon d = { .lock = PTHREAD_MUTEX_INITIALIZER,
			   .src = { .name = source },
			   .lock_fd = -1,
			   .null_fd = -1,
			   .say = { .fd = -1 } };

/* ---- the daemon */

/* A drain is answered once the daemon has ended: here it just has. */
static void handle(void *arg, const struct json *req,
		   struct control_conn *conn)
{
	const char *op = json_get_str(req, "op");
	bool drains = op && strcmp(op, "drain") == 0;

	(void)pthread_mutex_lock(&d.lock);
	d.phase = drains ? DAEMON_ENDED : DAEMON_MOUNTED;
	(void)pthread_mutex_unlock(&d.lock);
	daemon_handle(arg, req, conn);
}

static int drop(const char *path, const struct stat *st, int flag,
		struct FTW *ftw)
{
	return remove(path);
}

static void put(const char *name)
{
	const struct fs_ctx ctx = { .pid = getpid() };
	struct fs_opened o;
	struct fs_entry e;
	uint64_t off = 0;
	int fd;

	FUZZ_REQUIRE(fs_create(d.fs, &ctx, FS_ROOT_INO, name, 0600,
			       O_WRONLY | O_CREAT, &e, &o) == 0 &&
			     fs_write_to(d.fs, o.file, &off, 1, &fd) == 0 &&
			     disk_pwrite(d.host.disk, fd, "x", 1, off) == 0 &&
			     fs_flush(d.fs, &ctx, o.file) == 0,
		     "%s", name);
	fs_release(d.fs, o.file);
}

static void open_fs(void)
{
	static const struct meta_opts mo = { .source = "mem://" };
	struct fs_opts o = {
		.prefix = "run/",
		.file_mode = 0600,
		.dir_mode = 0700,
		.passthrough = FS_PT_OFF,
		.remote_timeout_ns = CLK_NEVER,
		.cache_size = 1U << 30,
		.cache_min_free = 1,
		.metadata_ttl_ns = 10 * NS_PER_S,
		.max_downloads = 1,
		.transfer = { .prefix = "run/", .max_uploads = 1 },
	};
	struct meta_report report;

	FUZZ_REQUIRE(disk_system_open(folder, &d.host.disk) == 0, "%s", folder);
	d.host.clk = &clk_system;
	d.host.rng = &rng_system;
	d.host.thr = &thr_system;
	d.store = store_mem_new(&clk_system);
	FUZZ_REQUIRE(d.store && store_probe(d.store, "run/", false) == 0 &&
			     meta_open(&d.host, &mo, &d.meta, &report) == 0 &&
			     cache_open(&d.host, report.epoch, &d.cache) == 0,
		     "%s", folder);
	o.epoch = report.epoch;
	memcpy(o.cache_id, report.cache_id, sizeof(o.cache_id));
	memcpy(o.transfer.cache_id, report.cache_id, sizeof(o.cache_id));
	FUZZ_REQUIRE(fs_new(&d.host, d.meta, d.cache, d.store, &o, &d.fs) == 0,
		     "%s", folder);
}

static void end(void)
{
	control_stop(d.control);
	fs_free(d.fs);
	meta_close(d.meta);
	cache_close(d.cache);
	store_free(d.store);
	disk_free(d.host.disk);
	buf_clear(&d.result);
	(void)nftw(folder, drop, 16, FTW_DEPTH | FTW_PHYS);
}

static void begin(void)
{
	static const struct log_opts quiet = { .level = LOG_LV_ERR };
	uint64_t upto = 0;

	if (d.fs)
		return;
	FUZZ_REQUIRE(log_init(&quiet) == 0, "no log");
	if (!mkdtemp(folder))
		abort();
	d.point = d.cache_path = folder;
	d.result.max = LINE_MOST;
	if (buf_addf(&d.result, "{\"status\":0}") < 0)
		abort();
	open_fs();
	put("a");
	put("b.tmp");
	FUZZ_REQUIRE(fs_sync(d.fs, "", &upto, CLK_NEVER) == 0, "not sent");
	FUZZ_REQUIRE(control_start(folder, handle, &d, &d.control) == 0, "%s",
		     folder);
	(void)atexit(end);
}

/* ---- its clients */

/* What is answered to these bytes, up to the end. */
static void ask(const void *p, size_t n, struct buf *ret)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char piece[4096];
	ssize_t got;

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s",
		       control_socket(d.control));
	if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof(at)))
		FUZZ_REQUIRE(false, "%s: %d", at.sun_path, errno);
	if (n > 0 && send(fd, p, n, MSG_NOSIGNAL) != (ssize_t)n)
		FUZZ_REQUIRE(false, "send: %d", errno);
	(void)shutdown(fd, SHUT_WR);
	/* libFuzzer has a clock that rings. */
	while ((got = recv(fd, piece, sizeof(piece), 0)) > 0 ||
	       (got < 0 && errno == EINTR))
		if (got > 0 && buf_add(ret, piece, (size_t)got) < 0)
			abort();
	FUZZ_REQUIRE(got == 0, "recv: %d", errno);
	(void)close(fd);
}

/* Lines that are answers, of which there may be progress before. */
static unsigned count_answers(const struct buf *b)
{
	struct fuzz_in in = { (const uint8_t *)b->p, b->len };
	unsigned n = 0;

	while (in.n > 0) {
		struct fuzz_in line = fuzz_until(&in, "\n");
		struct json *j = NULL;

		FUZZ_REQUIRE(json_parse(line.p, line.n, &j) == 0, "%.*s",
			     (int)line.n, (const char *)line.p);
		n += json_get(j, "progress") == NULL;
		json_free(j);
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char ping[] = "{\"op\":\"ping\"}\n";
	struct buf b = BUF_INIT(SIZE_MAX);
	unsigned lines = 0;
	size_t i;

	begin();
	n = n < INPUT_MOST ? n : INPUT_MOST;
	for (i = 0; i < n; i++)
		lines += data[i] == '\n';
	ask(data, n, &b);
	FUZZ_REQUIRE(count_answers(&b) == lines, "%u answers to %u lines",
		     count_answers(&b), lines);
	buf_clear(&b);
	ask(ping, sizeof(ping) - 1, &b);
	FUZZ_REQUIRE(count_answers(&b) == 1, "no answer to a ping");
	buf_clear(&b);
	return 0;
}
