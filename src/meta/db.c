/* SPDX-License-Identifier: Apache-2.0 */
/* The connection: schema, statements, transactions. */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define LOG_MODULE "meta"
/* More than one transaction adds to the log. */
#define BALLAST_NEAR (UINT64_C(4) << 20)

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS kv(k TEXT PRIMARY KEY, v) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS inode(ino INTEGER PRIMARY KEY AUTOINCREMENT,"
	" kind INT, parent INT, name BLOB, mode INT, uid INT, gid INT,"
	" mtime INT, ctime INT, size INT, vid INT, key BLOB, target BLOB,"
	" flags INT);"
	"CREATE TABLE IF NOT EXISTS name(parent INT, name BLOB, ino INT,"
	" PRIMARY KEY(parent, name)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS version(vid INTEGER PRIMARY KEY"
	" AUTOINCREMENT, epoch INT, ino INT, state INT, blob INT, flags INT,"
	" size INT, mtime INT, seal_ctime INT, sealed INT, mode INT, crc INT,"
	" replaces INT, used INT, chg INT);"
	"CREATE TABLE IF NOT EXISTS op(seq INTEGER PRIMARY KEY AUTOINCREMENT,"
	" kind INT, ino INT, vid INT, bound INT, open_seq INT, key BLOB,"
	" dst BLOB, flags INT, why TEXT);"
	"CREATE TABLE IF NOT EXISTS object(key BLOB PRIMARY KEY, ino INT,"
	" vid INT, bound INT, etag TEXT, size INT, mtime INT, has_crc INT,"
	" crc INT, commit_end INT) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS upload(vid INTEGER PRIMARY KEY, key BLOB,"
	" id TEXT, begun INT, part_size INT);"
	"CREATE TABLE IF NOT EXISTS part(vid INT, number INT, off INT, len INT,"
	" crc INT, xlo INT, xhi INT, etag TEXT, PRIMARY KEY(vid, number))"
	" WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS dead(blob INTEGER PRIMARY KEY);"
	/* The root; numbers go on behind it. */
	"INSERT OR IGNORE INTO inode VALUES"
	" (1, 2, 0, x'', 493, 0, 0, 0, 0, 0, 0, x'', x'', 1);";

static const char *const sql[S_COUNT] = {
	[S_BEGIN] = "BEGIN IMMEDIATE",
	[S_COMMIT] = "COMMIT",
	[S_ROLLBACK] = "ROLLBACK",
	[S_KV_GET] = "SELECT v FROM kv WHERE k=?",
	[S_KV_SET] = "INSERT OR REPLACE INTO kv VALUES(?,?)",
	[S_INODE_ADD] = "INSERT INTO inode(kind,parent,name,mode,uid,gid,mtime,"
			"ctime,size,vid,key,target,flags)"
			" VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
	[S_INODE_SET] = "UPDATE inode SET kind=?,parent=?,name=?,mode=?,uid=?,"
			"gid=?,mtime=?,ctime=?,size=?,vid=?,key=?,target=?,"
			"flags=? WHERE ino=?",
	[S_INODE_GET] = "SELECT * FROM inode WHERE ino=?",
	[S_INODE_DEL] = "DELETE FROM inode WHERE ino=?",
	[S_INODE_UNLINKED] = "SELECT * FROM inode WHERE parent=0 AND ino<>1",
	[S_NAME_ADD] = "INSERT INTO name VALUES(?,?,?)",
	[S_NAME_DEL] = "DELETE FROM name WHERE parent=? AND name=?",
	[S_NAME_GET] = "SELECT ino FROM name WHERE parent=? AND name=?",
	[S_NAME_EACH] = "SELECT i.* FROM name n CROSS JOIN inode i"
			" ON i.ino=n.ino WHERE n.parent=? ORDER BY n.name",
	[S_VERSION_ADD] = "INSERT INTO version(epoch,ino,state,blob,flags,size,"
			  "mtime,seal_ctime,sealed,mode,crc,replaces,used,chg)"
			  " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
	[S_VERSION_SET] = "UPDATE version SET epoch=?,ino=?,state=?,blob=?,"
			  "flags=?,size=?,mtime=?,seal_ctime=?,sealed=?,mode=?,"
			  "crc=?,replaces=?,used=?,chg=? WHERE vid=?",
	[S_VERSION_GET] = "SELECT * FROM version WHERE vid=?",
	[S_VERSION_DEL] = "DELETE FROM version WHERE vid=?",
	[S_VERSION_EACH] = "SELECT * FROM version ORDER BY vid",
	[S_VERSION_SINCE] = "SELECT * FROM version WHERE chg>? ORDER BY vid",
	[S_OP_ADD] = "INSERT INTO op(kind,ino,vid,bound,open_seq,key,dst,flags,"
		     "why) VALUES(?,?,?,?,?,?,?,?,?)",
	[S_OP_SET] = "UPDATE op SET kind=?,ino=?,vid=?,bound=?,open_seq=?,"
		     "key=?,dst=?,flags=?,why=? WHERE seq=?",
	[S_OP_GET] = "SELECT * FROM op WHERE seq=?",
	[S_OP_DEL] = "DELETE FROM op WHERE seq=?",
	[S_OP_EACH] = "SELECT * FROM op WHERE seq>? ORDER BY seq",
	[S_OBJECT_SET] = "INSERT OR REPLACE INTO object"
			 " VALUES(?,?,?,?,?,?,?,?,?,?)",
	[S_OBJECT_GET] = "SELECT * FROM object WHERE key=?",
	[S_OBJECT_DEL] = "DELETE FROM object WHERE key=?",
	[S_OBJECT_EACH] = "SELECT * FROM object WHERE key>=? ORDER BY key",
	[S_UPLOAD_SET] = "INSERT OR REPLACE INTO upload VALUES(?,?,?,?,?)",
	[S_UPLOAD_GET] = "SELECT * FROM upload WHERE vid=?",
	[S_UPLOAD_DEL] = "DELETE FROM upload WHERE vid=?",
	[S_UPLOAD_EACH] = "SELECT * FROM upload ORDER BY vid",
	[S_PART_SET] = "INSERT OR REPLACE INTO part VALUES(?,?,?,?,?,?,?,?)",
	[S_PART_EACH] = "SELECT * FROM part WHERE vid=? ORDER BY number",
	[S_PART_DEL] = "DELETE FROM part WHERE vid=?",
	[S_DEAD_ADD] = "INSERT OR IGNORE INTO dead VALUES(?)",
	[S_DEAD_DEL] = "DELETE FROM dead WHERE blob=?",
	[S_DEAD_EACH] = "SELECT blob FROM dead",
};

/* Log what SQLite says and name it as an errno. */
int db_error(struct meta *m, int rc, const char *what)
{
	int r = -EIO;

	if ((rc & 0xff) == SQLITE_FULL)
		r = -ENOSPC;
	if ((rc & 0xff) == SQLITE_NOMEM)
		r = -ENOMEM;
	m->broken = true;
	return log_err(r, "database: %s: %s (%d)", what,
		       m->db ? sqlite3_errmsg(m->db) : "", rc);
}

static int on_commit(void *arg, sqlite3 *db, const char *name, int frames)
{
	struct meta *m = arg;

	(void)db;
	(void)name;
	m->frames = (uint32_t)frames;
	m->frames_seen = m->frames;
	return SQLITE_OK;
}

static int exec(struct meta *m, const char *text)
{
	int rc = sqlite3_exec(m->db, text, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : db_error(m, rc, "set up");
}

static int check_schema(struct meta *m)
{
	sqlite3_stmt *st = NULL;
	int v = -1;

	if (sqlite3_prepare_v2(m->db, "PRAGMA user_version", -1, &st, NULL) ==
		    SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		v = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	if (v == META_SCHEMA)
		return 0;
	if (v == 0)
		return exec(m, "PRAGMA user_version=1");
	return log_err(-EIO, "the cache's database is of version %d, this "
		       "ckptfs knows %d: use the newer ckptfs",
		       v, META_SCHEMA);
}

int db_open(struct meta *m)
{
	int rc, r;

	rc = sqlite3_open_v2("db", &m->db,
			     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
				     SQLITE_OPEN_NOMUTEX,
			     m->vfs_name);
	if (rc != SQLITE_OK)
		return db_error(m, rc, "open");
	(void)sqlite3_extended_result_codes(m->db, 1);
	(void)sqlite3_db_config(m->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
				(int *)NULL);
	r = exec(m, "PRAGMA page_size=4096; PRAGMA locking_mode=EXCLUSIVE;"
		    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
		    "PRAGMA wal_autocheckpoint=0; PRAGMA temp_store=MEMORY;"
		    "PRAGMA cache_size=-16384;");
	(void)sqlite3_wal_hook(m->db, on_commit, m);
	if (r == 0)
		r = check_schema(m);
	return r;
}


int db_schema(struct meta *m)
{
	return exec(m, schema);
}

void db_close(struct meta *m)
{
	int i;

	for (i = 0; i < S_COUNT; i++) {
		sqlite3_finalize(m->stmt[i]);
		m->stmt[i] = NULL;
	}
	if (m->db && sqlite3_close(m->db) != SQLITE_OK)
		log_warn("database: did not close");
	m->db = NULL;
}

int stmt_get(struct meta *m, enum stmt s, sqlite3_stmt **ret)
{
	int rc;

	if (m->broken)
		return -EIO;
	if (!m->stmt[s]) {
		rc = sqlite3_prepare_v3(m->db, sql[s], -1,
					SQLITE_PREPARE_PERSISTENT, &m->stmt[s],
					NULL);
		if (rc != SQLITE_OK)
			return db_error(m, rc, sql[s]);
	}
	(void)sqlite3_reset(m->stmt[s]);
	*ret = m->stmt[s];
	return 0;
}

int stmt_row(struct meta *m, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	if (rc == SQLITE_ROW)
		return 1;
	(void)sqlite3_reset(st);
	return rc == SQLITE_DONE ? 0 : db_error(m, rc, sqlite3_sql(st));
}

int stmt_run(struct meta *m, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);

	/* Not if SQLite has rolled back: the rest would be a transaction. */
	if ((rc & 0xff) == SQLITE_FULL && m->ballast &&
	    !sqlite3_get_autocommit(m->db)) {
		ballast_drop(m);
		(void)sqlite3_reset(st);
		rc = sqlite3_step(st);
	}
	(void)sqlite3_reset(st);
	if (rc == SQLITE_DONE || rc == SQLITE_ROW)
		return 0;
	if ((rc & 0xff) == SQLITE_CONSTRAINT)
		return -EEXIST;
	return db_error(m, rc, sqlite3_sql(st));
}

int stmt_changed(struct meta *m)
{
	return sqlite3_changes(m->db) ? 0 : -ENOENT;
}

static int run(struct meta *m, enum stmt s)
{
	sqlite3_stmt *st;
	int r = stmt_get(m, s, &st);

	return r < 0 ? r : stmt_run(m, st);
}

int meta_begin(struct meta *m)
{
	int r;

	lock_acquire(&m->lock);
	m->broken = false;
	r = m->failed ? -EIO : run(m, S_BEGIN);
	if (r < 0) {
		lock_release(&m->lock);
		return r;
	}
	m->begun = true;
	return 0;
}

/* A COMMIT that finds the disk full is rolled back, so the reserve has to go
 * before it. */
static void ballast_near(struct meta *m)
{
	struct disk_space sp;

	if (m->ballast && disk_space(m->host->disk, &sp) == 0 &&
	    sp.avail < BALLAST_NEAR)
		ballast_drop(m);
}

int meta_commit(struct meta *m)
{
	int r;

	meta_assert_begun(m);
	if (!m->broken)
		ballast_near(m);
	r = run(m, S_COMMIT);
	if (r == 0)
		m->commits_seen = ++m->commits;
	return r;
}

void meta_end(struct meta *m)
{
	m->begun = false;
	m->broken = false;
	if (!sqlite3_get_autocommit(m->db))
		(void)run(m, S_ROLLBACK);
	lock_release(&m->lock);
}

void meta_assert_begun(const struct meta *m)
{
	lock_assert_held(&m->lock);
	assert(m->begun);
}

int kv_get(struct meta *m, const char *k, int64_t *ret)
{
	sqlite3_stmt *st;
	int r = stmt_get(m, S_KV_GET, &st);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, k, -1, SQLITE_STATIC);
	r = stmt_row(m, st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret = sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	return 0;
}

int kv_set(struct meta *m, const char *k, int64_t v)
{
	sqlite3_stmt *st;
	int r = stmt_get(m, S_KV_SET, &st);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, k, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 2, v);
	return stmt_run(m, st);
}

int kv_get_text(struct meta *m, const char *k, char *ret, size_t size)
{
	const unsigned char *p;
	sqlite3_stmt *st;
	int r = stmt_get(m, S_KV_GET, &st);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, k, -1, SQLITE_STATIC);
	r = stmt_row(m, st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	p = sqlite3_column_text(st, 0);
	(void)snprintf(ret, size, "%s", p ? (const char *)p : "");
	(void)sqlite3_reset(st);
	return 0;
}

int kv_set_text(struct meta *m, const char *k, const char *v)
{
	sqlite3_stmt *st;
	int r = stmt_get(m, S_KV_SET, &st);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, k, -1, SQLITE_STATIC);
	(void)sqlite3_bind_text(st, 2, v, -1, SQLITE_STATIC);
	return stmt_run(m, st);
}

/* Room that is ours when the disk is full: deletes and results must still be
 * written down, for they are what makes room. */
void ballast_drop(struct meta *m)
{
	log_warn("the cache disk is full: using the database's reserve");
	if (disk_unlink(m->host->disk, "ballast") < 0)
		log_debug("no ballast to remove");
	m->ballast = false;
}

void ballast_make(struct meta *m)
{
	int fd;

	if (m->ballast || !m->ballast_size)
		return;
	fd = disk_open(m->host->disk, "ballast", O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		return;
	m->ballast = disk_allocate(m->host->disk, fd, 0, m->ballast_size) == 0;
	disk_close(m->host->disk, fd);
	if (!m->ballast && disk_unlink(m->host->disk, "ballast") < 0)
		log_debug("no ballast to remove");
}
