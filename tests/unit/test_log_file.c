/* links: engine/stdio kern model base */
/* Logs: what a container wrote comes back byte by byte, bounded, across rotations and crashes. */
#include "tap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "rl/base/io.h"
#include "rl/base/json.h"
#include "rl/base/mem.h"
#include "rl/engine/log_file.h"

static int dir = -1;
static char path[] = "/tmp/rl-log-XXXXXX";
#define PLACE (&(const struct log_place){.dirfd = dir, .name = LOG_FILE_NAME})

static void empty_dir(void)
{
	for (int i = 0; i < 20; i++) {
		char name[64];
		snprintf(name, sizeof(name), i ? LOG_FILE_NAME ".%d" : LOG_FILE_NAME, i);
		unlinkat(dir, name, 0);
	}
}

static void write_all(enum log_driver d, uint64_t max_size, unsigned max_file, const char *data, size_t len,
		      size_t chunk)
{
	struct log_writer w;
	struct err e = ERR_INIT;
	if (log_writer_open(&w, PLACE, d, max_size, max_file, &e) < 0)
		return;
	for (size_t i = 0; i < len; i += chunk)
		log_writer_add(&w, i / chunk % 2 ? LOG_STDERR : LOG_STDOUT, data + i, RL_MIN(chunk, len - i));
	log_writer_close(&w);
}

static size_t read_all(enum log_driver d, uint64_t tail, struct str *out)
{
	struct log_reader r;
	struct log_entry entry;
	struct err e = ERR_INIT;
	size_t n = 0;
	(void)!log_reader_open(&r, PLACE, d, tail, &e);
	while (log_reader_next(&r, &entry, &e) == 1) {
		str_add(out, entry.data, entry.len);
		n++;
	}
	log_reader_close(&r);
	return n;
}

static void every_byte(enum log_driver d, const char *name)
{
	char data[70000];
	unsigned x = 1;
	for (size_t i = 0; i < sizeof(data); i++) {
		x = x * 1103515245 + 12345;
		data[i] = (char)(x >> 16);
	}
	for (size_t chunk = 1; chunk < 70000; chunk = chunk * 7 + 3) {
		autostr struct str out = STR_INIT;
		size_t len = chunk == 1 ? 2000 : sizeof(data);
		empty_dir();
		write_all(d, 0, 1, data, len, chunk);
		read_all(d, LOG_READER_ALL, &out);
		tap_ok(out.len == len && memcmp(out.buf, data, len) == 0,
		       "%s keeps arbitrary bytes written %zu at a time", name, chunk);
	}
}

static void is_docker_json(void)
{
	autostr struct str text = STR_INIT;
	empty_dir();
	write_all(LOG_DRIVER_JSON, 0, 1, "a \"quoted\"\ttext\n", 16, 16);
	(void)!io_read_file(dir, LOG_FILE_NAME, 4096, &text, NULL);
	json_t *doc = NULL;
	tap_is_int(json_parse(text.buf, text.len, "line", &doc, NULL), 0, "a line of json-file is one JSON object");
	autojson json_t *owned = doc;
	tap_is_str(json_str_or_null(owned, "log"), "a \"quoted\"\ttext\n", "with the text");
	tap_is_str(json_str_or_null(owned, "stream"), "stdout", "and the stream");
	tap_ok(strlen(json_str_or_null(owned, "time")) == 30, "and a time of nanoseconds");
}

static uint64_t bytes_on_disk(void)
{
	uint64_t sum = 0;
	struct stat st;
	for (int i = 0; i < 20; i++) {
		char name[64];
		snprintf(name, sizeof(name), i ? LOG_FILE_NAME ".%d" : LOG_FILE_NAME, i);
		if (fstatat(dir, name, &st, 0) == 0)
			sum += (uint64_t)st.st_size;
	}
	return sum;
}

static void rotation_bounds(unsigned files)
{
	autostr struct str data = STR_INIT;
	autostr struct str out = STR_INIT;
	for (int i = 0; i < 5000; i++)
		str_addf(&data, "line %d\n", i);
	empty_dir();
	write_all(LOG_DRIVER_JSON, 20000, files, data.buf, data.len, 1000);
	tap_ok(bytes_on_disk() <= (uint64_t)files * 20000, "%u files of 20000 bytes are the most there is (%llu)",
	       files, (unsigned long long)bytes_on_disk());
	read_all(LOG_DRIVER_JSON, LOG_READER_ALL, &out);
	tap_ok(out.len > 0 && str_ends(data.buf, out.buf), "what is left is the end of the output, without a gap");
}

