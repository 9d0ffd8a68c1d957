// How the tiles of an image lie.
#pragma once

#include "runtime/base/number.h"

namespace longsight::data {

// An image cut into equal tiles, row by row; with a thumbnail the whole image follows as one more tile.
struct TileGrid {
  i64 rows = 1;
  i64 columns = 1;
  bool thumbnail = false;

  i64 tiles() const { return rows * columns + (thumbnail ? 1 : 0); }
  friend bool operator==(const TileGrid&, const TileGrid&) = default;
};

}  // namespace longsight::data
