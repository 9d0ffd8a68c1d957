#include "runtime/data/chat/media_text.h"

#include "runtime/base/error.h"

namespace longsight::data {
namespace {

void append_times(std::string& text, std::string_view part, i64 times) {
  check(times >= 1, "{} placeholders", times);
  text.reserve(text.size() + part.size() * static_cast<std::size_t>(times));
  for (i64 i = 0; i < times; ++i) text += part;
}

}  // namespace

std::string plain_media_text(std::string_view placeholder, i64 tokens) {
  std::string text;
  append_times(text, placeholder, tokens);
  return text;
}

std::string internvl_media_text(std::string_view placeholder, TileGrid grid, i64 tokens_per_tile) {
  std::string text = "<img>";
  append_times(text, placeholder, grid.tiles() * tokens_per_tile);
  return text + "</img>";
}

std::string qwen_media_text(std::string_view placeholder, FrameGrid grid, i64 merge) {
  std::string text = "<|vision_start|>";
  append_times(text, placeholder, grid.frames * exact_div(grid.rows, merge) * exact_div(grid.columns, merge));
  return text + "<|vision_end|>";
}

std::string smolvlm_media_text(std::string_view placeholder, TileGrid grid, i64 tokens_per_tile) {
  constexpr std::string_view kAround = "<fake_token_around_image>";
  std::string text;
  if (grid.rows * grid.columns > 1) {
    check(grid.thumbnail, "{} x {} tiles without a thumbnail", grid.rows, grid.columns);
    for (i64 row = 1; row <= grid.rows; ++row) {
      for (i64 column = 1; column <= grid.columns; ++column) {
        text += kAround;
        text += fmt::format("<row_{}_col_{}>", row, column);
        append_times(text, placeholder, tokens_per_tile);
      }
      text += '\n';
    }
    text += '\n';
  }
  text += kAround;
  text += "<global-img>";
  append_times(text, placeholder, tokens_per_tile);
  text += kAround;
  return text;
}

}  // namespace longsight::data
