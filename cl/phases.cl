/* phases.cl: the phases of those axes that RESIDUES_ is defined for, D, H or W: tables by residue. Required for each:
 * TAP_START_ (residues+1 values: how many taps the residues before have), FIRST_TAP_, FIRST_OFFSET_, and the steps of an axis,
 * TAP_STEP_ and OFFSET_STEP_. */
#ifdef RESIDUES_D
#if !defined(TAP_START_D) || !defined(FIRST_TAP_D) || !defined(FIRST_OFFSET_D) || !defined(TAP_STEP_D) || \
    !defined(OFFSET_STEP_D)
#error "the tables of axis D are required"
#endif
__constant int tap_start_d[] = {TAP_START_D};
__constant int first_tap_d[] = {FIRST_TAP_D};
__constant int first_offset_d[] = {FIRST_OFFSET_D};
#endif
#ifdef RESIDUES_H
#if !defined(TAP_START_H) || !defined(FIRST_TAP_H) || !defined(FIRST_OFFSET_H) || !defined(TAP_STEP_H) || \
    !defined(OFFSET_STEP_H)
#error "the tables of axis H are required"
#endif
__constant int tap_start_h[] = {TAP_START_H};
__constant int first_tap_h[] = {FIRST_TAP_H};
__constant int first_offset_h[] = {FIRST_OFFSET_H};
#endif
#ifdef RESIDUES_W
#if !defined(TAP_START_W) || !defined(FIRST_TAP_W) || !defined(FIRST_OFFSET_W) || !defined(TAP_STEP_W) || \
    !defined(OFFSET_STEP_W)
#error "the tables of axis W are required"
#endif
__constant int tap_start_w[] = {TAP_START_W};
__constant int first_tap_w[] = {FIRST_TAP_W};
__constant int first_offset_w[] = {FIRST_OFFSET_W};
#endif

/* The residue and the input offset of tap k along W; both fold to constants once the loop over k is unrolled. */
#define RESIDUE_W(k) T3_MOD((k)*DILATION_W - PADDING_W, STRIDE_W)
#if TRANSPOSED
#define OFFSET_W(k) ((RESIDUE_W(k) + PADDING_W - (k)*DILATION_W) / STRIDE_W)
#else
#define OFFSET_W(k) ((k)*DILATION_W - PADDING_W)
#endif
