/*
 * fmt.c - values as people write and read them.
 *
 * Fractions are kept exact: a number is read as integer part and up to nine decimal digits, and multiplied in 128 bits,
 * so that "1.1g" means the same on every machine and overflow is seen rather than wrapped. Dates are computed from the
 * day count of the proleptic Gregorian calendar (no time zone data, no locale).
 */
#include "rl/base/fmt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <time.h>

#include "rl/base/mem.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* A decimal number with an optional fraction: value = (whole * SCALE + part) / SCALE. */
enum { FRACTION_DIGITS = 9, FRACTION_SCALE = 1000000000 };

struct decimal {
	uint64_t whole;
	uint32_t part;
};

/* Returns the first character after the number, or NULL when there is none or it is too large. */
static const char *read_decimal(const char *p, struct decimal *ret)
{
	struct decimal d = {0};
	bool any = false;
	for (; is_digit(*p); p++, any = true) {
		unsigned digit = (unsigned)(*p - '0');
		if (d.whole > (UINT64_MAX - digit) / 10)
			return NULL;
		d.whole = d.whole * 10 + digit;
	}
	if (*p == '.') {
		uint32_t unit = FRACTION_SCALE / 10;
		p++;
		if (!is_digit(*p))
			return NULL;
		for (; is_digit(*p); p++, any = true, unit /= 10)
			d.part += unit * (uint32_t)(*p - '0');
	}
	if (!any)
		return NULL;
	*ret = d;
	return p;
}

static bool scale_decimal(const struct decimal *d, uint64_t factor, uint64_t *ret)
{
	unsigned __int128 v = (unsigned __int128)d->whole * factor;
	v += (unsigned __int128)d->part * factor / FRACTION_SCALE;
	if (v > UINT64_MAX)
		return false;
	*ret = (uint64_t)v;
	return true;
}

int fmt_parse_size(const char *text, const char *what, uint64_t *ret_bytes, struct err *e)
{
	static const char units[] = "kmgtp";
	struct decimal d;
	const char *p = read_decimal(text, &d);
	if (!p)
		return err_set(e, EINVAL, "%s: '%s' is not a size (examples: 512k, 64m, 1.5g)", what, text);
	while (*p == ' ')
		p++;
	uint64_t factor = 1;
	const char *unit = *p ? strchr(units, lower(*p)) : NULL;
	if (unit) {
		factor = UINT64_C(1) << (10 * (unit - units + 1));
		p++;
		if (lower(*p) == 'i' && lower(p[1]) == 'b')
			p += 2;
		else if (lower(*p) == 'b')
			p++;
	} else if (lower(*p) == 'b') {
		p++;
	}
	if (*p)
		return err_set(e, EINVAL, "%s: '%s' is not a size (examples: 512k, 64m, 1.5g)", what, text);
	uint64_t v;
	if (!scale_decimal(&d, factor, &v))
		return err_set(e, ERANGE, "%s: '%s' is too large", what, text);
	*ret_bytes = v;
	return 0;
}

static const struct {
	const char *name;
	uint64_t ns;
} duration_units[] = {
	/* longest names first: "ms" must not be read as minutes */
	{"ns", 1},
	{"us", 1000},
	{"\xc2\xb5s", 1000},
	{"ms", 1000000},
	{"s", UINT64_C(1000000000)},
	{"m", UINT64_C(60000000000)},
	{"h", UINT64_C(3600000000000)},
	{"d", UINT64_C(86400000000000)},
};

int fmt_parse_duration(const char *text, const char *what, uint64_t *ret_ns, struct err *e)
{
	uint64_t total = 0;
	const char *p = text;
	do {
		struct decimal d;
		p = read_decimal(p, &d);
		if (!p)
			return err_set(e, EINVAL, "%s: '%s' is not a duration (examples: 30s, 1h30m, 250ms)", what,
				       text);
		uint64_t factor = UINT64_C(1000000000);
		size_t used = 0;
		for (size_t i = 0; *p && i < ARRAY_SIZE(duration_units) && !used; i++) {
			if (!str_after(p, duration_units[i].name))
				continue;
			used = strlen(duration_units[i].name);
			factor = duration_units[i].ns;
		}
		/* Only a number alone may go without a unit. */
		bool bare_alone = !*p && text[strspn(text, "0123456789.")] == '\0';
		if (!used && !bare_alone)
			return err_set(e, EINVAL, "%s: '%s' is not a duration (examples: 30s, 1h30m, 250ms)", what,
				       text);
		p += used;
		uint64_t v;
		if (!scale_decimal(&d, factor, &v) || total > UINT64_MAX - v)
			return err_set(e, ERANGE, "%s: '%s' is too long", what, text);
		total += v;
	} while (*p);
	*ret_ns = total;
	return 0;
}

