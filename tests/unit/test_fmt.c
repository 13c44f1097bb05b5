/* Sizes, durations, times and tables. */
#include "tap.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "rl/base/fmt.h"
#include "rl/base/mem.h"

static void test_sizes(void)
{
	static const struct {
		const char *text;
		int result;
		uint64_t bytes;
	} cases[] = {
		{"0", 0, 0},
		{"512", 0, 512},
		{"1b", 0, 1},
		{"1k", 0, 1024},
		{"1K", 0, 1024},
		{"64m", 0, 64 << 20},
		{"64mb", 0, 64 << 20},
		{"64MiB", 0, 64 << 20},
		{"1g", 0, 1 << 30},
		{"1.5g", 0, 1610612736},
		{"0.5k", 0, 512},
		{"2 gb", 0, UINT64_C(2) << 30},
		{"1t", 0, UINT64_C(1) << 40},
		{"1p", 0, UINT64_C(1) << 50},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -EINVAL, 0},
		{"18014398509481984k", -ERANGE, 0},
		{"99999999p", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"m", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{"1x", -EINVAL, 0},
		{"1mm", -EINVAL, 0},
		{"1.", -EINVAL, 0},
		{".5", 0, 0},
		{"1.5.5g", -EINVAL, 0},
		{"0x10", -EINVAL, 0},
		{"1e3", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1kib2", -EINVAL, 0},
		{"1,5g", -EINVAL, 0},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = ERR_INIT;
		uint64_t v = 0;
		int r = fmt_parse_size(cases[i].text, "--shm-size", &v, &e);
		tap_ok(r == cases[i].result && v == cases[i].bytes && (r == 0) == !e.text[0],
		       "the size '%s' is %llu (%s)", cases[i].text, (unsigned long long)v, e.text);
	}
}

static void test_durations(void)
{
	static const struct {
		const char *text;
		int result;
		uint64_t ns;
	} cases[] = {
		{"90", 0, UINT64_C(90000000000)},
		{"1.5", 0, 1500000000},
		{"1s", 0, 1000000000},
		{"1h30m", 0, UINT64_C(5400000000000)},
		{"250ms", 0, 250000000},
		{"10us", 0, 10000},
		{"5ns", 0, 5},
		{"1m", 0, UINT64_C(60000000000)},
		{"1d", 0, UINT64_C(86400000000000)},
		{"0", 0, 0},
		{"1.5h", 0, UINT64_C(5400000000000)},
		{"", -EINVAL, 0},
		{"h", -EINVAL, 0},
		{"1h30", -EINVAL, 0},
		{"-1s", -EINVAL, 0},
		{"1x", -EINVAL, 0},
		{"1 s", -EINVAL, 0},
		{"99999999999h", -ERANGE, 0},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = ERR_INIT;
		uint64_t v = 0;
		int r = fmt_parse_duration(cases[i].text, "--timeout", &v, &e);
		tap_ok(r == cases[i].result && v == cases[i].ns, "the duration '%s' is %llu ns (%s)", cases[i].text,
		       (unsigned long long)v, e.text);
	}
}

static void test_times(void)
{
	static const struct {
		const char *text;
		int result;
		int64_t seconds;
	} cases[] = {
		{"1970-01-01T00:00:00Z", 0, 0},
		{"2026-11-22T18:01:07Z", 0, 1795370467},
		{"2026-11-22T18:01:07.123456789Z", 0, 1795370467},
		{"2026-11-22T20:01:07+02:00", 0, 1795370467},
		{"2026-11-22T12:31:07-05:30", 0, 1795370467},
		{"2000-02-29T00:00:00Z", 0, 951782400},
		{"0001-01-01T00:00:00Z", 0, -62135596800},
		{"9999-12-31T23:59:59Z", 0, 253402300799},
		{"2026-13-01T00:00:00Z", -EINVAL, 0},
		{"2026-11-22", -EINVAL, 0},
		{"2026-11-22T18:01:07", -EINVAL, 0},
		{"2026-11-22T18:01:07.Z", -EINVAL, 0},
		{"2026-11-22T18:01:07Zx", -EINVAL, 0},
		{"", -EINVAL, 0},
	};
	char text[FMT_SIZE];
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = ERR_INIT;
		int64_t v = 0;
		int r = fmt_parse_time(cases[i].text, "created", &v, &e);
		tap_ok(r == cases[i].result && v == cases[i].seconds, "the time '%s' is %lld", cases[i].text,
		       (long long)v);
	}
	bool round = true;
	for (int64_t day = -719162; day < 2932897 && round; day += 37) {
		int64_t back = 0;
		fmt_time(day * 86400 + 3661, text);
		round = fmt_parse_time(text, "t", &back, NULL) == 0 && back == day * 86400 + 3661;
	}
	tap_ok(round, "a time that is printed reads back as itself, from year 1 to 9999");
	fmt_time_long(1795370467, text);
	tap_is_str(text, "2026-11-22 18:01:07 +0000 UTC", "the long form is docker's");
	fmt_time(INT64_MAX, text);
	fmt_time(INT64_MIN, text);
	tap_ok(strlen(text) < FMT_SIZE, "times beyond the calendar fit the buffer");
}

