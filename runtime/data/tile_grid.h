// How the tiles of an image lie.
#pragma once

#include "runtime/base/number.h"

namespace longsight::data {

// Tiles row by row, then the whole image once more as a tile (the thumbnail), where there is one.
struct TileGrid {
  i64 rows = 1;
  i64 columns = 1;
  bool thumbnail = false;

  friend bool operator==(const TileGrid&, const TileGrid&) = default;
};

}  // namespace longsight::data
