#include "launch/samples/token_text.h"

#include <regex>

#include <doctest/doctest.h>

#include "launch/pages/canvas.h"
#include "launch/samples/model_source.h"
#include "runtime/data/image/formats/image_decode.h"
#include "runtime/data/records/open_data.h"

using namespace longsight;
using namespace longsight::launch;

TEST_CASE("tokens are shown with their borders, and those with loss in brackets") {
  const std::string folder = "tests/goldens/llava-clip-llama/";
  const auto maker = SampleMaker::of_model(folder + "model", model::read_config(folder + "model"));
  data::EncodeCache cache;
  const auto file = data::open_chat_data(data::guess_data_spec(folder + "samples.jsonl"));
  const data::ChatSample chat = file->sample(3);
  const model::Sample sample = maker->sample(chat, cache);
  const std::string text = token_text(*maker, sample);
  CHECK(text.starts_with("<s>|"));
  CHECK(text.find("<image> x16|") != std::string::npos);
  CHECK(text.find("\xE2\x8F\x8E\n") != std::string::npos);
  CHECK(text.find("\xF0\x9F\x98\x80(") != std::string::npos);  // a character of several tokens
  // Nothing is lost or made up: what stands in brackets is what the assistant says. A space in front of a
  // word belongs to its token.
  std::string learned, expected;
  bool inside = false;
  for (const char c : std::regex_replace(text, std::regex("\\([0-9]+ tokens\\)"), "")) {
    if (c == '[' || c == ']') inside = c == '[';
    if (inside && c != '|' && c != '[') learned += c;
  }
  for (const data::ChatMessage& m : chat.messages) {
    if (m.loss) expected += text_of(m) + maker->chat()->stop();
  }
  std::erase(learned, ' ');
  std::erase(expected, ' ');
  CHECK(learned == expected);
  CHECK(facts_text(*maker, chat, sample) == fmt::format("{}{} tokens: 32 of pictures, {} with loss; 2 images",
                                                        chat.id.empty() ? "" : chat.id + ", ",
                                                        sample.tokens(), supervised_tokens(sample)));
}

TEST_CASE("a page is written as a PNG with the same pixels") {
  Canvas canvas(31, {250, 240, 230});
  canvas.grow(17);
  canvas.fill(20, 10, 100, 100, {1, 2, 3});
  data::Image red(2, 40);
  for (std::size_t i = 0; i < red.rgb.size(); i += 3) red.rgb[i] = 255;
  canvas.picture(29, 1, red);
  const data::Image page = canvas.image();
  const std::string png = encode_png(page);
  const data::Image back =
      data::decode_image(std::span(reinterpret_cast<const std::uint8_t*>(png.data()), png.size()), "page");
  CHECK(back.size() == data::ImageSize{17, 31});
  CHECK(back.rgb == page.rgb);
  const auto pixel = [&](i64 x, i64 y) {
    return Color{back.row(y)[x * 3], back.row(y)[x * 3 + 1], back.row(y)[x * 3 + 2]};
  };
  CHECK(pixel(0, 0) == Color{250, 240, 230});
  CHECK(pixel(30, 16) == Color{1, 2, 3});
  CHECK(pixel(19, 10) == Color{250, 240, 230});
  CHECK(pixel(30, 2) == Color{255, 0, 0});
  CHECK(pixel(30, 3) == Color{250, 240, 230});
}

TEST_CASE("texts are broken into lines that fit, at spaces where there are some") {
  const Fonts fonts({}, 15);
  const auto width = [&](std::string_view text) {
    i64 sum = 0;
    for (const char c : text) sum += fonts.width(static_cast<char32_t>(c));
    return sum;
  };
  const std::string text =
      "the quick brown fox jumps over the lazy dog again and again\n\nand " + std::string(80, 'w');
  const auto lines = wrap(text, 120, fonts);
  std::string joined;
  for (const std::string& line : lines) {
    CHECK(width(line) <= 120);
    joined += line;
  }
  std::string bare;
  for (const char c : text) {
    if (c != ' ' && c != '\n') bare += c;
  }
  std::erase(joined, ' ');
  CHECK(joined == bare);
  CHECK(width(lines[0] + " " + lines[1].substr(0, lines[1].find(' '))) > 120);  // no shorter than it must be
  CHECK(wrap("", 120, fonts) == std::vector<std::string>{""});
  CHECK(wrap("a\n\nb", 120, fonts) == std::vector<std::string>{"a", "", "b"});
}
