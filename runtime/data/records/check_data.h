// Looks at every sample of a data set, on all threads.
#pragma once

#include <functional>

#include "runtime/data/records/chat_data.h"

namespace longsight::data {

struct DataCounts {
  i64 samples = 0;
  i64 images = 0;
  i64 videos = 0;
  i64 answers = 0;  // messages that are learned
  i64 bad = 0;      // samples that were reported
  friend bool operator==(const DataCounts&, const DataCounts&) = default;
};

enum class MediaCheck {
  named,    // pictures are there
  headers,  // and begin as a JPEG or PNG of a size within the limits
  decoded,  // and can be decoded to the end
};

struct CheckOptions {
  MediaCheck media = MediaCheck::named;
  // Called in the order of the samples. Without it the first error is thrown.
  std::function<void(ExitCode, const std::string& message)> report = nullptr;
  std::function<void(i64 done)> progress = nullptr;  // now and then
};

DataCounts check_samples(const ChatData& data, const CheckOptions& options = {});

}  // namespace longsight::data
