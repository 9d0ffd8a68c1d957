// A data set of conversations, whatever its format.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/data/chat/chat_sample.h"

namespace longsight::data {

// Opening a data set finds where its samples are, and does not parse them; check_samples (check_data.h) does
// that for all of them.
class ChatData {
 public:
  ChatData() = default;
  virtual ~ChatData() = default;
  ChatData(const ChatData&) = delete;
  ChatData& operator=(const ChatData&) = delete;

  virtual i64 size() const = 0;
  // Parsed on demand; any thread. bad_data with where(index) for a malformed sample, a number of <image> that
  // is not the number of images, a picture outside of the media folder, a URL, a conversation in which
  // nothing is to be learned; missing_input for a picture that is not there.
  virtual ChatSample sample(i64 index) const = 0;
  virtual std::string where(i64 index) const = 0;  // "train.jsonl:12", for messages
  // Of what the samples are read from; changes when they may have changed. Of pictures in files of their own
  // it knows nothing.
  virtual u64 fingerprint() const = 0;
  // Keeps what was found on opening: beside the data, or in `folder`. Returns the files written.
  virtual std::vector<std::string> write_index(const std::string& folder) const = 0;
};

}  // namespace longsight::data
