#include "launch/pages/contact_sheet.h"

#include <algorithm>

#include "runtime/data/image/formats/image_decode.h"
#include "runtime/data/image/image_resize.h"

namespace longsight::launch {
namespace {

constexpr Color kPaper{255, 255, 255}, kHead{232, 236, 241}, kInk{33, 37, 41}, kFaint{120, 126, 133},
    kUser{24, 92, 168}, kLearned{20, 120, 60}, kFrame{205, 210, 216};
constexpr i64 kWidth = 1200, kMargin = 12;
constexpr i64 kCell = 156, kPicture = 140;  // of a picture on the page, with and without its surroundings
constexpr i64 kColumns = (kWidth - 2 * kMargin) / kCell;
constexpr std::size_t kMostPictures = 3 * kColumns, kMostLines = 10, kMostMessages = 12;
constexpr i64 kRoleWidth = 92;

// As large as fits into a square, no more than eight times its size.
data::Image thumbnail(const data::Image& image) {
  const i64 longest = std::max(image.height, image.width);
  const i64 side = std::min(kPicture, longest * 8);
  const auto scaled = [&](i64 edge) { return std::max<i64>(1, edge * side / longest); };
  return data::resize_image(image, {scaled(image.height), scaled(image.width)}, data::Resample::bilinear);
}

struct ShownPicture {
  const data::MediaFile* file;
  std::string label;
};

// Images, and the frames of videos, in order.
std::vector<ShownPicture> pictures_of(const data::ChatSample& sample) {
  std::vector<ShownPicture> pictures;
  for (std::size_t m = 0; m < sample.media.size(); ++m) {
    const data::ChatMedia& media = sample.media[m];
    for (std::size_t f = 0; f < media.frames.size(); ++f) {
      pictures.push_back(
          {&media.frames[f], media.video ? fmt::format("{}.{}", m + 1, f + 1) : fmt::format("{}", m + 1)});
    }
  }
  return pictures;
}

data::Image decode(const data::MediaFile& file, const data::ChatSample& sample) {
  try {
    return data::decode_image_file(file);
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", sample.where, error.what());
  }
}

// Pictures in a text as [image 1], [image 2], ...
std::string text_with_marks(const data::ChatMessage& message, std::size_t& media) {
  std::string text;
  for (const data::ChatPart& part : message.parts) {
    const bool joined = text.ends_with(']') && !part.text.starts_with(' ');
    if (joined) text += ' ';
    if (part.is_text()) {
      text += part.text;
    } else {
      text += fmt::format("[{} {}]", part.kind == data::PartKind::video ? "video" : "image", ++media);
    }
  }
  return text;
}

}  // namespace

ContactSheet::ContactSheet(const Fonts& fonts) : fonts_(fonts), canvas_(kWidth, kPaper) {}

void ContactSheet::add(const data::ChatSample& sample, const std::string& facts) {
  samples_ += 1;
  add_head(fmt::format("{}   {}   {}", samples_, sample.where, facts));
  add_media(sample);
  add_messages(sample);
  y_ += kMargin;
}

void ContactSheet::add_head(const std::string& text) {
  const i64 height = fonts_.line_height() + 10;
  canvas_.grow(y_ + height + kMargin);
  canvas_.fill(0, y_, kWidth, height, kHead);
  canvas_.text(kMargin, y_ + 5, text, fonts_, kInk);
  y_ += height + 8;
}

void ContactSheet::add_media(const data::ChatSample& sample) {
  const std::vector<ShownPicture> pictures = pictures_of(sample);
  const std::size_t shown = std::min(pictures.size(), kMostPictures);
  i64 tallest = 0;  // of the row at hand
  for (std::size_t i = 0; i < shown; ++i) {
    const i64 column = static_cast<i64>(i) % kColumns;
    const i64 x = kMargin + column * kCell;
    const data::Image whole = decode(*pictures[i].file, sample);
    const data::Image small = thumbnail(whole);
    tallest = std::max(column == 0 ? 0 : tallest, small.height);
    canvas_.grow(y_ + tallest + fonts_.line_height() + 8 + kMargin);
    canvas_.fill(x, y_, small.width + 2, small.height + 2, kFrame);
    canvas_.picture(x + 1, y_ + 1, small);
    canvas_.text(x, y_ + small.height + 4,
                 fmt::format("{}: {} x {}", pictures[i].label, whole.width, whole.height), fonts_, kFaint);
    if (column + 1 == kColumns || i + 1 == shown) y_ += tallest + fonts_.line_height() + 8;
  }
  if (shown < pictures.size())
    add_lines({fmt::format("and {} more pictures", pictures.size() - shown)}, kMargin, kFaint);
}

void ContactSheet::add_messages(const data::ChatSample& sample) {
  std::size_t media = 0;
  const std::size_t shown = std::min(sample.messages.size(), kMostMessages);
  for (std::size_t i = 0; i < shown; ++i) {
    const data::ChatMessage& message = sample.messages[i];
    const bool user = message.role == data::Role::user, assistant = message.role == data::Role::assistant;
    const Color color = message.loss ? kLearned : user ? kInk : kFaint;
    std::vector<std::string> lines =
        wrap(text_with_marks(message, media), kWidth - 2 * kMargin - kRoleWidth, fonts_);
    if (lines.size() > kMostLines) {
      const std::size_t more = lines.size() - kMostLines;
      lines.resize(kMostLines);
      lines.push_back(fmt::format("and {} more lines", more));
    }
    canvas_.grow(y_ + fonts_.line_height());
    canvas_.text(kMargin, y_,
                 user        ? "user"
                 : assistant ? "assistant"
                             : "system",
                 fonts_,
                 user        ? kUser
                 : assistant ? kLearned
                             : kFaint);
    add_lines(lines, kMargin + kRoleWidth, color);
    y_ += 3;
  }
  if (shown < sample.messages.size())
    add_lines({fmt::format("and {} more messages", sample.messages.size() - shown)}, kMargin, kFaint);
}

void ContactSheet::add_lines(const std::vector<std::string>& lines, i64 x, Color color) {
  for (const std::string& line : lines) {
    canvas_.grow(y_ + fonts_.line_height() + kMargin);
    canvas_.text(x, y_, line, fonts_, color);
    y_ += fonts_.line_height();
  }
}

std::string ContactSheet::png() const {
  return encode_png(canvas_.image());
}

}  // namespace longsight::launch
