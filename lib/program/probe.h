/* probe.h: whether a device has a feature, by a small kernel that is built, run and compared. */
#ifndef T3_PROBE_H
#define T3_PROBE_H

#include "base/text.h"
#include "device/context.h"

/* Of the wanted features those that the slot's device has and TCONV3D_FEATURES allows, with T3_TWINS where that asks for
 * twins. What was not asked for before is built and run, which blocks. A slot without a table (no device stands behind it) has
 * none. Errors: INVALID_PARAMETER (the variable). What goes wrong in a probe is an answer: not there. */
tconv3d_status t3_features_there(const t3_slot *slot, t3_feature_set wanted, t3_feature_set *there);

/* Runs the probe of a feature, or its twin, whatever else the device says; false with the reason. */
bool t3_probe(const t3_slot *slot, t3_feature feature, bool twin, char *why, size_t capacity);

/* The probe's defines, as a recipe has them. */
void t3_probe_defines(t3_feature feature, bool twin, t3_text *defines);

#endif
