#include "rl/model/endpoint.h"

#include "tap.h"

int main(void)
{
	static const struct endpoint full = {.network = "net1",
					     .interface = "eth0",
					     .mac = "02:00:00:00:00:01",
					     .address = "10.1.0.2",
					     .gateway = "10.1.0.1",
					     .prefix = 24,
					     .address6 = "fd00::2",
					     .gateway6 = "fd00::1",
					     .prefix6 = 64,
					     .dns = "10.1.0.254",
					     .internal = true};
	struct endpoint back;
	autostr struct str text = STR_INIT;
	tap_plan_later();
	endpoint_text(&full, &text);
	tap_ok(endpoint_parse(text.buf, &back) && memcmp(&back, &full, sizeof(full)) == 0,
	       "a line is read as it was written");
	tap_ok(endpoint_parse("network=a unknown=x prefix=99 mac=", &back) && back.prefix == 0,
	       "unknown words and numbers out of range are skipped");
	tap_ok(endpoint_parse("network=a address=123456789012345678901234567890", &back) && strlen(back.address) == 15,
	       "a value that is too long is cut");
	tap_ok(!endpoint_parse("address=10.0.0.1", &back), "without a network it is no line of ours");
	return tap_done();
}
