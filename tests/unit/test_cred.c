/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"

#include "cred/cred_priv.h"
#include "harness.h"

static char credentials[256], config[256];
static char why[CRED_WHY_MAX];

/* Nothing of the machine's own shows through. */
static void begin(void)
{
	static const char *const names[] = {
		"AWS_ACCESS_KEY_ID",   "AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN",   "AWS_CREDENTIAL_EXPIRATION",
		"AWS_PROFILE",	       "AWS_REGION",
		"AWS_DEFAULT_REGION",  "AWS_ENDPOINT_URL",
		"AWS_ENDPOINT_URL_S3",
		"AWS_ROLE_ARN",
		"AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI",
	};
	const char *dir = harness_tmpdir();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		unsetenv(names[i]);
	snprintf(credentials, sizeof(credentials), "%s/credentials", dir);
	snprintf(config, sizeof(config), "%s/config", dir);
	setenv("AWS_SHARED_CREDENTIALS_FILE", credentials, 1);
	setenv("AWS_CONFIG_FILE", config, 1);
	setenv("HOME", dir, 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

/* What the AWS chain finds: "key secret token", or the error. */
static int find(const char *profile, char *ret, size_t n)
{
	struct cred_aws_opts opts = { .profile = profile };
	struct cred_chain *chain = NULL;
	struct cred *c = NULL;
	int r;

	ck_assert_int_eq(cred_aws_chain(&opts, &clk_system, &chain), 0);
	r = cred_get(chain, why, &c);
	if (r == 0)
		snprintf(ret, n, "%s %s %s", cred_key_id(c), cred_secret(c),
			 cred_token(c));
	cred_drop(c);
	cred_chain_free(chain);
	return r;
}

static void expect(const char *profile, const char *want)
{
	char got[256] = "";
	int r = find(profile, got, sizeof(got));

	ck_assert_msg(r == 0, "%d %s", r, why);
	ck_assert_str_eq(got, want);
}

static void expect_error(const char *profile, int err, const char *word)
{
	char got[256];

	ck_assert_int_eq(find(profile, got, sizeof(got)), err);
	ck_assert_msg(strstr(why, word), "no \"%s\" in: %s", word, why);
}

START_TEST(the_environment_comes_first)
{
	begin();
	write_file(credentials, "[default]\naws_access_key_id = F\n"
				"aws_secret_access_key = f\n"
				"[other]\naws_access_key_id = O\n"
				"aws_secret_access_key = o+/=\n");
	expect(NULL, "F f ");
	setenv("AWS_PROFILE", "other", 1);
	expect(NULL, "O o+/= ");
	setenv("AWS_ACCESS_KEY_ID", "E", 1);
	expect_error(NULL, -EACCES, "AWS_SECRET_ACCESS_KEY is not");
	setenv("AWS_SECRET_ACCESS_KEY", "e", 1);
	expect(NULL, "E e ");
	setenv("AWS_SESSION_TOKEN", "t", 1);
	expect(NULL, "E e t");
	/* Who names a profile does not mean the environment. */
	expect("default", "F f ");
}
END_TEST

START_TEST(config_names_its_profiles_otherwise)
{
	begin();
	write_file(config, "[profile x]\naws_access_key_id = C\n"
			   "aws_secret_access_key = c\n"
			   "aws_session_token = ct\n"
			   "[y]\naws_access_key_id = Y\n"
			   "aws_secret_access_key = y\n"
			   "[default]\naws_access_key_id = D\n"
			   "aws_secret_access_key = d\n");
	expect("x", "C c ct");
	expect(NULL, "D d ");
	expect_error("y", -ENOENT, "no profile \"y\"");
	/* Keys of one file are not mixed with those of the other. */
	write_file(credentials, "[x]\naws_access_key_id = F\n"
				"aws_secret_access_key = f\n");
	expect("x", "F f ");
}
END_TEST

START_TEST(whoever_has_nothing_is_named)
{
	begin();
	expect_error(NULL, -ENOENT, "AWS_ACCESS_KEY_ID is not set");
	expect_error(NULL, -ENOENT, credentials);
	write_file(config, "[default]\nregion = x\n");
	expect_error(NULL, -ENOENT, "has no keys");
	write_file(credentials, "[default]\naws_access_key_id = F\n");
	expect_error(NULL, -EACCES, "no aws_secret_access_key");
	unlink(credentials);
	ck_assert_int_eq(mkdir(credentials, 0700), 0);
	expect_error(NULL, -EACCES, credentials);
}
END_TEST

START_TEST(what_is_wrong_never_shows_the_secret)
{
	begin();
	write_file(credentials, "[default]\n"
				"aws_secret_access_key = wJalrXUtnFEMI\n");
	expect_error(NULL, -EACCES, "no aws_access_key_id");
	ck_assert_ptr_null(strstr(why, "wJal"));
}
END_TEST

START_TEST(s10_the_environment_is_wiped_and_its_keys_stay_in_use)
{
	struct cred_aws_opts opts = { .profile = NULL };
	struct cred_chain *chain = NULL;
	struct cred *c = NULL;
	char *secret;
	int i;

	begin();
	setenv("AWS_ACCESS_KEY_ID", "E", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI", 1);
	setenv("AWS_SESSION_TOKEN", "t", 1);
	secret = getenv("AWS_SECRET_ACCESS_KEY");
	ck_assert_int_eq(cred_aws_chain(&opts, &clk_system, &chain), 0);
	cred_env_wipe();
	ck_assert_int_eq(secret[0], 0); /* as /proc/PID/environ has it */
	ck_assert_int_eq(secret[5], 0);
	ck_assert_ptr_null(getenv("AWS_SECRET_ACCESS_KEY"));
	ck_assert_ptr_null(getenv("AWS_SESSION_TOKEN"));
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(cred_get(chain, why, &c), 0);
		ck_assert_str_eq(cred_secret(c), "wJalrXUtnFEMI");
		cred_refuse(chain, c);
		cred_drop(c);
	}
	cred_chain_free(chain);
}
END_TEST

START_TEST(s12_a_file_that_others_could_have_written_is_refused)
{
	static const struct {
		mode_t mode;
		bool ok;
	} cases[] = { { 0600, true },  { 0400, true },	{ 0644, true },
		      { 0664, true },  { 0602, false }, { 0666, false },
		      { 0777, false } };
	size_t i;

	begin();
	write_file(credentials, "[default]\naws_access_key_id = F\n"
				"aws_secret_access_key = f\n");
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_int_eq(chmod(credentials, cases[i].mode), 0);
		if (cases[i].ok)
			expect(NULL, "F f ");
		else
			expect_error(NULL, -EACCES, "everybody may write");
	}
	ck_assert_int_eq(chmod(credentials, 0600), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(credentials, 65534, 65534), 0);
		expect_error(NULL, -EACCES, "another user's");
	}
}
END_TEST

