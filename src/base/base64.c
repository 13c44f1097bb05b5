#include "rl/base/base64.h"

#include <errno.h>

void base64_encode(const void *data, size_t len, struct str *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = data;
	for (size_t i = 0; i < len; i += 3) {
		unsigned v = (unsigned)p[i] << 16 | (i + 1 < len ? (unsigned)p[i + 1] << 8 : 0u) |
			     (i + 2 < len ? p[i + 2] : 0u);
		char four[4] = {digits[v >> 18], digits[v >> 12 & 63], i + 1 < len ? digits[v >> 6 & 63] : '=',
				i + 2 < len ? digits[v & 63] : '='};
		str_add(out, four, 4);
	}
}

static int value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(const char *text, size_t len, struct str *out, struct err *e)
{
	unsigned v = 0, bits = 0;
	size_t pad = 0;
	while (len && text[len - 1] == '=' && pad < 2) {
		len--;
		pad++;
	}
	if (len % 4 == 1 || (pad && (len + pad) % 4 != 0))
		return err_set(e, EBADMSG, "base64 text of an impossible length");
	for (size_t i = 0; i < len; i++) {
		int digit = value(text[i]);
		if (digit < 0)
			return err_set(e, EBADMSG, "character outside of base64");
		v = (v << 6 | (unsigned)digit) & 0xffffff;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			str_addc(out, (char)(v >> bits & 0xff));
		}
	}
	return 0;
}