/* The JSON is cut up eight bytes at a time: every byte at every place of two such words. */
static void every_byte_among_plain_ones(void)
{
	autostr struct str data = STR_INIT;
	autostr struct str out = STR_INIT;
	for (int byte = 0; byte < 256; byte++) {
		for (size_t at = 0; at < 17; at++) {
			char line[18];
			memset(line, at % 2 ? 'x' : ' ', sizeof(line));
			line[at] = (char)byte;
			line[17] = '\n';
			str_add(&data, line, sizeof(line));
		}
	}
	empty_dir();
	write_all(LOG_DRIVER_JSON, 0, 1, data.buf, data.len, 999);
	read_all(LOG_DRIVER_JSON, LOG_READER_ALL, &out);
	tap_ok(out.len == data.len && memcmp(out.buf, data.buf, data.len) == 0,
	       "json-file keeps every byte at every place among plain ones");
}

static void longest_entry(void)
{
	char data[16384];
	memset(data, 1, sizeof(data));
	data[sizeof(data) - 1] = (char)0xff;
	empty_dir();
	write_all(LOG_DRIVER_JSON, 4096, 2, data, sizeof(data), sizeof(data));
	tap_ok(bytes_on_disk() > 120000 && bytes_on_disk() <= (uint64_t)118 * 1024,
	       "the longest entry of json-file is as long as the manual says (%llu)",
	       (unsigned long long)bytes_on_disk());
	empty_dir();
	write_all(LOG_DRIVER_K8S, 4096, 2, data, sizeof(data), sizeof(data));
	tap_ok(bytes_on_disk() > 16384 && bytes_on_disk() <= 16486, "so is that of k8s-file (%llu)",
	       (unsigned long long)bytes_on_disk());
}

/* What follows a container reads its record, and the name in it, again and again. */
static void keeps_its_name(void)
{
	autostr struct str out = STR_INIT;
	char name[] = "borrowed.log";
	const struct log_place place = {.dirfd = dir, .name = name};
	struct log_writer w;
	struct log_reader r;
	struct log_entry entry;
	struct err e = ERR_INIT;
	int opened = log_writer_open(&w, &place, LOG_DRIVER_JSON, 4096, 2, &e);
	opened |= log_reader_open(&r, &place, LOG_DRIVER_JSON, LOG_READER_ALL, &e);
	memset(name, 'x', sizeof(name) - 1);
	for (int i = 0; opened == 0 && i < 500; i++) {
		log_writer_add(&w, LOG_STDOUT, "line\n", 5);
		while (log_reader_next(&r, &entry, &e) == 1)
			str_add(&out, entry.data, entry.len);
	}
	log_writer_close(&w);
	log_reader_close(&r);
	tap_is_int((int)out.len, 500 * 5, "writer and reader keep the name of the log when its owner does not");
	tap_ok(unlinkat(dir, "borrowed.log", 0) == 0 && unlinkat(dir, "borrowed.log.1", 0) == 0, "and rotate under it");
}

static void tails(void)
{
	autostr struct str a = STR_INIT;
	autostr struct str b = STR_INIT;
	autostr struct str data = STR_INIT;
	for (int i = 0; i < 3000; i++)
		str_addf(&data, "line %d\n", i);
	empty_dir();
	write_all(LOG_DRIVER_JSON, 30000, 9, data.buf, data.len, 512);
	tap_is_int((int)read_all(LOG_DRIVER_JSON, 0, &a), 0, "the last 0 lines are none");
	read_all(LOG_DRIVER_JSON, 2, &a);
	tap_is_str(a.buf, "line 2998\nline 2999\n", "the last 2 lines are these");
	/* Split in the middle of lines, which one stream does not do: only whole ones are counted. */
	read_all(LOG_DRIVER_JSON, 900, &b);
	tap_ok(str_ends(b.buf, "line 2998\nline 2999\n") && strstr(b.buf, "line 2150\n") &&
		       !strstr(b.buf, "line 2000\n"),
	       "a tail goes back over rotated files");
}

