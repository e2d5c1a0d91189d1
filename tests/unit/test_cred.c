/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ckptfs/clock.h"
#include "ckptfs/cred.h"

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
	write_file(credentials, "[default]\naws_access_key_id = F\n"
				"aws_secret_access_key = f\n"
				"[r]\nrole_arn = arn:aws:iam::1:role/r\n"
				"source_profile = default\n");
	expect_error("r", -EACCES, "role_arn");
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

/* A source that gives what the test wants, and counts. */
struct fake {
	struct cred_source source;
	int err;
	int64_t expiry_ns;
	unsigned calls;
	bool is_freed;
};

static struct fake fake;
static int64_t now_ns;

static int64_t fake_now(const struct clk *c)
{
	return now_ns;
}

static const struct clk clk = { fake_now, fake_now };

static int fake_fetch(struct cred_source *s, char w[CRED_WHY_MAX],
		      struct cred **ret)
{
	char key[32];

	fake.calls++;
	snprintf(w, CRED_WHY_MAX, "not now");
	if (fake.err)
		return fake.err;
	snprintf(key, sizeof(key), "key%u", fake.calls);
	return cred_new(key, "s", NULL, fake.expiry_ns, ret);
}

static void fake_free(struct cred_source *s)
{
	fake.is_freed = true;
}

static struct cred_chain *fake_chain(void)
{
	static const struct cred_source_ops ops = { "fake", fake_fetch,
						    fake_free };
	struct cred_source *srcs[] = { &fake.source };
	struct cred_chain *c = NULL;

	memset(&fake, 0, sizeof(fake));
	fake.source.ops = &ops;
	fake.expiry_ns = INT64_MAX;
	now_ns = 1000 * NS_PER_S;
	ck_assert_int_eq(cred_chain_new(srcs, 1, &clk, &c), 0);
	return c;
}

static void expect_key(struct cred_chain *chain, const char *key)
{
	char mine[CRED_WHY_MAX];
	struct cred *c = NULL;
	int r = cred_get(chain, mine, &c);

	ck_assert_msg(r == 0, "%d %s", r, mine);
	ck_assert_str_eq(cred_key_id(c), key);
	cred_drop(c);
}

START_TEST(what_lasts_is_asked_for_once)
{
	struct cred_chain *chain = fake_chain();

	expect_key(chain, "key1");
	now_ns += 1000000 * NS_PER_S;
	expect_key(chain, "key1");
	cred_chain_free(chain);
	ck_assert(fake.is_freed);
}
END_TEST

START_TEST(f48_what_expires_is_renewed_ahead_and_kept_meanwhile)
{
	struct cred_chain *chain = fake_chain();
	struct cred *c = NULL;

	fake.expiry_ns = now_ns + 3600 * NS_PER_S;
	expect_key(chain, "key1");
	now_ns += 50 * 60 * NS_PER_S;
	fake.err = -EACCES;
	expect_key(chain, "key1");
	ck_assert_uint_eq(fake.calls, 2);
	/* Not at each call. */
	expect_key(chain, "key1");
	ck_assert_uint_eq(fake.calls, 2);
	now_ns += 61 * NS_PER_S;
	fake.err = 0;
	fake.expiry_ns = now_ns + 3600 * NS_PER_S;
	expect_key(chain, "key3");
	now_ns = fake.expiry_ns;
	fake.err = -EACCES;
	ck_assert_int_eq(cred_get(chain, why, &c), -EACCES);
	ck_assert_str_eq(why, "fake: not now");
	cred_chain_free(chain);
}
END_TEST

START_TEST(what_the_store_refuses_is_asked_for_again)
{
	struct cred_chain *chain = fake_chain();
	struct cred *c = NULL;

	ck_assert_int_eq(cred_get(chain, why, &c), 0);
	cred_refuse(chain, c);
	expect_key(chain, "key2");
	/* The same refusal, late: somebody else has seen to it. */
	cred_refuse(chain, c);
	expect_key(chain, "key2");
	cred_drop(c);
	cred_chain_free(chain);
}
END_TEST

static void *get_one(void *arg)
{
	expect_key(arg, "key1");
	return NULL;
}

START_TEST(many_askers_make_one_request)
{
	struct cred_chain *chain = fake_chain();
	pthread_t t[8];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, get_one, chain),
				 0);
	for (i = 0; i < ARRAY_SIZE(t); i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_eq(fake.calls, 1);
	cred_chain_free(chain);
}
END_TEST

static void add(TCase *c)
{
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
	tcase_add_test(c, what_lasts_is_asked_for_once);
	tcase_add_test(c, f48_what_expires_is_renewed_ahead_and_kept_meanwhile);
	tcase_add_test(c, what_the_store_refuses_is_asked_for_again);
	tcase_add_test(c, many_askers_make_one_request);
}

int main(void)
{
	return harness_run("cred", add);
}
