/*
 * out.c - rows and documents as tables, JSON or templates.
 *
 * A template with "table " in front is run once over the headings and once per row; its lines are then split at tabs
 * and lined up. docker lets people write \t and \n between actions without quotes, so those two are turned into the
 * characters there; inside {{ }} a string has its own escapes.
 */
#include "rl/cmd/out.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "rl/base/fmt.h"
#include "rl/base/io.h"
#include "rl/base/mem.h"
#include "rl/cmd/template.h"

static void unescape_text(const char *format, struct str *out)
{
	bool action = false;
	for (const char *p = format; *p; p++) {
		if (str_after(p, action ? "}}" : "{{")) {
			str_add(out, p, 2);
			action = !action;
			p++;
		} else if (!action && *p == '\\' && (p[1] == 't' || p[1] == 'n')) {
			str_addc(out, p[1] == 't' ? '\t' : '\n');
			p++;
		} else {
			str_addc(out, *p);
		}
	}
}

static const char *cell_text(const json_t *row, const char *field, struct str *scratch)
{
	const json_t *v = json_object_get(row, field);
	str_cut(scratch, 0);
	if (json_is_string(v))
		return json_string_value(v);
	if (json_is_integer(v))
		str_addf(scratch, "%lld", (long long)json_integer_value(v));
	else if (json_is_boolean(v))
		str_adds(scratch, json_is_true(v) ? "true" : "false");
	return scratch->buf;
}

static void default_table(const struct out_style *style, const json_t *rows, struct str *out)
{
	autotable struct fmt_table t = FMT_TABLE_INIT;
	autostr struct str scratch = STR_INIT;
	if (!style->no_heading) {
		struct strv row = STRV_INIT;
		for (const struct out_column *c = style->columns; c->field; c++)
			if (!c->extra)
				strv_add(&row, c->heading);
		fmt_table_row_strv(&t, &row);
	}
	for (size_t i = 0; i < json_array_size(rows); i++) {
		struct strv row = STRV_INIT;
		for (const struct out_column *c = style->columns; c->field; c++)
			if (!c->extra)
				strv_add(&row, cell_text(json_array_get(rows, i), c->field, &scratch));
		fmt_table_row_strv(&t, &row);
	}
	fmt_table_print(&t, out);
}

static void json_rows(const struct out_style *style, const json_t *rows, struct str *out)
{
	if (style->flavour != CMD_DOCKER) {
		json_print(rows, true, out);
		str_addc(out, '\n');
		return;
	}
	for (size_t i = 0; i < json_array_size(rows); i++) {
		json_print(json_array_get(rows, i), false, out);
		str_addc(out, '\n');
	}
}

static const char *find_heading(const struct out_column *columns, const char *field)
{
	for (; columns->field; columns++)
		if (str_eq(columns->field, field))
			return columns->heading;
	return NULL;
}

/* The heading line of a template: the template over a row of headings. Where it does more with a field than show it
 * (len, index, a member of it) that cannot be, and the headings of the fields it names stand in a row. */
static void template_heading(const struct out_style *style, const struct template *t, struct str *out)
{
	autojson json_t *row = json_object();
	for (const struct out_column *c = style->columns; c->field; c++)
		json_put_str(row, c->field, c->heading);
	autostr struct str line = STR_INIT;
	if (template_run(t, row, false, &line, NULL) == 0 && !strstr(line.buf, "<no value>")) {
		str_add(out, line.buf, line.len);
		return;
	}
	autostrv struct strv fields = STRV_INIT;
	template_fields(t, &fields);
	for (size_t i = 0; i < fields.count; i++) {
		const char *heading = find_heading(style->columns, fields.items[i]);
		if (!heading)
			for (char *p = fields.items[i]; *p; p++)
				*p = (char)toupper((unsigned char)*p);
		str_addf(out, "%s%s", i ? "\t" : "", heading ? heading : fields.items[i]);
	}
}

static void add_tabbed(struct fmt_table *t, const char *text)
{
	autostrv struct strv lines = STRV_INIT;
	strv_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.count; i++) {
		struct strv row = STRV_INIT;
		strv_split(&row, lines.items[i], '\t');
		fmt_table_row_strv(t, &row);
	}
}

static int template_rows(const struct out_style *style, const json_t *rows, const char *text, bool table,
			 struct str *out, struct err *e)
{
	autostr struct str plain = STR_INIT;
	autotemplate struct template *t = NULL;
	autotable struct fmt_table cells = FMT_TABLE_INIT;
	autostr struct str line = STR_INIT;
	unescape_text(text, &plain);
	int r = template_parse(plain.buf, &t, e);
	if (r < 0)
		return err_ctx(e, "--format");
	if (table && !style->no_heading) {
		template_heading(style, t, &line);
		add_tabbed(&cells, line.buf);
	}
	for (size_t i = 0; i < json_array_size(rows); i++) {
		str_cut(&line, 0);
		r = template_run(t, json_array_get(rows, i), true, &line, e);
		if (r < 0)
			return err_ctx(e, "--format");
		if (table) {
			add_tabbed(&cells, line.buf);
		} else {
			str_add(out, line.buf, line.len);
			str_addc(out, '\n');
		}
	}
	fmt_table_print(&cells, out);
	return 0;
}

int out_rows(const struct out_style *style, const json_t *rows, struct str *out, struct err *e)
{
	const char *format = style->format;
	if (!format || !*format || str_eq(format, "table")) {
		default_table(style, rows, out);
		return 0;
	}
	if (str_eq(format, "json")) {
		json_rows(style, rows, out);
		return 0;
	}
	const char *rest = str_after(format, "table ");
	if (!rest)
		rest = str_after(format, "table\\t");
	return template_rows(style, rows, rest ? rest : format, rest != NULL, out, e);
}

int out_docs(const json_t *docs, const char *format, struct str *out, struct err *e)
{
	if (!format || !*format || str_eq(format, "json")) {
		json_print(docs, true, out);
		str_addc(out, '\n');
		return 0;
	}
	const struct out_column none[] = {OUT_COLUMN_END};
	const struct out_style style = {.columns = none, .format = format};
	return template_rows(&style, docs, format, false, out, e);
}

int out_flush(const struct str *out, struct err *e)
{
	int r = io_write_all(STDOUT_FILENO, out->buf, out->len, e);
	return r < 0 ? err_ctx(e, "standard output") : 0;
}

int out_confirm(const char *verb, const char *question, bool force, struct err *e)
{
	char answer[8] = "";
	if (force)
		return 1;
	if (!isatty(STDIN_FILENO)) {
		err_set(e, EINVAL, "%s: there is no terminal to ask on", verb);
		return err_hint(e, "-f does it without asking");
	}
	fprintf(stderr, "%s [y/N] ", question);
	if (!fgets(answer, sizeof(answer), stdin))
		return 0;
	return answer[0] == 'y' || answer[0] == 'Y';
}
