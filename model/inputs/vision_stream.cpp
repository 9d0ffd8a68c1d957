#include "model/inputs/vision_stream.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/inputs/rope_table.h"
#include "runtime/ops/patches.h"

namespace longsight::model {
namespace {

// Index in the position table for each patch of a tile in raster order.
std::vector<i64> table_positions(const VisionConfig& v, const data::ImageLayout& layout) {
  std::vector<i64> positions;
  if (v.positions == VisionConfig::Positions::spread) {
    const auto rows = spread_positions(layout.rows, v.grid()),
               columns = spread_positions(layout.columns, v.grid());
    for (i64 row : rows) {
      for (i64 column : columns) positions.push_back(row * v.grid() + column);
    }
  } else if (v.positions == VisionConfig::Positions::table) {
    check(layout.rows == v.grid() && layout.columns == v.grid(),
          "a tile of {} x {} patches, positions for {} x {}", layout.rows, layout.columns, v.grid(),
          v.grid());
    positions.resize(static_cast<std::size_t>(layout.rows * layout.columns));
    std::iota(positions.begin(), positions.end(), v.class_rows());
  }
  return positions;
}

// Collects the rows of a range, tile by tile.
class Rows {
 public:
  Rows(const ModelConfig& config, i64 begin, i64 end) : config_(config), begin_(begin), end_(end) {}

  // The tile that begins at row `start` of the stream. Returns the patches of it that are in the range, in
  // stream order: indices into the tile in raster order, or where patches come ready in merge order.
  std::vector<i64> add_tile(const data::ImageLayout& layout, const TileOrder& order,
                            const std::vector<i64>& table, i64 start) {
    const VisionConfig& v = config_.vision;
    const i64 merged = v.merged(), across = layout.columns / v.merge;
    std::vector<i64> patches;
    const i64 first = std::max(begin_, start), last = std::min(end_, start + config_.rows_per_tile(layout));
    for (i64 row = first; row < last; ++row) {
      const i64 patch = row - start - v.class_rows();
      if (patch < 0) {
        class_rows_.push_back(row - begin_);
        if (v.positions != VisionConfig::Positions::none) positions_.push_back(0);
        continue;
      }
      const i64 block = order.blocks[static_cast<std::size_t>(patch / merged)], inside = patch % merged;
      const PatchPlace place{.row = block / across * v.merge + inside / v.merge,
                             .column = block % across * v.merge + inside % v.merge};
      const i64 raster = place.row * layout.columns + place.column;
      patch_rows_.push_back(row - begin_);
      if (!table.empty()) positions_.push_back(table[static_cast<std::size_t>(raster)]);
      places_.push_back(place);
      patches.push_back(v.image_size > 0 ? raster : block * merged + inside);
    }
    return patches;
  }

  VisionInputs take(DType dtype) {
    const VisionConfig& v = config_.vision;
    VisionInputs inputs{.count = end_ - begin_};
    inputs.patches = OwnedTensor(dtype, {static_cast<i64>(patch_rows_.size()), v.patch_inputs()}, "patches");
    inputs.patch_rows = IndexList(std::move(patch_rows_), inputs.count, "patch rows");
    inputs.class_tokens = IndexList(std::vector<i64>(class_rows_.size(), 0), 1, "class tokens");
    inputs.class_rows = IndexList(std::move(class_rows_), inputs.count, "class rows");
    inputs.positions =
        IndexList(std::move(positions_), v.image_size > 0 ? v.position_rows() : 0, "vision positions");
    if (v.rope) inputs.angles = rope_angles(v, places_);
    return inputs;
  }

