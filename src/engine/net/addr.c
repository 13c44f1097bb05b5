#include <arpa/inet.h>

#include "rl/engine/net.h"

void net_addr4_text(struct in_addr a, char ret[INET_ADDRSTRLEN])
{
	(void)inet_ntop(AF_INET, &a, ret, INET_ADDRSTRLEN);
}

void net_addr6_text(const struct in6_addr *a, char ret[INET6_ADDRSTRLEN])
{
	(void)inet_ntop(AF_INET6, a, ret, INET6_ADDRSTRLEN);
}