/* Each read of what the container wrote is an entry: a line may have many. */
static void tail_of_parts(enum log_driver d, const char *name)
{
	static const char *const parts[] = {"one\n", "t", "w", "o\n", "th", "ree\n", "fo", "u"};
	static const char *const tails[] = {
		"", "fou", "three\nfou", "two\nthree\nfou", "one\ntwo\nthree\nfou", "one\ntwo\nthree\nfou"};
	for (uint64_t max_size = 0; max_size <= 200; max_size += 200) {
		struct log_writer w;
		struct err e = ERR_INIT;
		bool same = true;
		empty_dir();
		(void)!log_writer_open(&w, PLACE, d, max_size, 9, &e);
		for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
			log_writer_add(&w, LOG_STDOUT, parts[i], strlen(parts[i]));
		log_writer_close(&w);
		for (size_t n = 0; n < ARRAY_SIZE(tails); n++) {
			autostr struct str out = STR_INIT;
			read_all(d, n, &out);
			same = same && str_eq(out.buf ? out.buf : "", tails[n]);
		}
		tap_ok(same, "%s: a tail counts lines, not their parts%s", name, max_size ? ", over files too" : "");
	}
}

static void follows_rotation(void)
{
	struct log_writer w;
	struct log_reader r;
	struct log_entry entry;
	struct err e = ERR_INIT;
	autostr struct str out = STR_INIT;
	autostr struct str data = STR_INIT;
	empty_dir();
	(void)!log_writer_open(&w, PLACE, LOG_DRIVER_K8S, 5000, 4, &e);
	tap_is_int(log_reader_open(&r, PLACE, LOG_DRIVER_K8S, LOG_READER_ALL, &e), 0, "an empty log can be followed");
	for (int i = 0; i < 2000; i++) {
		char line[32];
		int n = snprintf(line, sizeof(line), "line %d\n", i);
		log_writer_add(&w, LOG_STDOUT, line, (size_t)n);
		str_add(&data, line, (size_t)n);
		while (i % 50 == 0 && log_reader_next(&r, &entry, &e) == 1)
			str_add(&out, entry.data, entry.len);
	}
	while (log_reader_next(&r, &entry, &e) == 1)
		str_add(&out, entry.data, entry.len);
	tap_is_str(out.buf, data.buf, "a reader that keeps up loses nothing to rotation");
	log_reader_close(&r);
	log_writer_close(&w);
}

static void survives_a_crash(void)
{
	autostr struct str out = STR_INIT;
	empty_dir();
	write_all(LOG_DRIVER_JSON, 0, 1, "one\n", 4, 4);
	autofd int fd = openat(dir, LOG_FILE_NAME, O_WRONLY | O_APPEND | O_CLOEXEC);
	(void)!write(fd, "{\"log\":\"tw", 10);
	write_all(LOG_DRIVER_JSON, 0, 1, "three\n", 6, 6);
	read_all(LOG_DRIVER_JSON, LOG_READER_ALL, &out);
	tap_is_str(out.buf, "one\nthree\n", "half an entry costs only itself");
}

/* A limit on the size of files stands in for a full disk. */
static void says_what_was_lost(void)
{
	struct log_writer w;
	struct err e = ERR_INIT;
	struct rlimit old;
	autostr struct str out = STR_INIT;
	char line[1000];
	size_t lost = 0;
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	empty_dir();
	(void)!log_writer_open(&w, PLACE, LOG_DRIVER_JSON, 0, 1, &e);
	log_writer_add(&w, LOG_STDOUT, "first\n", 6);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){.rlim_cur = 100, .rlim_max = old.rlim_max});
	for (int i = 0; i < 20; i++, lost += sizeof(line))
		log_writer_add(&w, LOG_STDOUT, line, sizeof(line));
	tap_is_int((int)log_writer_settle(&w), (int)lost, "bytes that could not be written are counted, each once");
	setrlimit(RLIMIT_FSIZE, &old);
	log_writer_add(&w, LOG_STDOUT, "again\n", 6);
	tap_is_int((int)log_writer_settle(&w), 0, "what was said is not said again");
	log_writer_close(&w);
	read_all(LOG_DRIVER_JSON, LOG_READER_ALL, &out);
	tap_is_str(out.buf, "first\nrl: 20000 bytes of the log were lost: File too large\nagain\n",
		   "and said in the log where they are missing");
}

int main(void)
{
	if (!mkdtemp(path))
		return 1;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	every_byte(LOG_DRIVER_JSON, "json-file");
	every_byte(LOG_DRIVER_K8S, "k8s-file");
	is_docker_json();
	every_byte_among_plain_ones();
	longest_entry();
	keeps_its_name();
	rotation_bounds(1);
	rotation_bounds(3);
	tails();
	tail_of_parts(LOG_DRIVER_JSON, "json-file");
	tail_of_parts(LOG_DRIVER_K8S, "k8s-file");
	follows_rotation();
	survives_a_crash();
	says_what_was_lost();
	empty_dir();
	rmdir(path);
	return tap_done();
}
