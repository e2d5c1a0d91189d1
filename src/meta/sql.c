/* SPDX-License-Identifier: Apache-2.0 */
/* Every statement there is.  Columns are named in the order in which the
 * row_*.c bind and read them. */
#include "config.h"

#include "meta/internal.h"

/*
 * No secondary index: each costs a page of log per row.  Names and keys are
 * blobs, so that they sort by byte.  Flags are bits of one column.
 */
const char meta_schema[] =
	"CREATE TABLE kv(key TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE inode(ino INTEGER PRIMARY KEY, kind INTEGER,"
	" parent INTEGER, name BLOB, mode INTEGER, uid INTEGER, gid INTEGER,"
	" mtime INTEGER, ctime INTEGER, size INTEGER, vid INTEGER, key BLOB,"
	" target BLOB, flags INTEGER);"
	"CREATE TABLE name(parent INTEGER, name BLOB, ino INTEGER,"
	" PRIMARY KEY(parent, name)) WITHOUT ROWID;"
	"CREATE TABLE version(vid INTEGER PRIMARY KEY, chg INTEGER,"
	" epoch INTEGER, ino INTEGER, state INTEGER, blob INTEGER,"
	" flags INTEGER, size INTEGER, mtime INTEGER, seal_ctime INTEGER,"
	" sealed_real INTEGER, mode INTEGER, crc64 INTEGER, replaces INTEGER,"
	" used_real INTEGER);"
	"CREATE TABLE op(seq INTEGER PRIMARY KEY, kind INTEGER, ino INTEGER,"
	" vid INTEGER, bound INTEGER, open_seq INTEGER, key BLOB, to_key BLOB,"
	" flags INTEGER, why BLOB);"
	"CREATE TABLE object(key BLOB PRIMARY KEY, ino INTEGER, vid INTEGER,"
	" bound INTEGER, etag BLOB, size INTEGER, mtime INTEGER,"
	" flags INTEGER, crc64 INTEGER, commit_end INTEGER) WITHOUT ROWID;"
	"CREATE TABLE upload(vid INTEGER PRIMARY KEY, key BLOB, id BLOB,"
	" begun_real INTEGER, part_size INTEGER);"
	"CREATE TABLE part(vid INTEGER, number INTEGER, off INTEGER,"
	" len INTEGER, crc64 INTEGER, xxh_lo INTEGER, xxh_hi INTEGER,"
	" etag BLOB, PRIMARY KEY(vid, number)) WITHOUT ROWID;"
	"CREATE TABLE dead(blob INTEGER PRIMARY KEY);"
	"CREATE TABLE owed(key BLOB PRIMARY KEY, ino INTEGER) WITHOUT ROWID;";

#define INODE_COLS                                                             \
	"ino, kind, parent, name, mode, uid, gid, mtime, ctime, size, vid,"    \
	" key, target, flags"
#define VERSION_COLS                                                           \
	"vid, chg, epoch, ino, state, blob, flags, size, mtime, seal_ctime,"   \
	" sealed_real, mode, crc64, replaces, used_real"
#define OP_COLS "seq, kind, ino, vid, bound, open_seq, key, to_key, flags, why"
#define OBJECT_COLS                                                            \
	"key, ino, vid, bound, etag, size, mtime, flags, crc64, commit_end"
#define UPLOAD_COLS "vid, key, id, begun_real, part_size"
#define PART_COLS "vid, number, off, len, crc64, xxh_lo, xxh_hi, etag"

