/*
 * machine.h - what images and docker call this machine.
 */
#ifndef RL_CMD_MACHINE_H
#define RL_CMD_MACHINE_H

/* The architecture in the words of image documents ("amd64", "arm64"). */
void machine_arch(char ret[32]);
/* The kernel's version. */
void machine_kernel(char ret[80]);

#endif