/* Opened, a pipe without a writer would keep the mount waiting for ever. */
START_TEST(s12_what_is_no_file_is_refused_at_once)
{
	begin();
	ck_assert_int_eq(mkfifo(credentials, 0600), 0);
	expect_error(NULL, -EACCES, credentials);
	unlink(credentials);
	ck_assert_int_eq(symlink("/dev/zero", credentials), 0);
	expect_error(NULL, -EACCES, credentials);
	unlink(credentials);
	ck_assert_int_eq(symlink("elsewhere", credentials), 0);
	expect_error(NULL, -ENOENT, "AWS_ACCESS_KEY_ID is not set");
	/* A link to what is ours is ours, as Kubernetes mounts secrets. */
	write_file(config, "[default]\naws_access_key_id = C\n"
			   "aws_secret_access_key = c\n");
	unlink(credentials);
	ck_assert_int_eq(symlink(config, credentials), 0);
	expect(NULL, "C c ");
}
END_TEST

static void settings(const struct cred_aws_opts *o, const char *region,
		     const char *endpoint)
{
	struct cred_aws_settings s;

	ck_assert_int_eq(cred_aws_settings(o, why, &s), 0);
	ck_assert_str_eq(s.region, region);
	if (endpoint)
		ck_assert_str_eq(s.endpoint_url, endpoint);
	else
		ck_assert_ptr_null(s.endpoint_url);
	cred_aws_settings_clear(&s);
}

START_TEST(region_and_endpoint_have_their_order)
{
	struct cred_aws_opts o = { 0 };

	begin();
	settings(&o, "us-east-1", NULL);
	write_file(config, "[default]\nregion = p\nendpoint_url = http://p\n");
	settings(&o, "p", "http://p");
	setenv("AWS_DEFAULT_REGION", "d", 1);
	setenv("AWS_ENDPOINT_URL", "http://e", 1);
	settings(&o, "d", "http://e");
	setenv("AWS_REGION", "r", 1);
	setenv("AWS_ENDPOINT_URL_S3", "http://s", 1);
	settings(&o, "r", "http://s");
	o.region = "o";
	o.endpoint_url = "http://o";
	settings(&o, "o", "http://o");
}
END_TEST

/* A word per line. */
static void expect_words(const char *line, const char *want)
{
	char **words = NULL, got[256] = "";
	int r = cred_split(line, &words);
	size_t i, at = 0;

	if (!want) {
		ck_assert_msg(r == -EINVAL, "%s", line);
		return;
	}
	ck_assert_msg(r == 0, "%s", line);
	for (i = 0; words[i]; i++)
		at += (size_t)snprintf(got + at, sizeof(got) - at, "%s\n",
				       words[i]);
	ck_assert_str_eq(got, want);
	free(words);
}

