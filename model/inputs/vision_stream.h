// The vision stream of a micro-batch: the tiles of all images end to end, each a class row (if the tower has
// one) and its patches, merge block by merge block.
//
// Patches of a merge block are neighbours, in raster order; blocks follow each other in raster order too, or
// attention window by attention window where the tower has windows, so that every window is a contiguous
// range.
#pragma once

#include "model/inputs/micro_batch.h"
#include "model/vision_tower.h"
#include "runtime/tensor/upload.h"

namespace longsight::model {

// How the merge blocks of a tile lie in the stream.
struct TileOrder {
  std::vector<i64> blocks;   // stream block i is block blocks[i] of the tile in raster order
  std::vector<i64> windows;  // length of each attention window, in rows; empty without windows
};
TileOrder tile_order(const ModelConfig&, const data::ImageLayout&);

// Idefics3 spreads the patches of an axis over its position table by fractional coordinates in f32: position
// of each of `patches`, which for some lengths (19, 25, ..) is not the identity even where both are equal
// (transformers 5.23, Idefics3VisionEmbeddings).
std::vector<i64> spread_positions(i64 patches, i64 table);

// Rows [begin, end) of the stream, with their patches, on the host. Only images with rows in the range are
// asked for their pixels.
struct VisionInputs {
  i64 count = 0;
  IndexList patch_rows = {}, class_rows = {}, class_tokens = {}, positions = {};  // as in VisionRows
  OwnedTensor patches = {};     // [patch rows, inputs of a patch]
  Tensor uploaded = {};         // the patches on a device, where they were uploaded
  ops::RopeAngles angles = {};  // none without 2-D RoPE

  // With the tables of angles in `arena`; borrows the patches.
  VisionRows rows(Arena& arena, Stream stream) const;
  // Stays where it is until the upload has run.
  void add_to(Upload&);
};
VisionInputs vision_inputs(const MicroBatch&, const ModelConfig&, i64 begin, i64 end, DType);

}  // namespace longsight::model
