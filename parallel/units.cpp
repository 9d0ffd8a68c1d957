#include "parallel/units.h"

namespace longsight::parallel {
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

}  // namespace longsight::parallel
