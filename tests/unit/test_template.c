/* The Go template subset, over one document. */
#include "tap.h"

#include <errno.h>

#include "rl/base/mem.h"
#include "rl/cmd/template.h"

static const char document[] =
	"{\"ID\":\"abc\",\"Name\":\"web "
	"server\",\"Size\":42,\"Ratio\":1.5,\"Big\":1e21,\"Up\":true,\"Down\":false,\"None\":null,"
	"\"Empty\":\"\",\"Tags\":[\"a\",\"b\",\"c\"],\"NoTags\":[],\"Ports\":[{\"P\":80},{\"P\":443}],"
	"\"Labels\":{\"z\":\"last\",\"a.b\":\"dotted\",\"x\":\"1\"},\"Config\":{\"Env\":[\"A=1\",\"B=2\"],\"User\":"
	"\"root\",\"Deep\":{\"Er\":\"yes\"}},"
	"\"Text\":\"a<b>&\\\"c\",\"Uni\":\"b\xc3\xbcro\"}";

struct template_case {
	const char *template;
	const char *want; /* NULL: an error that contains `error` */
	const char *error;
};

static const struct template_case cases[] = {
	{"", "", NULL},
	{"plain", "plain", NULL},
	{"{{.ID}}", "abc", NULL},
	{"{{ .ID }}", "abc", NULL},
	{"x{{.ID}}y{{.Size}}z", "xabcy42z", NULL},
	{"{{.id}}", "abc", NULL},
	{"{{.Config.User}}", "root", NULL},
	{"{{.Config.Deep.Er}}", "yes", NULL},
	{"{{.Config.Nope}}", "<no value>", NULL},
	{"{{.Labels.nope}}", "<no value>", NULL},
	{"{{.None}}", "<no value>", NULL},
	{"{{.None.X}}", "<no value>", NULL},
	{"{{.Nope}}", NULL, "there is no field .Nope"},
	{"{{$.Nope}}", NULL, "there is no field .Nope"},
	{"{{.ID.X}}", NULL, "no fields"},
	{"{{.Size}} {{.Ratio}} {{.Up}} {{.Down}}", "42 1.5 true false", NULL},
	{"{{.Big}}", "1e+21", NULL},
	{"{{.Tags}}", "[a b c]", NULL},
	{"{{.Labels}}", "map[a.b:dotted x:1 z:last]", NULL},
	{"{{.Ports}}", "[map[P:80] map[P:443]]", NULL},
	{"{{json .Tags}}", "[\"a\",\"b\",\"c\"]", NULL},
	{"{{json .Config}}", "{\"Env\":[\"A=1\",\"B=2\"],\"User\":\"root\",\"Deep\":{\"Er\":\"yes\"}}", NULL},
	{"{{json .Text}}", "\"a<b>&\\\"c\"", NULL},
	{"{{.Text}}", "a<b>&\"c", NULL},
	{"{{json .None}} {{json .Config.Nope}}", "null null", NULL},
	{"{{.Tags | json}}", "[\"a\",\"b\",\"c\"]", NULL},
	{"{{range .Tags}}{{.}},{{end}}", "a,b,c,", NULL},
	{"{{range $i, $v := .Tags}}{{$i}}={{$v}} {{end}}", "0=a 1=b 2=c ", NULL},
	{"{{range $v := .Tags}}{{$v}}{{end}}", "abc", NULL},
	{"{{range $k, $v := .Labels}}{{$k}}:{{$v}};{{end}}", "a.b:dotted;x:1;z:last;", NULL},
	{"{{range .NoTags}}x{{else}}none{{end}}", "none", NULL},
	{"{{range .None}}x{{else}}none{{end}}", "none", NULL},
	{"{{range .Ports}}{{.P}} {{$.ID}} {{end}}", "80 abc 443 abc ", NULL},
	{"{{range .Tags}}{{if eq . \"b\"}}{{break}}{{end}}{{.}}{{end}}", "a", NULL},
	{"{{range .Tags}}{{if eq . \"b\"}}{{continue}}{{end}}{{.}}{{end}}", "ac", NULL},
	{"{{range 3}}{{.}}{{end}}", "012", NULL},
	{"{{range .Ports}}{{range $.Tags}}{{.}}{{end}};{{end}}", "abc;abc;", NULL},
	{"{{range .ID}}x{{end}}", NULL, "lists and maps only"},
	{"{{break}}", NULL, "inside range"},
	{"{{if .Up}}up{{end}}", "up", NULL},
	{"{{if .Down}}x{{else}}y{{end}}", "y", NULL},
	{"{{if .Empty}}x{{else if .Size}}size{{else}}z{{end}}", "size", NULL},
	{"{{if .Empty}}x{{else if .None}}size{{else}}z{{end}}", "z", NULL},
	{"{{if .NoTags}}x{{end}}", "", NULL},
	{"{{if and .Up .Size}}x{{end}}", "x", NULL},
	{"{{if or .Down .Empty}}x{{else}}y{{end}}", "y", NULL},
	{"{{if not .Down}}x{{end}}", "x", NULL},
	{"{{or .Empty \"default\"}}", "default", NULL},
	{"{{and .ID .Name}}", "web server", NULL},
	{"{{if and (eq .ID \"abc\") (gt .Size 40)}}x{{end}}", "x", NULL},
	{"{{with .Config}}{{.User}}{{end}}", "root", NULL},
	{"{{with .None}}x{{else}}y{{end}}", "y", NULL},
	{"{{with $c := .Config}}{{$c.User}}{{end}}", "root", NULL},
	{"{{$x := .ID}}{{$x}}{{$x}}", "abcabc", NULL},
	{"{{$x := 1}}{{range .Tags}}{{$x = .}}{{end}}{{$x}}", "c", NULL},
	{"{{if .Up}}{{$x := 1}}{{end}}{{$x}}", NULL, "there is no variable $x"},
	{"{{$x = 1}}", NULL, "there is no variable $x"},
	{"{{$x}}", NULL, "there is no variable $x"},
	{"{{index .Tags 1}}", "b", NULL},
	{"{{index .Labels \"a.b\"}}", "dotted", NULL},
	{"{{index .Labels \"nope\"}}", "<no value>", NULL},
	{"{{index .Ports 1 \"P\"}}", "443", NULL},
	{"{{(index .Ports 0).P}}", "80", NULL},
	{"{{index .Tags 3}}", NULL, "outside of a list of 3"},
	{"{{index .Tags -1}}", NULL, "outside of a list of 3"},
	{"{{index .Tags \"x\"}}", NULL, "indexed with a number"},
	{"{{index .Labels 1}}", NULL, "indexed with a string"},
	{"{{index .Size 1}}", NULL, "only lists and maps"},
	{"{{len .Tags}} {{len .Name}} {{len .Labels}} {{len .None}}", "3 10 3 0", NULL},
	{"{{len .Size}}", NULL, "no length"},
	{"{{upper .ID}} {{lower \"ABC\"}} {{title .Name}}", "ABC abc Web Server", NULL},
	{"{{.ID | upper | printf \"%s!\"}}", "ABC!", NULL},
	{"{{join .Tags \",\"}}", "a,b,c", NULL},
	{"{{join (split .Name \" \") \"-\"}}", "web-server", NULL},
	{"{{split .Name \" \"}}", "[web server]", NULL},
	{"{{index (split \"a:b:c\" \":\") 1}}", "b", NULL},
	{"{{split .Name \"\"}}", NULL, "separator is empty"},
	{"{{slice .ID 0 2}} {{slice .Tags 1}} {{slice .ID 1}}", "ab [b c] bc", NULL},
	{"{{slice .ID 2 9}}", NULL, "outside"},
	{"{{slice .ID 2 1}}", NULL, "outside"},
	{"{{truncate .Name 3}} {{truncate .Uni 2}}", "web b\xc3\xbc", NULL},
	{"[{{pad .ID 1 2}}] [{{pad .Empty 1 2}}]", "[ abc  ] []", NULL},
	{"{{trim \" x \"}}|{{replace \"a-b-c\" \"-\" \"+\"}}", "x|a+b+c", NULL},
	{"{{println .ID .Size}}", "abc 42\n", NULL},
	{"{{print .ID .Size}} {{print 1 2}}", "abc42 1 2", NULL},
	{"{{printf \"%s %d %v\" .ID .Size .Up}}", "abc 42 true", NULL},
	{"{{printf \"%-6s|%6s|%.2s\" .ID .ID .ID}}", "abc   |   abc|ab", NULL},
	{"{{printf \"%05d %+d %x %X\" .Size .Size 255 255}}", "00042 +42 ff FF", NULL},
	{"{{printf \"%.2f %5.1f|%g\" .Ratio .Ratio .Ratio}}", "1.50   1.5|1.5", NULL},
	{"{{printf \"%q %t %%\" .ID .Up}}", "\"abc\" true %", NULL},
	{"{{printf \"%-6s|\" .Uni}}", "b\xc3\xbcro  |", NULL},
	{"{{printf \"%c\" 'x'}}", "x", NULL},
	{"{{printf \"%d\" .ID}}", NULL, "whole number"},
	{"{{printf \"%s\"}}", NULL, "more conversions"},
	{"{{printf \"x\" 1}}", NULL, "more values"},
	{"{{printf \"%99999s\" .ID}}", NULL, "a width above"},
	{"{{printf \"%n\" .ID}}", NULL, "not supported"},
	{"{{printf \"%\"}}", NULL, "in the middle"},
	{"{{printf 1}}", NULL, "format is a string"},
	{"{{eq .ID \"abc\"}} {{ne .ID \"abc\"}} {{eq .ID \"x\" \"abc\"}}", "true false true", NULL},
	{"{{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge 2 3}} {{lt \"a\" \"b\"}}", "true true false false true", NULL},
	{"{{eq 1 \"1\"}} {{eq .None nil}} {{eq true .Up}}", "false true true", NULL},
	{"{{lt 1 \"a\"}}", NULL, "cannot be compared"},
	{"{{\"\\t\"}}x{{\"\\n\"}}{{`a\\tb`}}{{\"\\u00fc\\x41\"}}",
	 "\tx\na\\tb\xc3\xbc"
	 "A",
	 NULL},
	{"{{\"a}}b\"}}", "a}}b", NULL},
	{"{{/* a comment */}}x", "x", NULL},
	{"a {{- .ID -}} b", "aabcb", NULL},
	{"a {{- /* c */ -}} b", "ab", NULL},
	{"{{- .ID}}", "abc", NULL},
	{"{{-3}}", "-3", NULL},
	{"{{1.5}} {{-2}} {{.5}}", "1.5 -2 0.5", NULL},
	{"{{true}} {{nil}}", "true <no value>", NULL},
	{"{{.}}", NULL, NULL},
	{"{{.ID}", NULL, "not expected"},
	{"{{.ID", NULL, "'}}' is missing"},
	{"{{", NULL, "a value is missing"},
	{"{{}}", NULL, "a value is missing"},
	{"{{end}}", NULL, "'end' without"},
	{"{{else}}", NULL, "'else' without"},
	{"{{if .Up}}x", NULL, "'{{end}}' is missing"},
	{"{{if .Up}}x{{else}}", NULL, "'{{end}}' is missing"},
	{"{{if .Up}}x{{else if .Down}}", NULL, "'{{end}}' is missing"},
	{"{{if .Up}}x{{else}}y{{else}}z{{end}}", NULL, "a second 'else'"},
	{"{{if}}x{{end}}", NULL, "a value is missing"},
	{"{{range}}x{{end}}", NULL, "a value is missing"},
	{"{{range $i, := .Tags}}{{end}}", NULL, "second variable"},
	{"{{uper .ID}}", NULL, "there is no function 'uper'"},
	{"{{.ID | .Name}}", NULL, "only a function"},
	{"{{.ID .Name}}", NULL, "only a function"},
	{"{{json}}", NULL, "wrong number of arguments"},
	{"{{json 1 2}}", NULL, "wrong number of arguments"},
	{"{{\"abc}}", NULL, "not closed"},
	{"{{\"a\nb\"}}", NULL, "not closed"},
	{"{{\"\\q\"}}", NULL, "unknown escape"},
	{"{{'ab'}}", NULL, "one ASCII character"},
	{"{{(.ID}}", NULL, "')' is missing"},
	{"{{.ID)}}", NULL, "not expected"},
	{"{{@}}", NULL, "not expected"},
	{"{{99999999999999999999}}", NULL, "not a number"},
	{"{{/* open", NULL, "comment is not closed"},
	{"{{range 1000000000}}x{{end}}", NULL, "too many steps"},
	{"{{$x := \"ab\"}}{{range 100}}{{$x = print $x $x}}{{end}}", NULL, "too long"},
};

