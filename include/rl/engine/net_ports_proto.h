/*
 * net_ports_proto.h - what is said to rl-portd on its sockets (base/sync.h messages).
 *
 * step     sender      payload                                       when
 * -------  ----------  --------------------------------------------  ----------------------------------------------
 * CONFIG   its parent  struct net_portd_config; pidfd of PID 1, and  first message on descriptor 3
 *                      the control socket if there is one
 * CONFIG   a client    struct net_portd_config                       the container's addresses have changed
 * ADD      any client  struct net_port, its socket                   then, and on accepted control connections
 * REMOVE   a client    struct net_port
 * DONE     rl-portd    -                                             after each of the others
 * ERROR    rl-portd    struct err (sync.h)                           instead of DONE
 */
#ifndef RL_ENGINE_NET_PORTS_PROTO_H
#define RL_ENGINE_NET_PORTS_PROTO_H

#include "rl/engine/net_ports.h"

enum portd_step { PORTD_STEP_CONFIG = 1, PORTD_STEP_ADD, PORTD_STEP_REMOVE, PORTD_STEP_DONE };

enum { PORTD_SOCKET_FD = 3 };

#endif
