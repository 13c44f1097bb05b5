/* Rows as tables, JSON and templates; documents. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>

#include "rl/base/mem.h"
#include "rl/cmd/out.h"

static const struct out_column columns[] = {
	{"ID", "CONTAINER ID", false},
	{"Name", "NAMES", false},
	{"Up", "UP", true},
	OUT_COLUMN_END,
};

struct out_case {
	const char *what;
	const char *format;
	bool no_heading;
	enum cmd_flavour flavour;
	const char *want; /* or NULL and an error */
	const char *error;
};

static const struct out_case cases[] = {
	{"no format is the table", NULL, false, CMD_RL,
	 "CONTAINER ID   NAMES\n1              web\n22             a-db\n", NULL},
	{"the heading can be left out", NULL, true, CMD_RL, "1    web\n22   a-db\n", NULL},
	{"the word table alone too", "table", false, CMD_RL,
	 "CONTAINER ID   NAMES\n1              web\n22             a-db\n", NULL},
	{"a template gives a line per row", "{{.Name}}={{.ID}}", false, CMD_RL, "web=1\na-db=22\n", NULL},
	{"tabs may be written as \\t", "{{.Name}}\\t{{.ID}}", false, CMD_RL, "web\t1\na-db\t22\n", NULL},
	{"also inside an action", "{{.Name}}{{\"\\t\"}}{{.ID}}", false, CMD_RL, "web\t1\na-db\t22\n", NULL},
	{"a table of templates has headings", "table {{.Name}}\\t{{.ID}}", false, CMD_RL,
	 "NAMES   CONTAINER ID\nweb     1\na-db    22\n", NULL},
	{"and knows columns that are not shown", "table {{.Up}}\\t{{.ID}}", false, CMD_RL,
	 "UP      CONTAINER ID\ntrue    1\nfalse   22\n", NULL},
	{"headings of members are those of the field", "table {{.Labels.x}}\\t{{.ID}}", false, CMD_RL,
	 "LABELS       CONTAINER ID\n1            1\n<no value>   22\n", NULL},
	{"a table without heading", "table {{.Name}}\\t{{.ID}}", true, CMD_RL, "web    1\na-db   22\n", NULL},
	{"json is one line per row for docker", "json", false, CMD_DOCKER,
	 "{\"ID\":\"1\",\"Name\":\"web\",\"Up\":true,\"Labels\":{\"x\":\"1\"}}\n"
	 "{\"ID\":\"22\",\"Name\":\"a-db\",\"Up\":false,\"Labels\":{}}\n",
	 NULL},
	{"a template can print a row as json", "{{json .}}", false, CMD_RL,
	 "{\"ID\":\"1\",\"Name\":\"web\",\"Up\":true,\"Labels\":{\"x\":\"1\"}}\n"
	 "{\"ID\":\"22\",\"Name\":\"a-db\",\"Up\":false,\"Labels\":{}}\n",
	 NULL},
	{"a field that is not there", "{{.Nmae}}", false, CMD_RL, NULL, "--format: template: there is no field .Nmae"},
	{"a template that cannot be read", "{{.ID", false, CMD_RL, NULL, "--format: template, character"},
};

static json_t *rows(void)
{
	return json_loads("[{\"ID\":\"1\",\"Name\":\"web\",\"Up\":true,\"Labels\":{\"x\":\"1\"}},"
			  "{\"ID\":\"22\",\"Name\":\"a-db\",\"Up\":false,\"Labels\":{}}]",
			  0, NULL);
}

int main(void)
{
	tap_plan_later();
	autojson json_t *data = rows();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct out_case *c = &cases[i];
		const struct out_style style = {
			.columns = columns, .format = c->format, .no_heading = c->no_heading, .flavour = c->flavour};
		autostr struct str out = STR_INIT;
		struct err e = ERR_INIT;
		int r = out_rows(&style, data, &out, &e);
		if (c->want)
			tap_is_str(out.buf, c->want, c->what);
		else
			tap_ok(r < 0 && strstr(e.text, c->error), "%s is refused: %s", c->what, e.text);
	}
	struct err e = ERR_INIT;
	autostr struct str out = STR_INIT;
	const struct out_style as_json = {.columns = columns, .format = "json", .flavour = CMD_RL};
	int r = out_rows(&as_json, data, &out, &e);
	autojson json_t *back = json_loads(out.buf, 0, NULL);
	tap_ok(r == 0 && json_equal(back, data), "json is one array for rl and podman");
	str_cut(&out, 0);
	autojson json_t *none = json_array();
	const struct out_style plain = {.columns = columns};
	r = out_rows(&plain, none, &out, &e);
	tap_is_str(out.buf, "CONTAINER ID   NAMES\n", "a table without rows is a heading");
	str_cut(&out, 0);
	r = out_docs(data, "{{.Labels.x}}", &out, &e);
	tap_is_str(out.buf, "1\n<no value>\n", "a template runs once per document");
	str_cut(&out, 0);
	r = out_docs(none, NULL, &out, &e);
	tap_is_str(out.buf, "[]\n", "no documents are an empty list");
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	fflush(stdout);
	int saved = dup(STDOUT_FILENO);
	dup2(full, STDOUT_FILENO);
	r = out_flush(&out, &e);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(full);
	tap_ok(r == -ENOSPC && strstr(e.text, "standard output"), "a full disk is an error: %s", e.text);
	return tap_done();
}