/* Days from 1970-01-01 of a date and back: years start in March, so that the leap day is the last of its year. */
static int64_t days_from_date(int64_t year, int month, int day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t yoe = year - era * 400;
	int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + doe - 719468;
}

static void date_from_days(int64_t days, int64_t *year, int *month, int *day)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	int64_t doe = days - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	*day = (int)(doy - (153 * mp + 2) / 5 + 1);
	*month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*year = yoe + era * 400 + (*month <= 2);
}

/* Exactly `n` digits at *p with a value from `min` to `max`. */
static bool take_number(const char **p, int n, int min, int max, int *ret)
{
	int v = 0;
	for (int i = 0; i < n; i++) {
		if (!is_digit((*p)[i]))
			return false;
		v = v * 10 + ((*p)[i] - '0');
	}
	*p += n;
	*ret = v;
	return v >= min && v <= max;
}

static bool take_char(const char **p, char want)
{
	if (lower(**p) != want)
		return false;
	(*p)++;
	return true;
}

static bool take_offset(const char **p, int *ret_seconds)
{
	int h = 0;
	int m = 0;
	if (take_char(p, 'z')) {
		*ret_seconds = 0;
		return true;
	}
	int sign = **p == '-' ? -1 : 1;
	if (**p != '+' && **p != '-')
		return false;
	(*p)++;
	if (!take_number(p, 2, 0, 23, &h) || !take_char(p, ':') || !take_number(p, 2, 0, 59, &m))
		return false;
	*ret_seconds = sign * (h * 3600 + m * 60);
	return true;
}