START_TEST(a_command_is_split_as_python_does_it)
{
	expect_words("a", "a\n");
	expect_words(" /bin/x  --p q\t", "/bin/x\n--p\nq\n");
	expect_words("a 'b c' \"d e\"", "a\nb c\nd e\n");
	expect_words("a'b'\"c\"d", "abcd\n");
	expect_words("a '' b", "a\n\nb\n");
	expect_words("a\\ b \\\\", "a b\n\\\n");
	expect_words("'a\\b'", "a\\b\n");
	expect_words("\"a\\b\\\"c\\\\\"", "a\\b\"c\\\n");
	expect_words("$HOME * | ;", "$HOME\n*\n|\n;\n");
	expect_words("'a", NULL);
	expect_words("a \"b", NULL);
	expect_words("a\\", NULL);
	expect_words("", NULL);
	expect_words(" \t", NULL);
}
END_TEST

START_TEST(secrets_go_to_agents_of_this_machine_alone)
{
	static const struct {
		const char *url;
		bool ok;
	} cases[] = {
		{ "https://example.com/x", true },
		{ "http://127.0.0.1/x", true },
		{ "http://127.9.9.9:80", true },
		{ "http://localhost:1338/get", true },
		{ "HTTP://[::1]:80/x?y", true },
		{ "http://169.254.170.2/v2/x", true },
		{ "http://169.254.170.23/v1/credentials", true },
		{ "http://[fd00:ec2::23]/v1/credentials", true },
		{ "http://example.com/x", false },
		{ "http://169.254.169.254/x", false },
		{ "http://127.0.0.1.example.com/x", false },
		{ "http://127.0.0.1@example.com/x", false },
		{ "http://example.com#@127.0.0.1/", false },
		{ "http://127.0.0.1\\@example.com/", false },
		{ "http://[::1]example.com/", false },
		{ "http://[::2]/", false },
		{ "http://[::1", false },
		{ "http://", false },
		{ "ftp://127.0.0.1/", false },
		{ "/v2/x", false },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		ck_assert_msg(cred_is_agent_url(cases[i].url) == cases[i].ok,
			      "%s", cases[i].url);
}
END_TEST

/* Who is never asked: there is no pool of connections in these tests. */
START_TEST(roles_that_cannot_work_are_refused_before_a_request)
{
	begin();
	write_file(config,
		   "[default]\naws_access_key_id = F\n"
		   "aws_secret_access_key = f\n"
		   "[profile mfa]\nrole_arn = r\nsource_profile = default\n"
		   "mfa_serial = arn:aws:iam::1:mfa/x\n"
		   "[profile a]\nrole_arn = r\nsource_profile = b\n"
		   "[profile b]\nrole_arn = r\nsource_profile = a\n"
		   "[profile self]\nrole_arn = r\nsource_profile = self\n"
		   "[profile none]\nrole_arn = r\n"
		   "[profile both]\nrole_arn = r\nsource_profile = a\n"
		   "credential_source = Environment\n"
		   "[profile lost]\nrole_arn = r\nsource_profile = nobody\n"
		   "[profile empty]\nrole_arn = r\nsource_profile = e\n"
		   "[profile e]\nregion = x\n"
		   "[profile odd]\nrole_arn = r\ncredential_source = Moon\n"
		   "[profile env]\nrole_arn = r\n"
		   "credential_source = Environment\n"
		   "[profile long]\nrole_arn = r\nsource_profile = default\n"
		   "duration_seconds = hour\n"
		   "[profile web]\nweb_identity_token_file = /x\n"
		   "[profile file]\nweb_identity_token_file = /no/such\n"
		   "role_arn = r\n"
		   "[profile login]\nlogin_session = x\n");
	expect_error("mfa", -EACCES, "mfa_serial");
	expect_error("a", -EACCES, "in a circle");
	expect_error("self", -EACCES, "in a circle");
	expect_error("none", -EACCES, "neither source_profile");
	expect_error("both", -EACCES, "both source_profile");
	expect_error("lost", -EACCES, "nobody");
	expect_error("empty", -EACCES, "has no credentials");
	expect_error("odd", -EACCES, "Ec2InstanceMetadata");
	expect_error("env", -EACCES, "AWS_ACCESS_KEY_ID is not set");
	expect_error("long", -EACCES, "hour");
	expect_error("web", -EACCES, "role_arn in the profile");
	expect_error("file", -EACCES, "/no/such");
	expect_error("login", -EACCES, "login_session");
}
END_TEST

START_TEST(logins_that_cannot_work_are_refused_before_a_request)
{
	begin();
	write_file(config,
		   "[profile lost]\nsso_session = x\nsso_role_name = r\n"
		   "sso_account_id = 1\n"
		   "[profile bare]\nsso_role_name = r\nsso_account_id = 1\n"
		   "[sso-session s]\nsso_region = eu-west-1\n"
		   "sso_start_url = https://a\n"
		   "[profile two]\nsso_session = s\nsso_role_name = r\n"
		   "sso_account_id = 1\nsso_start_url = https://b\n"
		   "[profile out]\nsso_session = s\nsso_role_name = r\n"
		   "sso_account_id = 1\n");
	expect_error("lost", -EACCES, "no [sso-session x]");
	expect_error("bare", -EACCES, "sso_start_url");
	expect_error("two", -EACCES, "different sso_start_url");
	expect_error("out", -EACCES, "aws sso login --profile out");
}
END_TEST

static void use_process(const char *command)
{
	char text[512];

	snprintf(text, sizeof(text), "[profile p]\ncredential_process = %s\n",
		 command);
	write_file(config, text);
}

START_TEST(a_process_prints_credentials)
{
	char script[300], command[400];

	begin();
	snprintf(script, sizeof(script), "%s/a script", harness_tmpdir());
	write_file(script, "#!/bin/sh\n"
			   "cat >&2\n" /* its input is empty */
			   "printf '{\"Version\": 1, \"AccessKeyId\": \"P%s\", '"
			   " \"$1\"\n"
			   "printf '\"SecretAccessKey\": \"p\", '\n"
			   "printf '\"SessionToken\": \"%s\"}' \"$2\"\n"
			   "sleep 5 &\n"); /* is not waited for */
	ck_assert_int_eq(chmod(script, 0700), 0);
	snprintf(command, sizeof(command), "\"%s\" 'x y' $HOME", script);
	use_process(command);
	expect("p", "Px y p $HOME");
	use_process("/no/such/program");
	expect_error("p", -EACCES, "/no/such/program: No such file");
	use_process("/bin/false hunter2");
	expect_error("p", -EACCES, "/bin/false ended with status 1");
	ck_assert_ptr_null(strstr(why, "hunter2"));
	use_process("/bin/echo hello");
	expect_error("p", -EACCES, "is no JSON");
	use_process("/bin/echo '{\"AccessKeyId\": \"A\"}'");
	expect_error("p", -EACCES, "\"Version\": 1");
	use_process("/bin/echo '{\"Version\": 1, \"AccessKeyId\": \"A\"}'");
	expect_error("p", -EACCES, "no SecretAccessKey");
	use_process("/bin/sh -c 'kill -9 $$'");
	expect_error("p", -EACCES, "died of signal 9");
	use_process("/bin/sh -c 'yes'");
	expect_error("p", -EACCES, "printed too much");
	use_process("'/bin/echo");
	expect_error("p", -EACCES, "is not closed");
}
END_TEST

START_TEST(services_and_profiles_are_read_as_one)
{
	struct cred_aws_opts o = { 0 };

	begin();
	write_file(config, "[default]\nservices = local\n"
			   "endpoint_url = http://all\nregion = from-config\n"
			   "[services local]\ns3 =\n"
			   "  endpoint_url = http://three\n");
	settings(&o, "from-config", "http://three");
	/* The credentials file wins, whatever it is that both say. */
	write_file(credentials, "[default]\nREGION = from-credentials\n");
	settings(&o, "from-credentials", "http://three");
	setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true", 1);
	settings(&o, "from-credentials", NULL);
	unsetenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
}
END_TEST

static void add(TCase *c)
{
	tcase_add_test(c, a_command_is_split_as_python_does_it);
	tcase_add_test(c, secrets_go_to_agents_of_this_machine_alone);
	tcase_add_test(c,
		       roles_that_cannot_work_are_refused_before_a_request);
	tcase_add_test(c,
		       logins_that_cannot_work_are_refused_before_a_request);
	tcase_add_test(c, a_process_prints_credentials);
	tcase_add_test(c, services_and_profiles_are_read_as_one);
	tcase_add_test(c, the_environment_comes_first);
	tcase_add_test(c, config_names_its_profiles_otherwise);
	tcase_add_test(c, whoever_has_nothing_is_named);
	tcase_add_test(c, what_is_wrong_never_shows_the_secret);
	tcase_add_test(c,
		       s10_the_environment_is_wiped_and_its_keys_stay_in_use);
	tcase_add_test(c,
		       s12_a_file_that_others_could_have_written_is_refused);
	tcase_add_test(c, s12_what_is_no_file_is_refused_at_once);
	tcase_add_test(c, region_and_endpoint_have_their_order);
}

int main(void)
{
	return harness_run("cred", add);
}
