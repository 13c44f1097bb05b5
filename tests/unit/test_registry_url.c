/* links: engine/registry model base */
#include "tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "rl/base/mem.h"
#include "src/engine/registry/registry_int.h"

static void resolves(const char *base, const char *ref, const char *want, const char *sentence)
{
	autourl struct url u = {.text = NULL};
	struct err e = ERR_INIT;
	int r = url_resolve(base, ref, &u, &e);
	autofree char *got = r < 0 ? xasprintf("error %d", -r) : xasprintf("%s %s %s", u.text, u.host, u.port);
	tap_is_str(got, want, sentence);
}

static void test_urls(void)
{
	resolves(NULL, "https://Reg.Example.org/v2/", "https://Reg.Example.org/v2/ reg.example.org 443",
		 "hosts are compared in lower case, the port is known");
	resolves("https://a.org/x/y", "/z?q=1", "https://a.org/z?q=1 a.org 443",
		 "an absolute path is relative to the host");
	resolves("https://a.org/x/y", "z", "https://a.org/x/z a.org 443",
		 "a relative path is relative to the directory");
	resolves("https://a.org/x", "//b.org/y", "https://b.org/y b.org 443", "a network path changes the host");
	resolves("https://a.org/x", "http://b.org:81/y", "http://b.org:81/y b.org 81", "an absolute URL replaces all");
	resolves("https://a.org/x", "/y#frag", "https://a.org/y a.org 443", "fragments are dropped");
	resolves(NULL, "https://[::1]:5000/", "https://[::1]:5000/ [::1] 5000", "IPv6 addresses keep their brackets");
	resolves(NULL, "http://0x7f.1/", "http://127.0.0.1/ 127.0.0.1 80",
		 "numbers that are addresses are seen as such");
	resolves("https://a.org/", "file:///etc/passwd", "error 71", "file: is refused");
	resolves("https://a.org/", "ftp://b.org/", "error 71", "ftp: is refused");
	resolves("https://a.org/", "https://u:p@b.org/", "error 71", "user names in URLs are refused");
	resolves("https://a.org/", "https://b.org:99999/", "error 71", "impossible ports are refused");
	resolves("https://a.org/", "https://", "error 71", "a URL without host is refused");
	resolves("https://a.org/", "https://b.org\r\nX: y/", "error 71", "line ends in a host are refused");
	autofree char *big = xmalloc(HTTP_URL_MAX + 2);
	memset(big, 'a', HTTP_URL_MAX + 1);
	big[HTTP_URL_MAX + 1] = 0;
	resolves("https://a.org/", big, "error 71", "an oversized URL is refused");
	autostr struct str s = STR_INIT;
	url_escape(&s, "a b&c=d/e:~\xc3\xa9");
	tap_is_str(s.buf, "a%20b%26c%3Dd%2Fe%3A~%C3%A9", "query values are escaped");
}

static enum addr_class class_of(const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
		return addr_class_of((const struct sockaddr *)&in);
	if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
		return addr_class_of((const struct sockaddr *)&in6);
	return ADDR_CLASS_N;
}

