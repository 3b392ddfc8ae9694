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
 * runs of memory, of which the hardware foresees little. Only where the compiler targets a processor: runtimes that compile to
 * an intermediate form need not know the instruction (Mesa's translator to SPIR-V 15 ends the process, Oclgrind drops the
 * kernel). */
#if defined(__x86_64__) || defined(__aarch64__)
#define PREFETCH(from) __builtin_prefetch(from, 0, 2)
#else
#define PREFETCH(from)
#endif
#define CACHE_LINE (64 / (int)sizeof(REAL))