static int run(const char *text, bool strict, struct str *out, struct err *e)
{
	autotemplate struct template *t = NULL;
	autojson json_t *doc = json_loads(document, 0, NULL);
	int r = template_parse(text, &t, e);
	return r < 0 ? r : template_run(t, doc, strict, out, e);
}

int main(void)
{
	tap_plan_later();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct template_case *c = &cases[i];
		autostr struct str out = STR_INIT;
		struct err e = ERR_INIT;
		int r = run(c->template, true, &out, &e);
		if (!c->want && !c->error) {
			tap_ok(r == 0, "'%s' prints something", c->template);
		} else if (c->want) {
			if (!tap_ok(r == 0 && str_eq(out.buf, c->want), "'%s' prints '%s'", c->template, c->want))
				tap_diag("got %d: '%s' %s", r, out.buf, e.text);
		} else if (!tap_ok(r < 0 && strstr(e.text, c->error), "'%s' is refused: %s", c->template, e.text)) {
			tap_diag("got %d '%s'", r, out.buf);
		}
	}
	autostr struct str out = STR_INIT;
	struct err e = ERR_INIT;
	tap_ok(run("{{.Nope}}", false, &out, &e) == 0 && str_eq(out.buf, "<no value>"),
	       "without strictness a missing field prints as Go prints it");
	tap_ok(run("{{.Siz}}", true, &out, &e) < 0 && strstr(e.hint, ".Size"), "the nearest field is suggested: %s",
	       e.hint);
	autostr struct str deep = STR_INIT;
	for (int i = 0; i < 100; i++)
		str_adds(&deep, "{{if .Up}}");
	tap_ok(run(deep.buf, true, &out, &e) < 0 && strstr(e.text, "nested"), "a hundred open blocks are refused");
	str_cut(&deep, 0);
	str_adds(&deep, "{{");
	for (int i = 0; i < 100000; i++)
		str_addc(&deep, '(');
	tap_ok(run(deep.buf, true, &out, &e) < 0 && strstr(e.text, "nested"),
	       "a hundred thousand parentheses are refused");
	autotemplate struct template *t = NULL;
	autostrv struct strv fields = STRV_INIT;
	tap_ok(template_parse("{{.ID}} {{json .Labels.x}} {{len .Tags}} {{\"x\"}}", &t, &e) == 0,
	       "fields can be listed");
	if (t)
		template_fields(t, &fields);
	tap_ok(fields.count == 3 && str_eq(fields.items[0], "ID") && str_eq(fields.items[1], "Labels") &&
		       str_eq(fields.items[2], "Tags"),
	       "the fields of a template are the first names of its values");
	return tap_done();
}