int fmt_parse_time(const char *text, const char *what, int64_t *ret_seconds, struct err *e)
{
	const char *p = text;
	int year, month, day, hour, minute, second, offset;
	bool ok = take_number(&p, 4, 0, 9999, &year) && take_char(&p, '-') && take_number(&p, 2, 1, 12, &month) &&
		  take_char(&p, '-') && take_number(&p, 2, 1, 31, &day) && (take_char(&p, 't') || take_char(&p, ' ')) &&
		  take_number(&p, 2, 0, 23, &hour) && take_char(&p, ':') && take_number(&p, 2, 0, 59, &minute) &&
		  take_char(&p, ':') && take_number(&p, 2, 0, 60, &second);
	if (ok && *p == '.') {
		p++;
		ok = is_digit(*p);
		while (is_digit(*p))
			p++;
	}
	if (!ok || !take_offset(&p, &offset) || *p)
		return err_set(e, EINVAL, "%s: '%s' is not a time (example: 2026-11-22T18:01:07Z)", what, text);
	*ret_seconds = days_from_date(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
	return 0;
}

static bool take_local_time(const char *text, int64_t *ret_seconds)
{
	const char *p = text;
	int year;
	struct tm tm = {.tm_isdst = -1};
	if (!take_number(&p, 4, 1900, 9999, &year) || !take_char(&p, '-') || !take_number(&p, 2, 1, 12, &tm.tm_mon) ||
	    !take_char(&p, '-') || !take_number(&p, 2, 1, 31, &tm.tm_mday))
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon--;
	if (*p && ((!take_char(&p, 't') && !take_char(&p, ' ')) || !take_number(&p, 2, 0, 23, &tm.tm_hour) ||
		   !take_char(&p, ':') || !take_number(&p, 2, 0, 59, &tm.tm_min)))
		return false;
	if (*p && (!take_char(&p, ':') || !take_number(&p, 2, 0, 60, &tm.tm_sec)))
		return false;
	if (*p == '.')
		p += 1 + strspn(p + 1, "0123456789");
	*ret_seconds = mktime(&tm);
	return !*p;
}

/* The nanoseconds behind the only '.' of a time. */
static int64_t fraction_of(const char *time)
{
	const char *dot = strchr(time, '.');
	int64_t ns = 0;
	for (int64_t unit = 100000000; dot && is_digit(*++dot) && unit; unit /= 10)
		ns += unit * (*dot - '0');
	return ns;
}

int fmt_parse_when(const char *text, const char *what, int64_t now_ns, int64_t *ret_ns, struct err *e)
{
	static const int64_t second = 1000000000;
	const uint64_t lifetime = UINT64_C(100000000) * UINT64_C(1000000000);
	int64_t seconds;
	uint64_t ns;
	if (fmt_parse_time(text, what, &seconds, NULL) == 0 || take_local_time(text, &seconds)) {
		int64_t most = INT64_MAX / second - 1;
		*ret_ns = RL_MIN(RL_MAX(seconds, -most), most) * second + fraction_of(text);
		return 0;
	}
	int r = fmt_parse_duration(text, what, &ns, e);
	if (r == -EINVAL)
		err_set(e, EINVAL,
			"%s: '%s' is neither a duration nor a time (examples: 10m, 2026-11-22, 2026-11-22T18:01:07Z)",
			what, text);
	if (r < 0)
		return r;
	ns = RL_MIN(ns, (uint64_t)INT64_MAX);
	bool is_time = text[strspn(text, "0123456789.")] == '\0' && ns > lifetime;
	*ret_ns = is_time ? (int64_t)ns : now_ns - RL_MIN((int64_t)ns, now_ns);
	return 0;
}

/* `v` with three significant digits, trailing zeros of the fraction dropped. */
static void fmt_units(uint64_t bytes, unsigned base, const char *const *names, size_t nnames, char ret[FMT_SIZE])
{
	double v = (double)bytes;
	size_t i = 0;
	/* 999.5 would be printed as 1000 */
	while (v >= (base == 1000 ? 999.5 : 1023.5) && i + 1 < nnames) {
		v /= base;
		i++;
	}
	int digits = i == 0 || v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2;
	char number[32];
	snprintf(number, sizeof(number), "%.*f", digits, v);
	if (digits) {
		size_t n = strlen(number);
		while (number[n - 1] == '0')
			number[--n] = '\0';
		if (number[n - 1] == '.')
			number[--n] = '\0';
	}
	snprintf(ret, FMT_SIZE, "%s%s", number, names[i]);
}

void fmt_size(uint64_t bytes, char ret[FMT_SIZE])
{
	static const char *const names[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	fmt_units(bytes, 1000, names, ARRAY_SIZE(names), ret);
}

void fmt_size_binary(uint64_t bytes, char ret[FMT_SIZE])
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	fmt_units(bytes, 1024, names, ARRAY_SIZE(names), ret);
}

void fmt_duration(int64_t seconds, char ret[FMT_SIZE])
{
	static const struct {
		int64_t below; /* used while the duration is shorter than this ... */
		int64_t unit;  /* ... in these */
		const char *name;
	} steps[] = {
		{60, 1, "seconds"},
		{3600, 60, "minutes"},
		{48 * 3600, 3600, "hours"},
		{14 * 86400, 86400, "days"},
		{60 * 86400, 7 * 86400, "weeks"},
		{730 * 86400, 30 * 86400, "months"},
		{INT64_MAX, 365 * 86400, "years"},
	};
	if (seconds < 1)
		snprintf(ret, FMT_SIZE, "Less than a second");
	else if (seconds == 1)
		snprintf(ret, FMT_SIZE, "1 second");
	else if (seconds >= 60 && seconds < 120)
		snprintf(ret, FMT_SIZE, "About a minute");
	else if (seconds >= 3600 && seconds < 5400)
		snprintf(ret, FMT_SIZE, "About an hour");
	else
		for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
			if (seconds >= steps[i].below)
				continue;
			/* Hours are rounded: 90 minutes end "about an hour". */
			int64_t n = (seconds + (steps[i].unit == 3600 ? 1800 : 0)) / steps[i].unit;
			snprintf(ret, FMT_SIZE, "%" PRId64 " %s", n, steps[i].name);
			return;
		}
}

