/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A safetensors file: the length of the header (8 bytes, little endian), the
 * header (JSON; of each tensor where its bytes begin and end), the tensors
 * without gaps.  So the header says how long the file is.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ckptfs/json.h"

#include "format.h"

#define LEN_LEN 8
/* Of a few thousand tensors it is some hundred kilobytes. */
#define HEADER_MAX ((uint64_t)16 << 20)
#define FORMAT_MAX ((uint64_t)100 * 1000 * 1000) /* the format's own limit */

/* Raise *arg to where this tensor ends. */
static int see_tensor(void *arg, const char *name, const struct json *value)
{
	uint64_t *end = arg;
	int64_t v;

	if (strcmp(name, "__metadata__") == 0)
		return 0;
	if (json_as_int(json_at(json_get(value, "data_offsets"), 1), &v) < 0 ||
	    v < 0)
		return -EBADMSG;
	if ((uint64_t)v > *end)
		*end = (uint64_t)v;
	return 0;
}

static int check_header(const char *p, size_t n, uint64_t data_len)
{
	struct json *j = NULL;
	uint64_t end = 0;
	int r;

	r = json_parse(p, n, &j);
	if (r < 0)
		return r;
	r = json_each(j, see_tensor, &end);
	if (r == 0 && end != data_len)
		r = -EBADMSG;
	json_free(j);
	return r;
}

int format_safetensors(struct disk *d, int fd, uint64_t size)
{
	unsigned char len[LEN_LEN];
	char *header = NULL;
	uint64_t n;
	int r;

	r = format_read(d, fd, len, sizeof(len), 0);
	if (r < 0)
		return r;
	n = format_le(len, sizeof(len));
	if (size >= LEN_LEN && n > FORMAT_MAX)
		return 0; /* some other file by that name */
	if (size < LEN_LEN || n == 0 || n > size - LEN_LEN)
		return -EBADMSG;
	if (n > HEADER_MAX)
		return 0;
	header = malloc((size_t)n);
	if (!header)
		return -ENOMEM;
	r = format_read(d, fd, header, (size_t)n, LEN_LEN);
	if (r == 0)
		r = check_header(header, (size_t)n, size - LEN_LEN - n);
	free(header);
	return r;
}
