/*
 * oci_meet.h - the child's side of create: what the first process does at the two points where it meets its caller.
 *
 * The functions are those of struct runtime_start and run in the container's child; oci_create.c has the steps.
 */
#ifndef RL_SVC_OCI_MEET_H
#define RL_SVC_OCI_MEET_H

#include "oci_int.h"

enum oci_meet_step {
	MEET_PIVOT = 0x100,
	MEET_READY,
	MEET_GO, /* pid_t: the child as the host numbers it */
};

struct oci_meeting {
	int sock;      /* the child's end */
	int other_end; /* the caller's; closed by the child first, or it would never see the caller's death */
	int lockfd;    /* the directory: its lock is the caller's alone */
	int gatefd;    /* locked; -1: nothing waits */
	int listenfd;  /* for start; -1: goes on at once */
	int notifyfd;  /* connected to seccomp's listenerPath; -1: none */
	int startfd;   /* who started it, until the exec */
	const struct oci_config *config;
	const struct oci_record *rec;
	const struct rtspec *spec;
	const struct seccomp_plan *seccomp;
	pid_t pid;  /* once it is known */
	int procfd; /* exec: /proc of the host, where the joined process finds its number; else -1 */
};

#define OCI_MEETING_NONE                                                                                               \
	{                                                                                                              \
		.sock = -1, .other_end = -1, .lockfd = -1, .gatefd = -1, .listenfd = -1, .notifyfd = -1,               \
		.startfd = -1, .procfd = -1                                                                            \
	}

/* The first process meets its caller: somebody has to tell it its pid, or when to go on. Else it only executes. */
bool oci_meeting_happens(const struct oci_meeting *m);
int oci_meet(void *arg, enum runtime_point point, struct err *e) RL_CHECK;
void oci_meet_failed(void *arg, const struct err *e);
int oci_meet_listener(void *arg, int fd, struct err *e) RL_CHECK;
/* Before the clone, while the host's paths can be reached: sets notifyfd if the profile has a listener. */
int oci_meeting_connect_listener(struct oci_meeting *m, struct err *e) RL_CHECK;

#endif
