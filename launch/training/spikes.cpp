#include "launch/training/spikes.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace longsight::launch {
namespace {

constexpr double kTimesLargest = 10, kDeviations = 10, kLeastDeviation = 0.1;  // the last: of the mean

// Null, as numbers that are not finite are written: NaN.
double number_of(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<double>() : std::nan("");
}

}  // namespace

std::string RecentNumbers::add(double number) {
  if (!std::isfinite(number)) return "";
  std::string text;
  if (numbers_.size() >= kFewest) {
    const auto count = static_cast<double>(numbers_.size());
    const double mean = std::accumulate(numbers_.begin(), numbers_.end(), 0.0) / count;
    double squares = 0;
    for (const double x : numbers_) squares += (x - mean) * (x - mean);
    const double deviation = std::max(std::sqrt(squares / count), kLeastDeviation * std::abs(mean));
    const double largest = *std::max_element(numbers_.begin(), numbers_.end());
    if (number > kTimesLargest * largest || number > mean + kDeviations * deviation)
      text = fmt::format("{:.4g} (the last {} steps: {:.4g} on average, {:.4g} at most)", number,
                         numbers_.size(), mean, largest);
  }
  numbers_.push_back(number);
  if (numbers_.size() > kWindow) numbers_.pop_front();
  return text;
}

std::string SpikeWatch::add(double loss, double gradient_norm) {
  const std::string of_loss = losses_.add(loss), of_norm = norms_.add(gradient_norm);
  std::string text;
  if (!of_loss.empty()) text = "loss " + of_loss;
  if (!of_norm.empty()) text += (text.empty() ? "" : ", ") + ("gradient norm " + of_norm);
  spikes_ += text.empty() ? 0 : 1;
  return text;
}

void SpikeWatch::recall(const std::vector<Json>& lines) {
  *this = {};
  for (const Json& line : lines) {
    add(number_of(line, "loss"), number_of(line, "grad_norm"));
    // Of the whole run, not of these lines.
    const auto count = line.find("spikes");
    if (count != line.end() && count->is_number_integer()) spikes_ = count->get<i64>();
  }
}

}  // namespace longsight::launch
