#include "runtime/data/records/check_data.h"

#include "runtime/data/image/formats/image_decode.h"
#include "runtime/data/records/parallel_samples.h"

namespace longsight::data {
namespace {

DataCounts counts_of(const ChatSample& sample) {
  DataCounts counts{.samples = 1};
  for (const ChatMedia& media : sample.media) (media.video ? counts.videos : counts.images) += 1;
  for (const ChatMessage& message : sample.messages) counts.answers += message.loss;
  return counts;
}

void add(DataCounts& to, const DataCounts& more) {
  to.samples += more.samples;
  to.images += more.images;
  to.videos += more.videos;
  to.answers += more.answers;
}

}  // namespace

void check_media(const ChatSample& sample, MediaCheck how) {
  if (how == MediaCheck::named) return;
  try {
    for (const ChatMedia& media : sample.media) {
      for (const MediaFile& file : media.frames) {
        if (how == MediaCheck::decoded) {
          decode_image_file(file);
        } else {
          read_image_size(file);
        }
      }
    }
  } catch (const Error& error) {
    fail(error.code(), "{}: {}", sample.where, error.what());
  }
}

DataCounts check_samples(const ChatData& data, const CheckOptions& options) {
  std::vector<DataCounts> of_thread(static_cast<std::size_t>(sample_threads()));
  i64 bad = 0;
  parallel_samples(
      data.size(),
      [&](i64 i, int thread) {
        const ChatSample sample = data.sample(i);
        check_media(sample, options.media);
        add(of_thread[static_cast<std::size_t>(thread)], counts_of(sample));
      },
      [&](i64 i, const std::exception_ptr& error) {
        if (options.progress && ((i + 1) % 256 == 0 || i + 1 == data.size())) options.progress(i + 1);
        if (!error) return;
        if (!options.report) std::rethrow_exception(error);
        bad += 1;
        options.report(i, error);
      });
  DataCounts counts;
  for (const DataCounts& one : of_thread) add(counts, one);
  counts.samples += bad;
  counts.bad = bad;
  return counts;
}

}  // namespace longsight::data
