/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that stand in the files themselves. */
#include "config.h"

#include <errno.h>
#include <stdio.h>

#include "ckptfs/log.h"

#include "aws_priv.h"

#define LOG_MODULE "cred"

static int none(const struct search *s, enum config_file file,
		char say[CRED_WHY_MAX])
{
	const char *path = config_path(s->files, file);

	if (config_has(s->files, CONFIG_PROFILE, s->profile))
		cred_why(say, "profile \"%s\" has no keys in %s", s->profile,
			 path);
	else
		cred_why(say, "there is no profile \"%s\" in %s", s->profile,
			 path);
	return -ENOENT;
}

static const char *get(const struct search *s, enum config_file file,
		       const char *key)
{
	return config_get_of(s->files, file, CONFIG_PROFILE, s->profile, key);
}

/* Keys of one file are not mixed with those of the other. */
static int keys_of(const struct search *s, enum config_file file,
		   char say[CRED_WHY_MAX], struct cred **ret)
{
	const char *id = get(s, file, "aws_access_key_id");
	const char *secret = get(s, file, "aws_secret_access_key");
	const char *token = get(s, file, "aws_session_token");
	const char *path = config_path(s->files, file);

	if (!id && !secret)
		return none(s, file, say);
	if (!id || !secret)
		return cred_why(say, "profile \"%s\" of %s has %s, but no %s",
				s->profile, path,
				id ? "aws_access_key_id" :
				     "aws_secret_access_key",
				id ? "aws_secret_access_key" :
				     "aws_access_key_id");
	if (config_is_shared(s->files, file))
		log_warn("%s: other users may read the keys in it: chmod 600 "
			 "it",
			 path);
	snprintf(say, CRED_WHY_MAX, "profile \"%s\" of %s", s->profile, path);
	return cred_new(id, secret,
			token ? token : get(s, file, "aws_security_token"),
			INT64_MAX, ret);
}

int aws_credentials_file(const struct search *s, char say[CRED_WHY_MAX],
			 struct cred **ret)
{
	return keys_of(s, CONFIG_CREDENTIALS, say, ret);
}

int aws_config_file(const struct search *s, char say[CRED_WHY_MAX],
		    struct cred **ret)
{
	return keys_of(s, CONFIG_CONFIG, say, ret);
}

int aws_login(const struct search *s, char say[CRED_WHY_MAX],
	      struct cred **ret)
{
	if (!aws_get(s, "login_session"))
		return -ENOENT;
	return cred_why(say,
			"profile \"%s\" has login_session, which is not "
			"supported: use another way, such as "
			"credential_process = aws configure export-credentials "
			"--profile %s --format process in another profile",
			s->profile, s->profile);
}