const char *const meta_sql[QUERIES] = {
	[Q_BEGIN] = "BEGIN",
	[Q_COMMIT] = "COMMIT",
	[Q_ROLLBACK] = "ROLLBACK",

	[Q_INODE_ADD] = "INSERT INTO inode(" INODE_COLS ")"
			" VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
	[Q_INODE_SET] = "UPDATE inode SET kind=?2, parent=?3, name=?4,"
			" mode=?5, uid=?6, gid=?7, mtime=?8, ctime=?9,"
			" size=?10, vid=?11, key=?12, target=?13, flags=?14"
			" WHERE ino=?1",
	[Q_INODE_GET] = "SELECT " INODE_COLS " FROM inode WHERE ino=?",
	[Q_INODE_DEL] = "DELETE FROM inode WHERE ino=?",
	[Q_INODE_UNLINKED] = "SELECT " INODE_COLS " FROM inode"
			     " WHERE parent=0 AND ino<>1 ORDER BY ino",
	[Q_INODE_MAX] = "SELECT max(ino) FROM inode",

	[Q_NAME_ADD] = "INSERT INTO name(parent, name, ino) VALUES(?,?,?)",
	[Q_NAME_DEL] = "DELETE FROM name WHERE parent=? AND name=?",
	[Q_NAME_GET] = "SELECT ino FROM name WHERE parent=? AND name=?",
	[Q_NAME_EACH] = "SELECT i.ino, i.kind, i.parent, n.name, i.mode, i.uid,"
			" i.gid, i.mtime, i.ctime, i.size, i.vid, i.key,"
			" i.target, i.flags"
			" FROM name n LEFT JOIN inode i ON i.ino=n.ino"
			" WHERE n.parent=? ORDER BY n.name",

	[Q_VERSION_ADD] = "INSERT INTO version(" VERSION_COLS ")"
			  " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
	[Q_VERSION_SET] = "UPDATE version SET chg=?2, epoch=?3, ino=?4,"
			  " state=?5, blob=?6, flags=?7, size=?8, mtime=?9,"
			  " seal_ctime=?10, sealed_real=?11, mode=?12,"
			  " crc64=?13, replaces=?14"
			  " WHERE vid=?1",
	[Q_VERSION_USED] = "UPDATE version SET used_real=?2 WHERE vid=?1",
	[Q_VERSION_GET] = "SELECT " VERSION_COLS " FROM version WHERE vid=?",
	[Q_VERSION_DEL] = "DELETE FROM version WHERE vid=?",
	[Q_VERSION_EACH] = "SELECT " VERSION_COLS " FROM version ORDER BY vid",
	[Q_VERSION_CHANGED] = "SELECT " VERSION_COLS " FROM version"
			      " WHERE chg>? AND blob<>0 ORDER BY vid",
	[Q_VERSION_MAX] = "SELECT max(vid) FROM version",

	[Q_OP_ADD] = "INSERT INTO op(" OP_COLS ") VALUES(?,?,?,?,?,?,?,?,?,?)",
	[Q_OP_SET] = "UPDATE op SET kind=?2, ino=?3, vid=?4, bound=?5,"
		     " open_seq=?6, key=?7, to_key=?8, flags=?9, why=?10"
		     " WHERE seq=?1",
	[Q_OP_GET] = "SELECT " OP_COLS " FROM op WHERE seq=?",
	[Q_OP_DEL] = "DELETE FROM op WHERE seq=?",
	[Q_OP_EACH] = "SELECT " OP_COLS " FROM op WHERE seq>? ORDER BY seq",
	[Q_OP_MAX] = "SELECT max(seq) FROM op",

	[Q_OBJECT_SET] = "INSERT OR REPLACE INTO object(" OBJECT_COLS ")"
			 " VALUES(?,?,?,?,?,?,?,?,?,?)",
	[Q_OBJECT_GET] = "SELECT " OBJECT_COLS " FROM object WHERE key=?",
	[Q_OBJECT_DEL] = "DELETE FROM object WHERE key=?",
	[Q_OBJECT_EACH] = "SELECT " OBJECT_COLS " FROM object"
			  " WHERE key>=? ORDER BY key",

	[Q_UPLOAD_SET] = "INSERT OR REPLACE INTO upload(" UPLOAD_COLS ")"
			 " VALUES(?,?,?,?,?)",
	[Q_UPLOAD_GET] = "SELECT " UPLOAD_COLS " FROM upload WHERE vid=?",
	[Q_UPLOAD_DEL] = "DELETE FROM upload WHERE vid=?",
	[Q_UPLOAD_EACH] = "SELECT " UPLOAD_COLS " FROM upload ORDER BY vid",

	[Q_PART_SET] = "INSERT OR REPLACE INTO part(" PART_COLS ")"
		       " VALUES(?,?,?,?,?,?,?,?)",
	[Q_PART_EACH] = "SELECT " PART_COLS " FROM part WHERE vid=?"
			" ORDER BY number",
	[Q_PART_DEL_ALL] = "DELETE FROM part WHERE vid=?",

	[Q_DEAD_ADD] = "INSERT OR IGNORE INTO dead(blob) VALUES(?)",
	[Q_DEAD_DEL] = "DELETE FROM dead WHERE blob=?",
	[Q_DEAD_EACH] = "SELECT blob FROM dead ORDER BY blob",

	[Q_OWED_SET] = "INSERT OR REPLACE INTO owed(key, ino) VALUES(?,?)",
	[Q_OWED_GET] = "SELECT ino FROM owed WHERE key=?",
	[Q_OWED_DEL] = "DELETE FROM owed WHERE key=?",
	[Q_OWED_EACH] = "SELECT key, ino FROM owed ORDER BY key",
	[Q_OWED_COUNT] = "SELECT count(*) FROM owed",

	[Q_KV_SET] = "INSERT OR REPLACE INTO kv(key, value) VALUES(?,?)",
	[Q_KV_GET] = "SELECT value FROM kv WHERE key=?",
	[Q_USER_VERSION] = "PRAGMA user_version",

	[Q_CHECK_DAMAGE] = "PRAGMA integrity_check(16)",
	[Q_CHECK_NAME] = "SELECT n.ino, n.name FROM name n"
			 " LEFT JOIN inode i ON i.ino=n.ino"
			 " WHERE i.ino IS NULL ORDER BY n.parent, n.name",
	[Q_CHECK_CONTENT] = "SELECT i.ino, i.name FROM inode i"
			    " LEFT JOIN version v ON v.vid=i.vid"
			    " WHERE i.vid<>0 AND v.vid IS NULL ORDER BY i.ino",
	[Q_CHECK_NAMELESS] = "SELECT i.ino, i.name FROM inode i"
			     " LEFT JOIN name n ON n.parent=i.parent"
			     " AND n.name=i.name WHERE i.parent<>0"
			     " AND n.ino IS NOT i.ino ORDER BY i.ino",
	[Q_MEND_NAME] = "DELETE FROM name"
			" WHERE ino NOT IN (SELECT ino FROM inode)",
	[Q_MEND_CONTENT] = "UPDATE inode SET vid=0 WHERE vid<>0"
			   " AND vid NOT IN (SELECT vid FROM version)",
	[Q_MEND_NAMELESS] = "INSERT OR IGNORE INTO name(parent, name, ino)"
			    " SELECT parent, name, ino FROM inode"
			    " WHERE parent IN (SELECT ino FROM inode)",
};
