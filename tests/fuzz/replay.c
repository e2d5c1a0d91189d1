/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main() of a fuzz target that is not linked with libFuzzer: each file named,
 * or each of the target's corpus, is an input; and so is nothing at all.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>

#include "fuzz.h"

#define INPUT_MAX (1U << 20)

static void run_file(const char *path)
{
	static uint8_t bytes[INPUT_MAX];
	FILE *f = fopen(path, "rbe");
	uint8_t *copy;
	size_t n;

	if (!f) {
		(void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(EXIT_FAILURE);
	}
	n = fread(bytes, 1, sizeof(bytes), f);
	(void)fclose(f);
	/* Exactly as long as it is: the sanitizers see a byte too much. */
	copy = malloc(n ? n : 1);
	if (!copy)
		abort();
	memcpy(copy, bytes, n);
	(void)fprintf(stderr, "%s\n", path);
	(void)LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static unsigned run_folder(const char *folder)
{
	struct dirent **names;
	char path[2048 + 256];
	unsigned done = 0;
	int n = scandir(folder, &names, NULL, alphasort), i;

	if (n < 0) {
		(void)fprintf(stderr, "%s: %s\n", folder, strerror(errno));
		exit(EXIT_FAILURE);
	}
	for (i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder,
			       names[i]->d_name);
		if (names[i]->d_name[0] != '.') {
			run_file(path);
			done++;
		}
		free(names[i]);
	}
	free(names);
	return done;
}

int main(int argc, char **argv)
{
	const char *top = getenv("top_srcdir"), *name;
	char folder[2048];
	int i;

	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (i = 1; i < argc; i++)
		run_file(argv[i]);
	if (argc > 1)
		return EXIT_SUCCESS;
	name = strstr(argv[0], "fuzz_");
	while (name && strstr(name + 1, "fuzz_"))
		name = strstr(name + 1, "fuzz_");
	(void)snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s",
		       top ? top : ".", name ? name + strlen("fuzz_") : "");
	if (run_folder(folder) == 0) {
		(void)fprintf(stderr, "%s: no inputs\n", folder);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
