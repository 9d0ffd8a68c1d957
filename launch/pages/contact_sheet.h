// Samples on one page: their pictures, side by side, and what is said about them.
#pragma once

#include <string>

#include "launch/pages/canvas.h"
#include "runtime/data/chat/chat_sample.h"

namespace longsight::launch {

class ContactSheet {
 public:
  // The page borrows the fonts.
  explicit ContactSheet(const Fonts& fonts);

  // Below what is there already. `facts` stands in its head line. Pictures are decoded here: bad_data,
  // missing_input. Of long conversations and many pictures the first ones are shown, with the number of the
  // rest.
  void add(const data::ChatSample& sample, const std::string& facts);
  std::string png() const;

 private:
  void add_head(const std::string& text);
  void add_media(const data::ChatSample& sample);
  void add_messages(const data::ChatSample& sample);
  void add_lines(const std::vector<std::string>& lines, i64 x, Color color);

  const Fonts& fonts_;
  Canvas canvas_;
  i64 y_ = 0;
  i64 samples_ = 0;
};

}  // namespace longsight::launch
