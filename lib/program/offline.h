/* offline.h: binaries that somebody has made, in the directory $TCONV3D_BINARY_DIR: for devices whose programs are built by
 * another compiler on another machine (FPGAs), and for users who want nothing built. Of a program NAME (t3_program_name) it
 * holds NAME.bin, what clCreateProgramWithBinary takes, and NAME.key, the program's whole key: a binary is used only where that
 * is the same, byte by byte; NAME.sum, the binary's hash, may lie beside them. The directory is trusted as one in a library
 * path is: whoever can write there decides what runs on the device. */
#ifndef T3_OFFLINE_H
#define T3_OFFLINE_H

#include "program/program.h"

typedef enum t3_offline {
  T3_OFFLINE_UNSET,     /* no directory is named */
  T3_OFFLINE_MISSING,   /* there is no such binary */
  T3_OFFLINE_KEYLESS,   /* there is no key beside it */
  T3_OFFLINE_OTHER_KEY, /* the key beside it is another program's */
  T3_OFFLINE_DAMAGED,   /* its hash is not the one beside it */
  T3_OFFLINE_REFUSED,   /* the device does not take the binary */
  T3_OFFLINE_LOADED
} t3_offline;

/* The program from the directory, which was made with these options; NULL with the reason. */
cl_program t3_offline_load(cl_context cl, cl_device_id device, const t3_text *key, const char *options, t3_offline *outcome);

/* Whether $TCONV3D_NO_BUILD is set, to anything but "" and "0": then nothing is built from source. */
bool t3_no_build(void);
/* Fails with NO_BINARY: which file was wanted where, what is wrong with it, and how to make it. */
tconv3d_status t3_offline_fail(const char *program, const t3_text *key, t3_offline outcome);

#endif
