#!/bin/sh
# run.sh: installs what is missing, builds, and does the library's main job on real data: the trained layers of a brain-extraction
# network on a head MRI, and the same head enlarged to half-millimetre voxels. Results go to build/results.
set -eu
cd "$(dirname "$0")/.."
demos/packages.sh
export PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin${PATH:+:$PATH}"
[ -f build/build.ninja ] || meson setup build
ninja -C build
mkdir -p build/results
build/demos/tconv3d doctor
echo
build/demos/brain --out build/results
build/demos/tconv3d upsample demos/data/t1_head_1mm.nii.gz build/results/t1_head_half_mm.nii.gz \
  --factor 2 --kernel cubic --png build/results/upsample.png
echo
echo "The pictures: build/results/brain.png (the mask over the head), build/results/upsample.png (the enlarged head)."
