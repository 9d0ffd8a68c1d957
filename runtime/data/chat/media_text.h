// The text that stands for an image or a video in a chat: the placeholder of each of its features, and what
// the family puts around and between them. Pure functions of how the image is cut; the placeholders are those
// of the model's config.
#pragma once

#include <string>
#include <string_view>

#include "runtime/data/image/tile_grid.h"

namespace longsight::data {

// Patches of an image or video as the vision tower takes them: temporal patches (1 of an image), rows,
// columns.
struct FrameGrid {
  i64 frames = 1;
  i64 rows = 0;
  i64 columns = 0;
  friend bool operator==(const FrameGrid&, const FrameGrid&) = default;
};

// LLaVA and PaliGemma: nothing but placeholders.
std::string plain_media_text(std::string_view placeholder, i64 tokens);

// InternVL: <img>, the placeholders of all tiles, </img>.
std::string internvl_media_text(std::string_view placeholder, TileGrid grid, i64 tokens_per_tile);

// Qwen2-VL and Qwen2.5-VL: <|vision_start|>, one placeholder for each merge x merge patches of a frame,
// <|vision_end|>. The placeholder of a video is another one than that of an image. check fails if rows or
// columns do not divide by merge.
std::string qwen_media_text(std::string_view placeholder, FrameGrid grid, i64 merge = 2);

// SmolVLM and Idefics3: each tile with its row and column, a line break behind each row, then the thumbnail.
// An image that is one tile has only the last part. check fails for several tiles without a thumbnail.
std::string smolvlm_media_text(std::string_view placeholder, TileGrid grid, i64 tokens_per_tile);

}  // namespace longsight::data
