// Looks at every sample of a data set, on all threads.
#pragma once

#include <exception>
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
  // Called in the order of the samples, by number, with what a look at it threw; goes on with the next one.
  // Without it the first error is thrown.
  std::function<void(i64 index, const std::exception_ptr&)> report = nullptr;
  std::function<void(i64 done)> progress = nullptr;  // now and then
};

// bad_data, missing_input, beginning with where the sample stands.
void check_media(const ChatSample& sample, MediaCheck how);

DataCounts check_samples(const ChatData& data, const CheckOptions& options = {});

}  // namespace longsight::data
