/* endpoint.c - see endpoint.h. */
#include "rl/model/endpoint.h"

#include <stdio.h>

#include "rl/base/mem.h"

void endpoint_text(const struct endpoint *p, struct str *out)
{
	str_addf(out, "network=%s interface=%s mac=%s", p->network, p->interface, p->mac);
	if (*p->address)
		str_addf(out, " address=%s prefix=%u gateway=%s", p->address, p->prefix, p->gateway);
	if (*p->address6)
		str_addf(out, " address6=%s prefix6=%u gateway6=%s", p->address6, p->prefix6, p->gateway6);
	if (*p->dns)
		str_addf(out, " dns=%s", p->dns);
	if (p->internal)
		str_adds(out, " internal=yes");
}

bool endpoint_parse(const char *text, struct endpoint *ret)
{
	struct endpoint p = {0};
	const struct {
		const char *key;
		char *to;
		size_t size;
	} members[] = {
		{"network=", p.network, sizeof(p.network)},
		{"interface=", p.interface, sizeof(p.interface)},
		{"mac=", p.mac, sizeof(p.mac)},
		{"address=", p.address, sizeof(p.address)},
		{"gateway=", p.gateway, sizeof(p.gateway)},
		{"address6=", p.address6, sizeof(p.address6)},
		{"gateway6=", p.gateway6, sizeof(p.gateway6)},
		{"dns=", p.dns, sizeof(p.dns)},
	};
	autostrv struct strv words = STRV_INIT;
	strv_split(&words, text, ' ');
	for (size_t i = 0; i < words.count; i++) {
		const char *value = NULL;
		uint64_t n;
		for (size_t k = 0; k < ARRAY_SIZE(members) && !value; k++) {
			value = str_after(words.items[i], members[k].key);
			if (value)
				snprintf(members[k].to, members[k].size, "%s", value);
		}
		value = str_after(words.items[i], "prefix=");
		if (value && str_to_u64(value, 32, "", &n, NULL) == 0)
			p.prefix = (unsigned)n;
		value = str_after(words.items[i], "prefix6=");
		if (value && str_to_u64(value, 128, "", &n, NULL) == 0)
			p.prefix6 = (unsigned)n;
		p.internal |= str_eq(words.items[i], "internal=yes");
	}
	*ret = p;
	return *p.network;
}

bool endpoint_mac(const struct endpoint *p, uint8_t ret[6])
{
	return sscanf(p->mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &ret[0], &ret[1], &ret[2], &ret[3], &ret[4], &ret[5]) ==
	       6;
}
