#include "rl/model/port_opt.h"

#include "rl/base/mem.h"
#include "tap.h"

struct good {
	const char *text, *address;
	unsigned host_first, host_last, first, last;
	bool udp;
};

static void test_good(void)
{
	static const struct good cases[] = {
		{"80", "", 0, 0, 80, 80, false},
		{"80-90", "", 0, 0, 80, 90, false},
		{"80/udp", "", 0, 0, 80, 80, true},
		{"8080:80", "", 8080, 8080, 80, 80, false},
		{"8080:80/tcp", "", 8080, 8080, 80, 80, false},
		{"8000-8010:80-90", "", 8000, 8010, 80, 90, false},
		{"8000-8010:80", "", 8000, 8010, 80, 80, false},
		{"127.0.0.1:8080:80", "127.0.0.1", 8080, 8080, 80, 80, false},
		{"127.0.0.1::80", "127.0.0.1", 0, 0, 80, 80, false},
		{"[::1]:8080:80", "::1", 8080, 8080, 80, 80, false},
		{"[2001:db8::1]::53/udp", "2001:db8::1", 0, 0, 53, 53, true},
		{"0:80", "", 0, 0, 80, 80, false},
		{"0:80-82/udp", "", 0, 0, 80, 82, true},
		{"127.0.0.1:0:80", "127.0.0.1", 0, 0, 80, 80, false},
		{"[::1]:0:80", "::1", 0, 0, 80, 80, false},
		{"[::1]:53", "::1", 0, 0, 53, 53, false},
		{"65535:65535", "", 65535, 65535, 65535, 65535, false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct good *c = &cases[i];
		struct port_opt p = {0};
		struct err e = ERR_INIT;
		int r = port_opt_parse(c->text, &p, &e);
		tap_ok(r == 0 && str_eq(p.address, c->address) && p.host_first == c->host_first &&
			       p.host_last == c->host_last && p.first == c->first && p.last == c->last &&
			       p.udp == c->udp,
		       "'%s' is understood: %s", c->text, e.text);
	}
}

static void test_bad(void)
{
	static const char *const texts[] = {
		"",
		":",
		":80",
		"80:",
		"0",
		"65536",
		"80:0",
		"0:0",
		"0-5:80",
		"00:80",
		"65530-65536:80-86",
		"65530-5:80-90",
		"80-70",
		"8000-8010:80-81",
		"8080:80:80",
		"1.2.3:80:80",
		"::1:80:80",
		"[::1:80:80",
		"[::1]",
		"[::1]:",
		"80/icmp",
		"80/sctp",
		"80/",
		"a:80",
		"80:b",
		"-80:80",
		"+80",
		" 80",
		"0x50",
		"80-",
		"1.2.3.4:",
		"1.2.3.4::",
		"[fe80::1%1]:80:80",
		"80/tcp/udp",
		"1.2.3.4:80:80:80",
		"8010-8000:80",
		"99999999999999999999:80",
	};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct port_opt p = {.first = 7};
		struct err e = ERR_INIT;
		tap_ok(port_opt_parse(texts[i], &p, &e) < 0 && p.first == 7 && *e.text, "'%s' is refused: %s", texts[i],
		       e.text);
	}
}

static void test_collisions(void)
{
	static const struct {
		const char *a, *b;
		bool collide;
	} cases[] = {
		{"80:80", "80:81", true},
		{"80:80", "80:80/udp", false},
		{"127.0.0.1:80:80", "127.0.0.2:80:80", false},
		{"127.0.0.1:80:80", "80:80", true},
		{"0.0.0.0:80:80", "127.0.0.1:80:80", true},
		{"0.0.0.0:80:80", "[::]:80:80", false},
		{"[::]:80:80", "[::1]:80:80", true},
		{"80-90:80-90", "90-95:1-6", true},
		{"80-90:80-90", "91-95:1-5", false},
		{"80", "80", false},
		{"8000-8010:80", "8000:81", false},
		{"[0:0::1]:80:80", "[::1]:80:80", true},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = ERR_INIT;
		autostrv struct strv list = STRV_INIT;
		strv_add(&list, cases[i].a);
		strv_add(&list, cases[i].b);
		tap_ok((port_opt_check_all(&list, &e) < 0) == cases[i].collide, "%s and %s %s", cases[i].a, cases[i].b,
		       cases[i].collide ? "collide" : "do not collide");
	}
	struct port_opt p;
	tap_ok(port_opt_parse_expose("80-82/udp", &p, NULL) == 0 && p.first == 80 && p.last == 82 && p.udp,
	       "an exposed range is understood");
	tap_ok(port_opt_parse_expose("8080:80", &p, NULL) < 0, "an exposed port has no port of the host");
}

int main(void)
{
	tap_plan_later();
	test_good();
	test_bad();
	test_collisions();
	return tap_done();
}