static void fmt_time_as(int64_t seconds, const char *format, char ret[FMT_SIZE])
{
	int64_t days = seconds / 86400 - (seconds % 86400 < 0);
	int rest = (int)((seconds % 86400 + 86400) % 86400);
	int64_t year;
	int month, day;
	/* Keeps the year within what the buffer and RFC 3339 can say. */
	enum { DAYS_MIN = -719528, DAYS_MAX = 2932896 };
	days = RL_MAX(RL_MIN(days, (int64_t)DAYS_MAX), (int64_t)DAYS_MIN);
	date_from_days(days, &year, &month, &day);
	snprintf(ret, FMT_SIZE, format, (int)year, month, day, rest / 3600, rest / 60 % 60, rest % 60);
}

void fmt_time(int64_t seconds, char ret[FMT_SIZE])
{
	fmt_time_as(seconds, "%04d-%02d-%02dT%02d:%02d:%02dZ", ret);
}

void fmt_time_long(int64_t seconds, char ret[FMT_SIZE])
{
	fmt_time_as(seconds, "%04d-%02d-%02d %02d:%02d:%02d +0000 UTC", ret);
}

static struct strv *add_row(struct fmt_table *t)
{
	if (t->nrows == t->size) {
		t->size = t->size ? t->size * 2 : 16;
		t->rows = xreallocarray(t->rows, t->size, sizeof(*t->rows));
	}
	t->rows[t->nrows] = (struct strv)STRV_INIT;
	return &t->rows[t->nrows++];
}

void fmt_table_row(struct fmt_table *t, const char *cell, ...)
{
	struct strv *row = add_row(t);
	va_list ap;
	va_start(ap, cell);
	for (; cell; cell = va_arg(ap, const char *))
		strv_add(row, cell);
	va_end(ap);
}

void fmt_table_row_strv(struct fmt_table *t, struct strv *row)
{
	*add_row(t) = *row;
	*row = (struct strv)STRV_INIT;
}

static size_t text_width(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void add_cell(struct str *out, const char *cell)
{
	for (const char *p = cell; *p; p++)
		str_addc(out, (unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p);
}

void fmt_table_print(const struct fmt_table *t, struct str *out)
{
	enum { GAP = 3 };
	size_t ncols = 0;
	for (size_t i = 0; i < t->nrows; i++)
		ncols = RL_MAX(ncols, t->rows[i].count);
	autofree size_t *width = xcalloc(ncols + 1, sizeof(size_t));
	for (size_t i = 0; i < t->nrows; i++)
		for (size_t c = 0; c < t->rows[i].count; c++)
			width[c] = RL_MAX(width[c], text_width(t->rows[i].items[c]));
	for (size_t i = 0; i < t->nrows; i++) {
		const struct strv *row = &t->rows[i];
		for (size_t c = 0; c < row->count; c++) {
			add_cell(out, row->items[c]);
			if (c + 1 == row->count)
				break;
			for (size_t n = text_width(row->items[c]); n < width[c] + GAP; n++)
				str_addc(out, ' ');
		}
		str_addc(out, '\n');
	}
}

void fmt_table_free(struct fmt_table *t)
{
	for (size_t i = 0; i < t->nrows; i++)
		strv_free(&t->rows[i]);
	free(t->rows);
	*t = (struct fmt_table)FMT_TABLE_INIT;
}

void fmt_wrap(struct str *out, const char *text, size_t column, size_t indent, size_t width)
{
	bool first = true;
	while (*text) {
		size_t n = strcspn(text, " ");
		if (!first && column + 1 + n > width) {
			str_addc(out, '\n');
			for (size_t i = 0; i < indent; i++)
				str_addc(out, ' ');
			column = indent;
		} else if (!first) {
			str_addc(out, ' ');
			column++;
		}
		str_add(out, text, n);
		column += n;
		text += n;
		text += strspn(text, " ");
		first = false;
	}
}
