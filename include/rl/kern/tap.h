/*
 * tap.h - the two devices whose far end is a file descriptor: a TAP, and an AF_PACKET socket on a veth end.
 *
 * tap_open makes a TAP interface in the caller's network namespace (CAP_NET_ADMIN there, /dev/net/tun of the host in
 * sight). -ENOENT, -EACCES, -EPERM, -ENODEV and -ENXIO mean "no TAP here": the caller tries a veth pair.
 *
 * packet_open returns a raw packet socket bound to an interface of the caller's namespace which sees what the peer
 * sends and not what is sent through the socket itself. An open packet socket keeps its network namespace alive, so
 * that no process has to stay there.
 *
 * Both descriptors are non-blocking and close-on-exec; frames are Ethernet frames, one per read and write. With
 * vnet_hdr each is preceded by the 10 bytes of struct virtio_net_hdr in both directions; what is read is complete all
 * the same (no offload is asked for), what is written may leave its checksum to be completed.
 */
#ifndef RL_KERN_TAP_H
#define RL_KERN_TAP_H

#include <stdbool.h>

#include "rl/base/err.h"

int tap_open(const char *name, bool vnet_hdr, struct err *e) RL_CHECK;
bool tap_is_absent(int error);
int packet_open(int ifindex, bool vnet_hdr, struct err *e) RL_CHECK;

#endif
