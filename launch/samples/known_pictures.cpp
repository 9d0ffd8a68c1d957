#include "launch/samples/known_pictures.h"

#include <algorithm>

#include <xxhash.h>

#include "runtime/base/log.h"
#include "runtime/data/records/index_file.h"

namespace longsight::launch {
namespace {

const char* const kKind = "decoded pictures";
const char* const kSuffix = ".pictures";

}  // namespace

u64 picture_state(const data::ChatSample& chat) {
  std::string text;
  for (const data::ChatMedia& media : chat.media) {
    for (const data::MediaFile& file : media.frames) {
      if (file.content) {
        text += fmt::format("{:016x}\n", XXH3_64bits(file.content->data(), file.content->size()));
      } else {
        const data::FileState state = data::state_of(file.path);
        text += fmt::format("{}\n{} {} {} {} {}\n", file.path, file.offset, file.bytes, state.bytes,
                            state.changed_ns, state.status_ns);
      }
    }
  }
  return std::max<u64>(XXH3_64bits(text.data(), text.size()), 1);
}

KnownPictures::KnownPictures(const DataSet& set, std::string index_folder)
    : folder_(std::move(index_folder)) {
  if (folder_.empty() || set.ready()) return;
  file_ = set.chat.file;
  if (const auto known = data::read_index(file_, folder_, kKind, kSuffix)) states_ = known->numbers;
}

bool KnownPictures::has(i64 index, u64 state) const {
  return index < static_cast<i64>(states_.size()) &&
         states_[static_cast<std::size_t>(index)] == static_cast<i64>(state);
}

void KnownPictures::remember(const std::vector<u64>& states) {
  if (file_.empty()) return;
  bool more = false;
  states_.resize(std::max(states_.size(), states.size()));
  for (std::size_t i = 0; i < states.size(); ++i) {
    if (states[i] == 0 || states_[i] == static_cast<i64>(states[i])) continue;
    states_[i] = static_cast<i64>(states[i]);
    more = true;
  }
  if (!more) return;
  try {
    data::write_index(file_, folder_, kKind, data::state_of(file_), {.numbers = states_, .text = {}},
                      kSuffix);
  } catch (const Error& error) {
    log_warn("{}: the pictures will be decoded again by the next run", error.what());
  }
}

}  // namespace longsight::launch
