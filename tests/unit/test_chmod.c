/* Modes as chmod(1) takes them, octal and symbolic, and what is none. */
#include "tap.h"

#include <string.h>

#include "rl/model/chmod.h"

static const struct {
	const char *text;
	mode_t old, want;
	bool is_dir;
} cases[] = {
	{"755", 0600, 0755, false},	    {"0", 0777, 0, false},
	{"04755", 0600, 04755, false},	    {"u=rwX,go=rX", 0600, 0644, false},
	{"u=rwX,go=rX", 0700, 0755, false}, {"u=rwX,go=rX", 0600, 0755, true},
	{"+x", 0644, 0755, false},	    {"+w", 0444, 0644, false},
	{"a+w", 0444, 0666, false},	    {"-x", 0755, 0644, false},
	{"g=u", 0640, 0660, false},	    {"o=g,g=", 0640, 0604, false},
	{"u+s", 0755, 04755, false},	    {"g+s", 0755, 02755, false},
	{"+t", 0777, 01777, true},	    {"u-s", 04755, 0755, false},
	{"u+r-w", 0200, 0400, false},	    {"=", 0777, 0, false},
	{"a=r", 02755, 02444, true},	    {"ug=rw,o-rwx", 0777, 0660, false},
};

static const char *const refused[] = {
	"", "8", "77777", "u", "u+", "u+q", "rwx", "u=rw,", ",u=r", "+x,,", "755x", "u =r", "99999999999999999999"};

int main(void)
{
	tap_plan_later();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = ERR_INIT;
		mode_t got = chmod_apply(cases[i].text, cases[i].old, cases[i].is_dir);
		tap_ok(chmod_check(cases[i].text, &e) == 0 && got == cases[i].want, "%s on %04o%s is %04o",
		       cases[i].text, (unsigned)cases[i].old, cases[i].is_dir ? " (a directory)" : "",
		       (unsigned)cases[i].want);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		struct err e = ERR_INIT;
		bool takes = strcmp(refused[i], "u+") == 0; /* chmod(1) takes it too: nothing is added */
		tap_ok((chmod_check(refused[i], &e) == 0) == takes, "'%s' is %s", refused[i],
		       takes ? "taken" : "refused");
	}
	return tap_done();
}
