/* SPDX-License-Identifier: Apache-2.0 */
/* Roles: of a profile, by credentials of another; and by a web identity. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ckptfs/text.h"

#include "aws_priv.h"

#define DEPTH_MAX 16

static bool has_keys(const struct search *s)
{
	return aws_get(s, "aws_access_key_id") ||
	       aws_get(s, "aws_secret_access_key");
}

static bool has_role(const struct search *s)
{
	return aws_get(s, "role_arn") && !aws_get(s, "web_identity_token_file");
}

static int source_of_profile(const struct search *s, const char *name,
			     char say[CRED_WHY_MAX], struct cred **ret)
{
	struct search up = { .aws = s->aws,
			     .files = s->files,
			     .profile = name,
			     .depth = s->depth + 1 };
	bool is_self = strcmp(name, s->profile) == 0;
	int r;

	if (!config_has(s->files, CONFIG_PROFILE, name))
		return cred_why(say,
				"profile \"%s\" has source_profile = %s, and "
				"there is no such profile",
				s->profile, name);
	/* One whose keys are beside its role names itself. */
	if (up.depth > DEPTH_MAX || (is_self && !has_keys(&up)))
		return cred_why(say,
				"profile \"%s\": source_profile leads round in "
				"a circle",
				s->profile);
	if (has_role(&up) && !has_keys(&up))
		return aws_role(&up, say, ret);
	r = aws_profile(&up, say, ret);
	if (r == -ENOENT)
		return cred_why(say,
				"profile \"%s\", the source_profile of \"%s\", "
				"has no credentials",
				name, s->profile);
	return r;
}

static int source_by_name(const struct search *s, const char *name,
			  char say[CRED_WHY_MAX], struct cred **ret)
{
	static const struct {
		const char *name;
		aws_way_fn *go;
	} known[] = { { "Environment", aws_env },
		      { "Ec2InstanceMetadata", aws_imds },
		      { "EcsContainer", aws_container } };
	char one[CRED_WHY_MAX] = "";
	size_t i;
	int r;

	for (i = 0; i < ARRAY_SIZE(known); i++)
		if (strcasecmp(name, known[i].name) == 0)
			break;
	if (i == ARRAY_SIZE(known))
		return cred_why(say,
				"profile \"%s\": credential_source = %s is "
				"not one of Environment, Ec2InstanceMetadata, "
				"EcsContainer",
				s->profile, name);
	r = known[i].go(s, one, ret);
	if (r == -ENOENT)
		return cred_why(say,
				"profile \"%s\": its credential_source %s has "
				"none: %.300s",
				s->profile, name, one);
	snprintf(say, CRED_WHY_MAX, "%s", one);
	return r;
}

/* With what the role is assumed. */
static int find_source(const struct search *s, char say[CRED_WHY_MAX],
		       struct cred **ret)
{
	const char *profile = aws_get(s, "source_profile");
	const char *source = aws_get(s, "credential_source");

	if (!profile == !source)
		return cred_why(say,
				"profile \"%s\" has role_arn, but %s "
				"source_profile %s credential_source",
				s->profile, profile ? "both" : "neither",
				profile ? "and" : "nor");
	if (profile)
		return source_of_profile(s, profile, say, ret);
	return source_by_name(s, source, say, ret);
}

static int check(const struct search *s, const struct sts_role *role,
		 char say[CRED_WHY_MAX])
{
	uint64_t n;

	if (aws_get(s, "mfa_serial"))
		return cred_why(say,
				"profile \"%s\" has mfa_serial: nobody is "
				"there to type the code of the device when "
				"the role is assumed again; use a profile "
				"without it",
				s->profile);
	if (role->duration && text_parse_u64(role->duration, &n))
		return cred_why(say,
				"profile \"%s\": duration_seconds = %s is no "
				"number",
				s->profile, role->duration);
	return 0;
}

int aws_role(const struct search *s, char say[CRED_WHY_MAX], struct cred **ret)
{
	const struct sts_role role = {
		.arn = aws_get(s, "role_arn"),
		.session = aws_get(s, "role_session_name"),
		.external_id = aws_get(s, "external_id"),
		.duration = aws_get(s, "duration_seconds"),
	};
	char from[CRED_WHY_MAX] = "";
	struct cred *source = NULL;
	int r;

	if (!has_role(s))
		return -ENOENT;
	r = check(s, &role, say);
	if (r == 0)
		r = find_source(s, say, &source);
	if (r)
		return r;
	snprintf(from, sizeof(from), "%s", say);
	r = sts_assume(s, &role, source, NULL, say, ret);
	cred_drop(source);
	if (r == 0)
		snprintf(say, CRED_WHY_MAX,
			 "role %.200s of profile \"%.64s\", by %.200s",
			 role.arn, s->profile, from);
	return r;
}

/* ---- web identity */

/* Each of the three from the environment if it is there. */
static const char *either(const struct search *s, const char *variable,
			  const char *key)
{
	const char *v = NULL;

	if (s->is_top && !s->aws->is_named)
		v = cred_getenv(variable);
	return v ? v : aws_get(s, key);
}

static void chop(char *s)
{
	size_t n = strlen(s);

	while (n && strchr(" \t\r\n", s[n - 1]))
		s[--n] = '\0';
}

int aws_web_identity(const struct search *s, char say[CRED_WHY_MAX],
		     struct cred **ret)
{
	const char *path = either(s, "AWS_WEB_IDENTITY_TOKEN_FILE",
				  "web_identity_token_file");
	const struct sts_role role = {
		.arn = either(s, "AWS_ROLE_ARN", "role_arn"),
		.session = either(s, "AWS_ROLE_SESSION_NAME",
				  "role_session_name"),
	};
	char *token = NULL, *real;
	int r;

	if (!path)
		return -ENOENT;
	if (!role.arn)
		return cred_why(say,
				"there is a web identity (%s), but no role: "
				"set AWS_ROLE_ARN, or role_arn in the profile",
				path);
	real = cred_path(path);
	if (!real)
		return -ENOMEM;
	r = cred_read_file(real, say, &token);
	free(real);
	if (r)
		return r;
	chop(token);
	r = sts_assume(s, &role, NULL, token, say, ret);
	cred_wipe(token);
	if (r == 0)
		snprintf(say, CRED_WHY_MAX,
			 "role %.200s, by the web identity in %.200s", role.arn,
			 path);
	return r;
}
