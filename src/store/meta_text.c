/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "ckptfs/clock.h"

#include "meta_text.h"

#define MODE_KEPT (S_IFMT | S_ISVTX | 0777)

bool store_write_id_is_valid(const char *id)
{
	size_t n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "abcdefghijklmnopqrstuvwxyz0123456789._-");

	return n < STORE_WRITE_ID_MAX && id[n] == '\0';
}

static void encode_mtime(int64_t ns, char *out, size_t n)
{
	uint64_t abs = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;

	snprintf(out, n, "%s%" PRIu64 ".%09" PRIu64, ns < 0 ? "-" : "",
		 abs / (uint64_t)NS_PER_S, abs % (uint64_t)NS_PER_S);
}

void store_meta_encode(const struct store_meta *m, struct store_meta_text *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (m->has_mtime)
		encode_mtime(m->mtime_ns, ret->mtime, sizeof(ret->mtime));
	if (m->has_mode)
		snprintf(ret->mode, sizeof(ret->mode), "%" PRIu32,
			 m->mode & (uint32_t)MODE_KEPT);
	snprintf(ret->id, sizeof(ret->id), "%s", m->write_id);
}

static bool digits(const char *s, size_t n)
{
	return n > 0 && strspn(s, "0123456789") >= n;
}

/* [-]seconds[.fraction]; what is finer than a nanosecond is cut off. */
static bool decode_mtime(const char *s, int64_t *ret_ns)
{
	bool neg = *s == '-';
	const char *frac;
	uint64_t sec, ns = 0, unit = (uint64_t)NS_PER_S;
	size_t n;

	s += neg;
	n = strspn(s, "0123456789");
	/* ten digits reach the year 2286, and all that fits in an int64_t */
	if (!digits(s, n) || n > 10)
		return false;
	sec = strtoull(s, NULL, 10);
	if (sec > (uint64_t)(INT64_MAX / NS_PER_S) - 1)
		return false;
	frac = s + n;
	if (*frac == '.') {
		for (frac++; *frac >= '0' && *frac <= '9'; frac++) {
			unit /= 10;
			ns += unit * (uint64_t)(*frac - '0');
		}
	}
	if (*frac)
		return false;
	ns += sec * (uint64_t)NS_PER_S;
	*ret_ns = neg ? -(int64_t)ns : (int64_t)ns;
	return true;
}

static bool decode_mode(const char *s, uint32_t *ret)
{
	size_t n = strlen(s);
	unsigned long v;

	if (n > 10 || !digits(s, n))
		return false;
	v = strtoul(s, NULL, s[0] == '0' ? 8 : 10);
	if (v > 0177777)
		return false;
	if (!S_ISREG(v) && !S_ISLNK(v) && !S_ISDIR(v))
		return false;
	*ret = (uint32_t)v & (uint32_t)MODE_KEPT;
	return true;
}

void store_meta_decode(const char *name, const char *value,
		       struct store_meta *m)
{
	if (!strcasecmp(name, STORE_META_MTIME))
		m->has_mtime = decode_mtime(value, &m->mtime_ns);
	else if (!strcasecmp(name, STORE_META_MODE))
		m->has_mode = decode_mode(value, &m->mode);
	else if (!strcasecmp(name, STORE_META_ID) &&
		 store_write_id_is_valid(value))
		snprintf(m->write_id, sizeof(m->write_id), "%s", value);
}