static void test_human(void)
{
	static const struct {
		uint64_t bytes;
		const char *size, *binary;
	} sizes[] = {
		{0, "0B", "0B"},
		{999, "999B", "999B"},
		{1000, "1kB", "1000B"},
		{1024, "1.02kB", "1KiB"},
		{7420000, "7.42MB", "7.08MiB"},
		{10000000, "10MB", "9.54MiB"},
		{123456789, "123MB", "118MiB"},
		{999999, "1MB", "977KiB"},
		{1610612736, "1.61GB", "1.5GiB"},
		{UINT64_MAX, "18.4EB", "16EiB"},
	};
	static const struct {
		int64_t seconds;
		const char *text;
	} durations[] = {
		{-5, "Less than a second"}, {0, "Less than a second"}, {1, "1 second"},	     {59, "59 seconds"},
		{60, "About a minute"},	    {119, "About a minute"},   {120, "2 minutes"},   {3599, "59 minutes"},
		{3600, "About an hour"},    {5399, "About an hour"},   {5400, "2 hours"},    {86400, "24 hours"},
		{172800, "2 days"},	    {1209599, "13 days"},      {1209600, "2 weeks"}, {5184000, "2 months"},
		{63072000, "2 years"},	    {INT64_MAX - 1, NULL},
	};
	char text[FMT_SIZE];
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		fmt_size(sizes[i].bytes, text);
		tap_is_str(text, sizes[i].size, "a size for people");
		fmt_size_binary(sizes[i].bytes, text);
		tap_is_str(text, sizes[i].binary, "a size for people in powers of two");
	}
	for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
		fmt_duration(durations[i].seconds, text);
		if (durations[i].text)
			tap_is_str(text, durations[i].text, "a duration for people");
	}
}

static void test_table(void)
{
	autotable struct fmt_table t = FMT_TABLE_INIT;
	autostr struct str out = STR_INIT;
	fmt_table_row(&t, "NAME", "SIZE", NULL);
	fmt_table_row(&t, "b\xc3\xbcro", "1", NULL);
	fmt_table_row(&t, "e\x1b[31m", "22", NULL);
	fmt_table_print(&t, &out);
	tap_is_str(out.buf, "NAME     SIZE\nb\xc3\xbcro     1\ne?[31m   22\n",
		   "columns line up by characters and control characters are not passed on");
	str_cut(&out, 0);
	fmt_wrap(&out, "one two three", 4, 2, 10);
	tap_is_str(out.buf, "one\n  two\n  three", "text is broken at spaces");
	str_cut(&out, 0);
	fmt_wrap(&out, "averyverylongword x", 0, 2, 10);
	tap_is_str(out.buf, "averyverylongword\n  x", "a word wider than the line stands alone");
}

static void test_when(void)
{
	static const int64_t now = 1795370467 * INT64_C(1000000000);
	static const struct {
		const char *text;
		int result;
		int64_t ns;
	} cases[] = {
		{"10s", 0, 1795370457000000000},
		{"0s", 0, 1795370467000000000},
		{"90", 0, 1795370377000000000},
		{"100y", -EINVAL, 0},
		{"900000h", 0, 0},
		{"1795370000", 0, 1795370000000000000},
		{"1795370000.5", 0, 1795370000500000000},
		{"2026-11-22T18:01:07Z", 0, 1795370467000000000},
		{"2026-11-22T18:01:07.123456789Z", 0, 1795370467123456789},
		{"2026-11-22T18:01:07.5+02:00", 0, 1795363267500000000},
		{"2026-11-22", 0, 1795302000000000000},
		{"2026-11-22T18:01", 0, 1795366860000000000},
		{"2026-11-22 18:01:07", 0, 1795366867000000000},
		{"2026-07-22T18:01:07.25", 0, 1784736067250000000},
		{"2026-11-22T", -EINVAL, 0},
		{"2026-11-22T18", -EINVAL, 0},
		{"2026-11-22T18:01:", -EINVAL, 0},
		{"2026-11-22x", -EINVAL, 0},
		{"yesterday", -EINVAL, 0},
		{"9999-12-31T23:59:59Z", 0, 9223372035000000000},
		{"0001-01-01T00:00:00Z", 0, -9223372035000000000},
		{"", -EINVAL, 0},
	};
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = ERR_INIT;
		int64_t v = 0;
		int r = fmt_parse_when(cases[i].text, "--since", now, &v, &e);
		tap_ok(r == cases[i].result && v == cases[i].ns, "'%s' is the moment %lld", cases[i].text,
		       (long long)v);
		if (r < 0 && !strstr(e.text, "neither a duration nor a time"))
			tap_ok(false, "'%s': the error says what is expected: %s", cases[i].text, e.text);
	}
	unsetenv("TZ");
}

int main(void)
{
	tap_plan_later();
	test_sizes();
	test_durations();
	test_times();
	test_human();
	test_table();
	test_when();
	return tap_done();
}
