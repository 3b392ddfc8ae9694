/* gradient.cl: what the kernels of gradients share: how a result meets what the target held. BETA is defined unless it is 0;
 * without it the target is not read. Vectors where VECTOR is defined. */

#ifdef BETA
#define MERGE(value, to) ((value) + (REAL)BETA * READ_Y(to))
#define VMERGE(value, to) ((value) + (REAL)BETA * VREAD_Y(to))
#else
#define MERGE(value, to) (value)
#define VMERGE(value, to) (value)
#endif
