/*
 * steps.h - the handshake between role parent (rl) and role child (the future PID 1), over one sync socket.
 *
 * step             sender   when                                             payload
 * STEP_NET_DEVICE  child    its network namespace is configured, ids still   int kind, one descriptor
 *                           unmapped; only with a net_setup that makes one
 * STEP_MAPPED      parent   uid_map and gid_map are written and `prepare`    bool: the child was moved into a
 *                           has returned; the child may act as container root  cgroup after the clone
 * STEP_RECORDED    parent   `record` has returned: the payload may run, once    none
 *                           the child has set everything up
 * STEP_NOTE        child    a lesser rung is used; at most a few             text for the person, no NUL
 * STEP_MOUNT_NS    child    at its beginning, where the pid namespace is not    name of its mount namespace
 *                           the container's own
 * STEP_LAYER       child    the writable layer is in memory, and asked for so     one descriptor (its directory)
 * STEP_PTY         child    after pivot_root, with a terminal                one descriptor (pty master)
 * (error)          child    any operation failed; the child then exits       struct err
 * (end of file)    child    the payload was executed: the socket is close-on-exec
 *
 * What the child says to rl-notifyd (its filter's listener) goes over a socket of its own: rl/engine/notifyd_proto.h.
 *
 * A dead peer is end of file for both: the child exits, the parent learns the child's wait status.
 */
#ifndef RL_RUNTIME_STEPS_H
#define RL_RUNTIME_STEPS_H

enum runtime_step {
	STEP_NET_DEVICE = 1,
	STEP_MAPPED,
	STEP_PTY,
	STEP_NOTE,
	STEP_MOUNT_NS,
	STEP_RECORDED,
	STEP_LAYER,
};

#endif
