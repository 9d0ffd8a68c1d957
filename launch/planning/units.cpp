#include "launch/planning/units.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "runtime/base/error.h"

namespace longsight::planning {
namespace {

// Three digits are all that a prediction is worth.
std::string three_digits(double value, const char* unit) {
  const int decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}", value, decimals, unit);
}

}  // namespace

std::string seconds_text(double seconds) {
  if (seconds == 0) return "0 s";
  if (seconds >= 7200) return three_digits(seconds / 3600, "h");
  if (seconds >= 120) return three_digits(seconds / 60, "min");
  if (seconds >= 0.9995) return three_digits(seconds, "s");
  if (seconds >= 0.9995e-3) return three_digits(seconds * 1e3, "ms");
  return three_digits(seconds * 1e6, "us");
}

std::string bytes_text(i64 bytes) {
  const double value = static_cast<double>(bytes);
  if (bytes < 1024) return fmt::format("{} B", bytes);
  if (bytes < i64{1} << 20) return three_digits(value / 1024, "KiB");
  if (bytes < i64{1} << 30) return three_digits(value / (1 << 20), "MiB");
  if (bytes < i64{1} << 40) return three_digits(value / (1 << 30), "GiB");
  return three_digits(value / (1 << 30) / 1024, "TiB");
}

i64 bytes_from_text(const std::string& text, const std::string& where) {
  constexpr std::array<std::pair<const char*, i64>, 8> kUnits{{{"GB", 1'000'000'000},
                                                               {"MB", 1'000'000},
                                                               {"KB", 1'000},
                                                               {"GiB", i64{1} << 30},
                                                               {"MiB", i64{1} << 20},
                                                               {"KiB", i64{1} << 10},
                                                               {"B", 1},
                                                               {"", 1}}};
  i64 count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string unit(end, text.data() + text.size());
  const auto found =
      std::find_if(kUnits.begin(), kUnits.end(), [&](const auto& u) { return unit == u.first; });
  require(
      error == std::errc() && count > 0 && found != kUnits.end() && count <= (i64{1} << 50) / found->second,
      ExitCode::usage, "{} {}: a size like 5GB, 500MB or 1GiB", where, text);
  return count * found->second;
}

}  // namespace longsight::planning
