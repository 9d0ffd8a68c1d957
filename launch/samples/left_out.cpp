#include "launch/samples/left_out.h"

#include "launch/samples/overlong.h"
#include "runtime/base/log.h"

namespace longsight::launch {
namespace {

constexpr i64 kShownSamples = 10;

}  // namespace

Error too_many_bad(const std::string& where, i64 row, const std::string& first) {
  return Error(ExitCode::bad_data,
               fmt::format("{}: {} samples in a row cannot be read, more than data.bad: skip leaves out; the "
                           "first problem is {}",
                           where, row, first));
}

void LeftOut::add(i64 index, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const OverlongError&) {
    throw;
  } catch (const Error& e) {
    const bool unreadable = e.code() == ExitCode::bad_data || e.code() == ExitCode::missing_input;
    if (!skip_ || !unreadable) throw;
    if (count_ == 0) first_ = e.what();
    if (count_ < kShownSamples) log_info("left out: {}", e.what());
  }
  count_ += 1;
  row_ = index == last_ + 1 ? row_ + 1 : 1;
  last_ = index;
  if (row_ == kBadInARow || row_ == samples_)
    throw too_many_bad(source_.data->where(index + 1 - row_), row_, first_);
}

void LeftOut::log() const {
  if (count_ > 0)
    log_info("{}: {} of {} samples cannot be read and are left out (data.bad: skip)", source_.name, count_,
             samples_);
}

bool skips_bad(const FileOptions& o) {
  return is_configuration(o) && configuration_of(o).config.data.bad == "skip";
}

}  // namespace longsight::launch
