/* links: base */
/*
 * hammer.c - TCP connections, as many as wanted, for tests/soak/connections.
 *
 *     hammer serve PORT           on all addresses: a line for each connection, then closes it; prints "ready"
 *     hammer connect ADDR PORT COUNT   one after the other: reads until the end; prints the number that brought a line, and
 *                                      why the others did not to standard error
 *
 * The server closes first, so that no client's port is kept from the next connection.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 30000 };

static int serve(const char *port)
{
	static const char line[] = "hello\n";
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1024) < 0) {
		perror("hammer");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (c < 0)
			continue;
		(void)!send(c, line, sizeof(line) - 1, MSG_NOSIGNAL);
		close(c);
	}
}

static int one(const struct sockaddr_in *a)
{
	char buf[64];
	ssize_t n = -1;
	size_t got = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0) {
		perror("hammer: connect");
		if (fd >= 0)
			close(fd);
		return 0;
	}
	struct pollfd p = {.fd = fd, .events = POLLIN};
	errno = ETIMEDOUT;
	while (poll(&p, 1, PATIENCE_MS) == 1 && (n = recv(fd, buf, sizeof(buf), 0)) > 0)
		got += (size_t)n;
	if (!got)
		fprintf(stderr, "hammer: nothing came: %s\n", n == 0 ? "the end" : strerror(errno));
	close(fd);
	return got > 0;
}

static int run(const char *address, const char *port, const char *count)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
	long answered = 0;
	if (inet_pton(AF_INET, address, &a.sin_addr) != 1)
		return 2;
	for (long left = strtol(count, NULL, 10); left > 0; left--)
		answered += one(&a);
	printf("%ld\n", answered);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2]);
	if (argc == 5 && strcmp(argv[1], "connect") == 0)
		return run(argv[2], argv[3], argv[4]);
	fprintf(stderr, "usage: hammer serve PORT | connect ADDR PORT COUNT\n");
	return 2;
}