 private:
  const ModelConfig& config_;
  i64 begin_, end_;
  std::vector<i64> patch_rows_, class_rows_, positions_;
  std::vector<PatchPlace> places_;
};

// Patches of a tile that are here, and where its pixels are.
struct Piece {
  std::size_t image;
  i64 tile;
  IndexList patches;
};

// The patches of one piece, from the pixels of its image.
void fill_patches(Matrix rows, const Piece& piece, const data::ImageLayout& layout, Tensor pixels,
                  const VisionConfig& v) {
  const Stream host;
  if (v.image_size > 0) {
    check(pixels.shape() == Shape({layout.tiles, 3, v.image_size, v.image_size}),
          "pixels {} for {} tiles of {}", pixels.shape(), layout.tiles, v.image_size);
    const Tensor tile = pixels.row_range(piece.tile, 1).reshape({3, v.image_size, v.image_size});
    ops::patch_rows(rows, tile, v.patch, piece.patches, host);
    return;
  }
  check(pixels.shape() == Shape({layout.patches(), v.patch_inputs()}), "pixels {} for {} patches of {}",
        pixels.shape(), layout.patches(), v.patch_inputs());
  const i64 of_tile = layout.rows * layout.columns;
  ops::ready_patch_rows(rows, pixels.row_range(piece.tile * of_tile, of_tile), piece.patches, host);
}

}  // namespace

std::vector<i64> spread_positions(i64 patches, i64 table) {
  std::vector<float> boundaries;
  const double step = 1.0 / static_cast<double>(table);
  // torch.arange(step, 1, step), whose last bits decide which row a patch gets: PyTorch's kernel makes runs
  // of 16 as two vectors of 8, each counted on from its first value rounded to f32, and the rest one by one.
  constexpr i64 kVector = 8, kRun = 16;
  const i64 count = static_cast<i64>(std::ceil((1.0 - step) / step));
  for (i64 i = 0; i < count; ++i) {
    const i64 first = i < count / kRun * kRun ? i / kVector * kVector : i;
    const double begin = step + step * static_cast<double>(first);
    const double rounded = first == i ? begin : static_cast<double>(static_cast<float>(begin));
    boundaries.push_back(static_cast<float>(rounded + static_cast<double>(i - first) * step));
  }
  std::vector<i64> positions;
  for (i64 i = 0; i < patches; ++i) {
    const float at = std::min(static_cast<float>(i) * (1.0F / static_cast<float>(patches)), 1.0F - 1e-6F);
    positions.push_back(std::upper_bound(boundaries.begin(), boundaries.end(), at) - boundaries.begin());
  }
  return positions;
}

TileOrder tile_order(const ModelConfig& config, const data::ImageLayout& layout) {
  const VisionConfig& v = config.vision;
  const i64 down = layout.rows / v.merge, across = layout.columns / v.merge;
  TileOrder order;
  if (v.window == 0) {
    order.blocks.resize(static_cast<std::size_t>(down * across));
    std::iota(order.blocks.begin(), order.blocks.end(), 0);
    return order;
  }
  for (i64 top = 0; top < down; top += v.window) {
    for (i64 left = 0; left < across; left += v.window) {
      const i64 bottom = std::min(down, top + v.window), right = std::min(across, left + v.window);
      for (i64 row = top; row < bottom; ++row) {
        for (i64 column = left; column < right; ++column) order.blocks.push_back(row * across + column);
      }
      order.windows.push_back((bottom - top) * (right - left) * v.merged());
    }
  }
  return order;
}

VisionRows VisionInputs::rows(Arena& arena, Stream stream) const {
  check(stream.device == nullptr || uploaded, "{} patches were not uploaded", patches->rows());
  return {.count = count,
          .patch_rows = patch_rows,
          .class_rows = class_rows,
          .class_tokens = class_tokens,
          .positions = positions,
          .patches = stream.device == nullptr ? patches.view() : uploaded,
          .rope = rope_table(angles, patches->dtype(), arena, stream)};
}

void VisionInputs::add_to(Upload& upload) {
  for (const IndexList* list : {&patch_rows, &class_rows, &class_tokens, &positions}) upload.add(*list);
  add_angles(upload, angles);
  upload.add(patches, uploaded);
}

VisionInputs vision_inputs(const MicroBatch& batch, const ModelConfig& config, i64 begin, i64 end,
                           DType dtype) {
  const VisionConfig& v = config.vision;
  Rows rows(config, begin, end);
  std::vector<Piece> pieces;
  i64 start = 0;
  for (std::size_t image = 0; image < batch.images.size(); ++image) {
    const data::ImageLayout& layout = batch.images[image]->layout();
    const i64 length = config.rows_per_tile(layout);
    if (start + layout.tiles * length <= begin || start >= end) {
      start += layout.tiles * length;
      continue;
    }
    const TileOrder order = tile_order(config, layout);
    const std::vector<i64> table = table_positions(v, layout);
    for (i64 tile = 0; tile < layout.tiles; ++tile, start += length) {
      std::vector<i64> patches = rows.add_tile(layout, order, table, start);
      if (patches.empty()) continue;
      pieces.push_back({image, tile, IndexList(std::move(patches), layout.rows * layout.columns, "patches")});
    }
  }
  VisionInputs inputs = rows.take(dtype);
  i64 row = 0;
  for (const Piece& piece : pieces) {
    const i64 count = piece.patches.size();
    fill_patches(inputs.patches->row_range(row, count), piece, batch.images[piece.image]->layout(),
                 batch.images[piece.image]->pixels(), v);
    row += count;
  }
  return inputs;
}

}  // namespace longsight::model
