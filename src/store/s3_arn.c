/* SPDX-License-Identifier: Apache-2.0 */
/* Names of access points, which stand for buckets. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "s3.h"

bool s3_is_arn(const char *bucket)
{
	return strncmp(bucket, "arn:", 4) == 0;
}

/* The next field up to one of `ends`, copied; false: none, or too long. */
static bool field(const char **p, const char *ends, char *ret, size_t size)
{
	size_t n = strcspn(*p, ends);

	if (n >= size || !(*p)[n])
		return false;
	memcpy(ret, *p, n);
	ret[n] = '\0';
	*p += n + 1;
	return true;
}

static int refuse(const char *arn, const char *why)
{
	store_set_error("\"%.200s\" %s", arn, why);
	return -EINVAL;
}

/* A part of a host's name. */
static bool is_label(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < 64 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

/* arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME, or with a colon there */
int s3_arn_parse(const char *arn, struct s3_arn *ret)
{
	char head[8], partition[16], service[24], kind[24];
	const char *p = arn;
	struct s3_arn a = { .name = "" };

	if (!field(&p, ":", head, sizeof(head)) ||
	    !field(&p, ":", partition, sizeof(partition)) ||
	    !field(&p, ":", service, sizeof(service)) ||
	    !field(&p, ":", a.region, sizeof(a.region)) ||
	    !field(&p, ":", a.account, sizeof(a.account)) ||
	    !field(&p, ":/", kind, sizeof(kind)) || strlen(p) >= sizeof(a.name))
		return refuse(arn, "is not the ARN of an access point");
	memcpy(a.name, p, strlen(p) + 1);
	if (strncmp(partition, "aws", 3) != 0 || strcmp(service, "s3") != 0 ||
	    strcmp(kind, "accesspoint") != 0)
		return refuse(arn, "is not the ARN of an access point of S3");
	if (!*a.region)
		return refuse(arn, "is in several regions: such access points "
				   "want signatures of another kind");
	if (!s3_region_is_valid(a.region) || !is_label(a.account) ||
	    !is_label(a.name))
		return refuse(arn, "names no access point that can be");
	*ret = a;
	return 0;
}
