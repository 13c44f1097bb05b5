/*
 * notify.h - telling a service manager that we are ready (sd_notify(3)'s protocol, without its library).
 *
 * Where NOTIFY_SOCKET is set (a unit with Type=notify), one datagram is sent to it; elsewhere nothing happens. Readiness
 * that cannot be told is a debug line: the container runs all the same.
 * Context: host side only; a container never gets this variable (--sdnotify=container gives it a socket of its own).
 */
#ifndef RL_BASE_NOTIFY_H
#define RL_BASE_NOTIFY_H

#include <sys/types.h>

/* READY=1; and MAINPID= if `main_pid` is not 0. */
void notify_ready(pid_t main_pid);
/* Any assignments, one a line. */
void notify_send(const char *text);

#endif