static void test_classes(void)
{
	static const struct {
		const char *addr;
		enum addr_class class;
	} t[] = {
		{"127.0.0.1", ADDR_LOOPBACK},
		{"127.255.0.9", ADDR_LOOPBACK},
		{"0.0.0.0", ADDR_LOOPBACK},
		{"10.0.0.1", ADDR_PRIVATE},
		{"172.16.0.1", ADDR_PRIVATE},
		{"172.31.255.255", ADDR_PRIVATE},
		{"172.32.0.1", ADDR_PUBLIC},
		{"192.168.1.1", ADDR_PRIVATE},
		{"100.64.0.1", ADDR_PRIVATE},
		{"169.254.169.254", ADDR_LINK_LOCAL},
		{"224.0.0.1", ADDR_LINK_LOCAL},
		{"255.255.255.255", ADDR_LINK_LOCAL},
		{"8.8.8.8", ADDR_PUBLIC},
		{"::1", ADDR_LOOPBACK},
		{"::", ADDR_LOOPBACK},
		{"fe80::1", ADDR_LINK_LOCAL},
		{"fd00::1", ADDR_PRIVATE},
		{"2001:db8::1", ADDR_PUBLIC},
		{"::ffff:127.0.0.1", ADDR_LOOPBACK},
		{"::ffff:8.8.8.8", ADDR_PUBLIC},
		{"::127.0.0.1", ADDR_LOOPBACK},
		{"64:ff9b::a9fe:a9fe", ADDR_LINK_LOCAL},
		{"64:ff9b:1::a9fe:a9fe", ADDR_LINK_LOCAL},
		{"::ffff:0:7f00:1", ADDR_LOOPBACK},
		{"192.0.0.192", ADDR_LINK_LOCAL},
		{"192.0.1.1", ADDR_PUBLIC},
		{"2002:7f00:1::", ADDR_LOOPBACK},
		{"ff02::1", ADDR_LINK_LOCAL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		tap_is_int(class_of(t[i].addr), t[i].class, t[i].addr);
	enum addr_class c;
	tap_ok(addr_class_of_host("LOCALHOST", &c) && c == ADDR_LOOPBACK, "localhost is loopback in any case");
	tap_ok(addr_class_of_host("a.localhost", &c) && c == ADDR_LOOPBACK, "and so is everything below it");
	tap_ok(addr_class_of_host("[::1]", &c) && c == ADDR_LOOPBACK, "addresses in brackets are recognized");
	tap_ok(addr_class_of_host("[fe80::1%25eth0]", &c) && c == ADDR_LINK_LOCAL, "with a zone as well");
	tap_ok(!addr_class_of_host("example.org", &c) && !addr_class_of_host("[x]", &c) && !addr_class_of_host("[", &c),
	       "names and nonsense have no class");
	tap_ok(!addr_may_lead_to(ADDR_PUBLIC, ADDR_PRIVATE) && !addr_may_lead_to(ADDR_PUBLIC, ADDR_LOOPBACK) &&
		       !addr_may_lead_to(ADDR_PUBLIC, ADDR_LINK_LOCAL) && addr_may_lead_to(ADDR_PUBLIC, ADDR_PUBLIC),
	       "a public server leads to public ones only");
	tap_ok(!addr_may_lead_to(ADDR_PRIVATE, ADDR_LOOPBACK) && !addr_may_lead_to(ADDR_PRIVATE, ADDR_LINK_LOCAL) &&
		       addr_may_lead_to(ADDR_PRIVATE, ADDR_PRIVATE),
	       "a private one not to loopback or link-local");
	tap_ok(!addr_may_lead_to(ADDR_LOOPBACK, ADDR_LINK_LOCAL), "not even loopback leads to link-local");
}

static void test_proxy(void)
{
	static const struct {
		const char *list, *host, *port;
		bool exempt;
	} t[] = {
		{"a.org,b.org", "b.org", "443", true},
		{"a.org", "x.a.org", "443", true},
		{".a.org", "x.a.org", "443", true},
		{".a.org", "a.org", "443", true},
		{"*.a.org", "x.a.org", "443", true},
		{"a.org", "xa.org", "443", false},
		{"*", "b.org", "443", true},
		{"a.org:5000", "a.org", "5000", true},
		{"a.org:5000", "a.org", "443", false},
		{"10.0.0.0/8", "10.1.2.3", "80", true},
		{"10.0.0.0/8", "11.1.2.3", "80", false},
		{"10.0.0.0/33", "10.1.2.3", "80", false},
		{"0.0.0.0/0", "9.9.9.9", "80", true},
		{" a.org , b.org ", "b.org", "80", true},
		{"A.ORG", "a.org", "80", true},
		{"", "a.org", "80", false},
		{",,,", "a.org", "80", false},
		{"[::1]", "[::1]", "80", true},
	};
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		tap_ok(proxy_exempt(t[i].list, t[i].host, t[i].port) == t[i].exempt, "no_proxy \"%s\" %s %s:%s",
		       t[i].list, t[i].exempt ? "exempts" : "does not exempt", t[i].host, t[i].port);
	tap_ok(!proxy_exempt(NULL, "a", "1"), "no no_proxy exempts nothing");
}

static void test_words(void)
{
	autofree char *q = http_quote("\x1b[2J a\r\n\tb \xff\xe2\x80\xae c", 17);
	tap_is_str(q, "[2J a b ???? c", "what a server says becomes one line of plain characters");
	char big[2000];
	memset(big, 'x', sizeof(big));
	autofree char *cut = http_quote(big, sizeof(big));
	tap_ok(strlen(cut) < 250 && str_ends(cut, "..."), "and is cut");
	char d[IMGREF_DIGEST_SIZE];
	digest_of("abc", 3, d);
	tap_is_str(d, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "SHA-256 of abc");
}

int main(void)
{
	tap_plan_later();
	test_urls();
	test_classes();
	test_proxy();
	test_words();
	return tap_done();
}
