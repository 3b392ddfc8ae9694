/* gradient.cl: what the kernels of gradients share: how a result meets what the target held. BETA is defined unless it is 0;
 * without it the target is not read. Vectors where VECTOR is defined. */

#ifdef BETA
#define MERGE(value, to) ((value) + (REAL)BETA * READ_Y(to))
#define VMERGE(value, to) ((value) + (REAL)BETA * VREAD_Y(to))
#else
#define MERGE(value, to) (value)
#define VMERGE(value, to) (value)
#endif

/* Asks for the line of the cache at from, which may lie outside of its tensor, ahead of its use: the kernels read many short
 * runs of memory, of which the hardware foresees little. */
#define PREFETCH(from)
#if defined(__has_builtin)
#if __has_builtin(__builtin_prefetch)
#undef PREFETCH
#define PREFETCH(from) __builtin_prefetch(from, 0, 2)
#endif
#endif
#define CACHE_LINE (64 / (int)sizeof(REAL))
