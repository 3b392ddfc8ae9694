/* npy_header.h: the text of a .npy header, a literal Python dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (2,
 * 3), }. For npy.c. The parser is strict: what NumPy does not write is refused, and so is what this program cannot use. */
#ifndef NPY_HEADER_H
#define NPY_HEADER_H

#include "files/npy.h"

enum { NPY_REASON_SIZE = 240 };

/* Reads length bytes of header text into type, rank, shape and count (the checked product). On failure false, with what is
 * wrong with the header in reason. */
bool npy_header_parse(const char *text, size_t length, struct npy *array, char reason[NPY_REASON_SIZE]);

/* Writes the whole start of a version 1.0 file, magic to padding, a multiple of 64 bytes; returns its length. */
enum { NPY_START_SIZE = 384 };
size_t npy_header_format(const struct npy *array, char start[NPY_START_SIZE]);

#endif
